"""Where large folios keep what they remember of who maps them."""

from sim.base.jit import inlined
from sim.machine.layout import HUGE_ORDER, HUGE_PAGES, TABLE_MASK, Arrays


@inlined
def folio_row(m: Arrays, pfn: int) -> int:
    """Return the row of `folios` for the large folio around a frame.

    Blocks of 512 frames have rows for all folios that can lie there, aligned: as a tree in a heap.
    """
    order = int(m.frames[pfn].order)
    within = (HUGE_PAGES + (pfn & TABLE_MASK)) >> order
    return ((pfn >> HUGE_ORDER) << int(m.config[0].folio_shift)) + within
