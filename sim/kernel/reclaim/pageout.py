"""Pages that leave: out of the tables, and anonymous ones out to the swap device.

===============================  ================================================================
a page at the inactive tail      so
===============================  ================================================================
is being read                    is kept
is being written                 becomes active; written, it goes to the inactive tail
is mapped by locked memory, was  becomes active
used through several areas, or
twice
was used through one area        is kept, and marked: the next such use makes it active
gets no slot                     becomes active
is about to be copied by who     is unmapped, and kept in the swap cache
reclaims
may have to be written, and the  is kept
device has enough to do
has no copy on the device        is unmapped and written; a device in memory has it at once, but is
                                 kept if that has no frame for it; another later: it is kept so long
has one                          is unmapped and freed
===============================  ================================================================

A page keeps its slot, and so its copy, while it is in the swap cache.  Read in Linux 6.18
`mm/vmscan.c` (`shrink_folio_list`, `pageout`, `__remove_mapping`), `mm/rmap.c`
(`try_to_unmap_one`) and `mm/page_io.c`.
"""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.kernel.files.cache import uncache_page
from sim.kernel.files.dirty import wake_flusher
from sim.kernel.files.requests import request_room, submit
from sim.kernel.files.shmem import shmem_to_swap_cache
from sim.kernel.flush import flush_tlb_range
from sim.kernel.pages import free_anon_page
from sim.kernel.reclaim.workingset import workingset_eviction
from sim.kernel.rmap import anon_referenced, next_mapper, try_to_unmap
from sim.kernel.work import note
from sim.machine.cached import find_page
from sim.machine.draw import threefry
from sim.machine.entries import set_pte, swp_entry_to_pte
from sim.machine.layout import (
    F_ACTIVE,
    F_DIRTY,
    F_EXCLUSIVE,
    F_LOCKED,
    F_RECLAIM,
    F_REFERENCED,
    F_SWAPBACKED,
    F_WRITEBACK,
    NONE,
    PTE_DIRTY,
    ROOT,
    SWAP_IN_MEMORY,
    ZEROS,
    Arrays,
)
from sim.machine.page_counter import count_dirty
from sim.machine.rules.cgroup import V1_WRITEBACK_WAITS
from sim.machine.rules.pressure import R_ZERO_SWAP
from sim.machine.swap import (
    folio_alloc_swap,
    folio_free_swap,
    mem_cgroup_swap_full,
    swap_duplicate,
    swapped_out,
)
from sim.machine.work import SWAP_WRITE
from sim.machine.zram import zram_store

NR_REQUESTS: Final = 256
"""Pages that may wait for the swap device: requests that Linux's block layer takes (`nr_requests`).
"""
FREED: Final = 0
KEPT: Final = 1

_ZEROS_KEY: Final = 0x5EED
_WORD: Final = 0xFFFF_FFFF
"""It stays in memory; its bits say which list it belongs on."""


@compiled
def activate(m: Arrays, pfn: int) -> int:
    """Have a page go to the active list; its slot goes if few are left."""
    if mem_cgroup_swap_full(m, int(m.frames[pfn].group)):
        folio_free_swap(m, pfn)
    m.frames[pfn].bits |= F_ACTIVE
    return KEPT


@compiled
def is_in_use(m: Arrays, pfn: int, group: int) -> bool:
    """Whether its use spares a page; it is old and unreferenced then, marked, or active."""
    frame = m.frames[pfn]
    used, locked = anon_referenced(m, pfn, group)
    if locked:
        frame.bits |= F_ACTIVE
        return True
    before = frame.bits & F_REFERENCED
    frame.bits &= ~F_REFERENCED
    if used == 0:
        return False
    frame.bits |= F_REFERENCED
    if before != 0 or used > 1:
        activate(m, pfn)
    return True


@compiled
def unmap_anon(m: Arrays, pfn: int) -> None:
    """Put the slot of a page in the place of all entries that map it.

    Address spaces that share a leaf table lose it together: it is counted off them first.
    """
    frame = m.frames[pfn]
    exclusive = 1 if frame.bits & F_EXCLUSIVE != 0 else 0
    area, vpn, table, at = next_mapper(m, pfn, NONE)
    while area != NONE:
        s = m.spaces[int(m.areas[area].space)]
        s.rss_anon -= 1
        s.swapents += 1
        flush_tlb_range(m, int(m.areas[area].space), vpn, vpn + 1)
        area, vpn, table, at = next_mapper(m, pfn, area)
    area, vpn, table, at = next_mapper(m, pfn, NONE)
    while area != NONE:
        if m.tables[table, at] & PTE_DIRTY != 0:
            frame.bits |= F_DIRTY
        set_pte(m, table, at, swp_entry_to_pte(int(frame.slot), exclusive))
        swap_duplicate(m, int(frame.slot))
        frame.maps -= 1
        frame.refs -= 1
        area, vpn, table, at = next_mapper(m, pfn, area)
    frame.bits &= ~F_EXCLUSIVE
    m.pool[0].released += 1


@compiled
def waits_for_writeback(m: Arrays, cpu: int) -> bool:
    """Whether who reclaims looks no further than the first page that is still being written.

    In a group of version 1, which has no dirty limits (`writeback_throttling_sane`).
    """
    scan = m.scans[cpu]
    return bool(
        scan.group != ROOT and scan.kswapd == 0 and m.config[0].cgroup & V1_WRITEBACK_WAITS != 0
    )


@inlined
def is_congested(m: Arrays) -> bool:
    """Whether so much waits for the swap device that who gives it more has to wait as well."""
    device = m.swap_area[0]
    return bool(device.file != NONE and m.files[int(device.file)].writing >= NR_REQUESTS)


@inlined
def is_zero_filled(m: Arrays, pfn: int) -> bool:
    """Whether a page that goes to swap is nothing but zeros: so many are, by where they belong.

    What is in a page is not simulated; the same page is always the same.
    """
    share = m.config[0].zero_pages_of_2_32
    if share == 0:
        return False
    frame = m.frames[pfn]
    index, mapping = int(frame.index) & _WORD, int(frame.mapping) & _WORD
    return bool(threefry(_ZEROS_KEY, 0, index, mapping) < share)


@compiled
def swap_writeout(m: Arrays, cpu: int, pfn: int) -> bool:
    """Have a dirty page of the swap cache written; say whether that is done already.

    One that a device in memory has no frame for stays dirty.  One of zeros takes but a bit: of the
    slot since 6.12, before that of zram.
    """
    frame = m.frames[pfn]
    group = int(frame.group)
    m.scans[cpu].paged_out += 1
    if is_zero_filled(m, pfn):
        if m.config[0].rules & R_ZERO_SWAP != 0:
            m.swap[int(frame.slot)].stored = ZEROS
            m.lruvecs[group].swpout_zero += 1
            frame.bits &= ~F_DIRTY
            return True
        if m.swap_area[0].kind == SWAP_IN_MEMORY:
            m.swap[int(frame.slot)].stored = ZEROS
    m.lruvecs[group].pswpout += 1
    note(m, SWAP_WRITE, 1)
    if m.swap_area[0].kind == SWAP_IN_MEMORY and not zram_store(m, cpu, int(frame.slot)):
        return False
    frame.bits &= ~F_DIRTY
    if m.swap_area[0].kind == SWAP_IN_MEMORY:
        return True
    frame.bits |= F_WRITEBACK | F_RECLAIM
    count_dirty(m, group, 0, 1)
    m.scans[cpu].written += 1
    submit(m, int(m.swap_area[0].file), int(frame.slot), int(frame.slot) + 1, 1)
    return False


@inlined
def must_wait_for_device(m: Arrays, pfn: int) -> bool:
    """Whether an anonymous page may have to be written, and the device has enough to do."""
    frame = m.frames[pfn]
    to_write = frame.slot == 0 or frame.maps > 0 or frame.bits & F_DIRTY != 0
    return bool(to_write and (is_congested(m) or not request_room(m, 1)))


@compiled
def pageout(m: Arrays, cpu: int, pfn: int) -> int:
    """Free an anonymous page that is to leave, once its only copy is on the device: FREED or KEPT.

    It is on no list.  Or a page of shared memory: one that was never written is dropped, any other
    is the swap cache's alone from here on, mapped by nobody.
    """
    frame = m.frames[pfn]
    scan = m.scans[cpu]
    if must_wait_for_device(m, pfn):
        scan.congested = 1  # who gives the device more would have to wait
        return KEPT
    if frame.bits & F_SWAPBACKED != 0:
        if frame.maps > 0:
            try_to_unmap(m, pfn)
        if frame.bits & F_DIRTY == 0:
            uncache_page(m, cpu, int(frame.mapping), int(frame.index), 0)
            return FREED
    if frame.slot == 0 and not folio_alloc_swap(m, pfn):
        return activate(m, pfn)
    if frame.bits & F_SWAPBACKED != 0:
        shmem_to_swap_cache(m, pfn)
    elif frame.maps > 0:
        unmap_anon(m, pfn)
        if frame.maps > 0:
            return activate(m, pfn)
    if pfn == scan.held:
        return KEPT
    if m.swap[int(frame.slot)].refs > 0:
        if frame.bits & F_DIRTY != 0 and not swap_writeout(m, cpu, pfn):
            return KEPT
        swapped_out(m, pfn, workingset_eviction(m, pfn, int(scan.group)))
    else:
        folio_free_swap(m, pfn)
    free_anon_page(m, cpu, pfn)
    return FREED


@compiled
def shrink_anon(m: Arrays, cpu: int, pfn: int) -> int:
    """Free an anonymous page that is on no list, if that may be: FREED or KEPT."""
    frame = m.frames[pfn]
    scan = m.scans[cpu]
    if frame.bits & F_LOCKED != 0:
        return KEPT
    if scan.ahead_turn != 0 and m.swap[int(frame.slot)].turn == scan.ahead_turn:
        return KEPT
    if frame.bits & F_WRITEBACK != 0:
        frame.bits |= F_RECLAIM
        return activate(m, pfn)
    if frame.maps > 0 and is_in_use(m, pfn, int(scan.group)):
        return KEPT
    return pageout(m, cpu, pfn)


# -- pages of files --------------------------------------------------------------------------------


@compiled
def drop_folio(m: Arrays, cpu: int, pfn: int) -> bool:
    """Unmap a file's folio that is on no list, and free it; not if it is dirty: it is active then.

    Somebody else writes it.
    """
    frame = m.frames[pfn]
    file = int(frame.mapping)
    first = int(frame.index)
    pages = 1 << int(frame.order)
    scan = m.scans[cpu]
    for index in range(first, first + pages):
        page = find_page(m, file, index)
        if m.frames[page].maps > 0:
            try_to_unmap(m, page)
    if folio_bits(m, file, first, pages) & F_DIRTY != 0:
        frame.bits |= F_RECLAIM | F_ACTIVE
        return False
    shadow = workingset_eviction(m, pfn, int(scan.group))
    for index in range(first, first + pages):
        uncache_page(m, cpu, file, index, shadow)
    return True


@compiled
def folio_bits(m: Arrays, file: int, first: int, pages: int) -> int:
    """Return the bits that any page of a folio has."""
    bits = 0
    for index in range(first, first + pages):
        bits |= int(m.frames[find_page(m, file, index)].bits)
    return bits


@compiled
def count_scanned(
    m: Arrays, cpu: int, group: int, anon: bool, scanned: int, reclaimed: int
) -> None:
    """Count pages of a group that were looked at, and those of them that were freed."""
    scan = m.scans[cpu]
    v = m.lruvecs[group]
    if anon:
        v.pgsteal_anon += reclaimed
    if scan.kswapd == 1:
        v.pgscan_kswapd += scanned
        v.pgsteal_kswapd += reclaimed
    else:
        v.pgscan_direct += scanned
        v.pgsteal_direct += reclaimed
    scan.scanned += scanned


@compiled
def wakeup_flusher(m: Arrays) -> None:
    """Ask for dirty pages to be written: reclaim has found nothing else."""
    m.pool[0].flusher_woken = 1
    wake_flusher(m)
