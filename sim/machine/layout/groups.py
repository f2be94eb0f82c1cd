"""Control groups, and what their memory is."""

from typing import Final

import numpy as np

ROOT: Final = 0
"""The group of the machine itself, in which all others are nested."""

KIND_TABLE: Final = 3
"""Page tables; the kinds before it are those of areas."""
KIND_STACK: Final = 4
"""Kernel stacks."""
N_KINDS: Final = 5
"""Kinds of memory that frames are taken for, each counted for every group."""

GROUP = np.dtype(
    [
        (name, "i8")
        for name in (
            "parent",  # the group it is nested in, which comes before it; NONE for the root
            "usage",  # pages charged to it and to groups in it; nothing is charged to the root
            "peak",  # the most there were
        )
    ]
)
