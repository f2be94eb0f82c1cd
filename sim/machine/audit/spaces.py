"""Address spaces: areas, page tables, and what they map, counted anew."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.base.jit import compiled
from sim.machine.area_tree import find_area, widest_gap
from sim.machine.audit.complaints import OK
from sim.machine.entries import is_swap_pte, pte_none, pte_present, swp_offset
from sim.machine.layout import (
    A_ACCOUNT,
    A_SHARED,
    F_ANON,
    F_DIRTY,
    F_EXCLUSIVE,
    F_FILE,
    F_HUGETLB,
    F_LARGE,
    KIND_ANON,
    KIND_FILE,
    KIND_HUGETLB,
    KIND_SHMEM,
    NONE,
    PFN_SHIFT,
    PMD_READONLY,
    PTE_DIRTY,
    PTE_HUGE,
    PTE_WRITE,
    PTE_ZERO,
    TABLE_ENTRIES,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)

_SWAPPED: Final = 3
"""Where pages that are swapped out are counted, behind the kinds of memory."""


@compiled
def _audit_entry(
    m: Arrays,
    area: int,
    page: int,
    entry: int,
    seen: NDArray[np.int32],
    resident: NDArray[np.int64],
    again: bool,
) -> int:
    """Count what an entry for `page` maps, by kind of memory; return a complaint."""
    pfn = entry >> PFN_SHIFT
    frame = m.frames[pfn]
    a = m.areas[area]
    if seen[pfn] < 0:
        return 4
    if not again:
        seen[pfn] += 1
    if frame.bits & F_FILE != 0:
        if frame.mapping != a.file or frame.index != a.offset + page - a.start:
            return 17
        if entry & PTE_WRITE != 0 and a.vm_flags & A_SHARED == 0:
            return 20
        changed = entry & (PTE_WRITE | PTE_DIRTY) != 0 and a.kind == KIND_FILE
        if changed and frame.bits & F_DIRTY == 0:
            return 25
        resident[int(a.kind)] += 1
        return OK
    if frame.bits & F_ANON == 0 or a.vm_flags & A_SHARED != 0:
        return 4
    if frame.mapping != a.anon_root or frame.index != a.offset + page - a.start:
        return 29
    if frame.bits & F_EXCLUSIVE != 0 and frame.maps != 1:
        return 5
    if entry & PTE_WRITE != 0 and frame.maps != 1:
        return 6
    resident[KIND_ANON] += 1
    return OK


@compiled
def _audit_leaf(
    m: Arrays,
    slot: int,
    huge: int,
    vpn: int,
    space: int,
    seen: NDArray[np.int32],
    slots: NDArray[np.int64],
    resident: NDArray[np.int64],
    again: bool,
) -> tuple[int, int]:
    """Count what a leaf table maps, or the huge entry in its place; return a complaint, where.

    Of a leaf table met `again`, by way of another address space, the mappings are counted already.
    """
    area = NONE
    for i in range(TABLE_ENTRIES):
        entry = huge + (i << PFN_SHIFT) if huge != 0 else int(m.tables[slot, i])
        if pte_none(entry):
            continue
        page = vpn + i
        if area == NONE or page >= m.areas[area].end:
            area = int(m.spaces[space].head)
            while area != NONE and m.areas[area].end <= page:
                area = int(m.areas[area].next)
        if area == NONE or page < m.areas[area].start:
            return 13, page
        if is_swap_pte(entry):
            resident[_SWAPPED] += 1
            slots[swp_offset(entry)] += 0 if again else 1
            continue
        if entry & PTE_ZERO != 0:
            continue
        bad = _audit_entry(m, area, page, entry, seen, resident, again)
        if bad != OK:
            return bad, page
        if huge != 0 and m.frames[entry >> PFN_SHIFT].bits & F_LARGE == 0:
            return 24, page
    return OK, 0


@compiled
def _audit_hugetlb(
    m: Arrays, entry: int, vpn: int, space: int, seen: NDArray[np.int32], again: bool
) -> tuple[int, int]:
    """Count what the entry of a huge page of the pool maps; return a complaint, where."""
    area = find_area(m, space, vpn)
    if area == NONE or m.areas[area].start > vpn:
        return 13, vpn
    a = m.areas[area]
    pfn = entry >> PFN_SHIFT
    frame = m.frames[pfn]
    if not again:
        seen[pfn] += 1
    index = a.offset + vpn - a.start
    if a.kind != KIND_HUGETLB or frame.refs <= 0 or frame.index != index:
        return 4, vpn
    if a.vm_flags & A_SHARED != 0:
        if m.cached[int(m.files[int(a.file)].first) + (int(index) >> TABLE_SHIFT)] != pfn:
            return 17, vpn
        return OK, 0
    if frame.mapping != a.anon_root:
        return 29, vpn
    if frame.bits & F_EXCLUSIVE != 0 and frame.maps != 1:
        return 5, vpn
    return (6, vpn) if entry & PTE_WRITE != 0 and frame.maps != 1 else (OK, 0)


@compiled
def _is_linked(m: Arrays, area: int) -> bool:
    """Whether the areas before and behind one in the lists of the reverse map are so."""
    a = m.areas[area]
    if a.anon_root != NONE:
        before, after = int(a.anon_prev), int(a.anon_next)
        first = (
            m.anon_roots[int(a.anon_root)].areas if before == NONE else m.areas[before].anon_next
        )
        if first != area or (after != NONE and m.areas[after].anon_prev != area):
            return False
        if after != NONE and m.areas[after].anon_root != a.anon_root:
            return False
    if a.file != NONE:
        before, after = int(a.file_prev), int(a.file_next)
        first = m.files[int(a.file)].areas if before == NONE else m.areas[before].file_next
        if first != area or (after != NONE and m.areas[after].file_prev != area):
            return False
        if after != NONE and m.areas[after].file != a.file:
            return False
    return True


@compiled
def _audit_areas(m: Arrays, space: int, users: NDArray[np.int64]) -> tuple[int, int]:
    """Check the list of areas and what they promise; count the areas of each file."""
    s = m.spaces[space]
    end = 0
    before = NONE
    pages = 0
    committed = 0
    area = int(s.head)
    while area != NONE:
        a = m.areas[area]
        if a.kind == KIND_HUGETLB and (a.start | a.end | a.offset) & TABLE_MASK != 0:
            return 12, area
        if a.start < end or a.end <= a.start or a.prev != before or a.space != space:
            return 12, area
        if find_area(m, space, int(a.start)) != area or a.gap != widest_gap(m, area):
            return 12, area
        end = int(a.end)
        pages += a.end - a.start
        if a.vm_flags & A_ACCOUNT != 0:
            committed += a.end - a.start
        if a.file != NONE:
            users[int(a.file)] += 1
        if not _is_linked(m, area):
            return 30, area
        before = area
        area = int(a.next)
    if pages != s.pages:
        return 12, space
    if committed != s.committed:
        return 15, space
    return OK, 0


@compiled
def _audit_middle(
    m: Arrays,
    slot: int,
    base: int,
    space: int,
    seen: NDArray[np.int32],
    slots: NDArray[np.int64],
    resident: NDArray[np.int64],
    uses: NDArray[np.int32],
) -> tuple[int, int, int, int]:
    """Audit what is below a table of level 1: a complaint, where, leaf tables, shared ones.

    The table itself may be shared as well, where it maps huge pages of the pool.
    """
    huge = 0
    met = uses[slot] > 0
    uses[slot] += 1
    tables = 0
    shared = 0
    for i in range(TABLE_ENTRIES):
        entry = int(m.tables[slot, i])
        if not pte_present(entry):
            continue
        below = 0
        leaf = entry >> PFN_SHIFT
        again = False
        vpn = (base | i) << TABLE_SHIFT
        if entry & PTE_HUGE != 0 and m.frames[leaf].bits & F_HUGETLB != 0:
            bad, where = _audit_hugetlb(m, entry, vpn, space, seen, met)
            if bad != OK:
                return bad, where, 0, 0
            continue
        if entry & PTE_HUGE != 0:
            huge += 1
            below = entry
        else:
            tables += 1
            again = uses[leaf] > 0
            uses[leaf] += 1
            if entry & PMD_READONLY != 0:
                shared += 1
            elif m.table_info[leaf].refs != 1:
                return 22, leaf, 0, 0
        bad, where = _audit_leaf(m, leaf, below, vpn, space, seen, slots, resident, again)
        if bad != OK:
            return bad, where, 0, 0
    aside = int(m.table_info[slot].next)
    while aside != NONE:
        huge -= 1
        tables += 1
        aside = int(m.table_info[aside].next)
    if huge != 0:
        return 19, base, 0, 0
    return OK, 0, tables, shared


@compiled
def audit_space(
    m: Arrays,
    space: int,
    seen: NDArray[np.int32],
    slots: NDArray[np.int64],
    users: NDArray[np.int64],
    uses: NDArray[np.int32],
) -> tuple[int, int]:
    """Count what a space maps, areas of files and uses of tables; return a complaint, where."""
    bad, where = _audit_areas(m, space, users)
    if bad != OK:
        return bad, where
    s = m.spaces[space]
    resident = np.zeros(4, np.int64)
    tables = 1
    shared = 0
    top = int(s.top)
    for i3 in range(TABLE_ENTRIES):
        e3 = int(m.tables[top, i3])
        if not pte_present(e3):
            continue
        tables += 1
        for i2 in range(TABLE_ENTRIES):
            e2 = int(m.tables[e3 >> PFN_SHIFT, i2])
            if not pte_present(e2):
                continue
            base = (i3 << TABLE_SHIFT | i2) << TABLE_SHIFT
            bad, where, found, more = _audit_middle(
                m, e2 >> PFN_SHIFT, base, space, seen, slots, resident, uses
            )
            if bad != OK:
                return bad, where
            tables += 1 + found
            shared += more
    if tables != s.tables:
        return 10, space
    if shared != s.shared_tables:
        return 23, space
    if (
        resident[KIND_ANON] != s.rss_anon
        or resident[KIND_FILE] != s.rss_file
        or resident[KIND_SHMEM] != s.rss_shmem
    ):
        return 11, space
    if resident[_SWAPPED] != s.swapents:
        return 32, space
    if (s.async_child != NONE and m.spaces[int(s.async_child)].async_parent != space) or (
        s.async_parent != NONE and m.spaces[int(s.async_parent)].async_child != space
    ):
        return 28, space
    return OK, 0
