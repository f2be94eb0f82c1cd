"""Lists of pages that reclaim goes by: least recently used ones last.

Each control group has its own (Linux `lruvec`); frames are linked by `next` and `prev`, which are
free while a frame is in use.  The node of a large folio is the frame of its first page, and counts
for all of its pages.
"""

from typing import Final

import numpy as np

LRU_INACTIVE_ANON: Final = 0
LRU_ACTIVE_ANON: Final = 1
LRU_INACTIVE_FILE: Final = 2
LRU_ACTIVE_FILE: Final = 3
"""Lists of a group, numbered as in Linux (`enum lru_list`).

Those of anonymous pages are empty where there is no swap device: nobody would look at them.
"""
N_LRU: Final = 4

SWAP_CLUSTER_MAX: Final = 32
"""Pages of a list that reclaim looks at together, and that it wants at least."""
BATCH_PAGES: Final = 31
"""Folios that a CPU collects before it moves them to lists together (`PAGEVEC_SIZE`)."""
BATCH_WORDS: Final = BATCH_PAGES + 1
"""A row of `batches`: how many there are, then the frames of their first pages."""
BATCH_ADD: Final = 0
"""Of a CPU's batches: folios that come to a list for the first time."""
BATCH_ACTIVATE: Final = 1
"""Folios on an inactive list that are to be active."""
N_BATCHES: Final = 2

DEACTIVATE_ANON: Final = 1
DEACTIVATE_FILE: Final = 2

LRU_LIST = np.dtype(
    [
        ("head", "i8"),  # the folio that came last, or NONE
        ("tail", "i8"),  # the one that reclaim looks at first
        ("pages", "i8"),
    ]
)
"""A list, in row ``group * N_LRU + number``."""

LRUVEC = np.dtype(
    [
        (name, "i8")
        for name in (
            # the groups in it, for walks that go on where the last one stopped
            "child",  # the first of them, or NONE
            "sibling",  # the next one in the same group
            "position",  # where reclaim for this group has come to, or NONE: at the beginning
            "nonresident_age",  # pages evicted and activated so far
            # nodes of files' trees that hold nothing but shadows, the oldest first
            "shadow_head",
            "shadow_tail",
            "shadow_nodes",
            "shadow_deferred",  # that reclaim might have looked at and has not
            "flushed_pages",  # of the group alone, as of the last flush
            # as of the last flush, those of groups in it included
            "flushed_inactive_anon",
            "flushed_active_anon",
            "flushed_inactive_file",
            "flushed_active_file",
            "flushed_activated",  # pages of files that were activated because they came back soon
            "flushed_activated_anon",
            "seen_activated",  # the same, when reclaim for this group last ended
            "seen_activated_anon",
            # what it has cost to reclaim of each kind (`lru_note_cost`)
            "anon_cost",
            "file_cost",
            # counts of this group alone, in pages
            "pgscan_direct",
            "pgscan_kswapd",
            "pgsteal_direct",
            "pgsteal_kswapd",
            "pgrefill",  # looked at on the active list
            "pgactivate",
            "pgdeactivate",
            "workingset_refault",  # read again after they were reclaimed
            "workingset_activate",  # and activated at once
            "workingset_restore",  # and had been active before
            "workingset_refault_anon",
            "workingset_activate_anon",
            "workingset_restore_anon",
            "pgsteal_anon",  # of those reclaimed: anonymous ones
            "pswpin",  # pages read from the swap device
            "pswpout",  # and written to it
            "swpin_zero",  # that were all zeros, and so were not read
            "swpout_zero",  # nor written
        )
    ]
)
"""What reclaim knows of a group's memory, a row for each of `groups`."""

SCAN = np.dtype(
    [
        (name, "i8")
        for name in (
            "group",  # for which pages are reclaimed
            "kswapd",  # 1 if in the background
            "wanted",  # pages to reclaim
            "reclaimed",
            "scanned",
            "priority",  # a list is looked at up to its size >> priority
            "full_walk",  # 1 if all groups in it are looked at, whatever was reclaimed
            "may_deactivate",  # which active pages may become inactive: DEACTIVATE_ bits
            "held",  # a frame that is not freed: who reclaims is about to copy it; 0: none
            "ahead_turn",  # what who reclaims is reading ahead, which is not freed; 0: nothing
            "no_swap",  # 1 if swapping would not help: memory and swap are limited together
            "anon_cost",  # as of the beginning of the priority under way
            "file_cost",
            "cache_trim",  # 1 if there are inactive pages of files enough
            "file_is_tiny",  # 1 if the machine has hardly any pages of files left
            "written",  # pages given to the swap device that has not written them yet
            "congested",  # 1 once the swap device took no more, or a write is waited for
            "paged_out",  # of the portion under way: pages written to the swap device
            "force_deactivate",
            "skipped_deactivate",  # 1 if some might have, and could not
            "low_reclaim",  # 1 if `memory.low` protects nothing
            "low_skipped",  # 1 if it has protected something
            "unqueued_dirty",  # of the portion under way: dirty pages
        )
    ]
)
"""One reclaim under way, a row a CPU (Linux `scan_control`)."""
