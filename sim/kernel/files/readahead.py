"""What a cold page costs: which pages of a file are read with it, and when.

Each file has one read-ahead state, as a `struct file` has:

=================  ===============================================================================
field              Linux (`struct file_ra_state`)
=================  ===============================================================================
`ra_start`         first page of the window that was read last
`ra_size`          its pages
`ra_async`         how many pages before its end the next one is to be begun: there lies the marker
`ra_order`         the order of its folios
`ra_pages`         the largest window (`read_ahead_kb`)
`ra_prev`          the page behind the last one that read() has read
`ra_miss`          faults on absent pages less those on present ones (`mmap_miss`)
=================  ===============================================================================

Read in Linux `mm/readahead.c` and `mm/filemap.c` (`do_sync_mmap_readahead`,
`do_async_mmap_readahead`, `filemap_get_pages`), and held against 6.18 page by page:
`tests/truth/test_kernel_read_ahead.py`.
"""

from typing import Final

from sim.base.jit import compiled
from sim.kernel.files.reads import (
    AT_ONCE,
    NO_ROOM,
    ONE_BY_ONE,
    absent_pages,
    makes_room,
    one_by_one,
    read_pages,
    read_range,
    room_for,
)
from sim.kernel.files.requests import add_folio, submit
from sim.kernel.work import note
from sim.machine.cached import find_page, has_page
from sim.machine.layout import (
    A_HUGEPAGE,
    A_RANDOM,
    A_SEQUENTIAL,
    F_AHEAD,
    HUGE_ORDER,
    HUGE_PAGES,
    NONE,
    Arrays,
)
from sim.machine.pool import secure
from sim.machine.rules.files import R_FILE_FOLIOS
from sim.machine.work import CACHE_FILL

LOTS_OF_MISSES: Final = 100
"""So many more misses than hits, and faults read no further than they must (`MMAP_LOTSAMISS`)."""
NODE_ORDER: Final = 6
NODE_MASK: Final = 63
"""A node of the page cache's tree has 64 slots."""
CHUNK_PAGES: Final = 512
"""WILLNEED asks for 2 MiB at a time."""


@compiled
def is_absent(m: Arrays, file: int, first: int, end: int) -> bool:
    """Whether no page of [first, end) is in the cache."""
    return absent_pages(m, file, first, end) == end - first


@compiled
def read_window(m: Arrays, cpu: int, task: int, file: int) -> None:
    """Read the window that the file's read-ahead state describes (`page_cache_ra_order`)."""
    f = m.files[file]
    start = int(f.ra_start)
    size = int(f.ra_size)
    limit = min(start + size, int(f.pages))
    room = room_for(m, cpu, task, file, start, limit)
    if room == NO_ROOM:
        return
    if m.config[0].rules & R_FILE_FOLIOS == 0:
        f.ra_order = 0
        read_pages(m, cpu, task, file, start, size, int(f.ra_async), room)
        return
    order = min(int(f.ra_order), HUGE_ORDER)
    while 1 << order > size:
        order -= 1
    f.ra_order = order
    mark = start + size - int(f.ra_async)
    index = start
    while index < limit:
        fits = order
        while fits > 0 and (index & ((1 << fits) - 1) != 0 or index + (1 << fits) > limit):
            fits -= 1
        pages = 1 << fits
        if not is_absent(m, file, index, index + pages):
            break
        if room == ONE_BY_ONE and not makes_room(m, cpu, task, file, index, fits):
            limit = index
            break
        bits = F_AHEAD if index == mark & ~(pages - 1) else 0
        add_folio(m, cpu, file, index, fits, bits)
        index += pages
    if index > start:
        submit(m, file, start, index, 0)
    if index < limit:
        read_pages(m, cpu, task, file, index, size - (index - start), int(f.ra_async), room)


@compiled
def force_read(m: Arrays, cpu: int, task: int, file: int, first: int, pages: int) -> None:
    """Read `pages` pages from `first` on as they are, no more than fits into one request."""
    f = m.files[file]
    pages = min(pages, max(int(f.ra_pages), int(m.config[0].largest_read)))
    end = min(first + pages, int(f.pages))
    read = 0
    while first < end:
        chunk = min(CHUNK_PAGES, end - first)
        absent = absent_pages(m, file, first, first + chunk)
        if absent > 0 and secure(m, cpu, task, absent):
            read_pages(m, cpu, task, file, first, chunk, 0, AT_ONCE)
            read += absent
        elif absent > 0 and one_by_one(m, task) == ONE_BY_ONE:
            read_pages(m, cpu, task, file, first, chunk, 0, ONE_BY_ONE)
        first += chunk
    if read > 0:
        note(m, CACHE_FILL, read)


# --- how much is read ahead --------------------------------------------------------------------


@compiled
def first_size(wanted: int, most: int) -> int:
    """Return the size of a first window (`get_init_ra_size`)."""
    size = 1
    while size < wanted:
        size *= 2
    if size <= most // 32:
        return size * 4
    if size <= most // 4:
        return size * 2
    return most


@compiled
def next_size(size: int, most: int) -> int:
    """Return the size of the window after one of `size` pages (`get_next_ra_size`)."""
    if size < most // 16:
        return size * 4
    if size <= most // 2:
        return size * 2
    return most


@compiled
def most_pages(m: Arrays, file: int, wanted: int) -> int:
    """Return the largest window for a read of `wanted` pages (`ractl_max_pages`)."""
    most = int(m.files[file].ra_pages)
    largest = int(m.config[0].largest_read)
    if wanted > most and largest > most:
        most = min(wanted, largest)
    return most


@compiled
def where_walk_begins(m: Arrays, file: int, index: int) -> int:
    """Return the page that Linux's walk from `index` looks at first.

    In the middle of a folio it loads the folio's first slot, and goes on from there as if that were
    the slot of `index` (`xas_descend`), until it comes into another node, of 64 slots.  Folios of
    64 pages and more have a slot of their own, further up.
    """
    pfn = NONE
    if 0 <= index < m.files[file].pages:
        pfn = find_page(m, file, index)
    order = int(m.frames[pfn].order) if pfn != NONE else 0
    return index & ~((1 << order) - 1) if order < NODE_ORDER else index


@compiled
def is_there(m: Arrays, file: int, index: int) -> bool:
    """Whether a page is in the page cache, present or under way."""
    return bool(0 <= index < m.files[file].pages and has_page(m, file, index))


@compiled
def absent_after(m: Arrays, file: int, index: int, most: int) -> int:
    """Return what Linux takes for the first absent page of `most` from `index` on.

    Where there is none, that is the page behind them (`page_cache_next_miss`).
    """
    slot = where_walk_begins(m, file, index)
    for at in range(index, index + most):
        if not is_there(m, file, slot):
            return at
        slot += 1
        if slot & NODE_MASK == 0:
            slot += (at + 1) & NODE_MASK
    return index + most


@compiled
def absent_before(m: Arrays, file: int, index: int, most: int) -> int:
    """Return what Linux takes for the first absent page of `most` from `index` downwards.

    Where there is none, that is the last of them (`page_cache_prev_miss`).
    """
    slot = where_walk_begins(m, file, index)
    for at in range(index, index - most, -1):
        if not is_there(m, file, slot):
            return at
        if slot & NODE_MASK == 0:
            slot += ((at - 1) & NODE_MASK) - NODE_MASK
        slot -= 1
    return index - most + 1


@compiled
def read_ahead(m: Arrays, cpu: int, task: int, file: int, index: int, wanted: int) -> None:
    """Read the absent page `index`, of `wanted` in a row, and what follows (`page_cache_sync_ra`).

    Where memory is short the page may be absent still.
    """
    f = m.files[file]
    if f.random == 1 or f.ra_pages == 0:
        force_read(m, cpu, task, file, index, wanted if f.ra_pages > 0 else 1)
        return
    f.guessed = 1
    most = most_pages(m, file, wanted)
    before = int(f.ra_prev)
    if index == 0 or wanted > most or (before != NONE and 0 <= index - before <= 1):
        f.ra_start = index
        f.ra_size = first_size(wanted, most)
        f.ra_async = f.ra_size - wanted if f.ra_size > wanted else int(f.ra_size) // 2
    else:
        miss = absent_before(m, file, index - 1, most)
        history = index - miss - 1
        if history <= wanted:  # a small read on its own
            read_range(m, cpu, task, file, index, wanted, 0)
            return
        if miss < 0:
            history *= 2
        f.ra_start = index
        f.ra_size = min(history + wanted, most)
        f.ra_async = 1
    f.ra_order = 0
    read_window(m, cpu, task, file)


@compiled
def read_further(m: Arrays, cpu: int, task: int, file: int, index: int, wanted: int) -> None:
    """Begin the next window: somebody has come to the marker (`page_cache_async_ra`)."""
    f = m.files[file]
    order = int(m.frames[find_page(m, file, index)].order)
    first = index & ~((1 << order) - 1)
    for page in range(first, first + (1 << order)):
        m.frames[find_page(m, file, page)].bits &= ~F_AHEAD
    most = most_pages(m, file, wanted)
    if most == 0:
        return
    expected = int(f.ra_start + f.ra_size - f.ra_async) & ~((1 << order) - 1)
    if index == expected:
        f.ra_start += f.ra_size
        f.ra_size = max(int(f.ra_size), next_size(int(f.ra_size), most))
    else:
        miss = absent_after(m, file, index + 1, most)
        if miss - index > most:
            return
        f.ra_start = miss
        f.ra_size = next_size(miss - index + wanted, most)
    f.ra_order += 2
    if m.config[0].rules & R_FILE_FOLIOS != 0:
        whole = 0  # the power of two that divides `most`
        while most & (1 << whole) == 0:
            whole += 1
        align = 1 << min(int(f.ra_order), whole)
        end = int(f.ra_start + f.ra_size) & ~(align - 1)
        if end > f.ra_start:
            f.ra_size = end - int(f.ra_start)
    f.ra_async = f.ra_size
    read_window(m, cpu, task, file)


@compiled
def read_around(m: Arrays, cpu: int, task: int, area: int, index: int) -> None:
    """Read what a fault on the absent page `index` reads with it (`do_sync_mmap_readahead`).

    That may be nothing, not even the page itself.  An area that wants huge pages has the 2 MiB read
    around it, whatever else was advised, and the next unless accesses are random.
    """
    a = m.areas[area]
    file = int(a.file)
    f = m.files[file]
    if a.vm_flags & A_HUGEPAGE != 0:
        f.guessed = 1
        start = int(f.ra_start)  # which stays as it was
        f.ra_start = index & ~(HUGE_PAGES - 1)
        f.ra_size = HUGE_PAGES if a.vm_flags & A_RANDOM != 0 else 2 * HUGE_PAGES
        f.ra_async = HUGE_PAGES
        f.ra_order = HUGE_ORDER
        read_window(m, cpu, task, file)
        f.ra_start = start
        return
    if a.vm_flags & A_RANDOM != 0 or f.ra_pages == 0:
        return
    if a.vm_flags & A_SEQUENTIAL != 0:
        read_ahead(m, cpu, task, file, index, int(f.ra_pages))
        return
    f.guessed = 1
    if f.ra_miss < 10 * LOTS_OF_MISSES:
        f.ra_miss += 1
    if f.ra_miss > LOTS_OF_MISSES:
        return
    f.ra_start = max(0, index - int(f.ra_pages) // 2)
    f.ra_size = f.ra_pages
    f.ra_async = int(f.ra_pages) // 4
    f.ra_order = 0
    read_window(m, cpu, task, file)


@compiled
def hit(m: Arrays, file: int, pages: int) -> None:
    """Take note that `pages` pages were found in the cache by a fault."""
    f = m.files[file]
    f.ra_miss = max(0, int(f.ra_miss) - pages)
