"""Slots of the swap device (Linux `swap_map`)."""

import numpy as np

SWAP = np.dtype(
    [
        ("refs", "i8"),  # page-table entries that refer to the slot
        ("next", "i8"),  # of one that is free, the next free one that had been in use, or 0
    ]
)
"""Row 0 is no slot, but says how many are in use, and which free one had been last."""
