"""Huge pages: entries one level up, each for 2 MiB.

=============================================  ==============================================
the 2 MiB are                                  so Linux
=============================================  ==============================================
without a leaf table, whole in the area, read  maps the huge zero page
without a leaf table, whole, written           takes and zeroes 512 frames in a block
the huge zero page, written                    takes and zeroes 512 frames in a block
read-only, exclusive or mapped by us alone     restores write permission to all of it (reuse)
read-only, otherwise, written                  splits the entry; then the rules for small pages
removed, protected or cut in part              splits the entry first
=============================================  ==============================================

Where no block of 512 frames is free, small pages serve.  Every huge entry has a leaf table set
aside, so that splitting it never fails.  The frames of a block are counted singly and are freed
singly once the entry is split; the huge zero page belongs to the kernel and takes no frame here.
Read in Linux 6.12 `mm/huge_memory.c`.
"""

from typing import Final

from sim.base.jit import compiled, rare
from sim.kernel.fault.folio import make_folio, mark_written, maybe_shared, no_huge_pages
from sim.kernel.fault.pmd import deposit_new_table, drop_page, huge_entry, sole_mapping, split_huge
from sim.kernel.flush import flush_pmd
from sim.kernel.pages import (
    anon_vma_prepare,
    count_resident,
    fresh_page,
    link_copy,
)
from sim.kernel.work import DONE, GROW, SHORT, note, note_fault
from sim.machine.entries import (
    HUGE_ZERO_PAGE,
    WRITTEN,
    mk_pte,
    pmdp_get,
    set_pmd,
    set_pte,
)
from sim.machine.layout import (
    A_HUGEPAGE,
    F_EXCLUSIVE,
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
    PTE_ZERO,
    TABLE_MASK,
    THP_ALWAYS,
    THP_NEVER,
    ZERO_PFN,
    Arrays,
)
from sim.machine.pool import secure, take_block
from sim.machine.rules.huge import R_HUGE_SPLIT, R_HUGE_ZERO
from sim.machine.tables import (
    find_table,
    make_table,
    table_room,
    tables_missing,
)
from sim.machine.work import (
    COW_REUSE,
    HUGE_COPY,
    HUGE_ZERO_FILL,
    TABLE_ALLOC,
    ZERO_PAGE_MAP,
)

SMALL: Final = -2
"""Nothing was done: small pages are to serve."""
SPLIT: Final = -3
"""The entry is split: small pages are to serve, and a table for them is there."""


@compiled
def may_be_huge(m: Arrays, area: int, vpn: int) -> bool:
    """Whether the area wants huge pages and holds the whole 2 MiB around `vpn`."""
    a = m.areas[area]
    thp = m.config[0].thp
    if thp == THP_NEVER or a.kind != KIND_ANON or no_huge_pages(m, area):
        return False
    if thp != THP_ALWAYS and a.vm_flags & A_HUGEPAGE == 0:
        return False
    base = vpn - (vpn & TABLE_MASK)
    return bool(a.start <= base and base + HUGE_PAGES <= a.end)


@rare
def fill_huge(m: Arrays, task: int, area: int, middle: int, vpn: int, pfn: int) -> None:
    """Zero a block of frames and map it, in a table whose leaf is set aside."""
    map_block(m, task, area, middle, vpn, pfn)
    note_fault(m, HUGE_ZERO_FILL)


@compiled
def map_block(m: Arrays, task: int, area: int, middle: int, vpn: int, pfn: int) -> None:
    """Map a block of frames, exclusive and writable, in a table whose leaf is set aside."""
    a = m.areas[area]
    base = vpn - (vpn & TABLE_MASK)
    space = int(m.tasks[task].space)
    index = int(a.offset + base - a.start)
    make_folio(m, space, pfn, HUGE_ORDER, 1, anon_vma_prepare(m, area), index)
    mark_written(m, task, pfn + (vpn & TABLE_MASK))
    set_pmd(m, middle, vpn, mk_pte(pfn, WRITTEN | PTE_HUGE))
    count_resident(m, space, HUGE_PAGES)


@compiled
def huge_fault(m: Arrays, cpu: int, task: int, area: int, vpn: int, write: int) -> int:
    """Serve an access to anonymous memory where no leaf table is; SMALL or SPLIT if that is not it.

    After SPLIT, the frame for a small copy is secured.
    """
    t = m.tasks[task]
    space = int(t.space)
    entry = huge_entry(m, space, vpn)
    if entry != 0:
        return huge_access(m, cpu, task, area, vpn, write, entry)
    if not may_be_huge(m, area, vpn):
        return SMALL
    missing = tables_missing(m, space, vpn, 1) + 1
    if not table_room(m, missing):
        return GROW
    if not secure(m, cpu, task, missing):
        return SHORT
    pfn = ZERO_PFN
    if write == 1:
        pfn = take_block(m, cpu, task, HUGE_ORDER, KIND_ANON)
        if pfn == NONE:
            return SMALL
    middle = make_table(m, cpu, space, vpn, 1)
    deposit_new_table(m, cpu, space, middle)
    note(m, TABLE_ALLOC, missing)
    if write == 1:
        fill_huge(m, task, area, middle, vpn, pfn)
    else:
        anon_vma_prepare(m, area)
        set_pmd(m, middle, vpn, HUGE_ZERO_PAGE)
        note_fault(m, ZERO_PAGE_MAP)
    return DONE


@compiled
def maybe_shared_whole(m: Arrays, space: int, vpn: int, pfn: int) -> bool:
    """Do as `maybe_shared` for the huge page at `pfn`, which a huge entry of `space` maps."""
    if m.config[0].folio_shift == 0:
        return not sole_mapping(m, pfn)
    return maybe_shared(m, space, vpn, pfn)


@rare
def huge_access(m: Arrays, cpu: int, task: int, area: int, vpn: int, write: int, entry: int) -> int:
    """Read or write where a huge entry is."""
    t = m.tasks[task]
    middle = find_table(m, int(t.space), vpn, 1)
    pfn = entry >> PFN_SHIFT
    if write == 0 or entry & PTE_WRITE != 0:
        set_pmd(m, middle, vpn, entry | PTE_ACCESSED | (PTE_DIRTY if write == 1 else 0))
        if write == 1:
            mark_written(m, task, pfn + (vpn & TABLE_MASK))
        return DONE
    rules = m.config[0].rules
    if entry & PTE_ZERO != 0:
        if rules & R_HUGE_ZERO != 0 or rules & R_HUGE_SPLIT == 0:
            block = take_block(m, cpu, task, HUGE_ORDER, KIND_ANON)
            if block != NONE:
                fill_huge(m, task, area, middle, vpn, block)
                flush_pmd(m, int(t.space), vpn)
                return DONE
    elif m.frames[pfn].bits & F_EXCLUSIVE != 0 or sole_mapping(m, pfn):
        for frame in range(pfn, pfn + HUGE_PAGES):
            m.frames[frame].bits |= F_EXCLUSIVE
        set_pmd(m, middle, vpn, entry | WRITTEN)
        mark_written(m, task, pfn + (vpn & TABLE_MASK))
        note_fault(m, COW_REUSE)
        return DONE
    elif rules & R_HUGE_SPLIT == 0:
        block = take_block(m, cpu, task, HUGE_ORDER, KIND_ANON)
        if block != NONE:
            copy_block(m, cpu, task, area, middle, vpn, block)
            return DONE
        if secure(m, cpu, task, HUGE_PAGES):
            copy_pages(m, cpu, task, area, vpn)
            return DONE
    if not secure(m, cpu, task, 1):
        return SHORT
    split_huge(m, int(t.space), vpn)
    return SPLIT


@compiled
def copy_block(
    m: Arrays, cpu: int, task: int, area: int, middle: int, vpn: int, block: int
) -> None:
    """Map a copy of a shared huge page in its place, as Linux before 5.8 does."""
    pfn = pmdp_get(m, middle, vpn) >> PFN_SHIFT
    space = int(m.tasks[task].space)
    m.spaces[space].rss_anon -= HUGE_PAGES
    map_block(m, task, area, middle, vpn, block)
    flush_pmd(m, space, vpn)
    for i in range(HUGE_PAGES):
        m.frames[block + i].bits |= m.frames[pfn + i].bits & F_WRITTEN
        link_copy(m, pfn + i, block + i)
        drop_page(m, cpu, pfn + i)
    mark_written(m, task, block + (vpn & TABLE_MASK))
    m.pool[0].released += 1
    note_fault(m, HUGE_COPY)


@compiled
def copy_pages(m: Arrays, cpu: int, task: int, area: int, vpn: int) -> None:
    """Do as `copy_block` where no block of frames is free, but 512 single ones, secured.

    Read in Linux 5.4 `do_huge_pmd_wp_page_fallback`.
    """
    space = int(m.tasks[task].space)
    leaf = split_huge(m, space, vpn)
    a = m.areas[area]
    base = vpn - (vpn & TABLE_MASK)
    root = anon_vma_prepare(m, area)
    for i in range(HUGE_PAGES):
        old = int(m.tables[leaf, i]) >> PFN_SHIFT
        new = fresh_page(m, cpu, root, int(a.offset + base + i - a.start))
        set_pte(m, leaf, i, mk_pte(new, WRITTEN))
        link_copy(m, old, new)
        drop_page(m, cpu, old)
    m.pool[0].released += 1
    note_fault(m, HUGE_COPY)
