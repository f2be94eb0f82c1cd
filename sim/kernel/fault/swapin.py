"""Faults on pages that are swapped out: read from the device, or found in the swap cache.

=====================================  ======================================================
the page is                            so Linux
=====================================  ======================================================
in the swap cache                      maps it: a minor fault
in the swap cache, under way           waits, and maps it: a minor fault
on a device in memory, one entry's     takes a frame and fills it; its slot is free: a major fault
on the device                          reads it into the swap cache, and what lies near: major
=====================================  ======================================================

A page that is alone an address space's becomes writable; a write to one that is not copies it.  Its
slot stays taken, so that it need not be written again while it is clean, but for a write and where
half of all slots are taken.  What is read ahead lies near in memory, or on the device if that
rotates; how far, by what was used of it.

Read in Linux 6.18 `mm/memory.c` (`do_swap_page`, `should_try_to_free_swap`) and `mm/swap_state.c`
(`swap_vma_readahead`, `swap_cluster_readahead`, `__swapin_nr_pages`).  Not followed: pages are
charged to the group of who reads them, not of who had them swapped out.
"""

from typing import Final

from sim.base.jit import compiled
from sim.kernel.files.requests import request_room, submit
from sim.kernel.pages import (
    anon_vma_prepare,
    count_resident,
    free_swap_cache,
    fresh_page,
    link_copy,
    new_anon_page,
)
from sim.kernel.reclaim.workingset import workingset_refault
from sim.kernel.work import (
    BEGUN,
    DONE,
    GROW,
    MORE,
    SHORT,
    UNDER_WAY,
    fault_served,
    fault_waits,
    note,
)
from sim.machine.entries import is_swap_pte, mk_pte, set_pte, swp_offset
from sim.machine.layout import (
    A_LOCKED,
    A_WRITE,
    F_ANON,
    F_EXCLUSIVE,
    F_LOCKED,
    F_LRU,
    F_WRITEBACK,
    KIND_ANON,
    NONE,
    PTE_ACCESSED,
    PTE_DIRTY,
    PTE_SWP_EXCLUSIVE,
    PTE_WRITE,
    REPLACE_LINUX,
    SWAP_IN_MEMORY,
    SWAP_ROTATING,
    TABLE_MASK,
    Arrays,
)
from sim.machine.lru import folio_add_lru, lru_add_drain, renew
from sim.machine.pool import secure, take
from sim.machine.swap import (
    FIRST_HITS,
    folio_free_swap,
    mem_cgroup_swap_full,
    swap_free,
    swapped_in,
)
from sim.machine.tables import find_table
from sim.machine.work import COW_COPY, MAJOR_FAULT, SWAP_MAP, SWAP_READ

_HITS_BITS: Final = 6
_MOST_HITS: Final = (1 << _HITS_BITS) - 1
_ADDRESS_SHIFT: Final = 2 * _HITS_BITS
_MOST_IN_MEMORY: Final = 5
"""The largest power of 2 of pages read ahead by address (`SWAP_RA_ORDER_CEILING`)."""


# -- how much is read ahead ------------------------------------------------------------------------


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


# -- reading ---------------------------------------------------------------------------------------


@compiled
def came_back(m: Arrays, cpu: int, pfn: int, slot: int) -> None:
    """Take note that the page of a slot is in a frame again, and put that on a list."""
    row = m.swap[slot]
    swapped_in(m, slot)
    shadow = int(row.shadow)
    row.shadow = 0
    if shadow != 0:
        workingset_refault(m, cpu, pfn, shadow)
    m.lruvecs[int(m.frames[pfn].group)].pswpin += 1
    if m.swap_area[0].kind == SWAP_IN_MEMORY:
        note(m, SWAP_READ, 1)


@compiled
def read_swap_cache(m: Arrays, cpu: int, slot: int, ahead: int) -> None:
    """Put a frame for the page of a slot into the swap cache, and have the device fill it.

    A frame is secured.
    """
    pfn = take(m, cpu, KIND_ANON)
    frame = m.frames[pfn]
    at_once = m.swap_area[0].kind == SWAP_IN_MEMORY
    frame.maps = 0
    frame.mapping = 0
    frame.copy_next = frame.copy_prev = pfn
    frame.slot = slot
    frame.bits = F_ANON | (0 if at_once else F_LOCKED)
    m.swap[slot].pfn = pfn
    m.swap[slot].ahead = ahead
    came_back(m, cpu, pfn, slot)
    folio_add_lru(m, cpu, pfn)
    if not at_once:
        submit(m, int(m.swap_area[0].file), slot, slot + 1, 0)
        m.pool[0].under_way += 1


@compiled
def slot_near(m: Arrays, space: int, vpn: int) -> int:
    """Return the slot of a page that is swapped out and not in the swap cache, or 0."""
    leaf = find_table(m, space, vpn, 0)
    entry = 0 if leaf == NONE else int(m.tables[leaf, vpn & TABLE_MASK])
    if not is_swap_pte(entry) or m.swap[swp_offset(entry)].pfn != 0:
        return 0
    return swp_offset(entry)


@compiled
def swapin_readahead(m: Arrays, cpu: int, task: int, area: int, vpn: int, slot: int) -> int:
    """Read the page of a slot, and what lies near, one after the other: on the device without area.

    DONE; MORE: memory is short, and some were read; SHORT: none was, and nothing has changed but
    that it is known which are to be read.  Each is charged by itself, so that reclaim may come in
    between; those that were asked for before it stay: the device is asked at the end (`blk_plug`),
    and they are locked until it answers.
    """
    o = m.operations[task]
    on_device = area == NONE or m.swap_area[0].kind == SWAP_ROTATING
    if o.ahead_slot != slot:
        first, end = near_on_device(m, slot) if on_device else near_in_memory(m, area, vpn)
        o.ahead_slot, o.ahead_at, o.ahead_end = slot, first, end
        m.swap_area[0].turns += 1
        o.ahead_turn = m.swap_area[0].turns
    status = SHORT
    while o.ahead_at < o.ahead_end:
        at = int(o.ahead_at)
        near = at if on_device else slot_near(m, int(m.areas[area].space), at)
        if near != 0 and m.swap[near].refs > 0 and m.swap[near].pfn == 0:
            if not secure(m, cpu, task, 1):
                return status
            read_swap_cache(m, cpu, near, 0 if near == slot else 1)
            if m.swap_area[0].kind != SWAP_IN_MEMORY:
                m.swap[near].turn = o.ahead_turn
            status = MORE
        o.ahead_at = at + 1
    if window_pages(m, area) > 1:
        lru_add_drain(m, cpu)
    if m.swap[slot].pfn == 0:  # it was reclaimed again while others were read
        if not secure(m, cpu, task, 1):
            return status
        read_swap_cache(m, cpu, slot, 0)
    o.ahead_slot = 0
    return DONE


@compiled
def bring_back(m: Arrays, cpu: int, task: int, area: int, vpn: int, entry: int) -> int:
    """See to it that the page of an entry that is swapped out can be mapped.

    DONE: it is in the swap cache, or can be read by the fault itself, for which a frame is secured.
    MORE: it has been read, or the device asked for it, and the fault is to be made again;
    UNDER_WAY: it must wait.  SHORT, GROW: nothing happened.
    """
    o = m.operations[task]
    slot = swp_offset(entry)
    row = m.swap[slot]
    if row.pfn == 0 or o.ahead_slot == slot:
        if m.swap_area[0].kind == SWAP_IN_MEMORY and row.refs == 1 and o.ahead_slot != slot:
            return DONE if secure(m, cpu, task, 1) else SHORT
        if not request_room(m, 1 << int(m.config[0].page_cluster)):
            return GROW
        status = swapin_readahead(m, cpu, task, area, vpn, slot)
        if status == SHORT:
            return SHORT
        m.clock[0].kind = BEGUN
        if status == DONE:
            note(m, MAJOR_FAULT, 1)
            fault_waits(m, task, 2)
        return MORE
    if m.frames[int(row.pfn)].bits & F_LOCKED != 0:
        fault_waits(m, task, 1)
        o.wait_file = m.swap_area[0].file
        o.wait_index = slot
        return UNDER_WAY
    return DONE


# -- mapping ---------------------------------------------------------------------------------------


@compiled
def try_to_free_swap(m: Arrays, cpu: int, area: int, pfn: int, write: int) -> None:
    """Free the slot of a page that is back, if nobody else refers to it and it had better go."""
    frame = m.frames[pfn]
    if write == 1 and frame.bits & F_LRU == 0:
        lru_add_drain(m, cpu)
    if (
        (write == 1 and frame.maps == 0)
        or m.areas[area].vm_flags & A_LOCKED != 0
        or mem_cgroup_swap_full(m, int(frame.group))
    ):
        folio_free_swap(m, pfn)


@compiled
def read_directly(m: Arrays, cpu: int, area: int, vpn: int, slot: int) -> int:
    """Return a fresh page, filled from a slot that one entry refers to."""
    a = m.areas[area]
    pfn = new_anon_page(m, cpu, anon_vma_prepare(m, area), int(a.offset + vpn - a.start))
    came_back(m, cpu, pfn, slot)
    folio_add_lru(m, cpu, pfn)
    note(m, MAJOR_FAULT, 1)
    return pfn


@compiled
def do_swap_page(m: Arrays, cpu: int, task: int, area: int, leaf: int, vpn: int, write: int) -> int:
    """Map the page of an entry that is swapped out, or a copy of it.

    `bring_back` has seen to its page.  DONE; MORE: it is mapped, and is to be copied, for which
    there is no frame yet.
    """
    at = vpn & TABLE_MASK
    entry = int(m.tables[leaf, at])
    slot = swp_offset(entry)
    row = m.swap[slot]
    a = m.areas[area]
    s = m.spaces[int(m.tasks[task].space)]
    bits = PTE_ACCESSED
    if a.vm_flags & A_WRITE != 0:
        bits |= PTE_WRITE | (PTE_DIRTY if write == 1 else 0)
    if row.pfn == 0:
        pfn = read_directly(m, cpu, area, vpn, slot)
        m.clock[0].kind = MAJOR_FAULT
        set_pte(m, leaf, at, mk_pte(pfn, bits))
        swap_free(m, slot)
        s.swapents -= 1
        count_resident(m, int(a.space), 1)
        return DONE
    pfn = int(row.pfn)
    frame = m.frames[pfn]
    exclusive = entry & PTE_SWP_EXCLUSIVE != 0
    alone = frame.maps == 0 and row.refs == 1 and frame.bits & F_WRITEBACK == 0
    is_shared = write == 1 and not exclusive and not alone
    copies = is_shared and secure(m, cpu, task, 1)
    note_hit(m, area, vpn, slot)
    row.refs -= 1
    s.swapents -= 1
    try_to_free_swap(m, cpu, area, pfn, write)
    root = anon_vma_prepare(m, area)
    index = int(a.offset + vpn - a.start)
    kind = SWAP_MAP
    if copies:
        new = fresh_page(m, cpu, root, index)
        link_copy(m, pfn, new)
        set_pte(m, leaf, at, mk_pte(new, bits))
        free_swap_cache(m, cpu, pfn)
        kind = COW_COPY
    else:
        if exclusive or (frame.slot == 0 and frame.maps == 0):
            frame.bits |= F_EXCLUSIVE
        else:
            bits = PTE_ACCESSED
        if frame.maps == 0:
            frame.mapping = root
            frame.index = index
            if m.config[0].replacement != REPLACE_LINUX:
                renew(m, pfn)  # it had left, or was read ahead
        frame.maps += 1
        frame.refs += 1
        set_pte(m, leaf, at, mk_pte(pfn, bits))
    count_resident(m, int(a.space), 1)
    if is_shared and not copies:
        m.clock[0].kind = BEGUN
        fault_waits(m, task, 1)
        return MORE
    fault_served(m, task, kind)
    return DONE
