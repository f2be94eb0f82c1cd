"""Shared anonymous memory that is swapped out: its page cache has a slot in the place of a frame.

While a page is on its way, out or in, it is in the swap cache, and no page of its file: there it is
like an anonymous page that nobody maps.  Its slot has one reference, the file's.  Read in Linux
6.18 `mm/shmem.c` (`shmem_writeout`, `shmem_swapin_folio`, `shmem_free_swap`).
"""

from sim.base.jit import compiled
from sim.kernel.pages import free_swap_cache
from sim.machine.cached import erase_slot, find_slot, shmem_replace_entry
from sim.machine.groups import change_kind
from sim.machine.layout import (
    F_ANON,
    F_DIRTY,
    F_FILE,
    F_SWAPBACKED,
    KIND_ANON,
    KIND_SHMEM,
    NONE,
    Arrays,
)
from sim.machine.pool import take
from sim.machine.swap import delete_from_swap_cache, swap_duplicate, swap_free


@compiled
def shmem_to_swap_cache(m: Arrays, pfn: int) -> None:
    """Make a page of shared memory that nobody maps, and has a slot, one of the swap cache only."""
    frame = m.frames[pfn]
    slot = int(frame.slot)
    file = int(frame.mapping)
    shmem_replace_entry(m, file, int(frame.index), -slot)
    swap_duplicate(m, slot)
    m.files[file].resident -= 1
    frame.bits = (frame.bits & ~(F_FILE | F_SWAPBACKED)) | F_ANON
    frame.mapping = NONE
    frame.refs -= 1
    change_kind(m, pfn, KIND_SHMEM, KIND_ANON)


@compiled
def shmem_from_swap_cache(m: Arrays, pfn: int, file: int, index: int) -> None:
    """Make a page of the swap cache the one of its file again; its slot is free."""
    frame = m.frames[pfn]
    slot = int(frame.slot)
    m.swap[slot].refs -= 1
    delete_from_swap_cache(m, pfn, 0)
    frame.refs += 1
    frame.bits = (frame.bits & ~F_ANON) | F_FILE | F_SWAPBACKED | F_DIRTY
    frame.mapping = file
    frame.index = index
    shmem_replace_entry(m, file, index, pfn)
    m.files[file].resident += 1
    change_kind(m, pfn, KIND_ANON, KIND_SHMEM)


@compiled
def shmem_new_page(m: Arrays, cpu: int, file: int, index: int) -> int:
    """Return a frame, which is secured, as the page of a file that is in a slot; it is on no list.

    The slot is the caller's to read and to free.
    """
    pfn = take(m, cpu, KIND_SHMEM)
    frame = m.frames[pfn]
    frame.index = index
    frame.maps = 0
    frame.copy_next = frame.copy_prev = pfn
    frame.mapping = file
    frame.bits = F_FILE | F_SWAPBACKED | F_DIRTY
    shmem_replace_entry(m, file, index, pfn)
    m.files[file].resident += 1
    return pfn


@compiled
def shmem_free_swap(m: Arrays, cpu: int, file: int, index: int) -> None:
    """Free the slot of a page of a file that goes, and its page in the swap cache, if any."""
    slot = find_slot(m, file, index)
    erase_slot(m, cpu, file, index)
    pfn = int(m.swap[slot].pfn)
    swap_free(m, slot)
    if pfn != 0:
        free_swap_cache(m, cpu, pfn)
