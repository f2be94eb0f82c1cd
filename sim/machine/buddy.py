"""The buddy lists: free frames of each zone, in blocks of powers of 2.

Only `sim.machine.pool` hands out what is on them, and brings it back.
"""

from sim.base.jit import compiled, inlined
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.layout import F_BUDDY, N_ORDERS, NONE, Arrays


@inlined
def _unlink(m: Arrays, zone: int, order: int, pfn: int) -> None:
    """Take the free block at `pfn` off its buddy list."""
    block = m.frames[pfn]
    after = int(block.next)
    before = int(block.prev)
    if before == NONE:
        m.buddy[zone, order].head = after
    else:
        m.frames[before].next = after
    if after != NONE:
        m.frames[after].prev = before
    m.buddy[zone, order].count -= 1
    block.bits = 0


@inlined
def _link(m: Arrays, zone: int, order: int, pfn: int) -> None:
    """Put the block at `pfn` at the head of the buddy list of its order."""
    block = m.frames[pfn]
    free = m.buddy[zone, order]
    head = int(free.head)
    block.bits = F_BUDDY
    block.order = order
    block.zone = zone
    block.next = head
    block.prev = NONE
    if head != NONE:
        m.frames[head].prev = pfn
    free.head = pfn
    free.count += 1


@compiled
def buddy_alloc(m: Arrays, zone: int, order: int) -> int:
    """Return the first frame of a block of 2**order frames of `zone`, or NONE."""
    for larger in range(order, N_ORDERS):
        pfn = int(m.buddy[zone, larger].head)
        if pfn == NONE:
            continue
        _unlink(m, zone, larger, pfn)
        for split in range(larger - 1, order - 1, -1):
            _link(m, zone, split, pfn + (1 << split))
        m.frames[pfn].order = order
        m.zones[zone].free -= 1 << order
        m.pool[0].free -= 1 << order
        return pfn
    return NONE


@compiled
def buddy_free(m: Arrays, pfn: int, order: int) -> None:
    """Return a block to its zone and merge it with its free buddies."""
    zone = int(m.frames[pfn].zone)
    z = m.zones[zone]
    z.free += 1 << order
    m.pool[0].free += 1 << order
    while order < N_ORDERS - 1:
        buddy = pfn ^ (1 << order)
        if buddy < z.start or buddy + (1 << order) > z.end:
            break
        other = m.frames[buddy]
        if other.bits != F_BUDDY or int(other.order) != order:
            break
        _unlink(m, zone, order, buddy)
        pfn = min(pfn, buddy)
        order += 1
    _link(m, zone, order, pfn)


@compiled
def add_free_range(m: Arrays, zone: int, start: int, end: int) -> None:
    """Hand the frames [start, end) of `zone` to the buddy lists, in the largest aligned blocks."""
    pfn = end
    while pfn > start:  # downwards, so that the lowest block heads its list
        order = N_ORDERS - 1
        while order > 0 and (pfn & ((1 << order) - 1) != 0 or pfn - (1 << order) < start):
            order -= 1
        pfn -= 1 << order
        _link(m, zone, order, pfn)
        m.zones[zone].free += 1 << order
        m.pool[0].free += 1 << order
