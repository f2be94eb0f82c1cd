"""Faults on shared anonymous memory that is swapped out (Linux 6.18 `shmem_swapin_folio`).

=====================================  =========================================================
the page is                            so Linux
=====================================  =========================================================
in the swap cache                      makes it the file's again; its slot is free: a minor fault
there, read or written by the device   waits for it
on a device in memory                  takes a frame and fills it; its slot is free: a major one
on another                             reads it, and what lies near on the device: a major one
=====================================  =========================================================

The fault is made again then, and finds the page in the page cache.
"""

from sim.base.jit import compiled
from sim.kernel.fault.swapin import came_back, swapin_readahead
from sim.kernel.files.requests import request_room
from sim.kernel.files.shmem import shmem_from_swap_cache, shmem_new_page
from sim.kernel.work import BEGUN, DONE, GROW, MORE, SHORT, UNDER_WAY, fault_waits, note
from sim.machine.cached import find_slot
from sim.machine.groups import act_for
from sim.machine.layout import (
    F_LOCKED,
    F_WRITEBACK,
    NONE,
    REPLACE_LINUX,
    SWAP_IN_MEMORY,
    Arrays,
)
from sim.machine.lru import folio_add_lru, renew
from sim.machine.pool import secure
from sim.machine.swap import charge_to_owner, swap_free
from sim.machine.work import MAJOR_FAULT


@compiled
def shmem_swapin(m: Arrays, cpu: int, task: int, file: int, index: int) -> int:
    """Bring a page back that is in a slot: MORE, UNDER_WAY; or SHORT, GROW: nothing happened."""
    o = m.operations[task]
    slot = find_slot(m, file, index)
    if m.swap[slot].pfn == 0 or o.ahead_slot == slot:
        status = read_shmem(m, cpu, task, file, index)
        if status in (SHORT, GROW):
            return status
        if status == DONE:
            note(m, MAJOR_FAULT, 1)
            fault_waits(m, task, 2)
        m.clock[0].kind = BEGUN
        return MORE
    fault_waits(m, task, 1)
    if wait_on_slot(m, task, slot):
        return UNDER_WAY
    m.swap_area[0].hits += m.swap[slot].ahead
    take_back(m, file, index)
    m.clock[0].kind = BEGUN
    return MORE


@compiled
def wait_on_slot(m: Arrays, task: int, slot: int) -> bool:
    """Whether the device reads or writes the page of a slot; if so a task is to wait for it."""
    if m.frames[int(m.swap[slot].pfn)].bits & (F_LOCKED | F_WRITEBACK) == 0:
        return False
    o = m.operations[task]
    o.wait_file = m.swap_area[0].file
    o.wait_index = slot
    return True


@compiled
def take_back(m: Arrays, file: int, index: int) -> None:
    """Make a page that is in the swap cache, and nothing is under way for, the file's again."""
    pfn = int(m.swap[find_slot(m, file, index)].pfn)
    shmem_from_swap_cache(m, pfn, file, index)
    if m.config[0].replacement != REPLACE_LINUX:
        renew(m, pfn)


@compiled
def read_shmem(m: Arrays, cpu: int, task: int, file: int, index: int) -> int:
    """Read a page that is in a slot and not in the swap cache.

    DONE: it is there, or the device has been asked for it.  MORE: memory is short, and some near it
    were read.  SHORT, GROW: nothing happened.
    """
    slot = find_slot(m, file, index)
    if m.swap_area[0].kind != SWAP_IN_MEMORY:
        if not request_room(m, 1 << int(m.config[0].page_cluster)):
            return GROW
        return swapin_readahead(m, cpu, task, NONE, 0, slot)
    charge_to_owner(m, cpu, slot)
    if not secure(m, cpu, task, 1):
        return SHORT
    pfn = shmem_new_page(m, cpu, file, index)
    came_back(m, cpu, pfn, slot)
    folio_add_lru(m, cpu, pfn)
    act_for(m, cpu, task)
    swap_free(m, slot)
    return DONE
