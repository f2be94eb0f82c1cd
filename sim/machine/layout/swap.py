"""Slots of the swap device (Linux `swap_map`)."""

import numpy as np

SWAP = np.dtype(
    [
        ("refs", "i8"),  # page-table entries that refer to the slot
        ("next", "i8"),  # of one that is free, see `sim.machine.slots`
    ]
)
"""Row 0 is no slot."""
