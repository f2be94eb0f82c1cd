"""What a machine is set to: written when it is built, and only read while it runs."""

from typing import Final

import numpy as np

FORK_COW: Final = 0
FORK_EAGER: Final = 1
FORK_ON_DEMAND: Final = 2
"""Leaf tables are shared, and copied at the first change below one."""
FORK_ASYNC: Final = 3
"""The child copies the leaf tables; the parent those it wants to change before that."""

THP_NEVER: Final = 0
THP_MADVISE: Final = 1
THP_ALWAYS: Final = 2

ZERO_IN_FAULTS: Final = 0
ZERO_AT_FREE: Final = 1
"""Whoever gives a frame back zeroes it (`init_on_free`)."""
ZERO_WHEN_IDLE: Final = 2
"""Idle CPUs zero free frames, up to a stock; faults zero the rest."""

REPLACE_LINUX: Final = 0
"""Reclaim goes by Linux's lists of pages."""
REPLACE_FIFO: Final = 1
REPLACE_CLOCK: Final = 2
REPLACE_LRU: Final = 3
REPLACE_RANDOM: Final = 4
REPLACE_MGLRU_LIKE: Final = 5
"""Textbooks: every page is on the inactive list of its group, and one leaves when one is needed."""

CONFIG = np.dtype(
    [
        (name, "i8")
        for name in (
            "n_zones",
            "n_cpus",
            "stocks",  # groups that a CPU has a stock of, at most
            "ram",  # pages without the kernel's share: `totalram_pages`
            "total_swap_pages",  # slots of the swap device
            "zero_pages_of_2_32",  # so many of 2**32 pages that are swapped out are all zeros
            "zram_page_bytes",  # what zram takes for one of them
            "replacement",  # which page leaves: REPLACE_LINUX and its like
            "page_cluster",  # of pages read ahead from it at most, the power of 2
            "rules",  # bits of `sim.machine.rules`: what this release of Linux does
            "cgroup",  # bits of `sim.machine.rules.cgroup`: what groups do as in version 1
            "queueing",  # 1 under the `wait` policy
            "overcommit",
            "commit_limit",
            "total_reserve",  # of all zones: `totalreserve_pages`
            "admin_reserve",  # of the limit, for root
            "user_reserve",  # of the limit, so that a user can recover
            "stack_frames",  # frames of one kernel stack
            "fork_kind",
            "eager_zero",
            "zeroing",  # who zeroes frames: ZERO_IN_FAULTS and its like
            "zero_ns",  # what that takes a frame
            "zero_stock",  # frames that idle CPUs zero ahead at most
            "thp",
            "folios_always",  # orders of folios for all anonymous memory, a bit each
            "folios_advised",  # and for memory with `A_HUGEPAGE`: these and more
            "folio_shift",  # rows of `folios` for each 2 MiB, as a power of 2; 0: no memory
            "dirty_ratio",  # per cent of what may be dirty: beyond it who writes waits
            "dirty_background_ratio",  # beyond it pages are written in the background
            "khugepaged",  # 1 if it may want the mmap lock of any address space
            "read_ahead",  # pages that are read ahead at most, of a file that says nothing else
            "largest_read",  # pages of the largest request that the device takes
        )
    ]
)
