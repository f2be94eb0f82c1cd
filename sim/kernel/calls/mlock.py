"""mlock and munlock: a flag of areas, and pages that are faulted in at once.

Read in Linux 6.12 `mm/mlock.c` (`apply_vma_lock_flags`, `do_mlock`).  How much a process may lock
(`RLIMIT_MEMLOCK`) is not limited here.
"""

from sim.base.jit import compiled
from sim.kernel.calls.areas import STAGE_POPULATE
from sim.kernel.calls.populate import AS_ALLOWED, populate_step
from sim.kernel.calls.protect import change_flags
from sim.kernel.work import DONE, ENOMEM, GROW, MORE, note
from sim.machine.areas import area_room, find_area
from sim.machine.layout import A_LOCKED, NONE, Arrays
from sim.machine.work import MADVISE_CALL


@compiled
def mlock_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of mlock (`set_flags` is A_LOCKED) or munlock (`clear_flags` is).

    It stops at the first hole with ENOMEM; only if there is none, mlock's `STAGE_POPULATE` follows.
    """
    t = m.tasks[task]
    o = m.operations[task]
    end = int(o.start + o.pages)
    if o.stage == STAGE_POPULATE:
        return populate_step(m, cpu, task, AS_ALLOWED)
    if o.stage == 0:
        note(m, MADVISE_CALL, 1)
        o.at = o.start
        o.stage = 2
        return MORE
    area = find_area(m, int(t.space), int(o.at))
    if area == NONE or m.areas[area].start > o.at:
        o.errno = ENOMEM
        return DONE
    a = m.areas[area]
    limit = min(int(a.end), end)
    bits = int(a.vm_flags | o.set_flags) & ~int(o.clear_flags)
    if bits != a.vm_flags:
        if not area_room(m, 2):
            return GROW
        change_flags(m, area, int(o.at), limit, bits)
    o.at = limit
    if limit < end:
        return MORE
    if o.set_flags & A_LOCKED == 0:
        return DONE
    o.at = 0
    o.stage = STAGE_POPULATE
    return MORE
