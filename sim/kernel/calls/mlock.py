"""mlock and munlock: a flag of areas, and pages that are faulted in at once.

Read in Linux 6.12 `mm/mlock.c` (`apply_vma_lock_flags`, `do_mlock`).  How much a process may lock
(`RLIMIT_MEMLOCK`) is not limited here.
"""

from sim.base.jit import compiled
from sim.kernel.calls.areas import STAGE_POPULATE
from sim.kernel.calls.protect import change_flags
from sim.kernel.work import DONE, ENOMEM, GROW, MORE, note
from sim.machine.areas import area_room, find_area
from sim.machine.layout import A_LOCKED, NONE, Arrays
from sim.machine.work import MADVISE_CALL


@compiled
def mlock_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of mlock (`bits` is A_LOCKED) or munlock (`drop_bits` is).

    It stops at the first hole with ENOMEM; only if there is none, mlock's `STAGE_POPULATE` follows.
    """
    t = m.tasks[task]
    end = int(t.start + t.pages)
    if t.stage == 0:
        note(m, MADVISE_CALL, 1)
        t.at = t.start
        t.stage = 2
        return MORE
    area = find_area(m, int(t.space), int(t.at))
    if area == NONE or m.areas[area].start > t.at:
        t.errno = ENOMEM
        return DONE
    a = m.areas[area]
    limit = min(int(a.end), end)
    bits = int(a.bits | t.bits) & ~int(t.drop_bits)
    if bits != a.bits:
        if not area_room(m, 2):
            return GROW
        change_flags(m, area, int(t.at), limit, bits)
    t.at = limit
    if limit < end:
        return MORE
    if t.bits & A_LOCKED == 0:
        return DONE
    t.at = 0
    t.stage = STAGE_POPULATE
    return MORE
