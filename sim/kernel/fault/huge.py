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

from sim.base.jit import compiled
from sim.kernel.fault.folio import make_folio, mark_written, maybe_shared
from sim.kernel.fault.mappers import add_mapper, drop_mapper
from sim.kernel.flush import flush_pmd
from sim.kernel.pages import (
    anon_vma_prepare,
    count_resident,
    forget_page,
    fresh_page,
    join_twins,
    leave_twins,
)
from sim.kernel.work import DONE, GROW, MORE, SHORT, note, note_fault
from sim.machine.entries import (
    HUGE_ZERO_PAGE,
    WRITTEN,
    mk_pte,
    pmd_populate,
    pmdp_get,
    pte_mkold,
    pte_wrprotect,
    set_pmd,
    set_pte,
)
from sim.machine.layout import (
    A_HUGEPAGE,
    A_NOHUGEPAGE,
    F_DIRTY,
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
from sim.machine.pool import give_block, secure, take_block
from sim.machine.rules import R_HUGE_SPLIT, R_HUGE_ZERO
from sim.machine.tables import (
    find_table,
    free_table,
    make_table,
    new_table,
    table_room,
    tables_missing,
)
from sim.machine.work import (
    COW_REUSE,
    FORK_HUGE,
    FORK_TABLE,
    FRAME_FREE,
    HUGE_COPY,
    HUGE_SPLIT,
    HUGE_ZERO_FILL,
    TABLE_ALLOC,
    TABLE_FREE,
    UNMAP_PTE,
    ZERO_PAGE_MAP,
)

SMALL: Final = -2
"""Nothing was done: small pages are to serve."""
SPLIT: Final = -3
"""The entry is split: small pages are to serve, and a table for them is there."""


@compiled
def huge_entry(m: Arrays, space: int, vpn: int) -> int:
    """Return the huge entry that maps `vpn`, or 0."""
    middle = find_table(m, space, vpn, 1)
    if middle == NONE:
        return 0
    entry = pmdp_get(m, middle, vpn)
    return entry if entry & PTE_HUGE != 0 else 0


@compiled
def set_aside(m: Arrays, cpu: int, space: int, middle: int) -> None:
    """Keep a leaf table ready for a huge entry of the table `middle`."""
    put_aside(m, new_table(m, cpu, space, 0), middle)


@compiled
def put_aside(m: Arrays, leaf: int, middle: int) -> None:
    """Keep `leaf` ready for a huge entry of the table `middle`."""
    m.table_info[leaf].next = m.table_info[middle].next
    m.table_info[middle].next = leaf


@compiled
def take_aside(m: Arrays, middle: int) -> int:
    """Return a leaf table that was set aside for a huge entry of `middle`."""
    leaf = int(m.table_info[middle].next)
    m.table_info[middle].next = m.table_info[leaf].next
    m.table_info[leaf].next = NONE
    return leaf


@compiled
def may_be_huge(m: Arrays, area: int, vpn: int) -> bool:
    """Whether the area wants huge pages and holds the whole 2 MiB around `vpn`."""
    a = m.areas[area]
    thp = m.config[0].thp
    if thp == THP_NEVER or a.kind != KIND_ANON or a.bits & A_NOHUGEPAGE != 0:
        return False
    if thp != THP_ALWAYS and a.bits & A_HUGEPAGE == 0:
        return False
    base = vpn - (vpn & TABLE_MASK)
    return bool(a.start <= base and base + HUGE_PAGES <= a.end)


@compiled
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
    set_aside(m, cpu, space, middle)
    note(m, TABLE_ALLOC, missing)
    if write == 1:
        fill_huge(m, task, area, middle, vpn, pfn)
    else:
        anon_vma_prepare(m, area)
        set_pmd(m, middle, vpn, HUGE_ZERO_PAGE)
        note_fault(m, ZERO_PAGE_MAP)
    return DONE


@compiled
def sole_mapping(m: Arrays, pfn: int) -> bool:
    """Whether no entry but one huge entry maps any frame of the block."""
    for at in range(pfn, pfn + HUGE_PAGES):
        if m.frames[at].refs != 1:
            return False
    return True


@compiled
def maybe_shared_whole(m: Arrays, space: int, vpn: int, pfn: int) -> bool:
    """Do as `maybe_shared` for the huge page at `pfn`, which a huge entry of `space` maps."""
    if m.config[0].folio_shift == 0:
        return not sole_mapping(m, pfn)
    return maybe_shared(m, space, vpn, pfn)


@compiled
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
        join_twins(m, pfn + i, block + i)
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
        join_twins(m, old, new)
        drop_page(m, cpu, old)
    m.pool[0].released += 1
    note_fault(m, HUGE_COPY)


@compiled
def split_huge(m: Arrays, space: int, vpn: int) -> int:
    """Put the leaf table set aside, with 512 small entries, in the place of a huge entry.

    If that was dirty the pages are, but only entries of pages that were written: so the others are
    still known to hold only zeros.  Returns the table, or NONE if `vpn` has no huge entry.
    """
    entry = huge_entry(m, space, vpn)
    if entry == 0:
        return NONE
    middle = find_table(m, space, vpn, 1)
    leaf = take_aside(m, middle)
    pmd_populate(m, middle, vpn, leaf)
    bits = entry & (PTE_WRITE | PTE_ACCESSED | PTE_ZERO)
    dirty = entry & PTE_DIRTY
    pfn = entry >> PFN_SHIFT
    step = 0 if entry & PTE_ZERO != 0 else 1
    if step == 1:
        add_mapper(m, space, pfn, HUGE_PAGES)
        drop_mapper(m, space, pfn, 1)
    for i in range(HUGE_PAGES):
        frame = m.frames[pfn + step * i]
        written = dirty != 0 and frame.bits & F_WRITTEN != 0
        set_pte(m, leaf, i, mk_pte(pfn + step * i, bits | (dirty if written else 0)))
        if step == 1 and dirty != 0:
            frame.bits |= F_DIRTY
    flush_pmd(m, space, vpn)
    m.spaces[space].generation += 1
    note(m, HUGE_SPLIT, 1)
    return leaf


@compiled
def split_across(m: Arrays, space: int, vpn: int) -> None:
    """Let no huge entry reach across `vpn`, where an area is to end."""
    if vpn & TABLE_MASK != 0:
        split_huge(m, space, vpn)


@compiled
def zap_huge(m: Arrays, cpu: int, space: int, vpn: int) -> None:
    """Remove the huge entry that maps `vpn`, and the leaf table set aside for it."""
    entry = huge_entry(m, space, vpn)
    middle = find_table(m, space, vpn, 1)
    set_pmd(m, middle, vpn, 0)
    flush_pmd(m, space, vpn)
    free_table(m, cpu, space, take_aside(m, middle))
    note(m, UNMAP_PTE, 1)
    note(m, TABLE_FREE, 1)
    if entry & PTE_ZERO != 0:
        return
    pfn = entry >> PFN_SHIFT
    drop_mapper(m, space, pfn, 1)
    m.spaces[space].rss_anon -= HUGE_PAGES
    if sole_mapping(m, pfn):
        free_block(m, pfn)
        note(m, FRAME_FREE, 1)
        return
    freed = 0
    for at in range(pfn, pfn + HUGE_PAGES):
        freed += drop_page(m, cpu, at)
    note(m, FRAME_FREE, freed)
    m.pool[0].released += 1


@compiled
def move_huge(m: Arrays, space: int, vpn: int, target: int) -> None:
    """Move the huge entry of `vpn`, with the leaf table set aside for it, to `target`.

    The table of level 1 is there.
    """
    old = find_table(m, space, vpn, 1)
    new = find_table(m, space, target, 1)
    put_aside(m, take_aside(m, old), new)
    set_pmd(m, new, target, pmdp_get(m, old, vpn))
    set_pmd(m, old, vpn, 0)
    flush_pmd(m, space, vpn)


@compiled
def drop_page(m: Arrays, cpu: int, pfn: int) -> int:
    """Take note that an entry which mapped a frame is gone; return 1 if that freed it."""
    frame = m.frames[pfn]
    frame.refs -= 1
    frame.maps -= 1
    if frame.refs > 0:
        return 0
    forget_page(m, cpu, pfn)
    return 1


@compiled
def free_block(m: Arrays, pfn: int) -> None:
    """Free 512 frames that nobody else maps, as one block."""
    for at in range(pfn, pfn + HUGE_PAGES):
        leave_twins(m, at)
        m.frames[at].maps = 0
    give_block(m, pfn, HUGE_ORDER, KIND_ANON)


@compiled
def copy_huge(m: Arrays, cpu: int, task: int, space: int, new: int, vpn: int) -> int:
    """Copy the huge entry of `vpn` to the child's address space `new`; share its frames."""
    missing = tables_missing(m, new, vpn, 1) + 1
    if not table_room(m, missing):
        return GROW
    if not secure(m, cpu, task, missing):
        return SHORT
    entry = pte_wrprotect(huge_entry(m, space, vpn))
    set_pmd(m, find_table(m, space, vpn, 1), vpn, entry)
    middle = make_table(m, cpu, new, vpn, 1)
    set_aside(m, cpu, new, middle)
    set_pmd(m, middle, vpn, pte_mkold(entry))
    if entry & PTE_ZERO == 0:
        pfn = entry >> PFN_SHIFT
        add_mapper(m, new, pfn, 1)
        for i in range(pfn, pfn + HUGE_PAGES):
            frame = m.frames[i]
            frame.refs += 1
            frame.maps += 1
            frame.bits &= ~F_EXCLUSIVE
        count_resident(m, new, HUGE_PAGES)
    note(m, FORK_TABLE, missing)
    note(m, FORK_HUGE, 1)
    return MORE
