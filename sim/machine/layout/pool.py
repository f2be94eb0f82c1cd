"""The pool of frames, zones, free lists, and what holds for the whole machine."""

from typing import Final

import numpy as np

N_ORDERS: Final = 11
"""Buddy orders 0 to 10, as in Linux (`MAX_PAGE_ORDER` 10)."""

HEED_QUEUE: Final = 1
"""In ``pool.heed``: tasks wait for memory, first come first served."""
HEED_READS: Final = 2
"""In ``pool.heed``: requests wait for the device to take them."""
HEED_LOCKS: Final = 4
"""In ``pool.heed``: some who wait for an mmap lock may have it now, in the middle of a call."""

FORK_COW: Final = 0
FORK_EAGER: Final = 1
FORK_ON_DEMAND: Final = 2
"""Leaf tables are shared, and copied at the first change below one."""
FORK_ASYNC: Final = 3
"""The child copies the leaf tables; the parent those it wants to change before that."""

THP_NEVER: Final = 0
THP_MADVISE: Final = 1
THP_ALWAYS: Final = 2

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
            "n_zones",
            "n_cpus",
            "free",  # buddy lists of all zones: MemFree without the per-CPU lists
            "reserved",  # frames promised to forks under the `wait` policy
            "heed",  # what there is for the engine to see to, as HEED_ bits
            "head",  # the one of them that may try, or NONE
            "queueing",  # 1 under the `wait` policy
            "released",  # frames freed and references dropped since last asked
            # frames in use, by purpose
            "anon",
            "table",
            "stack",
            "cache",
            "shmem",  # of the page cache: pages of shared anonymous memory
            "copies",  # anonymous frames beyond one per page of data
            "peak_total",
            "peak_data",
            "peak_copies",
            "peak_table",
            "peak_stack",
            "peak_cache",
            # promises
            "committed",
            "commit_limit",
            "admin_reserve",  # of the limit, for root
            "user_reserve",  # of the limit, so that a user can recover
            "overcommit",
            "ram",  # pages without the kernel's share: `totalram_pages`
            "stack_frames",  # frames of one kernel stack
            "fork_kind",
            "eager_zero",
            "thp",
            "folios_always",  # orders of folios for all anonymous memory, a bit each
            "folios_advised",  # and for memory with `A_HUGEPAGE`: these and more
            "khugepaged",  # 1 if it may want the mmap lock of any address space
            "folio_shift",  # rows of `folios` for each 2 MiB, as a power of 2; 0: no memory
            "rules",  # bits of `sim.machine.rules`: what this release of Linux does
            "read_ahead",  # pages that are read ahead at most, of a file that says nothing else
            "largest_read",  # pages of the largest request that the device takes
            "under_way",  # pages that the device is reading, or has been asked for
            "requests",  # rows of `requests` that the device has not taken yet
            "room_requests",
            "next_family",
            # slots of the arrays
            "room_tables",
            "room_areas",
            "room_spaces",
            "free_table",
            "used_tables",
            "free_area",
            "used_areas",
            "free_space",
            "used_spaces",
        )
    ]
)
