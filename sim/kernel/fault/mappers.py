"""Who maps a large folio: Linux remembers two address spaces by name, and counts the mappings.

=====================================  =====================================================
an address space                       so Linux
=====================================  =====================================================
that has a slot maps more of it        counts it there
without, a slot is free, maps          takes the slot; unless it is all there is, "shared"
without, no slot is free, maps         counts it in the total only
that has a slot maps less of it        counts it there; with nothing left, the slot is free
without, or that just lost its slot    if one slot has as many as there are, not "shared"
=====================================  =====================================================

So a folio that a third address space mapped stays "shared" to that one when it is alone.  An entry
counts once, small or huge.  Read in Linux 6.18 `include/linux/rmap.h`
(`folio_add_return_large_mapcount`, `folio_sub_return_large_mapcount`) and `include/linux/mm.h`
(`folio_maybe_mapped_shared`).  Before 6.15 nothing was remembered; where leaf tables are shared
nothing is here.
"""

from sim.base.jit import compiled, rare
from sim.machine.folios import folio_row
from sim.machine.layout import NONE, Arrays


@compiled
def name_mapper(m: Arrays, space: int, pfn: int, entries: int) -> None:
    """Take note that a new folio is mapped, by `entries` entries of `space`."""
    if m.config[0].folio_shift == 0:
        return
    folio = m.folios[folio_row(m, pfn)]
    folio.first = space
    folio.first_maps = entries
    folio.second = NONE
    folio.second_maps = 0
    folio.total = entries
    folio.shared = 0


@rare
def add_mapper(m: Arrays, space: int, pfn: int, entries: int) -> None:
    """Take note that `space` maps a large folio by `entries` more entries."""
    if m.config[0].folio_shift == 0:
        return
    folio = m.folios[folio_row(m, pfn)]
    folio.total += entries
    if folio.first == space:
        folio.first_maps += entries
    elif folio.second == space:
        folio.second_maps += entries
    elif folio.first == NONE:
        folio.first = space
        folio.first_maps = entries
        if folio.total != entries:
            folio.shared = 1
    elif folio.second == NONE:
        folio.second = space
        folio.second_maps = entries
        folio.shared = 1


@rare
def drop_mapper(m: Arrays, space: int, pfn: int, entries: int) -> None:
    """Take note that `space` maps a large folio by `entries` entries less.

    Its slot may know of fewer than there are, if it got it late: then that is free too early.
    """
    if m.config[0].folio_shift == 0:
        return
    folio = m.folios[folio_row(m, pfn)]
    folio.total -= entries
    if folio.first == space:
        folio.first_maps -= entries
        if folio.first_maps > 0:
            return
        folio.first = NONE
        folio.first_maps = 0
    elif folio.second == space:
        folio.second_maps -= entries
        if folio.second_maps > 0:
            return
        folio.second = NONE
        folio.second_maps = 0
    if folio.first_maps == folio.total or folio.second_maps == folio.total:
        folio.shared = 0
