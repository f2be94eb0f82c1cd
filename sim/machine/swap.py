"""Slots of the swap device: who has one, and how many entries refer to it.

A slot is taken for a page that is to go out and is free again when its last entry is gone; fork
shares it, as it shares a frame.  An entry in a leaf table that several address spaces use counts
once.  As on Linux, slot 0 is no page's.  Nothing takes a slot yet: `host.swap` is refused (A6).
Read in Linux 6.12 `mm/swapfile.c` (`get_swap_pages`, `swap_duplicate`, `swap_free`) and
`mm/memory.c` (`copy_nonpresent_pte`, `zap_nonpresent_ptes`).
"""

from sim.base.jit import compiled
from sim.machine.entries import ptep_get_and_clear, set_pte, swp_offset
from sim.machine.layout import NONE, SLOTS_SWAP, Arrays
from sim.machine.slots import give_row, has_room, take_row


@compiled
def get_swap_page(m: Arrays) -> int:
    """Return a free slot, now referred to once, or NONE if the device is full."""
    if not has_room(m.slots[SLOTS_SWAP], 1):
        return NONE
    slot = take_row(m.slots[SLOTS_SWAP], m.swap)
    m.swap[slot].refs = 1
    return slot


@compiled
def get_nr_swap_pages(m: Arrays) -> int:
    """Return how many slots are free."""
    slots = m.slots[SLOTS_SWAP]
    return int(slots.room - slots.used)


@compiled
def swap_duplicate(m: Arrays, slot: int) -> None:
    """Take note that one entry more refers to a slot."""
    m.swap[slot].refs += 1


@compiled
def swap_free(m: Arrays, slot: int) -> None:
    """Take note that one entry less refers to a slot; without any it is free."""
    row = m.swap[slot]
    row.refs -= 1
    if row.refs == 0:
        give_row(m.slots[SLOTS_SWAP], m.swap, slot)


@compiled
def copy_swap_pte(m: Arrays, table: int, at: int, entry: int) -> None:
    """Write an entry that is swapped out to another table as well: both refer to its slot."""
    swap_duplicate(m, swp_offset(entry))
    set_pte(m, table, at, entry)


@compiled
def zap_swap_pte(m: Arrays, space: int, table: int, at: int) -> None:
    """Remove an entry of an address space that is swapped out; its slot may be free then."""
    swap_free(m, swp_offset(ptep_get_and_clear(m, table, at)))
    m.spaces[space].swapents -= 1
