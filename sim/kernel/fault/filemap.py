"""Memory behind which there is a page cache: file mappings and shared anonymous memory.

=======================================  ====================================================
the page is                              so Linux
=======================================  ====================================================
not in the page cache                    has the device read it, and what lies around it: waits
under way from the device                waits
not present, read                        maps what the page cache has of its window of 16 pages
not present, written, private            copies it from the cache to a fresh frame
not present, written, shared             maps the cache's frame writable; the frame is dirty;
                                         since 6.18 all of its folio, if none of it is mapped
present, read-only, written, shared      restores write permission; the frame is dirty
present, read-only, written, private     copies it from the cache to a fresh frame
=======================================  ====================================================

A page of shared anonymous memory that the cache does not have is zero-filled.  A fault that waits
for the device is made again when the page has come: major if it found the page absent
(`FAULT_FLAG_TRIED`), minor if somebody else had begun to read it.  Read in Linux 6.12
`mm/memory.c`: `do_fault_around`, `do_cow_fault`, `do_shared_fault`, `wp_page_shared`; 6.18
`mm/filemap.c`: `filemap_map_pages`, `filemap_fault`.
"""

from sim.base.jit import compiled, rare
from sim.kernel.fault.shmem import shmem_swapin
from sim.kernel.files.cache import (
    cache_folio,
    count_cached,
    dirty_folio,
    map_cached,
    uncache_page,
)
from sim.kernel.files.readahead import hit, read_around, read_further
from sim.kernel.files.reads import absent_pages, read_range
from sim.kernel.files.requests import window_room
from sim.kernel.files.shmem import shmem_free_swap
from sim.kernel.flush import flush_tlb_range
from sim.kernel.hugetlb.areas import close_area
from sim.kernel.hugetlb.pages import evict_hugetlb
from sim.kernel.pages import anon_vma_prepare, count_resident, fresh_page
from sim.kernel.work import (
    BEGUN,
    DONE,
    GROW,
    MORE,
    SEGV,
    SHORT,
    UNDER_WAY,
    fault_served,
    fault_waits,
    note,
    note_freed,
)
from sim.kernel.zeroing import zero_fill_kind
from sim.machine.areas import drop_area
from sim.machine.cached import find_page, find_slot, forget_shadows, has_page
from sim.machine.entries import WRITTEN, mk_pte, pte_none, set_access_flags, set_pte
from sim.machine.layout import (
    A_RANDOM,
    A_SHARED,
    A_WRITE,
    F_AHEAD,
    F_LOCKED,
    F_REFERENCED,
    KIND_FILE,
    KIND_HUGETLB,
    KIND_SHMEM,
    NONE,
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_WRITE,
    ROOT,
    SLOTS_FILES,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.pool import secure
from sim.machine.rules.files import R_FAULT_AROUND, R_FILE_LOCKS, R_FOLIO_AROUND, R_RETRY_MAJOR
from sim.machine.slab import object_pages
from sim.machine.slots import give_row
from sim.machine.tables import make_table, table_room, tables_missing
from sim.machine.tree import tree_bytes
from sim.machine.work import (
    CACHE_FILL,
    COW_COPY,
    FILE_MAP,
    FILE_MAP_AROUND,
    FRAME_FREE,
    MAJOR_FAULT,
    SPURIOUS,
    TABLE_ALLOC,
)

AROUND_PAGES = 16
"""Pages that a read fault maps at most (`fault_around_bytes`, 64 KiB)."""
FILL_PAGES = 32
"""Pages that one step puts into the page cache."""
EVICT_PAGES = 512
"""Pages that one step takes out of it."""


@compiled
def map_folio(m: Arrays, area: int, leaf: int, first: int, end: int, entry_bits: int) -> int:
    """Map what is not mapped of the pages [first, end), all in the cache; return how many."""
    a = m.areas[area]
    file = int(a.file)
    behind = int(a.offset - a.start)
    mapped = 0
    for vpn in range(first, end):
        if pte_none(int(m.tables[leaf, vpn & TABLE_MASK])):
            pfn = find_page(m, file, vpn + behind)
            map_cached(m, leaf, vpn & TABLE_MASK, pfn, entry_bits)
            mapped += 1
    return mapped


@compiled
def may_map_whole(m: Arrays, area: int, leaf: int, first: int, end: int) -> bool:
    """Whether none of the pages [first, end), all in the cache, is mapped or under way."""
    a = m.areas[area]
    behind = int(a.offset - a.start)
    for vpn in range(first, end):
        if not pte_none(int(m.tables[leaf, vpn & TABLE_MASK])):
            return False
        if m.frames[find_page(m, int(a.file), vpn + behind)].bits & F_LOCKED != 0:
            return False
    return True


@compiled
def folio_bounds(m: Arrays, area: int, vpn: int, order: int) -> tuple[int, int]:
    """Return the pages of the folio of `vpn` if it may be mapped whole, else the page alone.

    A folio that reaches out of its area or its leaf table may not.
    """
    a = m.areas[area]
    pages = 1 << order
    first = vpn - (int(a.offset + vpn - a.start) & (pages - 1))
    end = first + pages
    if m.config[0].rules & R_FOLIO_AROUND == 0 or first < a.start or end > a.end:
        return vpn, vpn + 1
    if first >> TABLE_SHIFT != (end - 1) >> TABLE_SHIFT:
        return vpn, vpn + 1
    return first, end


@compiled
def map_around(m: Arrays, space: int, area: int, leaf: int, vpn: int) -> int:
    """Map what the cache has of the window around `vpn`; return how many pages that were.

    The window is the aligned 16 pages, or 16 from the start of an area that begins inside them;
    before Linux 3.15 it is the page alone.
    Pages under way and markers are passed over, but for `vpn` itself.
    """
    a = m.areas[area]
    f = m.files[int(a.file)]
    first = max(vpn - vpn % AROUND_PAGES, int(a.start))
    end = min(first + AROUND_PAGES, ((vpn >> TABLE_SHIFT) + 1) << TABLE_SHIFT, int(a.end))
    behind = int(a.offset - a.start)
    end = min(end, int(f.pages) - behind)
    if m.config[0].rules & R_FAULT_AROUND == 0:
        first, end = vpn, vpn + 1
    writable = a.kind == KIND_SHMEM and a.vm_flags & A_WRITE != 0 and a.vm_flags & A_SHARED != 0
    bits = PTE_ACCESSED | (PTE_WRITE if writable else 0)
    mapped = 0
    found = 0
    near = first
    while near < end:
        pfn = find_page(m, int(a.file), near + behind)
        if pfn == NONE or (m.frames[pfn].bits & (F_LOCKED | F_AHEAD) != 0 and near != vpn):
            near += 1
            continue
        low, high = near, near + 1
        if m.frames[pfn].order != 0:
            low, high = folio_bounds(m, area, near, int(m.frames[pfn].order))
        mapped += map_folio(m, area, leaf, low, high, bits)
        found += high - low
        near = high
    set_access_flags(m, leaf, vpn & TABLE_MASK, PTE_ACCESSED)
    count_cached(m, space, int(a.kind), mapped)
    if a.kind == KIND_FILE:
        hit(m, int(a.file), found)
    return mapped


@rare
def bring_in(m: Arrays, cpu: int, task: int, area: int, index: int) -> int:
    """See to it that a page of a file, or of shared memory, is in the page cache and may be used.

    DONE if it is.  MORE: the device has been asked for it, or for more behind it, and the fault is
    to be made again; UNDER_WAY: it must wait.  SHORT, GROW: nothing happened.
    """
    o = m.operations[task]
    a = m.areas[area]
    file = int(a.file)
    if a.kind == KIND_SHMEM:
        return DONE if find_slot(m, file, index) == 0 else shmem_swapin(m, cpu, task, file, index)
    pfn = find_page(m, file, index)
    bits = int(m.frames[pfn].bits) if pfn != NONE else 0
    if pfn != NONE and bits & (F_LOCKED | F_AHEAD) == 0:
        return DONE
    rules = int(m.config[0].rules)
    retry = 3 if rules & R_RETRY_MAJOR != 0 and rules & R_FILE_LOCKS == 0 else 1
    if pfn == NONE or (bits & F_AHEAD != 0 and o.waits == 0 and a.vm_flags & A_RANDOM == 0):
        if not window_room(m, file):
            return GROW
        if pfn != NONE:
            read_further(m, cpu, task, file, index, int(m.files[file].ra_pages))
            fault_waits(m, task, retry)
        else:
            if not secure(m, cpu, task, 1):
                return SHORT
            read_around(m, cpu, task, area, index)
            if not has_page(m, file, index):
                read_range(m, cpu, task, file, index, 1, 0)
            note(m, MAJOR_FAULT, 1)
            fault_waits(m, task, 2)
        m.clock[0].kind = BEGUN
        return MORE
    if bits & F_LOCKED != 0:
        fault_waits(m, task, retry)
        o.wait_file = file
        o.wait_index = index
        return UNDER_WAY
    return DONE


@rare
def file_fault(m: Arrays, cpu: int, task: int, area: int, leaf: int, vpn: int, write: int) -> int:
    """Serve a fault on a page that is not present, in an area with a page cache behind it."""
    t = m.tasks[task]
    o = m.operations[task]
    a = m.areas[area]
    space = int(t.space)
    file = int(a.file)
    f = m.files[file]
    index = int(a.offset + vpn - a.start)
    if index >= f.pages:
        o.fault_page = vpn
        return SEGV
    status = bring_in(m, cpu, task, area, index)
    if status != DONE:
        return status
    missing = 0
    if leaf == NONE:
        missing = tables_missing(m, space, vpn, 0)
        if not table_room(m, missing):
            return GROW
    copies = write == 1 and a.vm_flags & A_SHARED == 0
    absent = not has_page(m, file, index)
    wanted = missing + (1 if copies else 0) + (1 if absent else 0)
    if not secure(m, cpu, task, wanted):
        return SHORT
    if leaf == NONE:
        leaf = make_table(m, cpu, space, vpn, 0)
        t.cached_leaf = leaf
        note(m, TABLE_ALLOC, missing)
    at = vpn & TABLE_MASK
    kind: int = FILE_MAP
    if copies:
        kind = COW_COPY
    if absent:
        cache_folio(m, cpu, file, index, 0, 0, False)
        kind = zero_fill_kind(m, cpu)
    if copies:
        pfn = fresh_page(m, cpu, anon_vma_prepare(m, area), index)
        set_pte(m, leaf, at, mk_pte(pfn, WRITTEN))
        count_resident(m, space, 1)
    elif write == 1:
        pfn = find_page(m, file, index)
        dirty_folio(m, pfn)
        low, high = folio_bounds(m, area, vpn, int(m.frames[pfn].order))
        if not may_map_whole(m, area, leaf, low, high):
            low, high = vpn, vpn + 1
        map_folio(m, area, leaf, low, high, WRITTEN)
        count_cached(m, space, int(a.kind), high - low)
    else:
        mapped = map_around(m, space, area, leaf, vpn)
        note(m, FILE_MAP_AROUND, mapped - 1)
    fault_served(m, task, kind)
    return DONE


@rare
def write_cached(m: Arrays, cpu: int, task: int, area: int, leaf: int, vpn: int) -> int:
    """Serve a write fault on an entry that maps a frame of the page cache read-only."""
    t = m.tasks[task]
    a = m.areas[area]
    space = int(t.space)
    at = vpn & TABLE_MASK
    entry = int(m.tables[leaf, at])
    old = m.frames[entry >> PFN_SHIFT]
    if a.vm_flags & A_SHARED != 0:
        dirty_folio(m, entry >> PFN_SHIFT)
        set_access_flags(m, leaf, at, WRITTEN)
        fault_served(m, task, SPURIOUS)
        return DONE
    if not secure(m, cpu, task, 1):
        return SHORT
    new = fresh_page(m, cpu, anon_vma_prepare(m, area), int(a.offset + vpn - a.start))
    set_pte(m, leaf, at, mk_pte(new, WRITTEN))
    flush_tlb_range(m, space, vpn, vpn + 1)
    old.refs -= 1
    old.maps -= 1
    count_cached(m, space, int(a.kind), -1)
    count_resident(m, space, 1)
    m.pool[0].released += 1
    fault_served(m, task, COW_COPY)
    return DONE


# --- files come and go ----------------------------------------------------------------------


@rare
def fill_step(m: Arrays, cpu: int, task: int) -> int:
    """Put the next pages of a file that is being mapped into the page cache, clean."""
    o = m.operations[task]
    file = int(o.file)
    f = m.files[file]
    end = min(int(o.at) + FILL_PAGES, int(f.pages))
    absent = absent_pages(m, file, int(o.at), end)
    nodes = 0
    if m.cpus[cpu].group != ROOT:
        nodes = object_pages(m, cpu, tree_bytes(m, file, int(o.at), end, 0))
    if not secure(m, cpu, task, absent + nodes):
        return SHORT
    for index in range(int(o.at), end):
        if not has_page(m, file, index):
            cache_folio(m, cpu, file, index, 0, F_REFERENCED, False)
    note(m, CACHE_FILL, absent)
    o.at = end
    if end == f.pages:
        f.fills = 0
    return MORE


@compiled
def remove_vma(m: Arrays, task: int, area: int) -> None:
    """Drop an area; the last one of a file leaves its pages to be evicted."""
    file = int(m.areas[area].file)
    close_area(m, area)
    drop_area(m, area)
    if file == NONE:
        return
    f = m.files[file]
    if f.users == 0 and f.known == 0:
        f.at = 0
        f.next = m.tasks[task].evict
        m.tasks[task].evict = file


@rare
def evict_step(m: Arrays, cpu: int, task: int) -> None:
    """Free some pages of the first file that the task is to evict; at last, the file."""
    t = m.tasks[task]
    file = int(t.evict)
    f = m.files[file]
    end = min(int(f.at) + EVICT_PAGES, int(f.pages))
    freed = 0
    if f.kind == KIND_HUGETLB:
        freed = evict_hugetlb(m, file, int(f.at), end)
    else:
        for index in range(int(f.at), end):
            if has_page(m, file, index):
                uncache_page(m, cpu, file, index, 0)
                freed += 1
            elif f.kind == KIND_SHMEM and find_slot(m, file, index) != 0:
                shmem_free_swap(m, cpu, file, index)
        forget_shadows(m, cpu, file, int(f.at), end)
    f.at = end
    note_freed(m, FRAME_FREE, freed)
    if end == f.pages:
        m.pool[0].committed -= f.committed
        t.evict = f.next
        f.kind = 0
        give_row(m.slots[SLOTS_FILES], m.files, file)
