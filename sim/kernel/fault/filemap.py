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
)
from sim.kernel.files.readahead import hit, read_around, read_further
from sim.kernel.files.reads import read_range
from sim.kernel.files.requests import window_room
from sim.kernel.flush import flush_tlb_range
from sim.kernel.pages import anon_vma_prepare, count_resident, fresh_page
from sim.kernel.work import (
    BEGUN,
    BEGUN_FAULT,
    DONE,
    GROW,
    MORE,
    SEGV,
    SHORT,
    UNDER_WAY,
    fault_served,
    fault_waits,
    note,
)
from sim.kernel.zeroing import zero_fill_kind
from sim.machine.cached import find_page, find_slot, has_page
from sim.machine.entries import WRITTEN, mk_pte, pte_none, set_access_flags, set_pte
from sim.machine.layout import (
    A_RANDOM,
    A_SHARED,
    A_WRITE,
    F_AHEAD,
    F_LOCKED,
    KIND_FILE,
    KIND_SHMEM,
    NONE,
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_WRITE,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.pool import secure
from sim.machine.rules.files import R_FAULT_AROUND, R_FILE_LOCKS, R_FOLIO_AROUND, R_RETRY_MAJOR
from sim.machine.tables import make_table, table_room, tables_missing
from sim.machine.tree import tree_pages
from sim.machine.work import (
    COW_COPY,
    FILE_MAP,
    FILE_MAP_AROUND,
    MAJOR_FAULT,
    SPURIOUS,
    TABLE_ALLOC,
)

AROUND_PAGES = 16
"""Pages that a read fault maps at most (`fault_around_bytes`, 64 KiB)."""


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
def map_around(m: Arrays, area: int, leaf: int, vpn: int, first: int, end: int) -> int:
    """Map what the cache has of the pages [first, end); return how many pages that were.

    Pages under way and markers are passed over, but for `vpn` itself.
    """
    a = m.areas[area]
    behind = int(a.offset - a.start)
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
    count_cached(m, int(a.space), int(a.kind), mapped)
    if a.kind == KIND_FILE:
        hit(m, int(a.file), found)
    return mapped


@compiled
def around(m: Arrays, area: int, vpn: int) -> tuple[int, int]:
    """Return the pages that a read fault at `vpn` maps if the cache has them.

    They are the aligned 16 pages, or 16 from the start of an area that begins inside them; before
    Linux 3.15 it is the page alone.
    """
    if m.config[0].rules & R_FAULT_AROUND == 0:
        return vpn, vpn + 1
    a = m.areas[area]
    first = max(vpn - vpn % AROUND_PAGES, int(a.start))
    end = min(first + AROUND_PAGES, ((vpn >> TABLE_SHIFT) + 1) << TABLE_SHIFT, int(a.end))
    return first, min(end, int(m.files[int(a.file)].pages - a.offset + a.start))


@compiled
def may_map(m: Arrays, file: int, index: int) -> bool:
    """Whether the page cache has a page, and nothing is to be done before it is used."""
    pfn = find_page(m, file, index)
    return pfn != NONE and m.frames[pfn].bits & (F_LOCKED | F_AHEAD) == 0


@compiled
def make_tables(m: Arrays, cpu: int, task: int, vpn: int, missing: int) -> int:
    """Make the `missing` tables of a page, which have been secured; return the leaf."""
    t = m.tasks[task]
    t.cached_leaf = make_table(m, cpu, int(t.space), vpn, 0)
    note(m, TABLE_ALLOC, missing)
    return int(t.cached_leaf)


@rare
def begin_fault(
    m: Arrays, cpu: int, task: int, area: int, leaf: int, vpn: int, write: int, copies: int
) -> int:
    """Do what a fault does before it looks for a page that may not be mapped yet.

    Tables are made, behind the frame of a copy; a read maps what is there around the page.  MORE:
    that was done, and the fault goes on with the next step; DONE: there was nothing to do.
    """
    missing = mapped = 0
    if leaf == NONE:
        missing = tables_missing(m, int(m.areas[area].space), vpn, 0)
        if not table_room(m, missing):
            return GROW
    if not secure(m, cpu, task, copies + missing):
        return SHORT
    if leaf == NONE:
        leaf = make_tables(m, cpu, task, vpn, missing)
    if write == 0:
        first, end = around(m, area, vpn)
        mapped = map_around(m, area, leaf, NONE, first, end)
    if missing + mapped == 0:
        return DONE
    note(m, FILE_MAP_AROUND, mapped)
    fault_waits(m, task, BEGUN_FAULT)
    m.clock[0].kind = BEGUN
    return MORE


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
    if pfn == NONE or (
        bits & F_AHEAD != 0 and o.waits in (0, BEGUN_FAULT) and a.vm_flags & A_RANDOM == 0
    ):
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


@compiled
def install(m: Arrays, cpu: int, task: int, area: int, vpn: int, write: int, fresh: bool) -> None:
    """Map a page that is in the page cache, or its copy; memory has been secured.

    Shared memory that nobody has written yet, `fresh`, is zero-filled before.
    """
    a = m.areas[area]
    leaf = int(m.tasks[task].cached_leaf)
    file = int(a.file)
    index = int(a.offset + vpn - a.start)
    at = vpn & TABLE_MASK
    kind: int = FILE_MAP
    if fresh:
        cache_folio(m, cpu, file, index, 0, 0, False)
        kind = zero_fill_kind(m, cpu)
    if write == 1 and a.vm_flags & A_SHARED == 0:
        kind = kind if fresh else COW_COPY
        pfn = fresh_page(m, cpu, anon_vma_prepare(m, area), index)
        set_pte(m, leaf, at, mk_pte(pfn, WRITTEN))
        count_resident(m, int(a.space), 1)
    elif write == 1:
        pfn = find_page(m, file, index)
        dirty_folio(m, pfn)
        low, high = folio_bounds(m, area, vpn, int(m.frames[pfn].order))
        if not may_map_whole(m, area, leaf, low, high):
            low, high = vpn, vpn + 1
        map_folio(m, area, leaf, low, high, WRITTEN)
        count_cached(m, int(a.space), int(a.kind), high - low)
    else:
        first, end = around(m, area, vpn)
        if a.kind == KIND_SHMEM and (fresh or m.operations[task].waits != 0):
            first, end = vpn, vpn + 1  # it was looked around before
        mapped = map_around(m, area, leaf, vpn, first, end)
        set_access_flags(m, leaf, at, PTE_ACCESSED)
        note(m, FILE_MAP_AROUND, mapped - 1)
    fault_served(m, task, kind)


@rare
def file_fault(m: Arrays, cpu: int, task: int, area: int, leaf: int, vpn: int, write: int) -> int:
    """Serve a fault on a page that is not present, in an area with a page cache behind it."""
    o = m.operations[task]
    a = m.areas[area]
    file = int(a.file)
    index = int(a.offset + vpn - a.start)
    if index >= m.files[file].pages:
        o.fault_page = vpn
        return SEGV
    copies = 1 if write == 1 and a.vm_flags & A_SHARED == 0 else 0
    fresh = a.kind == KIND_SHMEM and not has_page(m, file, index) and find_slot(m, file, index) == 0
    if o.waits + o.attempts == 0 and not may_map(m, file, index) and not (fresh and write == 1):
        status = begin_fault(m, cpu, task, area, leaf, vpn, write, copies)
        if status != DONE:
            return status
    status = bring_in(m, cpu, task, area, index)
    if status != DONE:
        return status
    missing = 0
    if leaf == NONE:
        missing = tables_missing(m, int(a.space), vpn, 0)
        if not table_room(m, missing):
            return GROW
    wanted = missing + copies
    if fresh:
        wanted += 1 + tree_pages(m, cpu, file, index, 0)
    if not secure(m, cpu, task, wanted):
        return SHORT
    if leaf == NONE:
        make_tables(m, cpu, task, vpn, missing)
    install(m, cpu, task, area, vpn, write, fresh)
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
