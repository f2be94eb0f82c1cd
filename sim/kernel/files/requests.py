"""What devices are asked to read and write, and what happens when they have.

A page of a file is absent, under way (locked while a device reads it) or present.  Whoever brings
pages in leaves requests in `m.requests`; `sim.engine.devices` takes them from there, and `arrived`
unlocks what has been read.
"""

from sim.base.jit import compiled, inlined
from sim.kernel.files.cache import cache_folio
from sim.kernel.files.dirty import end_writeback
from sim.machine.cached import find_page
from sim.machine.layout import (
    F_LOCKED,
    F_WORKINGSET,
    F_WRITEBACK,
    HUGE_PAGES,
    NONE,
    PENDING_READS,
    Arrays,
)


@compiled
def request_room(m: Arrays, pages: int) -> bool:
    """Whether there is room for the requests that reading `pages` pages may take."""
    return bool(m.pool[0].requests + pages < m.pool[0].room_requests)


@compiled
def window_room(m: Arrays, file: int) -> bool:
    """Whether there is room for the requests of any window of `file`: at most one a page."""
    most = max(int(m.files[file].ra_pages), int(m.config[0].largest_read), 2 * HUGE_PAGES)
    return request_room(m, most + 2)


@compiled
def submit(m: Arrays, file: int, first: int, end: int, write: int) -> None:
    """Leave a request to read or write the pages [first, end) to the device of their file."""
    pool = m.pool[0]
    if write == 1:
        m.files[file].writing += end - first
    if pool.requests > 0 and file == m.swap_area[0].file:  # neighbours go together
        r = m.requests[int(pool.requests) - 1]
        if r.file == file and r.write == write and r.end == first:
            r.end = end
            return
    new_request(m, file, first, end, write, 0)


@compiled
def submit_direct(m: Arrays, file: int, first: int, end: int, write: int) -> int:
    """Leave a request for the pages [first, end) past the page cache; return its number."""
    m.pool[0].direct += 1
    number = int(m.pool[0].direct)
    new_request(m, file, first, end, write, number)
    return number


@compiled
def new_request(m: Arrays, file: int, first: int, end: int, write: int, direct: int) -> None:
    """Fill the next row of `m.requests`, and let the engine know."""
    pool = m.pool[0]
    r = m.requests[int(pool.requests)]
    r.bdev = m.files[file].bdev
    r.file = file
    r.first = first
    r.end = end
    r.write = write
    r.direct = direct
    pool.requests += 1
    pool.pending |= PENDING_READS


@compiled
def direct_wait(number: int) -> int:
    """Return what stands for a transfer past the page cache in place of a page that is awaited."""
    return -1 - number


@inlined
def page_at(m: Arrays, file: int, index: int) -> int:
    """Return the frame of a page of a file, or of a slot of the swap device; NONE without one."""
    if file == m.swap_area[0].file:
        return int(m.swap[index].pfn) if m.swap[index].pfn != 0 else NONE
    return find_page(m, file, index)


@compiled
def add_folio(m: Arrays, cpu: int, file: int, first: int, order: int, bits: int) -> None:
    """Put a folio into the cache that the device is to fill: it is locked until then."""
    cache_folio(m, cpu, file, first, order, F_LOCKED | bits, False)
    m.pool[0].under_way += 1 << order


@compiled
def arrived(m: Arrays, file: int, first: int, end: int) -> None:
    """Unlock the pages [first, end): they are present."""
    for index in range(first, end):
        m.frames[page_at(m, file, index)].bits &= ~F_LOCKED
    m.pool[0].under_way -= end - first


@compiled
def written(m: Arrays, file: int, first: int, end: int) -> None:
    """Take note that the device has written the pages [first, end) of a file."""
    m.files[file].writing -= end - first
    for index in range(first, end):
        pfn = page_at(m, file, index)
        if pfn != NONE:
            end_writeback(m, pfn)


@compiled
def arrive_at_once(m: Arrays) -> None:
    """Serve all requests, where there is no clock."""
    pool = m.pool[0]
    for number in range(int(pool.requests)):
        r = m.requests[number]
        if r.direct != 0:
            continue  # nothing of it is in memory
        if r.write == 1:
            written(m, int(r.file), int(r.first), int(r.end))
        else:
            arrived(m, int(r.file), int(r.first), int(r.end))
    pool.requests = 0
    pool.pending &= ~PENDING_READS


@compiled
def is_under_way(m: Arrays, file: int, index: int) -> bool:
    """Whether a page of a file is being read; for NONE, whether any is being written.

    A page of a slot must not be written, either: who waits for it takes it out of the swap cache.
    """
    if index == NONE:
        return bool(m.files[file].writing > 0)
    pfn = page_at(m, file, index)
    bits = F_LOCKED | (F_WRITEBACK if file == m.swap_area[0].file else 0)
    return bool(pfn != NONE and m.frames[pfn].bits & bits != 0)


@compiled
def is_thrashing(m: Arrays, file: int, index: int) -> bool:
    """Whether a page that is being read had been in use when it was reclaimed, a short while ago.

    Who waits for such a page is stalled on memory (Linux `folio_wait_bit_common`).
    """
    pfn = page_at(m, file, index) if index >= 0 else NONE
    if pfn == NONE:
        return False
    order = int(m.frames[pfn].order)
    head = page_at(m, file, index >> order << order)
    return bool(m.frames[head].bits & F_WORKINGSET != 0)
