"""Address spaces (Linux `mm_struct`)."""

import numpy as np

SPACE = np.dtype(
    [
        (name, "i8")
        for name in (
            "top",  # table slot of level 3
            "head",  # first area, in address order
            "tail",  # and the last
            "root",  # of the tree of areas
            "n_areas",
            "users",  # tasks that share it (Linux mm_users)
            "group",  # control group of those tasks
            "pages",  # virtual size (VmSize)
            "rss_anon",
            "rss_file",
            "rss_shmem",
            "peak_rss",
            "swapents",  # pages that are swapped out (VmSwap)
            "tables",  # page-table pages it holds
            "committed",
            "generation",  # raised whenever cached areas or leaf tables go stale
            "heap",  # area of the heap, or NONE
            "heap_start",
            "brk",  # first page behind the heap
            "mmap_top",  # mappings are placed below this page
            "locked_by",  # the task that holds the mmap lock for writing, or NONE
            "readers",  # tasks that hold it for reading
            "areas_of",  # the task that has locked areas, or NONE
            "lock_start",  # from here
            "lock_end",  # to here
            "area_users",  # tasks that hold the lock of an area, for reading
            "area_start",  # all of them from here
            "area_end",  # to here
            "lock_waiters",  # calls that wait for the mmap lock
            "fault_waiters",  # faults, and calls on one area, that wait
            "thp_disabled",  # 1: no huge pages and no large folios (PR_SET_THP_DISABLE)
            "leaving",  # 1 while it is being torn down
            "shared_tables",  # leaf tables it may not change
            "async_child",  # the address space that still copies leaf tables from it, or NONE
            "async_parent",  # the one it still copies leaf tables from, or NONE
            "tlb_gen",  # flushes so far, of what processors know of it (`sim.kernel.flush`)
            "flush_due",  # 1 if one is due when the step under way ends
            "flush_start",  # of that one, or the last: its pages
            "flush_end",
            "flush_next",  # the next that is due one, or 0
            "next",
        )
    ]
)
