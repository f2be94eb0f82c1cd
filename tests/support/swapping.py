"""Pages swapped out by hand, as reclaim is going to: nothing in the simulator does it yet."""

from typing import Any

from sim.base.jit import compiled
from sim.kernel.flush import flush_tlb_range
from sim.kernel.pages import free_anon_page
from sim.kernel.rmap import next_mapper
from sim.machine.entries import set_pte, swp_entry_to_pte
from sim.machine.layout import F_ANON, NONE, Arrays
from sim.machine.swap import get_swap_page, swap_duplicate, swap_free


@compiled
def swap_out(m: Arrays, cpu: int, pfn: int) -> int:
    """Put a slot in the place of every entry that maps a small anonymous page; free its frame.

    Returns the slot, or NONE if there is none.  After Linux `try_to_unmap_one`.
    """
    frame = m.frames[pfn]
    slot = get_swap_page(m)
    if slot == NONE or frame.bits & F_ANON == 0:
        return NONE
    area, vpn, table, at = next_mapper(m, pfn, NONE)
    while area != NONE:  # address spaces that share a leaf table count the page once each
        space = int(m.areas[area].space)
        m.spaces[space].rss_anon -= 1
        m.spaces[space].swapents += 1
        flush_tlb_range(m, space, vpn, vpn + 1)
        area, vpn, table, at = next_mapper(m, pfn, area)
    area, vpn, table, at = next_mapper(m, pfn, NONE)
    while area != NONE:  # but there is one entry
        set_pte(m, table, at, swp_entry_to_pte(slot))
        swap_duplicate(m, slot)
        frame.maps -= 1
        frame.refs -= 1
        area, vpn, table, at = next_mapper(m, pfn, NONE)
    swap_free(m, slot)  # the reference that it came with
    free_anon_page(m, cpu, pfn)
    return slot


def references(m: Any) -> dict[int, int]:
    """Return how many entries refer to each slot that is in use."""
    return {slot: int(n) for slot, n in enumerate(m.swap["refs"].tolist()) if slot and n}
