"""The clock, what is measured as time goes by, and what a step costs."""

from typing import Final

import numpy as np

from sim.machine.parts import PARTS
from sim.machine.work import N_LINES

CLOCK = np.dtype(
    [
        (name, "i8")
        for name in (
            "tick_ns",
            "level_ns",  # the integrals below reach up to here
            "level_free",  # free pages since then
            "free_low",  # integral of free pages x ns, below 2**61
            "free_high",  # and its multiples of 2**61
            "free_min",
            "due_ns",  # nothing below is due before that
            "sample_next_ns",
            "sample_every_ns",
            "samples",
            "psi_next_ns",  # when averages of pressure are brought up to date next
            "psi_period_ns",  # and how often (`PSI_FREQ`)
            "runnable",  # tasks that wait for a CPU
            "flush_ns",  # when statistics of groups are flushed next (`sim.machine.lru`)
            # the receipt of the step under way
            "lines",
            "kind",  # fault kind of this step, or NONE
            "fault_ps",
            "reclaims",  # 1 if memory was reclaimed in this step, 2 if for the machine
            "reclaim_from_ps",  # what reclaim had cost before it
            "flush_space",  # an address space that is due a flush when it ends, or 0
        )
    ]
)

PEAK = np.dtype([(name, "i8") for name in ("total", *PARTS)])
"""Frames in use when there were most, in all and by what they were for."""

SAMPLE = np.dtype(
    [
        (name, "i8")
        for name in (
            "t_ns",
            "free_pages",
            "percpu_pages",  # free ones that are on the lists of CPUs
            "zeroed_pages",  # of those in `free_pages`, zeroed ahead of time
            "anon_pages",
            "page_tables_pages",
            "kernel_stacks_pages",
            "page_cache_pages",
            "shared_memory_pages",
            "hugetlb_pages",
            "zram_pages",
            "cow_copies_pages",
            "runnable",
            "slab_pages",
            "dirty_pages",
            "writeback_pages",
        )
    ]
)
"""A row of the time series, which has these names; `GROUP_SERIES` of the root follow."""

GROUP_SERIES: Final = (
    "current_pages",
    "anon_pages",
    "file_pages",
    "working_set_pages",
    "active_file_pages",
    "inactive_file_pages",
    "active_anon_pages",
    "inactive_anon_pages",
    "swap_pages",
    # from the start of the run
    "pages_scanned",
    "pages_stolen",
    "refaults",
    "psi_memory_some_us",
    "psi_memory_full_us",
)
"""What a row of the time series has of each group, with those in it.

Of the machine, as ROOT, all behind the working set.
"""
SERIES_CURRENT: Final = 0
SERIES_ANON: Final = 1
SERIES_FILE: Final = 2
SERIES_WORKING_SET: Final = 3
SERIES_ACTIVE_FILE: Final = 4
SERIES_INACTIVE_FILE: Final = 5
SERIES_ACTIVE_ANON: Final = 6
SERIES_INACTIVE_ANON: Final = 7
SERIES_SWAP: Final = 8
SERIES_SCANNED: Final = 9
SERIES_STOLEN: Final = 10
SERIES_REFAULTS: Final = 11
SERIES_SOME: Final = 12
SERIES_FULL: Final = 13

LATENCY = np.dtype(
    [
        ("sum_low", "i8"),  # sum of all values, below 2**61
        ("sum_high", "i8"),  # and its multiples of 2**61
        ("largest", "i8"),
    ]
)

BATCHING = np.dtype(
    [
        ("batches", "i8"),  # how many are whole
        ("requests", "i8"),  # in the one under way
        ("each", "i8"),  # that make a batch
    ]
)
"""Batches of successive requests, all of one size."""
FIRST_BATCH: Final = 5
"""Requests in a batch as long as they are few."""
MOST_BATCHES: Final = 800
"""So many are never reached: they are joined in pairs.  Half of them is what is asked for by the
rule of Law and Carson (`sim.stats.batch_means`)."""

MOST_SAMPLES: Final = 1000
"""Most rows of a time series; an even number."""
RECEIPT_LINES: Final = 16
"""Lines of a receipt that are kept apart, each priced by a draw of its own."""
RECEIPT_ROWS: Final = RECEIPT_LINES + N_LINES
"""Rows of a receipt: lines behind the first are added up by kind, so it cannot run over."""
N_LATENCIES: Final = N_LINES + 4
"""Latency histograms: one a fault kind, then request, fork, run queue and vfork."""
N_QUANTILES: Final = 1217
"""Knots of a table of prices (`sim.cost.quantiles`)."""
