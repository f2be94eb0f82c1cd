"""Free frames: buddy lists per zone, and per-CPU lists in front of them.

As in Linux's page allocator, a task takes single frames from the list of its CPU, which is refilled
in batches from the buddy lists; watermarks are tested at the refill.  All per-CPU lists are drained
before memory is declared short.
"""

from typing import Any

from sim.base.jit import compiled, inlined
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.layout import (
    F_BUDDY,
    F_PERCPU,
    HEED_QUEUE,
    HUGE_ORDER,
    HUGE_PAGES,
    N_ORDERS,
    NONE,
    TABLE_MASK,
    Arrays,
)


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


@compiled
def take_blocks(m: Arrays, zone: int, mine: Any, frames: int) -> None:
    """Move `frames` free frames of `zone` to a per-CPU list, in as large blocks as there are.

    Blocks, because taking one frame after the other would split and relink for each of them.
    """
    order = N_ORDERS - 1
    while frames > 0:
        while 1 << order > frames:
            order -= 1
        pfn = buddy_alloc(m, zone, order)
        if pfn == NONE:
            order -= 1
            continue
        head = int(mine.head)
        for at in range(pfn + (1 << order) - 1, pfn - 1, -1):
            frame = m.frames[at]
            frame.bits = F_PERCPU
            frame.zone = zone
            frame.next = head
            head = at
        mine.head = head
        mine.count += 1 << order
        frames -= 1 << order


@compiled
def refill(m: Arrays, cpu: int, wanted: int, keep: int, atomic: bool) -> bool:
    """Bring the list of `cpu` to at least `wanted` frames; say whether that was possible.

    Zones are tried from the last (Normal) to the first (DMA).  No zone is taken below its min
    watermark, unless the request is `atomic` (made by a task that is being killed); `keep` frames
    above the watermarks are left for somebody else.
    """
    mine = m.percpu[cpu]
    n_zones = int(m.config[0].n_zones)
    allowed = -keep
    for zone in range(n_zones):
        z = m.zones[zone]
        allowed += max(0, z.free if atomic else z.free - z.min_pages)
    if mine.count + allowed < wanted:
        return False
    for zone in range(n_zones - 1, -1, -1):
        z = m.zones[zone]
        missing = wanted - mine.count
        if missing <= 0:
            return True
        spare = min(allowed, z.free if atomic else z.free - z.min_pages)
        if spare <= 0:
            continue
        n = min(max(missing, z.batch), spare)
        allowed -= n
        take_blocks(m, zone, mine, n)
    return bool(mine.count >= wanted)


@compiled
def drain(m: Arrays, cpu: int, most: int) -> None:
    """Return up to `most` frames from the list of `cpu` to the buddy lists."""
    mine = m.percpu[cpu]
    for _ in range(min(most, mine.count)):
        pfn = int(mine.head)
        mine.head = m.frames[pfn].next
        mine.count -= 1
        buddy_free(m, pfn, 0)


@compiled
def drain_all(m: Arrays) -> None:
    """Return all frames on per-CPU lists to the buddy lists."""
    for cpu in range(int(m.config[0].n_cpus)):
        drain(m, cpu, int(m.percpu[cpu].count))


@compiled
def refill_or_drain(m: Arrays, cpu: int, task: int, wanted: int) -> bool:
    """Make `wanted` frames ready on `cpu`: refill, and if need be drain every list first.

    While frames are set aside for somebody else the lists are drained at once: what lies on them
    may be among those.
    """
    t = m.tasks[task]
    keep = int(m.pool[0].reserved - t.reserved)
    atomic = t.killed != 0
    if keep == 0 and refill(m, cpu, wanted, keep, atomic):
        return True
    drain_all(m)
    return refill(m, cpu, wanted, keep, atomic)


@inlined
def secure(m: Arrays, cpu: int, task: int, wanted: int) -> bool:
    """Make `wanted` frames ready on `cpu`; False if memory is short: the task is to wait.

    After True, that many calls of `take` cannot fail.  While tasks queue for memory, newcomers are
    refused whatever is free, and only the head of the queue may try.
    """
    if wanted == 0:
        return True
    pool = m.pool[0]
    if pool.heed & HEED_QUEUE != 0 and pool.head != task and m.tasks[task].reserved == 0:
        return False
    if m.percpu[cpu].count >= wanted and pool.reserved == m.tasks[task].reserved:
        return True
    return refill_or_drain(m, cpu, task, wanted)


@inlined
def take(m: Arrays, cpu: int) -> int:
    """Return a frame from the list of `cpu`; `secure` has seen to it that there is one."""
    mine = m.percpu[cpu]
    pfn = int(mine.head)
    frame = m.frames[pfn]
    mine.head = frame.next
    mine.count -= 1
    frame.bits = 0
    frame.order = 0
    return pfn


@inlined
def give_back(m: Arrays, cpu: int, pfn: int) -> None:
    """Free one frame to the list of `cpu`, and a batch of it to the zone when it is too long."""
    frame = m.frames[pfn]
    frame.bits = F_PERCPU
    frame.family = NONE
    mine = m.percpu[cpu]
    frame.next = mine.head
    mine.head = pfn
    mine.count += 1
    m.pool[0].released += 1
    zone = m.zones[int(frame.zone)]
    if mine.count > zone.pcp_high:
        drain(m, cpu, int(max(zone.batch, mine.count - zone.pcp_high)))


@inlined
def folio_row(m: Arrays, pfn: int) -> int:
    """Return the row of `folios` for the large folio around a frame.

    Blocks of 512 frames have rows for all folios that can lie there, aligned: as a tree in a heap.
    """
    order = int(m.frames[pfn].order)
    within = (HUGE_PAGES + (pfn & TABLE_MASK)) >> order
    return ((pfn >> HUGE_ORDER) << int(m.config[0].folio_shift)) + within
