"""Control groups: what they may have, what their memory is, and what has happened to them."""

from typing import Final

import numpy as np

ROOT: Final = 0
"""The group of the machine itself, in which all others are nested."""

KIND_TABLE: Final = 3
"""Page tables; the kinds before it are those of areas."""
KIND_STACK: Final = 4
"""Kernel stacks."""
KIND_ZRAM: Final = 5
"""What a swap device in memory takes; no group but the root is charged for it."""
N_KINDS: Final = 6
"""Kinds of memory that frames are taken for, each counted for every group."""
KIND_SWAP: Final = 7
"""The swap device: a kind of file only."""
KIND_HUGETLB: Final = 6
"""Huge pages of the pool: a kind of area and of file, but no group is charged for them."""

GROUP = np.dtype(
    [
        (name, "i8")
        for name in (
            "parent",  # the group it is nested in, which comes before it; NONE for the root
            "usage",  # pages of it and of groups in it, stocks included; nothing is the root's
            "peak",  # the most there were
            "limit",  # the most there may be (`memory.max`), FOREVER for no limit
            "high",  # above it tasks are slowed down (`memory.high`), FOREVER for never
            # what reclaim spares (`memory.min`, `memory.low`), and how much of that counts now
            "min_pages",
            "low_pages",
            "emin",
            "elow",
            "min_usage",  # pages that are protected, at most those there are
            "low_usage",
            "children_min",  # the same of the groups in it, added up
            "children_low",
            "swap",  # slots that are charged to it and to groups in it
            "swap_peak",
            "swap_limit",  # version 2: slots there may be (`memory.swap.max`)
            "memsw_limit",  # version 1: pages and slots there may be together
            "swappiness",
            "dirty",  # pages of files that are dirty, of it and of groups in it
            "writeback",  # that a device is writing
            "oom_group",  # 1 if all of it is killed together
            "slab",  # bytes of kernel objects: processes, areas, ... (`sim.machine.slab`)
            "slab_pages",  # whole pages charged for them
        )
    ]
)

STOCK = np.dtype([("group", "i8"), ("pages", "i8"), ("secured", "i8")])
"""Pages that are charged to a group ahead of use, on one CPU (Linux `memcg_stock_pcp`).

Of them, `secured` ones are what the step under way is still to take.
"""
N_STOCKS: Final = 7
"""Rows of stocks a CPU has; groups in them, ROOT for none."""
STOCK_PAGES: Final = 64
"""How many pages are charged at once (`MEMCG_CHARGE_BATCH`)."""

EVENTS: Final = (
    "low", "high", "max", "oom", "oom_kill", "oom_group_kill", "failcnt", "swap_max", "swap_fail",
)  # fmt: skip
"""What is counted of a group and of those in it: `memory.events`, and v1's `memory.failcnt`."""
(
    EV_LOW, EV_HIGH, EV_MAX, EV_OOM, EV_OOM_KILL, EV_OOM_GROUP_KILL, EV_FAILCNT, EV_SWAP_MAX,
    EV_SWAP_FAIL,
) = range(len(EVENTS))  # fmt: skip
