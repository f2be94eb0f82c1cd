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
half of all slots are taken.  What is read ahead says `sim.kernel.fault.swap_window`.

Read in Linux 6.18 `mm/memory.c` (`do_swap_page`, `should_try_to_free_swap`) and `mm/swap_state.c`
(`swap_vma_readahead`, `swap_cluster_readahead`).
"""

from sim.base.jit import compiled, inlined
from sim.kernel.fault.swap_window import near_in_memory, near_on_device, note_hit, window_pages
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
from sim.machine.groups import act_for
from sim.machine.layout import (
    A_LOCKED,
    A_WRITE,
    F_ANON,
    F_EXCLUSIVE,
    F_LOCKED,
    F_LRU,
    F_SWAPCACHE,
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
    ZEROS,
    Arrays,
)
from sim.machine.lru import folio_add_lru, lru_add_drain, renew
from sim.machine.pool import secure, take
from sim.machine.rules.pressure import R_ZERO_SWAP
from sim.machine.swap import (
    charge_to_owner,
    folio_free_swap,
    mem_cgroup_swap_full,
    swap_free,
    swapped_in,
)
from sim.machine.tables import find_table
from sim.machine.work import COW_COPY, MAJOR_FAULT, PAGE_ZERO, SWAP_MAP, SWAP_READ

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
    v = m.lruvecs[int(m.frames[pfn].group)]
    zeros = row.stored == ZEROS
    if zeros and m.config[0].rules & R_ZERO_SWAP != 0:
        v.swpin_zero += 1
    else:
        v.pswpin += 1
    if zeros:
        note(m, PAGE_ZERO, 1)
    elif m.swap_area[0].kind == SWAP_IN_MEMORY:
        note(m, SWAP_READ, 1)


@compiled
def read_swap_cache(m: Arrays, cpu: int, slot: int, ahead: int) -> None:
    """Put a frame for the page of a slot into the swap cache, and have the device fill it.

    A frame is secured.
    """
    pfn = take(m, cpu, KIND_ANON)
    frame = m.frames[pfn]
    at_once = m.swap_area[0].kind == SWAP_IN_MEMORY or m.swap[slot].stored == ZEROS
    frame.maps = 0
    frame.mapping = 0
    frame.copy_next = frame.copy_prev = pfn
    frame.slot = slot
    frame.bits = F_ANON | F_SWAPCACHE | (0 if at_once else F_LOCKED)
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
def read_window(m: Arrays, cpu: int, task: int, area: int, vpn: int, slot: int) -> int:
    """Do as `swapin_readahead`; the CPU is left acting for the group of a page.

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
            charge_to_owner(m, cpu, near)
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
        charge_to_owner(m, cpu, slot)
        if not secure(m, cpu, task, 1):
            return status
        read_swap_cache(m, cpu, slot, 0)
    o.ahead_slot = 0
    return DONE


@compiled
def swapin_readahead(m: Arrays, cpu: int, task: int, area: int, vpn: int, slot: int) -> int:
    """Read the page of a slot, and what lies near, one after the other: on the device without area.

    As `read_window`, each charged to the group that it was of.
    """
    status = read_window(m, cpu, task, area, vpn, slot)
    act_for(m, cpu, task)
    return status


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
            charge_to_owner(m, cpu, slot)
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


@inlined
def add_anon_rmap(m: Arrays, pfn: int, root: int, index: int) -> None:
    """Take note that one entry more maps a page of the swap cache (`folio_add_anon_rmap_pte`)."""
    frame = m.frames[pfn]
    if frame.maps == 0:
        frame.mapping = root
        frame.index = index
        if m.config[0].replacement != REPLACE_LINUX:
            renew(m, pfn)  # it had left, or was read ahead
    frame.maps += 1
    frame.refs += 1


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
        act_for(m, cpu, task)
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
        add_anon_rmap(m, pfn, root, index)
        set_pte(m, leaf, at, mk_pte(pfn, bits))
    count_resident(m, int(a.space), 1)
    if is_shared and not copies:
        m.clock[0].kind = BEGUN
        fault_waits(m, task, 1)
        return MORE
    fault_served(m, task, kind)
    return DONE
