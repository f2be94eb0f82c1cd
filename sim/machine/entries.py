"""Page-table entries: what one may be, and the only code that writes any.

=================  ============================  ============================================
an entry is        says                          so it
=================  ============================  ============================================
none               nothing: all bits are 0       maps nothing, and may be filled
present            a frame, or the table below,  maps a page, 2 MiB if huge, or leads on
                   and what may be done with it
swapped out        a slot of the swap device     holds a reference to the slot, and maps nothing
=================  ============================  ============================================

"Not present" is not "none": the contents of a page that is swapped out are somewhere, and whoever
copies, moves or removes entries does so with its slot as well (`sim.machine.swap`).  Entries above
the leaf tables are never swapped out.

Names are those of Linux `include/linux/pgtable.h`, `pte_` for an entry of whatever level and `pmd_`
where the table is of level 1 and the page says which entry it is.  What a processor may remember of
an entry is not known here: who takes something away says so (`sim.kernel.flush`).
"""

from typing import Final

from sim.base.jit import inlined
from sim.machine.layout import (
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_BLANK,
    PTE_DIRTY,
    PTE_HUGE,
    PTE_PRESENT,
    PTE_SWAP,
    PTE_SWP_EXCLUSIVE,
    PTE_WRITE,
    PTE_ZERO,
    TABLE_MASK,
    TABLE_SHIFT,
    ZERO_PFN,
    Arrays,
)
from sim.machine.native import prefetch

WRITTEN: Final = PTE_WRITE | PTE_ACCESSED | PTE_DIRTY
"""What an entry is made with where a write is what it is made for."""
ZERO_PAGE: Final = (ZERO_PFN << PFN_SHIFT) | PTE_PRESENT | PTE_ACCESSED | PTE_ZERO
"""The entry that a read of nothing leaves: the shared zero page."""
HUGE_ZERO_PAGE: Final = ZERO_PAGE | PTE_HUGE
ENTRIES_AHEAD: Final = 12
"""How many entries lie between the one looked at and the one whose frame is fetched."""

# --- what an entry is ---------------------------------------------------------------------------


@inlined
def pte_none(entry: int) -> bool:
    """Whether nothing is there."""
    return entry == 0


@inlined
def pte_present(entry: int) -> bool:
    """Whether the entry maps a page or leads to a table."""
    return entry & PTE_PRESENT != 0


@inlined
def is_swap_pte(entry: int) -> bool:
    """Whether the page is swapped out."""
    return entry & (PTE_PRESENT | PTE_SWAP) == PTE_SWAP


@inlined
def maps_memory(entry: int) -> bool:
    """Whether the entry maps a page that counts: it is present, and not the zero page."""
    return entry & (PTE_PRESENT | PTE_ZERO) == PTE_PRESENT


@inlined
def maps_frame(entry: int, pfn: int) -> bool:
    """Whether the entry maps this frame; a swap slot may have the same number."""
    return entry & PTE_PRESENT != 0 and entry >> PFN_SHIFT == pfn


@inlined
def swp_offset(entry: int) -> int:
    """Return the slot of an entry that is swapped out."""
    return entry >> PFN_SHIFT


# --- entries as values --------------------------------------------------------------------------


@inlined
def mk_pte(pfn: int, bits: int) -> int:
    """Return a present entry for a frame, or the slot of a table, with `bits` besides."""
    return (pfn << PFN_SHIFT) | PTE_PRESENT | bits


@inlined
def swp_entry_to_pte(slot: int, exclusive: int) -> int:
    """Return the entry of a page that is swapped out to `slot`; 1 if nobody else maps the page."""
    return (slot << PFN_SHIFT) | PTE_SWAP | (PTE_SWP_EXCLUSIVE if exclusive == 1 else 0)


@inlined
def pte_swp_clear_exclusive(entry: int) -> int:
    """Say that others may map the page of an entry that is swapped out."""
    return entry & ~PTE_SWP_EXCLUSIVE


@inlined
def pte_mkwrite(entry: int) -> int:
    """Let programs write."""
    return entry | PTE_WRITE


@inlined
def pte_wrprotect(entry: int) -> int:
    """Let no program write."""
    return entry & ~PTE_WRITE


@inlined
def pte_mkclean(entry: int) -> int:
    """Forget that the page was written, by whomever."""
    return entry & ~(PTE_DIRTY | PTE_BLANK)


@inlined
def pte_mkold(entry: int) -> int:
    """Forget that the page was used."""
    return entry & ~PTE_ACCESSED


# --- the writers --------------------------------------------------------------------------------


@inlined
def set_pte(m: Arrays, table: int, at: int, entry: int) -> None:
    """Write entry `at` of the table in slot `table`."""
    m.tables[table, at] = entry


@inlined
def set_access_flags(m: Arrays, table: int, at: int, bits: int) -> None:
    """Set bits of an entry that is present, none of which takes anything away."""
    m.tables[table, at] |= bits


@inlined
def ptep_get_and_clear(m: Arrays, table: int, at: int) -> int:
    """Make an entry none; return what it was."""
    entry = int(m.tables[table, at])
    m.tables[table, at] = 0
    return entry


@inlined
def prefetch_frame(m: Arrays, table: int, at: int, end: int) -> None:
    """Have the frame fetched that an entry some way behind `at` names; changes no result.

    For whoever looks at the frames of all entries up to `end`, in turn: tables name frames in any
    order, and each would be waited for.
    """
    prefetch(m.frames, int(m.tables[table, min(at + ENTRIES_AHEAD, end - 1)]) >> PFN_SHIFT)


@inlined
def ptep_set_wrprotect(m: Arrays, table: int, at: int) -> int:
    """Let no program write through an entry; return what it is then."""
    entry = int(m.tables[table, at])
    if entry & PTE_WRITE != 0:
        entry = entry & ~PTE_WRITE
        m.tables[table, at] = entry
    return entry


@inlined
def pmd_index(vpn: int) -> int:
    """Return which entry of its table of level 1 a page has."""
    return (vpn >> TABLE_SHIFT) & TABLE_MASK


@inlined
def pmdp_get(m: Arrays, middle: int, vpn: int) -> int:
    """Return the entry that the table `middle`, of level 1, has for a page."""
    return int(m.tables[middle, (vpn >> TABLE_SHIFT) & TABLE_MASK])


@inlined
def set_pmd(m: Arrays, middle: int, vpn: int, entry: int) -> None:
    """Write the entry that the table `middle`, of level 1, has for a page."""
    m.tables[middle, (vpn >> TABLE_SHIFT) & TABLE_MASK] = entry


@inlined
def pmd_populate(m: Arrays, middle: int, vpn: int, leaf: int) -> None:
    """Put a leaf table in its place in the table `middle`, of level 1."""
    m.tables[middle, (vpn >> TABLE_SHIFT) & TABLE_MASK] = (leaf << PFN_SHIFT) | PTE_PRESENT
