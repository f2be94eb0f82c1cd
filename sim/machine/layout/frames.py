"""Frames of physical memory, and large folios."""

from typing import Final

import numpy as np

F_ANON: Final = 1
F_EXCLUSIVE: Final = 2
F_DIRTY: Final = 4
F_TABLE: Final = 32
F_STACK: Final = 64
F_FILE: Final = 128
F_BUDDY: Final = 256
F_PERCPU: Final = 512
F_RESERVED: Final = 1024
F_LARGE: Final = 2048
"""Part of a huge page, mapped whole or by small entries: Linux's large folio."""
F_WRITTEN: Final = 4096
"""A program has written to it, though its entry may be clean: it may hold more than zeros."""
F_LOCKED: Final = 1 << 16
"""Of a page of a file: the device is reading it, nobody may use it yet (`PG_locked`)."""
F_AHEAD: Final = 1 << 17
"""Of a page of a file: who comes here has the next pages read (`PG_readahead`)."""
F_LRU: Final = 1 << 18
"""Of the first page of a folio, as the next five: it is on one of its group's lists (`PG_lru`)."""
F_ACTIVE: Final = 1 << 19
"""It is on the active list, or will be (`PG_active`)."""
F_REFERENCED: Final = 1 << 20
"""It was used once since it came to its list (`PG_referenced`)."""
F_WORKINGSET: Final = 1 << 21
"""It has been active (`PG_workingset`)."""
F_BATCHED: Final = 1 << 22
"""A CPU has collected it, to put it on a list or to activate it."""
F_RECLAIM: Final = 1 << 23
"""Reclaim has come to it, found it dirty and waits for it to be written (`PG_reclaim`)."""
F_WRITEBACK: Final = 1 << 24
"""Of a page of a file: a device is writing it (`PG_writeback`)."""

F_BUFFERS: Final = 1 << 26
"""Of the page cache: it was written, and has a buffer head since (ext4)."""
F_HUGETLB: Final = 1 << 25
"""Of a huge page of the pool (`PG_hugetlb`): its first frame counts for all of them."""
F_SWAPBACKED: Final = 1 << 28
"""Of a page of the page cache: its file is shared memory, which can be swapped out."""
F_SWAPCACHE: Final = 1 << 29
"""It has a slot of the swap device (`PG_swapcache`): faults need not look at which."""
F_ZRAM: Final = 1 << 27
"""It has pages that were swapped out, compressed."""

HUGE_ORDER: Final = 9
HUGE_PAGES: Final = 512
"""Pages of a huge page, 2 MiB: what one leaf table maps."""

FRAME = np.dtype(
    [
        # First what every fault, fork and exit asks, 16 bytes that lie in one cache line.
        ("refs", "i4"),  # references: mappings, and one for the page cache
        ("maps", "i4"),  # page-table entries that map it
        ("bits", "i4"),
        ("copy_next", "i4"),  # ring of frames that are versions of one page: COW copies
        ("copy_prev", "i4"),
        ("slot", "i4"),  # of the swap device that has a copy of it, 0 for none
        ("mapping", "i4"),  # anon_vma root; of a page in the page cache, its file
        ("next", "i4"),  # links of the list it is on: of free frames, or of pages by their use
        ("index", "i8"),  # Linux page offset: with `mapping` the reverse map
        ("prev", "i4"),
        ("group", "i2"),  # control group that is charged
        ("order", "i1"),
        ("zone", "i1"),
    ],
    align=True,
)

FOLIO = np.dtype(
    [
        ("first", "i4"),  # an address space that maps it, or NONE
        ("first_maps", "i4"),  # by how many entries, as far as the folio knows
        ("second", "i4"),  # another
        ("second_maps", "i4"),
        ("total", "i4"),  # entries that map any page of it, a huge one once
        ("shared", "i4"),  # 1 if more than one address space may map it
    ],
    align=True,
)
"""What a large folio remembers of who maps it (`sim.kernel.fault.mappers`)."""
