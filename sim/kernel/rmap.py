"""The reverse map: from a page to the entries that map it.

Areas of one `anon_vma` root, and areas of one file, are linked
(`sim.machine.areas`).  An area maps a page where its page offset says, or not at all; its page
tables tell.  So a walk costs a look at each area that may map the page, however many others there
are.  Read in Linux 6.12 `mm/rmap.c` (`rmap_walk`, `page_mkclean_one`, `folio_referenced_one`,
`try_to_unmap_one`), `mm/page_vma_mapped.c` and `mm/internal.h` (`vma_address`).
"""

from sim.base.jit import compiled
from sim.kernel.files.cache import note_unmapped, vma_has_recency
from sim.kernel.flush import flush_tlb_range
from sim.machine.cached import find_page
from sim.machine.entries import (
    maps_frame,
    pmd_index,
    pmdp_get,
    pte_mkclean,
    pte_mkold,
    pte_wrprotect,
    ptep_get_and_clear,
    set_pte,
)
from sim.machine.groups import is_within
from sim.machine.layout import (
    A_EXEC,
    A_LOCKED,
    A_SHARED,
    F_FILE,
    NONE,
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_HUGE,
    TABLE_MASK,
    Arrays,
)
from sim.machine.tables import find_table


@compiled
def vma_address(m: Arrays, pfn: int, area: int) -> int:
    """Return the page of the area at which it would map a frame's page; NONE if it has none."""
    a = m.areas[area]
    vpn = int(a.start + m.frames[pfn].index - a.offset)
    return vpn if a.start <= vpn < a.end else NONE


@compiled
def page_vma_mapped(m: Arrays, pfn: int, space: int, vpn: int) -> tuple[int, int]:
    """Return the table and the number in it of the entry at `vpn` that maps the frame.

    A huge entry counts, which is in a table of level 1.  NONE twice: the frame is not there.
    """
    leaf = find_table(m, space, vpn, 0)
    if leaf != NONE:
        if maps_frame(int(m.tables[leaf, vpn & TABLE_MASK]), pfn):
            return leaf, vpn & TABLE_MASK
        return NONE, NONE
    middle = find_table(m, space, vpn, 1)
    if middle != NONE:
        entry = pmdp_get(m, middle, vpn)
        if entry & PTE_HUGE != 0 and (entry >> PFN_SHIFT) + (vpn & TABLE_MASK) == pfn:
            return middle, pmd_index(vpn)
    return NONE, NONE


@compiled
def next_mapper(m: Arrays, pfn: int, area: int) -> tuple[int, int, int, int]:
    """Return the next area behind `area` that maps a frame, the page, the table and the entry.

    The first one if `area` is NONE; all are NONE when there is no other.  `pfn` is a page of a
    file's or an anonymous one.  Address spaces that share a leaf table each have their turn.
    Nobody maps a page of the swap cache that was read ahead.
    """
    frame = m.frames[pfn]
    in_file = frame.bits & F_FILE != 0
    if area != NONE:
        area = int(m.areas[area].file_next if in_file else m.areas[area].anon_next)
    elif in_file:
        area = int(m.files[int(frame.mapping)].areas)
    elif frame.maps == 0:
        return NONE, NONE, NONE, NONE
    else:
        area = int(m.anon_roots[int(frame.mapping)].areas)
    while area != NONE:
        a = m.areas[area]
        vpn = vma_address(m, pfn, area)
        if vpn != NONE:
            table, at = page_vma_mapped(m, pfn, int(a.space), vpn)
            if table != NONE:
                return area, vpn, table, at
        area = int(a.file_next if in_file else a.anon_next)
    return NONE, NONE, NONE, NONE


@compiled
def page_mkclean(m: Arrays, pfn: int) -> int:
    """Make the shared entries of a file's page clean and read-only; return how many there are.

    So that the next write to it is a fault, and heard of.
    """
    cleaned = 0
    area, vpn, table, at = next_mapper(m, pfn, NONE)
    while area != NONE:
        if m.areas[area].vm_flags & A_SHARED != 0:
            set_pte(m, table, at, pte_wrprotect(pte_mkclean(int(m.tables[table, at]))))
            flush_tlb_range(m, int(m.areas[area].space), vpn, vpn + 1)
            cleaned += 1
        area, vpn, table, at = next_mapper(m, pfn, area)
    return cleaned


@compiled
def folio_referenced(m: Arrays, pfn: int, group: int) -> tuple[int, bool, bool]:
    """Return through how many areas a file's folio was used, whether one is locked, one used text.

    Its entries are old then.  Only address spaces of `group`, and of groups in it, are asked.  No
    processor need forget anything: it may set the bit late (x86 `ptep_clear_flush_young`).
    """
    frame = m.frames[pfn]
    file = int(frame.mapping)
    first = int(frame.index)
    used = 0
    locked = text = False
    area = int(m.files[file].areas)
    while area != NONE:
        a = m.areas[area]
        if vma_has_recency(m, area) and is_within(m, int(m.spaces[int(a.space)].group), group):
            young = False
            for index in range(first, first + (1 << int(frame.order))):
                page = find_page(m, file, index)
                vpn = vma_address(m, page, area)
                if vpn == NONE or m.frames[page].maps == 0:
                    continue
                table, at = page_vma_mapped(m, page, int(a.space), vpn)
                if table == NONE:
                    continue
                if a.vm_flags & A_LOCKED != 0:
                    locked = True
                elif m.tables[table, at] & PTE_ACCESSED != 0:
                    young = True
                    set_pte(m, table, at, pte_mkold(int(m.tables[table, at])))
            if young:
                used += 1
                text = text or a.vm_flags & A_EXEC != 0
        area = int(a.file_next)
    return used, locked, text


@compiled
def anon_referenced(m: Arrays, pfn: int, group: int) -> tuple[int, bool]:
    """Do as `folio_referenced` for an anonymous page, or one of shared memory."""
    used = 0
    locked = False
    area, _, table, at = next_mapper(m, pfn, NONE)
    while area != NONE:
        a = m.areas[area]
        if vma_has_recency(m, area) and is_within(m, int(m.spaces[int(a.space)].group), group):
            entry = int(m.tables[table, at])
            if a.vm_flags & A_LOCKED != 0:
                locked = True
            elif entry & PTE_ACCESSED != 0:
                set_pte(m, table, at, pte_mkold(entry))
                used += 1
        area, _, table, at = next_mapper(m, pfn, area)
    return used, locked


@compiled
def try_to_unmap(m: Arrays, pfn: int) -> None:
    """Take a file's page out of all address spaces that map it.

    Those that share a leaf table lose it together: it is counted off them first.
    """
    area, vpn, table, at = next_mapper(m, pfn, NONE)
    while area != NONE:
        space = int(m.areas[area].space)
        note_unmapped(m, space, int(m.tables[table, at]))
        flush_tlb_range(m, space, vpn, vpn + 1)
        area, vpn, table, at = next_mapper(m, pfn, area)
    area, vpn, table, at = next_mapper(m, pfn, NONE)
    while area != NONE:
        ptep_get_and_clear(m, table, at)
        m.frames[pfn].maps -= 1
        m.frames[pfn].refs -= 1
        area, vpn, table, at = next_mapper(m, pfn, area)
