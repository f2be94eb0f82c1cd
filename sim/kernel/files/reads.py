"""Pages of files come into the page cache, to be filled by the device.

Frames are got for all pages that are read together; where there are not as many, for one folio
after the other, and what is in the page cache makes room for what is read.  Read in Linux 6.18
`mm/readahead.c` (`page_cache_ra_unbounded`), `include/linux/pagemap.h` (`readahead_gfp_mask`) and
`mm/page_alloc.c` (`__alloc_pages_slowpath`).
"""

from typing import Final

from sim.base.jit import compiled, rare
from sim.kernel.files.requests import add_folio, submit
from sim.kernel.reclaim.memcg import try_to_free_pages
from sim.kernel.reclaim.vmscan import shrink_group
from sim.kernel.work import note
from sim.machine.cached import has_page
from sim.machine.groups import count_event, drain_all_stock, margin
from sim.machine.layout import EV_MAX, F_AHEAD, NONE, PENDING_QUEUE, ROOT, Arrays
from sim.machine.pool import secure
from sim.machine.tree import tree_pages
from sim.machine.work import CACHE_FILL

NO_ROOM: Final = 0
AT_ONCE: Final = 1
ONE_BY_ONE: Final = 2
"""How frames are got for what is read ahead (`room_for`)."""


@compiled
def absent_pages(m: Arrays, file: int, first: int, end: int) -> int:
    """Count the pages of [first, end) that are not in the cache."""
    absent = 0
    for index in range(first, min(end, int(m.files[file].pages))):
        if not has_page(m, file, index):
            absent += 1
    return absent


@compiled
def room_for(m: Arrays, cpu: int, task: int, file: int, first: int, end: int) -> int:
    """Get the frames that reading [first, end) takes: AT_ONCE, or ONE_BY_ONE where memory is short.

    NO_ROOM if there are none to be read, or others are in line for memory.
    """
    absent = absent_pages(m, file, first, end)
    if absent == 0:
        return NO_ROOM
    if secure(m, cpu, task, absent):
        note(m, CACHE_FILL, absent)
        return AT_ONCE
    return one_by_one(m, task)


@compiled
def one_by_one(m: Arrays, task: int) -> int:
    """Return how pages are to be read for which there are not enough frames at once."""
    in_line = m.operations[task].over == ROOT and m.pool[0].pending & PENDING_QUEUE != 0
    return NO_ROOM if in_line else ONE_BY_ONE


@rare
def makes_room(m: Arrays, cpu: int, task: int, file: int, first: int, order: int) -> bool:
    """Get the frames of a folio where memory is short, without insisting (`__GFP_NORETRY`).

    A group that is full makes room as long as that helps, and once more when stocks were drained
    (`try_charge_memcg`); the machine once.  Nobody is killed for what is read ahead, or waits.
    """
    pages = 1 << order
    wanted = pages + tree_pages(m, cpu, file, first, order)
    drained = reclaimed = False
    while not secure(m, cpu, task, wanted):
        over = int(m.operations[task].over)
        if over == ROOT:
            if reclaimed or try_to_free_pages(m, cpu, wanted) == 0:
                return False
            reclaimed = True
            continue
        count_event(m, over, EV_MAX, 1)
        shrink_group(m, cpu, over, pages, int(m.operations[task].over_memsw))
        if margin(m, over) < wanted:
            if drained:
                return False
            drain_all_stock(m, over)
            drained = True
    note(m, CACHE_FILL, pages)
    return True


@compiled
def read_range(
    m: Arrays, cpu: int, task: int, file: int, first: int, pages: int, ahead: int
) -> None:
    """Read what is absent of `pages` pages, if there is room, with a marker `ahead` before the end.

    The pages are folios of their own.
    """
    room = room_for(m, cpu, task, file, first, first + pages)
    if room != NO_ROOM:
        read_pages(m, cpu, task, file, first, pages, ahead, room)


@compiled
def read_pages(
    m: Arrays, cpu: int, task: int, file: int, first: int, pages: int, ahead: int, room: int
) -> None:
    """Read what is absent of `pages` pages, one by one, with a marker `ahead` before their end.

    `room` is what `room_for` said.  Linux's `page_cache_ra_unbounded`.
    """
    end = first + min(pages, int(m.files[file].pages) - first)
    mark = end - ahead if 0 < ahead <= end - first else NONE
    start = NONE
    index = first
    while index < end:
        if has_page(m, file, index):
            if start != NONE:
                submit(m, file, start, index, 0)
                start = NONE
        else:
            if room == ONE_BY_ONE and not makes_room(m, cpu, task, file, index, 0):
                end = index
                break
            if start == NONE:
                start = index
            add_folio(m, cpu, file, index, 0, F_AHEAD if index == mark else 0)
        index += 1
    if start != NONE:
        submit(m, file, start, end, 0)
