"""Page tables: one arena of 512-entry tables for all four levels, as on x86-64.

An entry of an upper level holds the arena slot of the next table; a leaf entry holds a frame and
flags.  Leaf tables belong to the address space and are shared by all areas in their 2 MiB.
"""

from sim.base.jit import compiled, inlined
from sim.machine.entries import mk_pte, pte_present, set_pte
from sim.machine.layout import (
    F_TABLE,
    KIND_TABLE,
    NONE,
    PFN_SHIFT,
    PTE_HUGE,
    SLOTS_TABLES,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.pool import give_back, take
from sim.machine.slots import give_row, has_room, take_row


@inlined
def table_room(m: Arrays, wanted: int) -> bool:
    """Whether the arena has free slots for `wanted` tables without growing."""
    return has_room(m.slots[SLOTS_TABLES], wanted)


@compiled
def new_table(m: Arrays, cpu: int, space: int, level: int) -> int:
    """Return the slot of an empty table for `space`; it takes a frame off the list of `cpu`."""
    slot = take_row(m.slots[SLOTS_TABLES], m.table_info)
    info = m.table_info[slot]
    pfn = take(m, cpu, KIND_TABLE)
    m.frames[pfn].bits = F_TABLE
    info.frame = pfn
    info.refs = 1
    info.level = level
    info.next = NONE
    m.spaces[space].tables += 1
    return slot


@compiled
def free_table(m: Arrays, cpu: int, space: int, slot: int) -> None:
    """Free an empty table and its frame; the table's entries must all be 0.

    One of level 1 that others use as well is left to them.
    """
    info = m.table_info[slot]
    if info.refs > 1:
        info.refs -= 1
        m.spaces[space].tables -= 1
        return
    give_back(m, cpu, int(info.frame), KIND_TABLE)
    info.frame = 0
    info.refs = 0
    give_row(m.slots[SLOTS_TABLES], m.table_info, slot)
    m.spaces[space].tables -= 1


@compiled
def find_table(m: Arrays, space: int, vpn: int, level: int) -> int:
    """Return the slot of the table of `level` that covers `vpn`, or NONE."""
    slot = int(m.spaces[space].top)
    for above in range(3, level, -1):
        entry = m.tables[slot, (vpn >> (TABLE_SHIFT * above)) & TABLE_MASK]
        if not pte_present(entry) or entry & PTE_HUGE != 0:
            return NONE
        slot = int(entry >> PFN_SHIFT)
    return slot


@compiled
def tables_missing(m: Arrays, space: int, vpn: int, level: int) -> int:
    """Return how many tables down to `level` are not there yet for `vpn`."""
    slot = int(m.spaces[space].top)
    for above in range(3, level, -1):
        entry = m.tables[slot, (vpn >> (TABLE_SHIFT * above)) & TABLE_MASK]
        if not pte_present(entry) or entry & PTE_HUGE != 0:
            return above - level
        slot = int(entry >> PFN_SHIFT)
    return 0


@compiled
def make_table(m: Arrays, cpu: int, space: int, vpn: int, level: int) -> int:
    """Return the table of `level` that covers `vpn`, building what is missing.

    The caller has secured as many frames and slots as `tables_missing` says.
    """
    slot = int(m.spaces[space].top)
    for above in range(3, level, -1):
        at = (vpn >> (TABLE_SHIFT * above)) & TABLE_MASK
        entry = m.tables[slot, at]
        if not pte_present(entry):
            below = new_table(m, cpu, space, above - 1)
            set_pte(m, slot, at, mk_pte(below, 0))
            slot = below
        else:
            slot = int(entry >> PFN_SHIFT)
    return slot


@compiled
def next_present(m: Arrays, space: int, vpn: int, end: int, level: int) -> int:
    """Return the first page in [vpn, end) that has a table of `level`, or `end`.

    At level 0 a huge entry counts as well: it stands where a leaf table would.
    """
    top = int(m.spaces[space].top)
    while vpn < end:
        slot = top
        above = 3
        while above > level:
            entry = m.tables[slot, (vpn >> (TABLE_SHIFT * above)) & TABLE_MASK]
            if not pte_present(entry):
                break
            if entry & PTE_HUGE != 0:
                return vpn
            slot = int(entry >> PFN_SHIFT)
            above -= 1
        if above == level:
            return vpn
        span = 1 << (TABLE_SHIFT * above)
        vpn = (vpn // span + 1) * span
    return end


@compiled
def clear_entry(m: Arrays, space: int, vpn: int, level: int) -> None:
    """Forget the table of `level` that covers `vpn` in the table above it."""
    parent = find_table(m, space, vpn, level + 1)
    set_pte(m, parent, (vpn >> (TABLE_SHIFT * (level + 1))) & TABLE_MASK, 0)


@compiled
def free_tables(
    m: Arrays, cpu: int, space: int, start: int, end: int, floor: int, ceiling: int
) -> int:
    """Free the tables below the top that cover [start, end), after Linux's `free_pgd_range`.

    A table goes only if all it covers lies within [floor, ceiling): otherwise a neighbouring area
    may use it.  All leaf entries in range must be 0.  Returns how many tables were freed.
    """
    freed = 0
    for level in range(3):
        span = 1 << (TABLE_SHIFT * (level + 1))
        vpn = next_present(m, space, start // span * span, end, level)
        while vpn < end:
            base = vpn // span * span
            if base >= floor and base + span <= ceiling:
                slot = find_table(m, space, base, level)
                if slot != NONE:
                    clear_entry(m, space, base, level)
                    free_table(m, cpu, space, slot)
                    freed += 1
            vpn = next_present(m, space, base + span, end, level)
    if freed > 0:
        m.spaces[space].generation += 1
    return freed
