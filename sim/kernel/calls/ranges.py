"""Calls over a range of pages that may have holes: madvise, msync."""

from sim.base.jit import compiled
from sim.kernel.work import ENOMEM
from sim.machine.areas import find_area
from sim.machine.layout import NONE, Arrays


@compiled
def area_ahead(m: Arrays, task: int, end: int) -> int:
    """Return the area in which a call goes on that has come to the page `at`, or NONE at its end.

    It passes over holes, and says ENOMEM of them in the end (Linux `madvise_walk_vmas`).
    """
    t = m.tasks[task]
    o = m.operations[task]
    area = find_area(m, int(t.space), int(o.at))
    if area == NONE or m.areas[area].start >= end:
        o.errno = ENOMEM
        return NONE
    if m.areas[area].start > o.at:
        o.errno = ENOMEM
        o.at = m.areas[area].start
    return area
