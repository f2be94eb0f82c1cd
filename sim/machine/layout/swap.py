"""Slots of the swap device (Linux `swap_map`), the swap cache, and kinds of device."""

from typing import Final

import numpy as np

SWAP_NONE: Final = 0
SWAP_IN_MEMORY: Final = 1
"""A page is read and written at once, by the CPU: zram (`SWP_SYNCHRONOUS_IO`)."""
SWAP_SOLID: Final = 2
"""It has no way to go: what lies near in memory is read ahead."""
SWAP_ROTATING: Final = 3
"""What lies near on the device is read ahead."""

SWAP_DEVICE: Final = 1
"""Its number among the devices; number 0 is the disk that files are on."""

STORED: Final = 1
ZEROS: Final = 2
"""Its page is nothing but zeros, of which a bit says so: it takes nothing, and is not read."""

SWAP = np.dtype(
    [
        ("refs", "i4"),  # page-table entries that refer to the slot
        ("pfn", "i4"),  # the frame that is its page in the swap cache, or 0
        ("next", "i8"),  # of one that is free, see `sim.machine.slots`
        ("shadow", "i8"),  # what its page has left when it was reclaimed, or 0
        ("turn", "i4"),  # of the read-ahead that asked a device for its page last, or 0
        ("group", "i2"),  # that is charged for it, ROOT for none
        ("stored", "i1"),  # STORED if zram has its page (`sim.machine.zram`), or ZEROS
        ("ahead", "i1"),  # 1 if its page was read ahead and not used yet (`PG_readahead`)
    ]
)
"""Row 0 is no slot."""

SWAP_AREA = np.dtype(
    [
        (name, "i8")
        for name in (
            "file",  # its row among the files, for requests; NONE without a swap device
            "kind",  # SWAP_NONE and its like
            "off",  # 0: it is on; the row of the task that empties it, + 1; NONE: it is empty, off
            # read ahead by slots (`swapin_nr_pages`)
            "hits",  # pages read ahead and used since the last time
            "last_offset",
            "last_pages",
            "turns",  # how often pages were read ahead
        )
    ]
)
"""The swap device; row 0 of ``swap_area``."""
