"""mlock and munlock: a flag of areas, and pages that are faulted in at once.

Read in Linux 6.12 `mm/mlock.c` (`apply_vma_lock_flags`, `do_mlock`).  How much a process may lock
(`RLIMIT_MEMLOCK`) is not limited here.
"""

from sim.base.jit import rare
from sim.kernel.calls.areas import STAGE_POPULATE
from sim.kernel.calls.populate import AS_ALLOWED, populate_step
from sim.kernel.calls.protect import set_flags
from sim.kernel.calls.ranges import area_there, begin_range
from sim.kernel.work import DONE, MORE
from sim.machine.layout import A_LOCKED, NONE, Arrays


@rare
def mlock_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of mlock (`set_flags` is A_LOCKED) or munlock (`clear_flags` is).

    It stops at the first hole with ENOMEM; only if there is none, mlock's `STAGE_POPULATE` follows.
    """
    o = m.operations[task]
    end = int(o.start + o.pages)
    if o.stage == STAGE_POPULATE:
        return populate_step(m, cpu, task, AS_ALLOWED)
    if o.stage == 0:
        begin_range(m, task)
        o.stage = 2
        return MORE
    area = area_there(m, task)
    if area == NONE:
        return DONE
    status = set_flags(m, task, area, end)
    if status != DONE or o.set_flags & A_LOCKED == 0:
        return status
    o.at = 0
    o.stage = STAGE_POPULATE
    return MORE
