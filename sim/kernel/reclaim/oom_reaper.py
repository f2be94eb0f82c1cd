"""The OOM reaper: takes the memory of who was killed and is not through with exiting.

All that is anonymous or mapped privately goes, a leaf table a step; shared memory and huge pages of
the pool stay until its own exit.  Read in Linux 6.18 `mm/oom_kill.c` (`oom_reap_task_mm`).
"""

from typing import Final

from sim.base.jit import compiled, rare
from sim.kernel.calls.unmap import zap_leaf
from sim.kernel.fork.shared_tables import (
    drop_shared_table,
    frames_to_own,
    is_shared_table,
    own_leaf,
)
from sim.kernel.work import DONE, MORE
from sim.machine.area_tree import find_area
from sim.machine.layout import A_SHARED, KIND_HUGETLB, NONE, TABLE_SHIFT, Arrays
from sim.machine.tables import find_table, next_present

REAPED: Final = 0
"""Its memory is gone, or it is itself."""
LOCKED: Final = 1
"""Somebody changes its areas: to be tried again."""


@rare
def oom_reap_step(m: Arrays, cpu: int, task: int) -> int:
    """Take what the next leaf table of a victim maps; `result` says how it ended."""
    o = m.operations[task]
    victim = m.tasks[int(o.child)]
    space = int(victim.space)
    if victim.killed == 0 or space == NONE:
        o.result = REAPED
        return DONE
    if m.spaces[space].locked_by != NONE:
        o.result = LOCKED
        return DONE
    area = find_area(m, space, int(o.at))
    if area == NONE:
        o.result = REAPED
        return DONE
    a = m.areas[area]
    end = int(a.end)
    vpn = max(int(a.start), int(o.at))
    if a.kind == KIND_HUGETLB or a.vm_flags & A_SHARED != 0:
        vpn = end
    vpn = next_present(m, space, vpn, end, 0)
    o.at = min(end, ((vpn >> TABLE_SHIFT) + 1) << TABLE_SHIFT)
    if vpn < end:
        reap_leaf(m, cpu, space, vpn, int(o.at))
    return MORE


@compiled
def reap_leaf(m: Arrays, cpu: int, space: int, vpn: int, end: int) -> None:
    """Remove what lies in [vpn, end), within one leaf table; let go of one that others use."""
    if find_table(m, space, vpn, 0) != NONE and is_shared_table(m, space, vpn):
        if frames_to_own(m, space, vpn) > 0:
            drop_shared_table(m, space, (vpn >> TABLE_SHIFT) << TABLE_SHIFT)
            return
        own_leaf(m, cpu, space, vpn)
    zap_leaf(m, cpu, space, vpn, end)
