"""Collapsing: 2 MiB of small pages become one huge page; madvise(MADV_COLLAPSE).

=========================================  ====================================================
the aligned 2 MiB, whole in range          so Linux
=========================================  ====================================================
are not, no boundary of 2 MiB in range     goes on, EINVAL in the end
have no leaf table                         ends with EINVAL
have no table one level up either          goes on, EINVAL in the end
have a huge entry, the huge zero page's    leaves it
otherwise                                  takes a block of frames, copies the pages that are
                                           there, shared or not, zeroes the rest, maps it by a
                                           huge entry: exclusive, dirty, writable as the area
before 6.18, no entry being writable       goes on, EINVAL in the end
with a page that is swapped out            goes on, EINVAL in the end: see below
and no block is free                       ends with ENOMEM
=========================================  ====================================================

The leaf table is set aside; old pages lose a mapping each.  An area that refuses huge pages, has no
anon_vma or does not hold any aligned 2 MiB ends it with EINVAL.  Advice and limits of khugepaged do
not matter.  Linux reads all pages back that are swapped out (`__collapse_huge_page_swapin`), and
khugepaged collapses with up to 64 of them (`max_ptes_swap`); nothing can be read from a swap device
before there is one (A6), so neither does it here.  Read in Linux 6.1 `mm/khugepaged.c`
(`madvise_collapse`, `hpage_collapse_scan_pmd`, `collapse_huge_page`), 6.18 by running it.
"""

from sim.base.jit import compiled, rare
from sim.kernel.calls.ranges import area_ahead, begin_range
from sim.kernel.fault.folio import make_folio, no_huge_pages
from sim.kernel.fault.mappers import drop_mapper
from sim.kernel.fault.pmd import deposit_table
from sim.kernel.flush import flush_pmd
from sim.kernel.overcommit import refuse
from sim.kernel.pages import count_resident, free_anon_page, link_copy
from sim.kernel.work import BY_MEMORY, DONE, EINVAL, MORE, note, note_freed
from sim.machine.entries import (
    is_swap_pte,
    maps_memory,
    mk_pte,
    pmdp_get,
    pte_none,
    ptep_get_and_clear,
    set_pmd,
)
from sim.machine.layout import (
    A_SHARED,
    A_WRITE,
    F_LARGE,
    F_WRITTEN,
    HUGE_ORDER,
    HUGE_PAGES,
    KIND_ANON,
    NONE,
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_DIRTY,
    PTE_HUGE,
    PTE_WRITE,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.pool import take_block
from sim.machine.rules.huge import R_COLLAPSE, R_COLLAPSE_READONLY
from sim.machine.tables import find_table
from sim.machine.work import COLLAPSE, FRAME_FREE, UNMAP_PTE


@compiled
def may_collapse(m: Arrays, area: int) -> bool:
    """Whether an area may have huge pages by collapsing."""
    a = m.areas[area]
    first = ((int(a.start) + TABLE_MASK) >> TABLE_SHIFT) << TABLE_SHIFT
    return bool(
        a.kind == KIND_ANON
        and a.vm_flags & A_SHARED == 0
        and not no_huge_pages(m, area)
        and a.anon_root != NONE
        and first + HUGE_PAGES <= a.end
    )


@compiled
def is_written(m: Arrays, entry: int) -> bool:
    """Whether a program may have written to the page of an anonymous entry."""
    return bool(entry & PTE_DIRTY != 0 or m.frames[entry >> PFN_SHIFT].bits & F_WRITTEN != 0)


@compiled
def any_writable(m: Arrays, leaf: int) -> bool:
    """Whether any entry of a leaf table is writable."""
    for at in range(HUGE_PAGES):
        if int(m.tables[leaf, at]) & PTE_WRITE != 0:
            return True
    return False


@compiled
def any_swapped(m: Arrays, leaf: int) -> bool:
    """Whether any page of a leaf table is swapped out: nothing reads it back yet."""
    for at in range(HUGE_PAGES):
        if is_swap_pte(int(m.tables[leaf, at])):
            return True
    return False


@compiled
def collapse_leaf(m: Arrays, cpu: int, space: int, area: int, base: int, block: int) -> None:
    """Put a huge entry for the block of frames `block` in the place of the leaf table of `base`."""
    a = m.areas[area]
    middle = find_table(m, space, base, 1)
    leaf = find_table(m, space, base, 0)
    make_folio(m, space, block, HUGE_ORDER, 1, int(a.anon_root), int(a.offset + base - a.start))
    copied = 0
    freed = 0
    for at in range(HUGE_PAGES):
        entry = ptep_get_and_clear(m, leaf, at)
        if not maps_memory(entry):
            continue
        copied += 1
        pfn = entry >> PFN_SHIFT
        old = m.frames[pfn]
        if is_written(m, entry):
            m.frames[block + at].bits |= F_WRITTEN
        link_copy(m, pfn, block + at)
        if old.bits & F_LARGE != 0:
            drop_mapper(m, space, pfn, 1)
        old.refs -= 1
        old.maps -= 1
        if old.refs == 0:
            free_anon_page(m, cpu, pfn)
            freed += 1
    deposit_table(m, leaf, middle)
    bits = PTE_ACCESSED | PTE_DIRTY | PTE_HUGE
    if a.vm_flags & A_WRITE != 0:
        bits |= PTE_WRITE
    set_pmd(m, middle, base, mk_pte(block, bits))
    flush_pmd(m, space, base)
    m.spaces[space].generation += 1
    count_resident(m, space, HUGE_PAGES - copied)
    m.pool[0].released += 1
    note(m, COLLAPSE, 1)
    note(m, UNMAP_PTE, copied)
    note_freed(m, FRAME_FREE, freed)


@rare
def collapse_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of madvise(MADV_COLLAPSE): an area, or 2 MiB of one.

    That some 2 MiB of the area under way cannot be collapsed is in the operation's `unfit`.
    """
    o = m.operations[task]
    end = int(o.start + o.pages)
    if o.stage == 0:
        begin_range(m, task)
    if m.config[0].rules & R_COLLAPSE == 0:
        o.errno = EINVAL
        return DONE
    if o.at >= o.area_end:
        area = area_ahead(m, task, end)
        if area == NONE:
            return DONE
        if not may_collapse(m, area):
            o.errno = EINVAL
            return DONE
        o.area = area
        o.area_end = min(int(m.areas[area].end), end)
        o.at = ((int(o.at) + TABLE_MASK) >> TABLE_SHIFT) << TABLE_SHIFT
        o.unfit = 1 if o.at >> TABLE_SHIFT > o.area_end >> TABLE_SHIFT else 0
    if o.at + HUGE_PAGES <= o.area_end and not collapse_block(m, cpu, task):
        return DONE
    if o.at + HUGE_PAGES <= o.area_end:
        return MORE
    if o.unfit != 0:
        o.errno = EINVAL
        return DONE
    o.at = o.area_end
    return MORE if o.at < end else DONE


@compiled
def collapse_block(m: Arrays, cpu: int, task: int) -> bool:
    """Collapse the 2 MiB at `at`, and go on behind them; False if that ends the call."""
    t = m.tasks[task]
    o = m.operations[task]
    base = int(o.at)
    o.at = base + HUGE_PAGES
    middle = find_table(m, int(t.space), base, 1)
    if middle == NONE:
        o.unfit = 1
        return True
    entry = pmdp_get(m, middle, base)
    if entry & PTE_HUGE != 0:
        return True
    if pte_none(entry):
        o.errno = EINVAL
        return False
    leaf = entry >> PFN_SHIFT
    readonly = m.config[0].rules & R_COLLAPSE_READONLY != 0
    if any_swapped(m, leaf) or not (readonly or any_writable(m, leaf)):
        o.unfit = 1
        return True
    block = take_block(m, cpu, task, HUGE_ORDER, KIND_ANON)
    if block == NONE:
        refuse(m, task, BY_MEMORY, 1 << HUGE_ORDER)
        return False
    collapse_leaf(m, cpu, int(t.space), int(o.area), base, block)
    return True
