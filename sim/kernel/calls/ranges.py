"""Calls over a range of pages, area by area: madvise, msync, mlock, mprotect."""

from sim.base.jit import compiled
from sim.kernel.work import ENOMEM, note
from sim.machine.areas import find_area
from sim.machine.layout import NONE, TABLE_SHIFT, Arrays
from sim.machine.tables import next_present
from sim.machine.work import MADVISE_CALL


@compiled
def begin_range(m: Arrays, task: int) -> None:
    """Begin such a call, with no area under way."""
    o = m.operations[task]
    o.stage = 1
    o.at = o.start
    o.area_end = o.start
    note(m, MADVISE_CALL, 1)


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


@compiled
def area_there(m: Arrays, task: int) -> int:
    """Return the area of the page `at`; NONE in a hole, which ends mlock and mprotect (ENOMEM)."""
    o = m.operations[task]
    area = find_area(m, int(m.tasks[task].space), int(o.at))
    if area != NONE and m.areas[area].start <= o.at:
        return area
    o.errno = ENOMEM
    return NONE


@compiled
def entries_ahead(m: Arrays, task: int) -> tuple[int, int]:
    """Return the next pages with entries of one leaf table, and go on behind them.

    They are [first, end), in the part of the area under way; an empty range at its end.
    """
    o = m.operations[task]
    limit = int(o.area_end)
    first = next_present(m, int(m.tasks[task].space), int(o.at), limit, 0)
    end = min(limit, ((first >> TABLE_SHIFT) + 1) << TABLE_SHIFT)
    o.at = end
    return first, end
