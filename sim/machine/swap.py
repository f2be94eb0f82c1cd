"""Slots of the swap device and the swap cache: who has one, and what is known of it.

A slot is taken for a page that is to go out.  It is free again once no entry refers to it and its
page is not in the swap cache: a page there has a copy on the device, or will have one.  Fork shares
a slot, as it shares a frame.  An entry in a leaf table that several address spaces use counts once.
As on Linux, slot 0 is no page's.

Version 2 of control groups charges a group for a slot for as long as it is taken; version 1 counts
the page in memory or on the device, whichever it is.  Read in Linux 6.18 `mm/swapfile.c`,
`mm/swap_state.c`, `mm/memcontrol.c` (`__mem_cgroup_try_charge_swap`), `mm/memcontrol-v1.c`
(`memcg1_swapout`, `memcg1_swapin`) and `mm/memory.c` (`copy_nonpresent_pte`).
"""

from typing import Final

from sim.base.jit import compiled, inlined, rare
from sim.machine.entries import pte_swp_clear_exclusive, set_pte, swp_offset
from sim.machine.groups import charge_to, count_event
from sim.machine.layout import (
    EV_SWAP_FAIL,
    EV_SWAP_MAX,
    F_DIRTY,
    F_SWAPCACHE,
    F_WRITEBACK,
    KIND_ZRAM,
    NONE,
    ROOT,
    SLOTS_SWAP,
    SWAP_DEVICE,
    Arrays,
)
from sim.machine.rules.cgroup import V1_MEMSW
from sim.machine.slots import give_row, has_room, take_row
from sim.machine.zram import zram_free

FIRST_HITS: Final = 4
"""What is taken for the hits of a device, or an area, that was not read into yet (as on Linux)."""


def swapon(m: Arrays, file: int, kind: int) -> None:
    """Make a file of no pages stand for the swap device, to those that read and write it."""
    device = m.swap_area[0]
    device.file, device.kind, device.hits = file, kind, FIRST_HITS
    m.files[file].bdev = SWAP_DEVICE


@compiled
def stop_swapoff(m: Arrays, task: int) -> None:
    """Have a device that a task was emptying take pages again: it is being killed, or has failed.

    Does nothing for any other task.
    """
    if m.swap_area[0].off == task + 1:
        m.swap_area[0].off = 0


# -- slots ---------------------------------------------------------------------------------------


@inlined
def get_nr_swap_pages(m: Arrays) -> int:
    """Return how many slots may be taken: those that are free; none of a device that goes off."""
    slots = m.slots[SLOTS_SWAP]
    return int(slots.room - slots.used) if m.swap_area[0].off == 0 else 0


@inlined
def swap_usage_in_pages(m: Arrays) -> int:
    """Return how many slots are taken; row 0 is none."""
    return int(m.slots[SLOTS_SWAP].used - 1)


@inlined
def total_swap_pages(m: Arrays) -> int:
    """Return how many slots there are; none once swapoff has begun."""
    return int(m.config[0].total_swap_pages) if m.swap_area[0].off == 0 else 0


@compiled
def mem_cgroup_get_nr_swap_pages(m: Arrays, group: int) -> int:
    """Return how many slots a group may still take."""
    free = get_nr_swap_pages(m)
    if m.config[0].cgroup & V1_MEMSW != 0:
        return free
    while group != ROOT:
        g = m.groups[group]
        free = min(free, int(g.swap_limit - g.swap))
        group = int(g.parent)
    return free


@compiled
def mem_cgroup_swap_full(m: Arrays, group: int) -> bool:
    """Whether so many slots are taken that none is kept for a page that is back (`vm_swap_full`).

    Half of the device, or of what a group may have.
    """
    if 2 * get_nr_swap_pages(m) < total_swap_pages(m):
        return True
    if m.config[0].cgroup & V1_MEMSW != 0:
        return False
    while group != ROOT:
        g = m.groups[group]
        if 2 * g.swap >= g.swap_limit:
            return True
        group = int(g.parent)
    return False


def forget_swap_peak(m: Arrays) -> None:
    """Let the most that was ever on the device be what is there now: the end of warm-up."""
    m.groups[ROOT].swap_peak = m.groups[ROOT].swap
    m.pool[0].zram_peak = m.charged[ROOT, KIND_ZRAM]


@compiled
def count_swap(m: Arrays, group: int, pages: int) -> None:
    """Charge a group, and those it is in, for slots; fewer than 0 are taken back."""
    while group != NONE:
        g = m.groups[group]
        g.swap += pages
        if g.swap > g.swap_peak:
            g.swap_peak = g.swap
        group = int(g.parent)


@compiled
def try_charge_swap(m: Arrays, group: int) -> bool:
    """Charge a group of version 2 for a slot; False if its limit is in the way."""
    at = group
    while at != ROOT:
        if m.groups[at].swap + 1 > m.groups[at].swap_limit:
            count_event(m, at, EV_SWAP_MAX, 1)
            count_event(m, group, EV_SWAP_FAIL, 1)
            return False
        at = int(m.groups[at].parent)
    count_swap(m, group, 1)
    return True


@compiled
def get_swap_page(m: Arrays, group: int) -> int:
    """Return a free slot, charged to a group or to nobody (NONE); NONE if the device is full."""
    if not has_room(m.slots[SLOTS_SWAP], 1):
        return NONE
    slot = take_row(m.slots[SLOTS_SWAP], m.swap)
    row = m.swap[slot]
    row.refs = row.pfn = row.shadow = row.ahead = 0
    row.group = group
    return slot


@compiled
def folio_alloc_swap(m: Arrays, pfn: int) -> bool:
    """Put an anonymous page into the swap cache, with a slot; False if it gets none.

    It is dirty then: no copy of it is on the device.
    """
    group = int(m.frames[pfn].group)
    if get_nr_swap_pages(m) == 0:
        count_event(m, group, EV_SWAP_FAIL, 1)
        return False
    charged = m.config[0].cgroup & V1_MEMSW == 0
    if charged and not try_charge_swap(m, group):
        return False
    slot = get_swap_page(m, group if charged else NONE)
    add_to_swap_cache(m, pfn, slot)
    m.frames[pfn].bits |= F_DIRTY
    return True


@inlined
def charge_to_owner(m: Arrays, cpu: int, slot: int) -> None:
    """Have the page of a slot, which comes back, charged to the group that it was of.

    Whoever reads it (`mem_cgroup_swapin_charge_folio`).
    """
    charge_to(m, cpu, int(m.swap[slot].group))


@rare
def release_slot(m: Arrays, slot: int) -> None:
    """Free a slot that nobody refers to, and whose page is not in the swap cache."""
    row = m.swap[slot]
    if row.group != NONE:
        count_swap(m, int(row.group), -1)
    zram_free(m, slot)
    give_row(m.slots[SLOTS_SWAP], m.swap, slot)


@inlined
def swap_duplicate(m: Arrays, slot: int) -> None:
    """Take note that one entry more refers to a slot."""
    m.swap[slot].refs += 1


@compiled
def swap_free(m: Arrays, slot: int) -> None:
    """Take note that one entry less refers to a slot."""
    row = m.swap[slot]
    row.refs -= 1
    if row.refs == 0 and row.pfn == 0:
        release_slot(m, slot)


# -- the swap cache ------------------------------------------------------------------------------


@compiled
def add_to_swap_cache(m: Arrays, pfn: int, slot: int) -> None:
    """Make a frame the page of a slot; the swap cache refers to it."""
    m.swap[slot].pfn = pfn
    m.frames[pfn].slot = slot
    m.frames[pfn].bits |= F_SWAPCACHE
    m.frames[pfn].refs += 1


@compiled
def delete_from_swap_cache(m: Arrays, pfn: int, shadow: int) -> None:
    """Take a page out of the swap cache; leave `shadow`, or 0.  A slot nobody needs is free."""
    frame = m.frames[pfn]
    slot = int(frame.slot)
    row = m.swap[slot]
    row.pfn = row.ahead = 0
    row.shadow = shadow
    frame.slot = 0
    frame.bits &= ~F_SWAPCACHE
    frame.refs -= 1
    if row.refs == 0:
        release_slot(m, slot)


@rare
def folio_free_swap(m: Arrays, pfn: int) -> bool:
    """Take a page out of the swap cache if no entry refers to its slot; say if that went.

    Its only copy is in memory then.
    """
    frame = m.frames[pfn]
    if frame.slot == 0 or frame.bits & F_WRITEBACK != 0 or m.swap[int(frame.slot)].refs > 0:
        return False
    delete_from_swap_cache(m, pfn, 0)
    frame.bits |= F_DIRTY
    return True


@compiled
def swapped_out(m: Arrays, pfn: int, shadow: int) -> None:
    """Take a page out of the swap cache whose frame is freed; its slot has the only copy.

    Its group is charged for the slot in version 1, in place of the frame (`memcg1_swapout`).
    """
    frame = m.frames[pfn]
    slot = int(frame.slot)
    if m.config[0].cgroup & V1_MEMSW != 0:
        m.swap[slot].group = frame.group
        count_swap(m, int(frame.group), 1)
    delete_from_swap_cache(m, pfn, shadow)


@compiled
def swapped_in(m: Arrays, slot: int) -> None:
    """Take note that the page of a slot is in memory again, and charged (`memcg1_swapin`)."""
    row = m.swap[slot]
    if m.config[0].cgroup & V1_MEMSW != 0 and row.group != NONE:
        count_swap(m, int(row.group), -1)
        row.group = NONE


# -- entries -------------------------------------------------------------------------------------


@rare
def copy_swap_pte(m: Arrays, source: int, target: int, at: int, entry: int) -> None:
    """Write an entry that is swapped out to another table as well: both refer to its slot."""
    swap_duplicate(m, swp_offset(entry))
    set_pte(m, source, at, pte_swp_clear_exclusive(entry))
    set_pte(m, target, at, pte_swp_clear_exclusive(entry))
