"""How much is read with a page that was swapped out: the window of read-ahead.

What lies near in memory, or on the device if that rotates; how far, by what was used of the last.
Read in Linux 6.18 `mm/swap_state.c` (`swap_vma_ra_win`, `swap_cluster_readahead`,
`__swapin_nr_pages`, `swap_update_readahead`).
"""

from typing import Final

from sim.base.jit import compiled
from sim.machine.layout import NONE, SWAP_ROTATING, TABLE_MASK, Arrays
from sim.machine.swap import FIRST_HITS

_HITS_BITS: Final = 6
_MOST_HITS: Final = (1 << _HITS_BITS) - 1
_ADDRESS_SHIFT: Final = 2 * _HITS_BITS
_MOST_IN_MEMORY: Final = 5
"""The largest power of 2 of pages read ahead by address (`SWAP_RA_ORDER_CEILING`)."""


@compiled
def swapin_nr_pages(before: int, page: int, hits: int, most: int, last: int) -> int:
    """Return how many pages are read, with the one at `page`; `before` is where the last one was.

    `hits` pages of the last `last` were used, and `most` may be (`__swapin_nr_pages`).
    """
    pages = hits + 2
    if pages == 2:
        if page not in (before + 1, before - 1):
            pages = 1
    else:
        enough = 4
        while enough < pages:
            enough *= 2
        pages = enough
    return max(min(pages, most), last // 2)


@compiled
def near_in_memory(m: Arrays, area: int, vpn: int) -> tuple[int, int]:
    """Return the pages [first, end) of an area to read for a fault at `vpn` (`swap_vma_ra_win`)."""
    most = 1 << min(int(m.config[0].page_cluster), _MOST_IN_MEMORY)
    if most == 1:
        return vpn, vpn + 1
    a = m.areas[area]
    known = int(a.swap_readahead)
    if known == 0:
        known = FIRST_HITS
    before = known >> _ADDRESS_SHIFT
    last = known >> _HITS_BITS & _MOST_HITS
    pages = swapin_nr_pages(before, vpn, known & _MOST_HITS, most, last)
    a.swap_readahead = vpn << _ADDRESS_SHIFT | pages << _HITS_BITS
    if pages == 1:
        return vpn, vpn + 1
    first = vpn - (pages - 1) // 2
    if vpn == before + 1:
        first = vpn
    elif vpn == before - 1:
        first = vpn - pages + 1
    end = first + pages
    base = vpn - (vpn & TABLE_MASK)
    return max(first, int(a.start), base), min(end, int(a.end), base + TABLE_MASK + 1)


@compiled
def near_on_device(m: Arrays, slot: int) -> tuple[int, int]:
    """Return the slots [first, end) to read for a fault on one (`swap_cluster_readahead`)."""
    most = 1 << int(m.config[0].page_cluster)
    device = m.swap_area[0]
    pages = 1
    if most > 1:
        hits = int(device.hits)
        device.hits = 0
        before = int(device.last_offset)
        pages = swapin_nr_pages(before, slot, hits, most, int(device.last_pages))
        if hits == 0:
            device.last_offset = slot
        device.last_pages = pages
    first = slot - slot % pages
    return max(1, first), min(first + pages, len_of_device(m))


@compiled
def window_pages(m: Arrays, area: int) -> int:
    """Return how many pages the last fault read, or would have if they had been there."""
    if area == NONE or m.swap_area[0].kind == SWAP_ROTATING:
        return int(m.swap_area[0].last_pages) if m.config[0].page_cluster > 0 else 1
    known = int(m.areas[area].swap_readahead)
    return known >> _HITS_BITS & _MOST_HITS if known != 0 else 1


@compiled
def len_of_device(m: Arrays) -> int:
    """Return the number behind that of the last slot."""
    return int(m.config[0].total_swap_pages) + 1


@compiled
def note_hit(m: Arrays, area: int, vpn: int, slot: int) -> None:
    """Take note that a page in the swap cache was asked for (`swap_update_readahead`)."""
    ahead = int(m.swap[slot].ahead)
    m.swap[slot].ahead = 0
    if m.swap_area[0].kind == SWAP_ROTATING:
        m.swap_area[0].hits += ahead
        return
    a = m.areas[area]
    known = int(a.swap_readahead)
    if known == 0:
        known = FIRST_HITS
    hits = min((known & _MOST_HITS) + ahead, _MOST_HITS)
    window = known >> _HITS_BITS & _MOST_HITS
    a.swap_readahead = vpn << _ADDRESS_SHIFT | window << _HITS_BITS | hits
