"""Pages swapped out by hand, by the functions with which reclaim does it."""

from typing import Any

from sim.base.jit import compiled
from sim.kernel.pages import free_anon_page
from sim.kernel.reclaim.pageout import FREED, pageout, unmap_anon
from sim.machine.layout import F_ACTIVE, F_ANON, NONE, ROOT, Arrays
from sim.machine.lru import lruvec_add_folio, lruvec_release
from sim.machine.swap import folio_alloc_swap, swapped_out


@compiled
def swap_out(m: Arrays, cpu: int, pfn: int) -> int:
    """Put a slot in the place of every entry that maps a small anonymous page; free its frame.

    Returns the slot, or NONE if there is none.
    """
    if m.frames[pfn].bits & F_ANON == 0 or not folio_alloc_swap(m, pfn):
        return NONE
    slot = int(m.frames[pfn].slot)
    lruvec_release(m, cpu, pfn)
    unmap_anon(m, pfn)
    swapped_out(m, pfn, 0)
    free_anon_page(m, cpu, pfn)
    return slot


@compiled
def page_out(m: Arrays, cpu: int, pfn: int) -> int:
    """Let an anonymous page leave as reclaim does, used or not; say if it went."""
    m.scans[cpu].group = ROOT
    lruvec_release(m, cpu, pfn)
    if pageout(m, cpu, pfn) == FREED:
        return 1
    m.frames[pfn].bits &= ~F_ACTIVE
    lruvec_add_folio(m, pfn)
    return 0


def references(m: Any) -> dict[int, int]:
    """Return how many entries refer to each slot that is in use."""
    return {slot: int(n) for slot, n in enumerate(m.swap["refs"].tolist()) if slot and n}
