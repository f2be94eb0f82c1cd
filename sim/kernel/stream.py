"""The access streams of programs: which page comes next, and touching it."""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.kernel.calls.unmap import zap_leaf
from sim.kernel.fault.fault import access
from sim.kernel.fork.shared_tables import is_shared_table, own_step
from sim.kernel.work import DONE, MORE
from sim.machine.draw import peek
from sim.machine.layout import NONE, PFN_SHIFT, TABLE_MASK, Arrays
from sim.machine.native import prefetch
from sim.machine.tables import find_table
from sim.machine.work import DRAW_HOT, DRAW_PAGE

SEQUENTIAL: Final = 0
UNIFORM: Final = 1
HOT_COLD: Final = 2
LISTED: Final = 3


@inlined
def choose_page(m: Arrays, task: int, ahead: int) -> int:
    """Return the first page of the next access of the stream, or of one `ahead` behind it.

    A retry chooses the same.  Random accesses of several pages go to aligned groups of that many.
    """
    o = m.operations[task]
    span = int(o.span)
    if o.pattern == SEQUENTIAL:
        return int(o.start + (o.at + ahead) * span)
    if o.pattern == LISTED:
        return int(o.start + m.lists[int(o.pages_at + o.at) + ahead])
    groups = int(o.pages) // span
    first = 0
    if o.pattern == HOT_COLD:
        hot = int(o.hot_groups)
        if peek(m, task, DRAW_HOT, ahead) < o.hot_share:
            groups = hot
        else:
            first = hot
            groups -= hot
    return int(o.start) + (first + ((peek(m, task, DRAW_PAGE, ahead) * groups) >> 32)) * span


@compiled
def look_ahead(m: Arrays, task: int) -> None:
    """Fetch what the next accesses of a random stream need: an entry for one, a frame for another.

    A random write waits for main memory again and again; this overlaps the waiting.
    """
    space = int(m.tasks[task].space)
    vpn = choose_page(m, task, 2)
    leaf = find_table(m, space, vpn, 0)
    if leaf != NONE:
        prefetch(m.tables, (leaf, vpn & TABLE_MASK))
    vpn = choose_page(m, task, 1)
    leaf = find_table(m, space, vpn, 0)
    if leaf != NONE:
        prefetch(m.frames, int(m.tables[leaf, vpn & TABLE_MASK]) >> PFN_SHIFT)


@inlined
def access_step(m: Arrays, cpu: int, task: int) -> int:
    """Touch the next page of the stream; an access of `span` pages is that many steps."""
    t = m.tasks[task]
    o = m.operations[task]
    if o.touched == 0:
        o.page = choose_page(m, task, 0)
    vpn = int(o.page + o.touched)
    if o.pattern != SEQUENTIAL and o.touched == 0 and o.at + 2 < o.accesses:
        look_ahead(m, task)
    if o.drop == 1 and m.spaces[int(t.space)].shared_tables > 0:
        status = own_page(m, cpu, task, vpn)
        if status != DONE:
            return status
    status = access(m, cpu, task, vpn, int(o.write))
    if status != DONE:
        return status
    if o.drop == 1:
        zap_leaf(m, cpu, int(t.space), vpn, vpn + 1)
    if o.touched == 0 and o.pattern != SEQUENTIAL:
        m.draws[task, DRAW_PAGE, 2] += 1
        m.draws[task, DRAW_HOT, 2] += 1
    o.touched += 1
    if o.touched < o.span:
        return MORE
    o.touched = 0
    o.at += 1
    return MORE if o.at < o.accesses else DONE


@compiled
def own_page(m: Arrays, cpu: int, task: int, vpn: int) -> int:
    """Get the leaf table of `vpn` back, to remove an entry; SHORT or GROW if that cannot be."""
    space = int(m.tasks[task].space)
    if find_table(m, space, vpn, 0) == NONE or not is_shared_table(m, space, vpn):
        return DONE
    status = own_step(m, cpu, task, space, vpn, 1)
    return DONE if status == MORE else status
