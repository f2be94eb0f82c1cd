"""Zones, free lists, and what there is of frames and of slots in other arrays."""

from typing import Final

import numpy as np

N_ORDERS: Final = 11
"""Buddy orders 0 to 10, as in Linux (`MAX_PAGE_ORDER` 10)."""

PENDING_QUEUE: Final = 1
"""In ``pool.pending``: tasks wait for memory, first come first served."""
PENDING_READS: Final = 2
"""In ``pool.pending``: requests wait for the device to take them."""
PENDING_KSWAPD: Final = 8
"""In ``pool.pending``: kswapd sleeps, and should not."""
PENDING_FLUSHER: Final = 16
"""In ``pool.pending``: the flusher sleeps, and should not."""
PENDING_ROOM: Final = 32
"""Tasks wait for room in a full group in which nobody may be killed."""
PENDING_LOCKS: Final = 4
"""In ``pool.pending``: some who wait for an mmap lock may have it now, in the middle of a call."""

ZONE = np.dtype(
    [
        (name, "i8")
        for name in (
            "start",
            "end",
            "managed",
            "free",
            "min_pages",
            "low_pages",
            "high_pages",
            "batch",
            "pcp_high",
        )
    ]
)

LIST = np.dtype([("head", "i8"), ("count", "i8")])

POOL = np.dtype(
    [
        (name, "i8")
        for name in (
            "used",  # frames charged to anybody, and those of huge pages set aside
            "free",  # buddy lists of all zones: MemFree without the per-CPU lists
            "reserved",  # frames promised to forks under the `wait` policy
            "pending",  # what there is for the engine to see to, as PENDING_ bits
            "head",  # the one of them that may try, or NONE
            "released",  # frames freed and references dropped, so far
            "head_heard",  # of them, those before the head of the queue last tried
            "room_heard",  # ″, those before the first waits for whom a group had nobody to kill
            "cow_copies",  # anonymous frames beyond one per page of data
            "committed",  # pages promised to everybody (`Committed_AS`)
            # huge pages that were set aside when the machine started (Linux `struct hstate`)
            "nr_huge_pages",
            "free_huge_pages",  # in nobody's use, the reserved ones among them
            "resv_huge_pages",  # promised to mappings, and not there yet
            "huge_head",  # the first free one, or NONE
            "zram_stored",  # pages that zram has (`sim.machine.zram`)
            "zram_peak",  # the most frames that it has taken for them
            "zram_head",  # the first frame that it has taken for them, or NONE
            "under_way",  # pages that the device is reading, or has been asked for
            "kswapd_awake",  # 1 unless it sleeps
            "kswapd_failures",  # rounds without a page, one after the other
            "allocation_stalls",  # how often a task had to reclaim from the machine itself
            "allocation_stall_ns",  # for how long, on a CPU
            "n_protected",  # groups that reclaim spares something of
            "n_groups",
            "over_memsw",  # 1 if the last charge was refused by a limit of memory and swap
            "flusher_awake",  # 1 unless it sleeps
            "flusher_woken",  # 1 once reclaim found nothing but dirty pages
            "requests",  # rows of `requests` that the device has not taken yet
            "room_requests",
            "direct",  # transfers past the page cache so far
            "zeroed",  # free frames that idle CPUs have zeroed
            "zeroed_from_ns",  # CPU time spent idle, of all CPUs, that has been used for it
            "uses",  # pages that came to a list so far, where a textbook chooses who leaves
            "youngest_from",  # of `uses`: when the youngest generation of pages began
            "before_from",  # and the one before it
            "next_anon_vma",  # no two areas have been given the same number
        )
    ]
)

SLOTS = np.dtype(
    [
        ("free", "i8"),  # the row that is taken next
        ("used", "i8"),
        ("room", "i8"),  # rows that may be in use at once
    ]
)
"""Which rows of an array are free (`sim.machine.slots`)."""

SLOTS_TABLES: Final = 0
"""Rows of `table_info`, and those of `tables` with them."""
SLOTS_AREAS: Final = 1
SLOTS_ANON_ROOTS: Final = 2
SLOTS_SPACES: Final = 3
SLOTS_FILES: Final = 4
SLOTS_SWAP: Final = 5
N_SLOTS: Final = 6
