"""Huge entries, and the leaf tables set aside for them: found, split, moved, copied and removed."""

from sim.base.jit import compiled, rare
from sim.kernel.fault.mappers import add_mapper, drop_mapper
from sim.kernel.flush import flush_pmd
from sim.kernel.hugetlb.tables import GIB_PAGES, huge_pmd_unshare
from sim.kernel.pages import (
    count_resident,
    free_anon_page,
    unlink_copy,
)
from sim.kernel.work import GROW, MORE, SHORT, note, note_freed
from sim.machine.entries import (
    mk_pte,
    pmd_populate,
    pmdp_get,
    pte_mkold,
    pte_wrprotect,
    set_pmd,
    set_pte,
)
from sim.machine.layout import (
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
    Arrays,
)
from sim.machine.pool import give_block, secure
from sim.machine.tables import (
    find_table,
    free_table,
    make_table,
    new_table,
    table_room,
    tables_missing,
)
from sim.machine.work import (
    FORK_HUGE,
    FORK_TABLE,
    FRAME_FREE,
    HUGE_SPLIT,
    TABLE_FREE,
    UNMAP_PTE,
)


@compiled
def huge_entry(m: Arrays, space: int, vpn: int) -> int:
    """Return the huge entry that maps `vpn`, or 0."""
    middle = find_table(m, space, vpn, 1)
    if middle == NONE:
        return 0
    entry = pmdp_get(m, middle, vpn)
    return entry if entry & PTE_HUGE != 0 else 0


@compiled
def deposit_new_table(m: Arrays, cpu: int, space: int, middle: int) -> None:
    """Keep a leaf table ready for a huge entry of the table `middle`."""
    deposit_table(m, new_table(m, cpu, space, 0), middle)


@compiled
def deposit_table(m: Arrays, leaf: int, middle: int) -> None:
    """Keep `leaf` ready for a huge entry of `middle` (`pgtable_trans_huge_deposit`)."""
    m.table_info[leaf].next = m.table_info[middle].next
    m.table_info[middle].next = leaf


@compiled
def withdraw_table(m: Arrays, middle: int) -> int:
    """Return a leaf table that was set aside for a huge entry of `middle`."""
    leaf = int(m.table_info[middle].next)
    m.table_info[middle].next = m.table_info[leaf].next
    m.table_info[leaf].next = NONE
    return leaf


@compiled
def sole_mapping(m: Arrays, pfn: int) -> bool:
    """Whether no entry but one huge entry maps any frame of the block."""
    for at in range(pfn, pfn + HUGE_PAGES):
        if m.frames[at].refs != 1:
            return False
    return True


@rare
def split_huge(m: Arrays, space: int, vpn: int) -> int:
    """Put the leaf table set aside, with 512 small entries, in the place of a huge entry.

    If that was dirty the pages are, but only entries of pages that were written: so the others are
    still known to hold only zeros.  Returns the table, or NONE if `vpn` has no huge entry.
    """
    entry = huge_entry(m, space, vpn)
    if entry == 0:
        return NONE
    middle = find_table(m, space, vpn, 1)
    leaf = withdraw_table(m, middle)
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
    """Let no huge entry reach across `vpn`, where an area is to end, and no shared table."""
    if vpn & TABLE_MASK != 0:
        split_huge(m, space, vpn)
    elif vpn % GIB_PAGES != 0:
        huge_pmd_unshare(m, space, vpn)


@rare
def zap_huge(m: Arrays, cpu: int, space: int, vpn: int) -> None:
    """Remove the huge entry that maps `vpn`, and the leaf table set aside for it."""
    entry = huge_entry(m, space, vpn)
    middle = find_table(m, space, vpn, 1)
    set_pmd(m, middle, vpn, 0)
    flush_pmd(m, space, vpn)
    free_table(m, cpu, space, withdraw_table(m, middle))
    note(m, UNMAP_PTE, 1)
    note_freed(m, TABLE_FREE, 1)
    if entry & PTE_ZERO != 0:
        return
    pfn = entry >> PFN_SHIFT
    drop_mapper(m, space, pfn, 1)
    m.spaces[space].rss_anon -= HUGE_PAGES
    if sole_mapping(m, pfn):
        free_block(m, cpu, pfn)
        note_freed(m, FRAME_FREE, 1)
        return
    freed = 0
    for at in range(pfn, pfn + HUGE_PAGES):
        freed += drop_page(m, cpu, at)
    note_freed(m, FRAME_FREE, freed)
    m.pool[0].released += 1


@compiled
def move_huge(m: Arrays, space: int, vpn: int, target: int) -> None:
    """Move the huge entry of `vpn`, with the leaf table set aside for it, to `target`.

    The table of level 1 is there.
    """
    old = find_table(m, space, vpn, 1)
    new = find_table(m, space, target, 1)
    deposit_table(m, withdraw_table(m, old), new)
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
    free_anon_page(m, cpu, pfn)
    return 1


@compiled
def free_block(m: Arrays, cpu: int, pfn: int) -> None:
    """Free 512 frames that nobody else maps, as one block."""
    for at in range(pfn, pfn + HUGE_PAGES):
        unlink_copy(m, at)
        m.frames[at].maps = 0
    give_block(m, cpu, pfn, HUGE_ORDER, KIND_ANON)


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
    deposit_new_table(m, cpu, new, middle)
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
