"""Memory behind which there is a page cache: file mappings and shared anonymous memory.

=======================================  ====================================================
the page is                              so Linux
=======================================  ====================================================
not present, read                        maps what the page cache has of its window of 16 pages
not present, written, private            copies it from the cache to a fresh frame
not present, written, shared             maps the cache's frame writable; the frame is dirty
present, read-only, written, shared      restores write permission; the frame is dirty
present, read-only, written, private     copies it from the cache to a fresh frame
=======================================  ====================================================

A page that the cache does not have costs a frame: zero-filled in shared anonymous memory, a major
fault in a file.  Read in Linux 6.12 `mm/memory.c`: `do_fault_around`, `do_cow_fault`,
`do_shared_fault`, `wp_page_shared`.
"""

from sim.jit import compiled
from sim.kernel.pages import count_resident, family_of, fresh_page
from sim.kernel.work import (
    CACHE_FILL,
    COW_COPY,
    DONE,
    FILE_MAP,
    FILE_MAP_AROUND,
    FRAME_FREE,
    GROW,
    MAJOR_FAULT,
    MORE,
    SEGV,
    SHORT,
    SPURIOUS,
    TABLE_ALLOC,
    ZERO_FILL,
    note,
    note_fault,
)
from sim.machine.frames import give_back, secure, take
from sim.machine.layout import (
    A_SHARED,
    A_WRITE,
    F_DIRTY,
    F_FILE,
    KIND_FILE,
    KIND_SHMEM,
    NONE,
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_DIRTY,
    PTE_PRESENT,
    PTE_WRITE,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.tables import make_table, table_room, tables_missing

AROUND_PAGES = 16
"""Pages that a read fault maps at most (`fault_around_bytes`, 64 KiB)."""
FILL_PAGES = 32
"""Pages that one step puts into the page cache."""
EVICT_PAGES = 512
"""Pages that one step takes out of it."""


@compiled
def cache_page(m: Arrays, cpu: int, file: int, index: int) -> int:
    """Put a fresh frame into the page cache as page `index` of `file`; one must be secured."""
    pfn = take(m, cpu)
    frame = m.frames[pfn]
    frame.index = index
    frame.refs = 1
    frame.maps = 0
    frame.twin_next = pfn
    frame.twin_prev = pfn
    frame.family = file
    frame.bits = F_FILE
    f = m.files[file]
    m.cached[int(f.first) + index] = pfn
    f.resident += 1
    m.pool[0].cache += 1
    if f.kind == KIND_SHMEM:
        m.pool[0].shmem += 1
    return pfn


@compiled
def count_cached(m: Arrays, space: int, kind: int, pages: int) -> None:
    """Add pages of the page cache to the resident set of an address space."""
    s = m.spaces[space]
    if kind == KIND_SHMEM:
        s.rss_shmem += pages
    else:
        s.rss_file += pages
    resident = s.rss_anon + s.rss_file + s.rss_shmem
    if resident > s.peak_rss:
        s.peak_rss = resident


@compiled
def map_cached(m: Arrays, leaf: int, at: int, pfn: int, entry_bits: int) -> None:
    """Let an entry map a frame of the page cache."""
    frame = m.frames[pfn]
    frame.refs += 1
    frame.maps += 1
    m.tables[leaf, at] = (pfn << PFN_SHIFT) | PTE_PRESENT | entry_bits


@compiled
def map_around(m: Arrays, space: int, area: int, leaf: int, vpn: int) -> int:
    """Map what the cache has of the window around `vpn`; return how many pages that were.

    The window is the aligned 16 pages, or 16 from the start of an area that begins inside them.
    """
    a = m.areas[area]
    f = m.files[int(a.file)]
    first = max(vpn - vpn % AROUND_PAGES, int(a.start))
    end = min(first + AROUND_PAGES, ((vpn >> TABLE_SHIFT) + 1) << TABLE_SHIFT, int(a.end))
    behind = int(a.offset - a.start)
    end = min(end, int(f.pages) - behind)
    writable = a.kind == KIND_SHMEM and a.bits & A_WRITE != 0 and a.bits & A_SHARED != 0
    bits = PTE_WRITE if writable else 0
    mapped = 0
    for near in range(first, end):
        pfn = int(m.cached[int(f.first) + near + behind])
        if pfn != 0 and m.tables[leaf, near & TABLE_MASK] == 0:
            map_cached(m, leaf, near & TABLE_MASK, pfn, bits)
            mapped += 1
    m.tables[leaf, vpn & TABLE_MASK] |= PTE_ACCESSED
    count_cached(m, space, int(a.kind), mapped)
    return mapped


@compiled
def file_fault(m: Arrays, cpu: int, task: int, area: int, leaf: int, vpn: int, write: int) -> int:
    """Serve a fault on a page that is not present, in an area with a page cache behind it."""
    t = m.tasks[task]
    a = m.areas[area]
    space = int(t.space)
    file = int(a.file)
    f = m.files[file]
    index = int(a.offset + vpn - a.start)
    if index >= f.pages:
        t.fault_page = vpn
        return SEGV
    missing = 0
    if leaf == NONE:
        missing = tables_missing(m, space, vpn, 0)
        if not table_room(m, missing):
            return GROW
    copies = write == 1 and a.bits & A_SHARED == 0
    absent = m.cached[int(f.first) + index] == 0
    wanted = missing + (1 if copies else 0) + (1 if absent else 0)
    if not secure(m, cpu, task, wanted):
        t.need = wanted
        return SHORT
    if leaf == NONE:
        leaf = make_table(m, cpu, space, vpn, 0)
        t.cached_leaf = leaf
        note(m, TABLE_ALLOC, missing)
    at = vpn & TABLE_MASK
    kind = FILE_MAP
    if copies:
        kind = COW_COPY
    if absent:
        cache_page(m, cpu, file, index)
        kind = MAJOR_FAULT if a.kind == KIND_FILE else ZERO_FILL
    if copies:
        pfn = fresh_page(m, cpu, family_of(m, area), index)
        m.tables[leaf, at] = (pfn << PFN_SHIFT) | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY
        count_resident(m, space, 1)
    elif write == 1:
        pfn = int(m.cached[int(f.first) + index])
        m.frames[pfn].bits |= F_DIRTY
        map_cached(m, leaf, at, pfn, PTE_WRITE | PTE_ACCESSED | PTE_DIRTY)
        count_cached(m, space, int(a.kind), 1)
    else:
        mapped = map_around(m, space, area, leaf, vpn)
        note(m, FILE_MAP_AROUND, mapped - 1)
    note_fault(m, kind)
    return DONE


@compiled
def write_cached(m: Arrays, cpu: int, task: int, area: int, leaf: int, vpn: int) -> int:
    """Serve a write fault on an entry that maps a frame of the page cache read-only."""
    t = m.tasks[task]
    a = m.areas[area]
    space = int(t.space)
    at = vpn & TABLE_MASK
    entry = int(m.tables[leaf, at])
    old = m.frames[entry >> PFN_SHIFT]
    if a.bits & A_SHARED != 0:
        old.bits |= F_DIRTY
        m.tables[leaf, at] = entry | PTE_WRITE | PTE_DIRTY | PTE_ACCESSED
        note_fault(m, SPURIOUS)
        return DONE
    if not secure(m, cpu, task, 1):
        t.need = 1
        return SHORT
    new = fresh_page(m, cpu, family_of(m, area), int(a.offset + vpn - a.start))
    m.tables[leaf, at] = (new << PFN_SHIFT) | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY
    old.refs -= 1
    old.maps -= 1
    count_cached(m, space, int(a.kind), -1)
    count_resident(m, space, 1)
    m.pool[0].released += 1
    note_fault(m, COW_COPY)
    return DONE


@compiled
def unmap_cached(m: Arrays, space: int, entry: int) -> None:
    """Take note that an entry which mapped a frame of the page cache is gone."""
    frame = m.frames[entry >> PFN_SHIFT]
    if entry & PTE_DIRTY != 0:
        frame.bits |= F_DIRTY
    count_cached(m, space, int(m.files[int(frame.family)].kind), -1)
    m.pool[0].released += 1


# --- files come and go ----------------------------------------------------------------------


@compiled
def fill_step(m: Arrays, cpu: int, task: int) -> int:
    """Put the next pages of a file that is being mapped into the page cache, clean."""
    t = m.tasks[task]
    f = m.files[int(t.file)]
    end = min(int(t.at) + FILL_PAGES, int(f.pages))
    absent = 0
    for index in range(int(t.at), end):
        if m.cached[int(f.first) + index] == 0:
            absent += 1
    if not secure(m, cpu, task, absent):
        t.need = absent
        return SHORT
    for index in range(int(t.at), end):
        if m.cached[int(f.first) + index] == 0:
            cache_page(m, cpu, int(t.file), index)
    note(m, CACHE_FILL, absent)
    t.at = end
    return MORE


@compiled
def release_file(m: Arrays, task: int, area: int) -> None:
    """Take note that an area goes; the last one of a file leaves its pages to be evicted."""
    file = int(m.areas[area].file)
    if file == NONE:
        return
    f = m.files[file]
    f.users -= 1
    if f.users == 0 and f.known == 0:
        f.at = 0
        f.next = m.tasks[task].evict
        m.tasks[task].evict = file


@compiled
def evict_step(m: Arrays, cpu: int, task: int) -> None:
    """Free some pages of the first file that the task is to evict; at last, the file."""
    t = m.tasks[task]
    f = m.files[int(t.evict)]
    end = min(int(f.at) + EVICT_PAGES, int(f.pages))
    freed = 0
    for index in range(int(f.at), end):
        pfn = int(m.cached[int(f.first) + index])
        if pfn != 0:
            m.frames[pfn].refs = 0
            give_back(m, cpu, pfn)
            m.cached[int(f.first) + index] = 0
            freed += 1
    f.at = end
    f.resident -= freed
    m.pool[0].cache -= freed
    if f.kind == KIND_SHMEM:
        m.pool[0].shmem -= freed
    note(m, FRAME_FREE, freed)
    if end == f.pages:
        m.pool[0].committed -= f.committed
        t.evict = f.next
        f.kind = 0
