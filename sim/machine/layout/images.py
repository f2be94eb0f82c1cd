"""Programs as exec knows them."""

import numpy as np

IMAGE = np.dtype(
    [
        (name, "i8")
        for name in (
            "first",  # of its segments, in `segments`
            "n_segments",
            "heap",  # first page of its heap
            "first_touch",  # of the pages it touches when it starts, in `touches`
            "n_touches",
        )
    ]
)
"""A program as exec knows it.  Row 0 is anonymous memory of whatever size, and nothing else."""

SEGMENT = np.dtype(
    [
        (name, "i8")
        for name in (
            "start",
            "end",
            "vm_flags",
            "file",  # what it maps from page `offset` on, or NONE
            "offset",
            "clears",  # 1 if exec zeroes the rest of its last page: bss begins there
        )
    ]
)
