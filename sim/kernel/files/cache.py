"""Pages of the page cache: how they get into it and out of it, and what maps them."""

from sim.base.jit import compiled, inlined, rare
from sim.kernel.files.dirty import cancel_dirty, set_page_dirty
from sim.kernel.reclaim.workingset import workingset_refault
from sim.machine.area_tree import find_area
from sim.machine.cached import erase_page, find_page, find_shadow, first_page, store_page
from sim.machine.entries import mk_pte, set_pte
from sim.machine.groups import free_objects
from sim.machine.layout import (
    A_RANDOM,
    A_SEQUENTIAL,
    F_BUFFERS,
    F_DIRTY,
    F_FILE,
    F_LOCKED,
    F_SWAPBACKED,
    F_WRITEBACK,
    KIND_FILE,
    KIND_SHMEM,
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_DIRTY,
    Arrays,
)
from sim.machine.lru import folio_add_lru, folio_mark_accessed, lruvec_release
from sim.machine.pool import give_back, take
from sim.machine.slab import BUFFER_SLAB_BYTES


@rare
def cache_folio(
    m: Arrays, cpu: int, file: int, first: int, order: int, bits: int, rewritten: bool
) -> None:
    """Put 2**order fresh frames, with `bits`, into the page cache as a folio from page `first` on.

    So many must be secured.  What was there is read anew, unless it is `rewritten`
    (`filemap_add_folio`).
    """
    f = m.files[file]
    shadow = 0
    for index in range(first, first + (1 << order)):
        pfn = take(m, cpu, int(f.kind))
        frame = m.frames[pfn]
        frame.index = index
        frame.maps = 0
        frame.copy_next = pfn
        frame.copy_prev = pfn
        frame.mapping = file
        frame.bits = F_FILE | bits | (F_SWAPBACKED if f.kind == KIND_SHMEM else 0)
        frame.order = order
        left = find_shadow(m, file, index)
        if left != 0:
            shadow = left
        store_page(m, cpu, file, index, pfn, order)
    f.resident += 1 << order
    if f.kind == KIND_FILE:
        head = find_page(m, file, first)
        if shadow != 0 and not rewritten:
            workingset_refault(m, cpu, head, shadow)
        folio_add_lru(m, cpu, head)
    elif m.config[0].total_swap_pages != 0:
        folio_add_lru(m, cpu, find_page(m, file, first))


@compiled
def uncache_page(m: Arrays, cpu: int, file: int, index: int, shadow: int) -> None:
    """Take page `index` of `file`, which nobody maps, out of the page cache and free its frame.

    All pages of its folio go, the first one first.  `shadow` is what is left behind, or 0.
    """
    f = m.files[file]
    pfn = find_page(m, file, index)
    if index & ((1 << int(m.frames[pfn].order)) - 1) == 0:
        lruvec_release(m, cpu, pfn)
    if m.frames[pfn].bits & (F_DIRTY | F_WRITEBACK) != 0:
        cancel_dirty(m, pfn)
    if m.frames[pfn].bits & F_BUFFERS != 0:
        free_objects(m, cpu, int(m.frames[pfn].group), BUFFER_SLAB_BYTES)
    erase_page(m, cpu, file, index, shadow)
    give_back(m, cpu, pfn, int(f.kind))
    f.resident -= 1


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


@rare
def dirty_folio(m: Arrays, pfn: int) -> None:
    """Take note that a page of the page cache was written: its folio is dirty, and all of it.

    Where a dropping call found pages in use, Linux marks those that are dirty by the time a CPU's
    batch is full (`lru_deactivate_file`), by the bit that also says "read ahead": fault-around
    passes over them.
    """
    frame = m.frames[pfn]
    set_page_dirty(m, pfn)
    file = int(frame.mapping)
    f = m.files[file]
    if f.kept == 1:
        f.guessed = 1
    if frame.order != 0:
        size = 1 << int(frame.order)
        first = int(frame.index) // size * size
        for index in range(first, first + size):
            other = find_page(m, file, index)
            if m.frames[other].bits & F_LOCKED == 0:
                set_page_dirty(m, other)


@compiled
def map_cached(m: Arrays, leaf: int, at: int, pfn: int, entry_bits: int) -> None:
    """Let an entry map a frame of the page cache."""
    frame = m.frames[pfn]
    frame.refs += 1
    frame.maps += 1
    set_pte(m, leaf, at, mk_pte(pfn, entry_bits))


@inlined
def vma_has_recency(m: Arrays, area: int) -> bool:
    """Whether use through an area says that a page will be used again, by what was advised."""
    return bool(m.areas[area].vm_flags & (A_RANDOM | A_SEQUENTIAL) == 0)


@compiled
def note_unmapped(m: Arrays, space: int, entry: int) -> None:
    """Take note that an address space has lost an entry which mapped a frame of the page cache."""
    pfn = entry >> PFN_SHIFT
    if entry & PTE_DIRTY != 0:
        dirty_folio(m, pfn)
    count_cached(m, space, int(m.files[int(m.frames[pfn].mapping)].kind), -1)
    m.pool[0].released += 1


@rare
def unmap_cached(m: Arrays, cpu: int, space: int, vpn: int, entry: int) -> None:
    """As `note_unmapped`, of the entry at `vpn` that a program has given back.

    A page that was used through it counts as accessed (`zap_present_folio_ptes`).
    """
    pfn = entry >> PFN_SHIFT
    of_file = m.files[int(m.frames[pfn].mapping)].kind == KIND_FILE
    note_unmapped(m, space, entry)
    if entry & PTE_ACCESSED != 0 and of_file and vma_has_recency(m, find_area(m, space, vpn)):
        folio_mark_accessed(m, cpu, first_page(m, pfn))
