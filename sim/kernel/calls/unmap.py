"""Taking pages out of an address space: munmap, MADV_DONTNEED, shrinking heaps, exec and exit.

Entries are removed one leaf table a step, as `zap_pte_range` does; page tables go when no area can
use them any more (`free_pgd_range`).
"""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.kernel.calls.ranges import area_ahead, begin_range, entries_ahead
from sim.kernel.fault.mappers import drop_mapper
from sim.kernel.fault.pmd import huge_entry, split_across, split_huge, zap_huge
from sim.kernel.files.cache import unmap_cached
from sim.kernel.files.evict import evict_step, remove_vma
from sim.kernel.flush import flush_tlb_range
from sim.kernel.fork.shared_tables import drop_shared_table, end_async_child
from sim.kernel.hugetlb.areas import may_split
from sim.kernel.hugetlb.pages import is_hugetlb, zap_hugetlb
from sim.kernel.pages import free_anon_page, free_swap_cache, zap_swap_pte
from sim.kernel.work import DONE, EINVAL, GROW, MORE, note, note_freed
from sim.machine.areas import area_room, find_area, split_area
from sim.machine.entries import (
    is_swap_pte,
    maps_memory,
    prefetch_frame,
    pte_none,
    ptep_get_and_clear,
)
from sim.machine.layout import (
    A_ACCOUNT,
    A_LOCKED,
    F_FILE,
    F_LARGE,
    F_SWAPCACHE,
    HUGE_PAGES,
    KIND_HUGETLB,
    NONE,
    PFN_SHIFT,
    PTE_ZERO,
    TABLE_MASK,
    TABLE_SHIFT,
    VPN_BITS,
    Arrays,
)
from sim.machine.rules.areas import R_GIVE_TABLES
from sim.machine.tables import clear_entry, find_table, free_table, free_tables, next_present
from sim.machine.work import (
    FRAME_FREE,
    MUNMAP_CALL,
    TABLE_FREE,
    UNMAP_AREA,
    UNMAP_PTE,
)

ALL_PAGES = 1 << VPN_BITS
NOT_PLAIN: Final = F_LARGE | F_FILE | F_SWAPCACHE
"""Of pages whose removal has to tell somebody: their folio, their file, the swap cache."""


@inlined
def zap(m: Arrays, cpu: int, space: int, vpn: int, leaf: int) -> int:
    """Remove the entry at `vpn`, which is present; return 1 if that freed a frame."""
    entry = ptep_get_and_clear(m, leaf, vpn & TABLE_MASK)
    if entry & PTE_ZERO != 0:
        return 0
    pfn = entry >> PFN_SHIFT
    frame = m.frames[pfn]
    frame.maps -= 1
    frame.refs -= 1
    if frame.bits & F_LARGE != 0:
        drop_mapper(m, space, pfn, 1)
    if frame.bits & F_FILE != 0:
        unmap_cached(m, cpu, space, vpn, entry)
        return 0
    m.spaces[space].rss_anon -= 1
    if frame.refs == 0:
        free_anon_page(m, cpu, pfn)
        return 1
    m.pool[0].released += 1
    return 1 if frame.bits & F_SWAPCACHE != 0 and free_swap_cache(m, cpu, pfn) else 0


@inlined
def zap_shared(m: Arrays, leaf: int, at: int, most: int) -> int:
    """Remove entries from `at` while each maps a plain page that others have too; say how many.

    That is most of what a forked child leaves.  Nothing is called, so the loop is a short one; what
    is counted by page is counted by the caller.
    """
    for i in range(at, at + most):
        prefetch_frame(m, leaf, i, at + most)
        entry = int(m.tables[leaf, i])
        if not maps_memory(entry):
            return i - at
        frame = m.frames[entry >> PFN_SHIFT]
        if frame.refs == 1 or frame.bits & NOT_PLAIN != 0:
            return i - at
        ptep_get_and_clear(m, leaf, i)
        frame.maps -= 1
        frame.refs -= 1
    return most


@compiled
def zap_leaf(m: Arrays, cpu: int, space: int, start: int, end: int) -> None:
    """Remove the entries of [start, end), which lies within one leaf table.

    A huge entry goes whole, or is split first; one of the pool of huge pages goes whole or stays.
    """
    leaf = find_table(m, space, start, 0)
    if leaf == NONE:
        entry = huge_entry(m, space, start)
        if is_hugetlb(m, entry):
            if end - start == HUGE_PAGES:
                zap_hugetlb(m, space, start)
            return
        if end - start == HUGE_PAGES and entry != 0:
            zap_huge(m, cpu, space, start)
            return
        leaf = split_huge(m, space, start)
        if leaf == NONE:
            return
    removed = 0
    freed = 0
    vpn = start
    while vpn < end:
        shared = zap_shared(m, leaf, vpn & TABLE_MASK, end - vpn)
        m.spaces[space].rss_anon -= shared
        m.pool[0].released += shared
        removed += shared
        vpn += shared
        if vpn == end:
            break
        entry = int(m.tables[leaf, vpn & TABLE_MASK])
        removed += 0 if pte_none(entry) else 1
        if is_swap_pte(entry):
            zap_swap_pte(m, cpu, space, leaf, vpn & TABLE_MASK)
        elif not pte_none(entry):
            freed += zap(m, cpu, space, vpn, leaf)
        vpn += 1
    if removed > 0:
        flush_tlb_range(m, space, start, end)
    note(m, UNMAP_PTE, removed)
    note_freed(m, FRAME_FREE, freed)


@compiled
def zap_next(m: Arrays, cpu: int, space: int, vpn: int, end: int) -> int:
    """Remove the entries below the first leaf table at or behind `vpn`.

    Returns the page to go on from; `end` if nothing was left.
    """
    vpn = next_present(m, space, vpn, end, 0)
    if vpn >= end:
        return end
    upto = min(end, ((vpn >> TABLE_SHIFT) + 1) << TABLE_SHIFT)
    zap_leaf(m, cpu, space, vpn, upto)
    return upto


@compiled
def unmap_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of munmap of `pages` pages from `start` on.

    Stage 0 splits areas at the edges; stage 1 removes entries, a leaf table a step, and at the end
    the areas and the page tables that nobody needs any more; stage 2 frees what only they mapped.
    """
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    start = int(o.start)
    end = start + int(o.pages)
    if o.stage == 0:
        if o.pages <= 0 or start < 0 or end > ALL_PAGES:
            o.errno = EINVAL
            return DONE
        if not may_split(m, space, start) or not may_split(m, space, end):
            o.errno = EINVAL
            return DONE
        if not area_room(m, 2):
            return GROW
        split_edges(m, space, start, end)
        note(m, MUNMAP_CALL, 1)
        o.stage = 1
        o.at = start
        return MORE
    if o.stage == 2:
        evict_step(m, cpu, task)
        return MORE if t.evict != NONE else DONE
    o.at = zap_next(m, cpu, space, int(o.at), end)
    if o.at < end:
        return MORE
    remove_areas(m, cpu, task, start, end)
    o.stage = 2
    return MORE if t.evict != NONE else DONE


@compiled
def split_edges(m: Arrays, space: int, start: int, end: int) -> None:
    """Cut the areas that reach across `start` or `end`; there must be room for two areas."""
    area = find_area(m, space, start)
    if area != NONE and m.areas[area].start < start:
        split_across(m, space, start)
        split_area(m, area, start)
    area = find_area(m, space, end - 1)
    if area != NONE and m.areas[area].start < end and m.areas[area].end > end:
        split_across(m, space, end)
        split_area(m, area, end)


@compiled
def remove_areas(m: Arrays, cpu: int, task: int, start: int, end: int) -> None:
    """Drop the areas within [start, end), whose entries are gone, and the tables they used."""
    space = int(m.tasks[task].space)
    area = find_area(m, space, start)
    floor = 0
    dropped = 0
    if area != NONE and m.areas[area].prev != NONE:
        floor = int(m.areas[m.areas[area].prev].end)
    while area != NONE and m.areas[area].start < end:
        after = int(m.areas[area].next)
        m.spaces[space].committed -= committed_by(m, area)
        m.pool[0].committed -= committed_by(m, area)
        remove_vma(m, task, area)
        dropped += 1
        area = after
    ceiling = ALL_PAGES if area == NONE else int(m.areas[area].start)
    note(m, UNMAP_AREA, dropped)
    if dropped > 0:
        note_freed(m, TABLE_FREE, free_tables(m, cpu, space, start, end, floor, ceiling))


@inlined
def committed_by(m: Arrays, area: int) -> int:
    """Return the pages that an area has been promised (`VM_ACCOUNT`)."""
    a = m.areas[area]
    return int(a.end - a.start) if a.vm_flags & A_ACCOUNT != 0 else 0


@compiled
def drop_leaf(m: Arrays, cpu: int, space: int, vpn: int) -> None:
    """Free the leaf table of `vpn`, which is empty, if there is one."""
    leaf = find_table(m, space, vpn, 0)
    if leaf != NONE:
        clear_entry(m, space, vpn, 0)
        free_table(m, cpu, space, leaf)
        note_freed(m, TABLE_FREE, 1)


@compiled
def dontneed_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of madvise(MADV_DONTNEED): entries go, a leaf table a step, and areas stay.

    Tables stay as well; since Linux 6.14 those go that lie in the range with all they cover, in one
    area.  Holes are passed over, with ENOMEM in the end; locked memory ends it with
    EINVAL, and so do huge pages of the pool (in Linux before 5.18).
    """
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    end = int(o.start + o.pages)
    if o.stage == 0:
        begin_range(m, task)
    if o.at >= o.area_end:
        area = area_ahead(m, task, end)
        if area == NONE:
            return DONE
        if m.areas[area].vm_flags & A_LOCKED != 0 or m.areas[area].kind == KIND_HUGETLB:
            o.errno = EINVAL
            return DONE
        o.area_end = min(int(m.areas[area].end), end)
    vpn, upto = entries_ahead(m, task)
    if vpn < upto:
        zap_leaf(m, cpu, space, vpn, upto)
        if m.config[0].rules & R_GIVE_TABLES != 0 and upto - vpn == HUGE_PAGES:
            drop_leaf(m, cpu, space, vpn)
            m.spaces[space].generation += 1
    return MORE if upto < end else DONE


@compiled
def teardown_step(m: Arrays, cpu: int, task: int, space: int) -> int:
    """Do one step of dropping a whole address space: one leaf table, with all its entries.

    A child that still has to copy tables from it gets them.
    """
    o = m.operations[task]
    vpn = next_present(m, space, int(o.at), ALL_PAGES, 0)
    if vpn >= ALL_PAGES:
        end_async_child(m, space)
        m.spaces[space].leaving = 1
        return DONE
    base = (vpn >> TABLE_SHIFT) << TABLE_SHIFT
    if not drop_shared_table(m, space, base):
        zap_leaf(m, cpu, space, base, base + HUGE_PAGES)
        drop_leaf(m, cpu, space, base)
    o.at = base + HUGE_PAGES
    return MORE
