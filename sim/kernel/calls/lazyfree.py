"""MADV_FREE: what is in these pages may be lost; until they are written again they count as clean.

=============================================  ==============================================
the page is                                    so Linux
=============================================  ==============================================
in a huge entry, the range covers all of it    makes entry and folio clean
in a huge entry, the range covers a part       splits entry and folio, then frees that part
in a huge entry, others map any of it          leaves it alone
in a folio of 512 that others map as well      leaves it alone, unless the range covers all of it
dirty itself (not only its entry), and shared  leaves it alone
swapped out                                    removes the entry: reading zeros is cheaper
any other                                      makes entry and page clean, and keeps them
=============================================  ==============================================

Pages of a folio that is split which hold only zeros are replaced by the zero page (since 6.12).
Read in Linux 6.18 `mm/madvise.c` (`madvise_free_pte_range`), `mm/huge_memory.c`
(`madvise_free_huge_pmd`) and `mm/migrate.c` (`try_to_map_unused_to_zeropage`).
"""

from sim.base.jit import compiled, rare
from sim.kernel.calls.ranges import area_ahead, begin_range, entries_ahead
from sim.kernel.fault.folio import folio_pages, maybe_shared
from sim.kernel.fault.huge import maybe_shared_whole
from sim.kernel.fault.pmd import huge_entry, split_huge
from sim.kernel.flush import flush_pmd, flush_tlb_range
from sim.kernel.pages import free_anon_page, zap_swap_pte
from sim.kernel.work import DONE, EINVAL, MORE, note, note_freed
from sim.machine.areas import find_area
from sim.machine.entries import (
    ZERO_PAGE,
    is_swap_pte,
    maps_frame,
    maps_memory,
    pte_mkclean,
    pte_mkold,
    set_pmd,
    set_pte,
)
from sim.machine.layout import (
    A_LOCKED,
    A_SHARED,
    F_ANON,
    F_DIRTY,
    F_LARGE,
    F_WRITTEN,
    HUGE_PAGES,
    KIND_ANON,
    NONE,
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_BLANK,
    PTE_DIRTY,
    PTE_ZERO,
    TABLE_MASK,
    Arrays,
)
from sim.machine.lru import folio_add_lru
from sim.machine.rules.huge import R_FREE_WHOLE, R_MADV_FREE, R_ZERO_SPLIT
from sim.machine.swap import folio_free_swap
from sim.machine.tables import find_table
from sim.machine.work import FRAME_FREE, UNMAP_PTE


@rare
def free_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of madvise(MADV_FREE): the entries below one leaf table.

    Holes are passed over, with ENOMEM in the end; memory that is not private and anonymous, or is
    locked, ends it with EINVAL, as did any before Linux 4.5, which had no such advice.
    """
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    end = int(o.start + o.pages)
    if o.stage == 0:
        begin_range(m, task)
        if m.config[0].rules & R_MADV_FREE == 0:
            o.errno = EINVAL
            return DONE
    if o.at >= o.area_end:
        area = area_ahead(m, task, end)
        if area == NONE:
            return DONE
        a = m.areas[area]
        if a.kind != KIND_ANON or a.vm_flags & (A_SHARED | A_LOCKED) != 0:
            o.errno = EINVAL
            return DONE
        o.area_end = min(int(a.end), end)
    vpn, upto = entries_ahead(m, task)
    if vpn < upto:
        free_leaf(m, cpu, space, vpn, upto)
    return MORE if upto < end else DONE


@compiled
def free_leaf(m: Arrays, cpu: int, space: int, start: int, end: int) -> None:
    """Make the pages of [start, end), which lies within one leaf table, clean if they may be."""
    leaf = find_table(m, space, start, 0)
    if leaf == NONE:
        entry = huge_entry(m, space, start)
        pfn = entry >> PFN_SHIFT
        if entry & PTE_ZERO != 0 or maybe_shared_whole(m, space, start, pfn):
            return
        if end - start == HUGE_PAGES:
            middle = find_table(m, space, start, 1)
            set_pmd(m, middle, start, pte_mkclean(entry))
            flush_pmd(m, space, start)
            clean_frames(m, pfn, HUGE_PAGES)
            note(m, UNMAP_PTE, 1)
            return
        leaf = split_huge(m, space, start)
        split_folio(m, cpu, space, start, pfn + (start & TABLE_MASK))
    vpn = start
    cleaned = 0
    while vpn < end:
        entry = int(m.tables[leaf, vpn & TABLE_MASK])
        if is_swap_pte(entry):
            zap_swap_pte(m, cpu, space, leaf, vpn & TABLE_MASK)
            cleaned += 1
        if not maps_memory(entry):
            vpn += 1
            continue
        pfn = entry >> PFN_SHIFT
        frame = m.frames[pfn]
        if frame.bits & F_ANON == 0:
            vpn += 1
            continue
        run = 1
        if frame.bits & F_LARGE != 0:
            if m.config[0].rules & R_FREE_WHOLE == 0:
                if first_page_mappings(m, pfn) != 1:
                    break
                split_folio(m, cpu, space, vpn, pfn)
                continue
            run = run_of_folio(m, leaf, vpn, end)
            if run < folio_pages(m, pfn):
                if maybe_shared(m, space, vpn, pfn):
                    vpn += run
                else:
                    split_folio(m, cpu, space, vpn, pfn)
                continue
        if frame.slot != 0 and not folio_free_swap(m, pfn):
            vpn += run
            continue
        if frame.bits & F_DIRTY == 0 or mappings(m, pfn, run) == run:
            clean_entries(m, leaf, vpn & TABLE_MASK, run)
            flush_tlb_range(m, space, vpn, vpn + run)
            clean_frames(m, pfn, run)
            cleaned += run
        vpn += run
    note(m, UNMAP_PTE, cleaned)


@compiled
def first_page_mappings(m: Arrays, pfn: int) -> int:
    """Return how many entries map the first page of the large folio around `pfn`.

    Linux up to 6.9 took that for how many map the folio (`folio_estimated_sharers`).
    """
    order = int(m.frames[pfn].order)
    first = m.frames[pfn - (pfn & ((1 << order) - 1))]
    return int(first.maps) if first.bits & F_LARGE != 0 and int(first.order) == order else 0


@compiled
def run_of_folio(m: Arrays, leaf: int, vpn: int, end: int) -> int:
    """Return how many entries from `vpn` on, below `end`, map pages of one folio in a row."""
    pfn = int(m.tables[leaf, vpn & TABLE_MASK]) >> PFN_SHIFT
    size = folio_pages(m, pfn)
    most = min(end - vpn, size - (pfn & (size - 1)))
    run = 1
    while run < most:
        entry = int(m.tables[leaf, (vpn + run) & TABLE_MASK])
        frame = m.frames[pfn + run]  # once free, it may be of another folio by now
        if frame.bits & F_LARGE == 0 or int(frame.order) != int(m.frames[pfn].order):
            return run
        if not maps_frame(entry, pfn + run):
            return run
        run += 1
    return run


@compiled
def mappings(m: Arrays, pfn: int, frames: int) -> int:
    """Return how many entries map any of `frames` frames from `pfn` on."""
    maps = 0
    for at in range(pfn, pfn + frames):
        maps += int(m.frames[at].maps)
    return maps


@compiled
def clean_frames(m: Arrays, pfn: int, frames: int) -> None:
    """Make `frames` frames from `pfn` on clean."""
    for at in range(pfn, pfn + frames):
        m.frames[at].bits &= ~F_DIRTY


@compiled
def clean_entries(m: Arrays, leaf: int, first: int, entries: int) -> None:
    """Make entries clean; their pages remember whether they were written to."""
    for at in range(first, first + entries):
        entry = int(m.tables[leaf, at])
        frame = m.frames[entry >> PFN_SHIFT]
        if entry & PTE_DIRTY != 0:
            frame.bits |= F_WRITTEN
        set_pte(m, leaf, at, pte_mkclean(entry))


@compiled
def any_dirty(m: Arrays, space: int, vpn: int, pfn: int) -> bool:
    """Whether any entry of `space`, which maps `pfn` at `vpn`, for a page of its folio is dirty."""
    order = int(m.frames[pfn].order)
    head = pfn - (pfn & ((1 << order) - 1))
    for at in range(head, head + (1 << order)):
        page = vpn + at - pfn
        leaf = find_table(m, space, page, 0)
        if leaf == NONE or m.frames[at].bits & F_LARGE == 0 or int(m.frames[at].order) != order:
            continue
        entry = int(m.tables[leaf, page & TABLE_MASK])
        if maps_frame(entry, at) and entry & (PTE_DIRTY | PTE_BLANK) != 0:
            return True
    return False


@compiled
def split_folio(m: Arrays, cpu: int, space: int, vpn: int, pfn: int) -> None:
    """Make the pages of a huge page single ones; only `space` maps any, `pfn` at `vpn`.

    Since Linux 6.12 those that were never written become the zero page, unless they are locked.
    If any entry is dirty all pages are: entries give way, to the folio's being dirty, and return.
    """
    order = int(m.frames[pfn].order)
    head = pfn - (pfn & ((1 << order) - 1))
    dirty = F_DIRTY if any_dirty(m, space, vpn, pfn) else 0
    freed = 0
    for at in range(head, head + (1 << order)):
        frame = m.frames[at]
        if frame.bits & F_LARGE == 0 or int(frame.order) != order:
            continue
        stays = frame.bits & F_WRITTEN != 0 or m.config[0].rules & R_ZERO_SPLIT == 0
        frame.bits = (frame.bits & ~F_LARGE) | dirty
        frame.order = 0
        if m.config[0].total_swap_pages != 0:
            folio_add_lru(m, cpu, at)
        page = vpn + at - pfn
        leaf = find_table(m, space, page, 0)
        if leaf == NONE or stays:
            continue
        entry = int(m.tables[leaf, page & TABLE_MASK])
        if not maps_frame(entry, at) or entry & PTE_DIRTY != 0:
            continue
        if m.areas[find_area(m, space, page)].vm_flags & A_LOCKED != 0:
            continue
        zero = ZERO_PAGE if entry & PTE_ACCESSED != 0 else pte_mkold(ZERO_PAGE)
        set_pte(m, leaf, page & TABLE_MASK, zero)
        flush_tlb_range(m, space, page, page + 1)
        frame.maps = 0
        m.spaces[space].rss_anon -= 1
        free_anon_page(m, cpu, at)
        freed += 1
    note_freed(m, FRAME_FREE, freed)
