"""swapoff and swapon: a device that takes no page more, and gives back all that it has.

==================  =============================================================================
in this order       what Linux does with each page that is out
==================  =============================================================================
shared memory       makes it a page of its file again
address spaces      maps it again, read-only and not used yet; one that others map as well stays in
                    the swap cache until they have it too
the swap cache      lets go of the slot of a page that nobody asks for
==================  =============================================================================

What lies near is read ahead, as for a fault.  None of it is a fault, and each page is charged to
the group that it was of.  So a group may be killed for a limit that it has kept for long; if nobody
is left in it the call fails (ENOMEM): the address space that is being emptied stays until then.
Where the machine has no memory the killer takes who is in the call before all others.  What the
device had is no part of `CommitLimit` from the start, nor of what mode 0 grants; if the kernel
could not promise as much as it has, the call fails as well.  Where it fails the device is on again.

`start` and `at` of the operation are how far it has come: file or address space, and page in it; or
the slot.  Not followed: address spaces are emptied in the order of their rows, and without their
mmap lock.  Read in Linux 6.18 `mm/swapfile.c` (`swapoff`, `try_to_unuse`, `unuse_mm`, `unuse_pte`)
and `mm/shmem.c` (`shmem_unuse`).
"""

from sim.base.jit import compiled, rare
from sim.kernel.fault.shmem import read_shmem, take_back, wait_on_slot
from sim.kernel.fault.swapin import add_anon_rmap, swapin_readahead
from sim.kernel.files.evict import evict_step
from sim.kernel.files.requests import request_room
from sim.kernel.fork.process import leave_space
from sim.kernel.fork.shared_tables import ALL_PAGES, is_shared_table, own_step
from sim.kernel.overcommit import promised, refuse
from sim.kernel.pages import anon_vma_prepare, count_resident, free_swap_cache
from sim.kernel.work import (
    BY_GROUP,
    BY_PROMISE,
    DONE,
    EINVAL,
    GROW,
    MORE,
    SHORT,
    UNDER_WAY,
    note,
)
from sim.machine.area_tree import find_area
from sim.machine.cached import find_slot
from sim.machine.entries import is_swap_pte, mk_pte, set_pte, swp_offset
from sim.machine.layout import (
    F_EXCLUSIVE,
    HUGE_PAGES,
    KIND_SHMEM,
    NONE,
    PTE_SWP_EXCLUSIVE,
    SLOTS_FILES,
    SLOTS_SPACES,
    TABLE_MASK,
    Arrays,
)
from sim.machine.swap import folio_free_swap, stop_swapoff, swap_usage_in_pages
from sim.machine.tables import find_table, next_present
from sim.machine.work import MADVISE_CALL, UNUSE_PTE

STAGE_BEGIN = 0
STAGE_FILES = 1
STAGE_SPACES = 2
STAGE_LEAVE = 3
"""An address space is let go, which who had it may have left meanwhile."""
STAGE_CACHE = 4


@rare
def swapoff_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of swapoff: bring one page back, or those near one; DONE when none is out."""
    t = m.tasks[task]
    o = m.operations[task]
    if o.stage == STAGE_BEGIN:
        return begin_swapoff(m, task)
    if t.evict != NONE:
        evict_step(m, cpu, task)
    elif o.stage == STAGE_LEAVE:
        mmput_step(m, cpu, task)
    elif o.errno == 0 and swap_usage_in_pages(m) > 0:
        return try_to_unuse_step(m, cpu, task)
    elif t.old_space != NONE:
        o.stage, o.at = STAGE_LEAVE, 0
    elif o.errno == 0:
        m.swap_area[0].off = NONE
        return DONE
    else:
        stop_swapoff(m, task)
        return DONE
    return MORE


@compiled
def fail_swapoff(m: Arrays, task: int) -> None:
    """Let swapoff fail: a group has no room for a page of it, and nobody left to be killed."""
    refuse(m, task, BY_GROUP, 1)


@rare
def try_to_unuse_step(m: Arrays, cpu: int, task: int) -> int:
    """Bring the next page back, wherever it is asked for from."""
    stage = int(m.operations[task].stage)
    if stage == STAGE_FILES:
        return unuse_file_step(m, cpu, task)
    if stage == STAGE_SPACES:
        return unuse_space_step(m, cpu, task)
    return unuse_cache_step(m, cpu, task)


@rare
def mmput_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of letting go of an address space; DONE when it is."""
    t = m.tasks[task]
    o = m.operations[task]
    status = leave_space(m, cpu, task, int(t.old_space))
    if status == DONE:
        o.stage, o.start, o.at = STAGE_SPACES, t.old_space + 1, 0
        t.old_space = NONE
    return status


@rare
def begin_swapoff(m: Arrays, task: int) -> int:
    """Have the device take no page more, unless it may not be, or is off already."""
    t = m.tasks[task]
    o = m.operations[task]
    pages = int(m.config[0].total_swap_pages)
    if pages == 0 or m.swap_area[0].off != 0:
        o.errno = EINVAL
        return DONE
    if not promised(m, task, int(t.space), pages):
        refuse(m, task, BY_PROMISE, pages)
        return DONE
    note(m, MADVISE_CALL, 1)
    m.swap_area[0].off = task + 1
    o.stage = STAGE_FILES
    return MORE


@rare
def swapon_step(m: Arrays, cpu: int, task: int) -> int:
    """Have a device that is off take pages again, in one step."""
    o = m.operations[task]
    if m.swap_area[0].off != NONE:
        o.errno = EINVAL
    else:
        note(m, MADVISE_CALL, 1)
        m.swap_area[0].off = 0
    return DONE


# -- shared memory -------------------------------------------------------------------------------


@compiled
def next_file_out(m: Arrays, file: int, index: int) -> tuple[int, int]:
    """Return the first page of shared memory that is in a slot, from there on: its file and number.

    The file is behind the last if there is none.
    """
    while file < m.slots[SLOTS_FILES].room:
        if m.files[file].kind == KIND_SHMEM:
            while index < m.files[file].pages:
                if find_slot(m, file, index) != 0:
                    return file, index
                index += 1
        file += 1
        index = 0
    return file, 0


@rare
def unuse_file_step(m: Arrays, cpu: int, task: int) -> int:
    """Bring the next page of shared memory back (`shmem_unuse`)."""
    o = m.operations[task]
    file, index = next_file_out(m, int(o.start), int(o.at))
    o.start, o.at = file, index
    if file == m.slots[SLOTS_FILES].room:
        o.stage, o.start, o.at = STAGE_SPACES, 0, 0
        return MORE
    slot = find_slot(m, file, index)
    if m.swap[slot].pfn == 0 or o.ahead_slot == slot:
        status = read_shmem(m, cpu, task, file, index)
        return MORE if status == DONE else status
    if wait_on_slot(m, task, slot):
        return UNDER_WAY
    take_back(m, file, index)
    note(m, UNUSE_PTE, 1)
    return MORE


# -- address spaces ------------------------------------------------------------------------------


@compiled
def has_entries_out(m: Arrays, space: int) -> bool:
    """Whether an address space is in use, and has pages that are swapped out."""
    return bool(m.spaces[space].users > 0 and m.spaces[space].swapents > 0)


@compiled
def next_entry_out(m: Arrays, space: int, vpn: int) -> int:
    """Return the first page from `vpn` on that is swapped out, or `ALL_PAGES`."""
    while True:
        vpn = next_present(m, space, vpn, ALL_PAGES, 0)
        if vpn == ALL_PAGES:
            return ALL_PAGES
        leaf = find_table(m, space, vpn, 0)
        end = vpn - (vpn & TABLE_MASK) + HUGE_PAGES
        while leaf != NONE and vpn < end:
            if is_swap_pte(int(m.tables[leaf, vpn & TABLE_MASK])):
                return vpn
            vpn += 1
        vpn = end


@rare
def unuse_space_step(m: Arrays, cpu: int, task: int) -> int:
    """Bring the next page of an address space back (`unuse_mm`)."""
    t = m.tasks[task]
    o = m.operations[task]
    if t.old_space == NONE:
        space = int(o.start)
        while space < m.slots[SLOTS_SPACES].room and not has_entries_out(m, space):
            space += 1
        if space == m.slots[SLOTS_SPACES].room:
            o.stage, o.start, o.at = STAGE_CACHE, 0, 0
            return MORE
        o.at = 0
        t.old_space = space
        m.spaces[space].users += 1  # it stays, whoever ends (`mmget_not_zero`)
    space = int(t.old_space)
    vpn = next_entry_out(m, space, int(o.at))
    if vpn == ALL_PAGES:
        o.stage, o.at = STAGE_LEAVE, 0
        return MORE
    o.at = vpn
    if is_shared_table(m, space, vpn):
        return own_step(m, cpu, task, space, vpn, 0)
    return unuse_pte_step(m, cpu, task, space, vpn)


@rare
def unuse_pte_step(m: Arrays, cpu: int, task: int, space: int, vpn: int) -> int:
    """Read the page of an entry that is swapped out, wait for it, or map it (`unuse_pte`)."""
    o = m.operations[task]
    leaf = find_table(m, space, vpn, 0)
    entry = int(m.tables[leaf, vpn & TABLE_MASK])
    slot = swp_offset(entry)
    row = m.swap[slot]
    area = find_area(m, space, vpn)
    if row.pfn == 0 or o.ahead_slot == slot:
        if not request_room(m, 1 << int(m.config[0].page_cluster)):
            return GROW
        status = swapin_readahead(m, cpu, task, area, vpn, slot)
        return SHORT if status == SHORT else MORE
    if wait_on_slot(m, task, slot):
        return UNDER_WAY
    pfn = int(row.pfn)
    a = m.areas[area]
    add_anon_rmap(m, pfn, anon_vma_prepare(m, area), int(a.offset + vpn - a.start))
    if entry & PTE_SWP_EXCLUSIVE != 0:
        m.frames[pfn].bits |= F_EXCLUSIVE
    set_pte(m, leaf, vpn & TABLE_MASK, mk_pte(pfn, 0))
    row.refs -= 1
    m.spaces[space].swapents -= 1
    count_resident(m, space, 1)
    folio_free_swap(m, pfn)
    note(m, UNUSE_PTE, 1)
    return MORE


# -- the swap cache ------------------------------------------------------------------------------


@rare
def unuse_cache_step(m: Arrays, cpu: int, task: int) -> int:
    """Let go of the slot of the next page that nobody asks for; behind the last, begin anew.

    Meanwhile others may have been forked, and mapped or dropped some.
    """
    o = m.operations[task]
    slot = max(1, int(o.start))
    end = int(m.config[0].total_swap_pages) + 1
    while slot < end and (m.swap[slot].pfn == 0 or m.swap[slot].refs > 0):
        slot += 1
    o.start = slot
    if slot == end:
        o.stage, o.start, o.at = STAGE_FILES, 0, 0
        note(m, MADVISE_CALL, 1)
        return MORE
    if wait_on_slot(m, task, slot):
        return UNDER_WAY
    pfn = int(m.swap[slot].pfn)
    if m.frames[pfn].maps == 0:
        free_swap_cache(m, cpu, pfn)
    else:
        folio_free_swap(m, pfn)
    note(m, UNUSE_PTE, 1)
    return MORE
