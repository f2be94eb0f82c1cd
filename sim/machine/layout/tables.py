"""Page tables; entries have the bits of x86-64, the frame number above bit 12."""

from typing import Final

import numpy as np

TABLE_ENTRIES: Final = 512
PAGE_SHIFT: Final = 12
TABLE_SHIFT: Final = 9
TABLE_MASK: Final = 511
VPN_BITS: Final = 36
PTE_PRESENT: Final = 1
PTE_WRITE: Final = 2
PTE_ACCESSED: Final = 32
PTE_DIRTY: Final = 64
PTE_HUGE: Final = 128
PTE_BLANK: Final = 256
"""Software bit: made dirty by the kernel; a program has not written to the page, it holds zeros."""
PTE_ZERO: Final = 512
"""Software bit: the shared zero page, which counts in no resident set."""
PTE_SWAP: Final = 1024
"""Not present; bits above 12 are a slot of the swap device."""
PTE_SWP_EXCLUSIVE: Final = 2048
"""Software bit, of an entry that is swapped out: its page was one address space's alone."""
PMD_READONLY: Final = 2048
"""Software bit, one level above the leaf tables: this address space may not change the leaf table,
which others use as well (on-demand-fork) or still have to copy (Async-fork)."""

PFN_SHIFT: Final = 12
ZERO_PFN: Final = 0
"""Frame 0 is the shared zero page, as Linux keeps one for all."""

TABLE = np.dtype(
    [
        ("frame", "i8"),
        # address spaces that use it: on-demand-fork shares leaf tables, hugetlb those of level 1
        ("refs", "i8"),
        ("level", "i8"),  # 0 leaf .. 3 top
        # the next free slot; of a table of level 1 in use, the first leaf table set aside for a
        # huge entry of it, and of each of those the next
        ("next", "i8"),
    ]
)
