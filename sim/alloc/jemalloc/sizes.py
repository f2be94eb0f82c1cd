"""jemalloc's size classes: of allocations, and of stretches of pages.

Read in jemalloc 5.3.0 ``src/sc.c``, ``src/sz.c``; four classes to a doubling, 16 bytes apart at
least, as Debian and most builds have it (Redis's own is `sim.alloc.jemalloc.layout`).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Final

from sim.base.units import KIB, PAGE_BYTES

QUANTUM_BYTES: Final = 16
LARGE_BYTES: Final = 16 * KIB
"""The smallest class with pages of its own; smaller ones share slabs."""
LARGEST_BYTES: Final = 1 << 46


def _classes(smallest: int, quantum: int) -> list[int]:
    """Return classes from `smallest` on: multiples of `quantum` up to 4, then four a doubling."""
    sizes = [smallest] if smallest < quantum else []
    sizes += [quantum * n for n in range(1, 5)]
    step = quantum
    while sizes[-1] < LARGEST_BYTES:
        sizes += [sizes[-1] + step * n for n in range(1, 5)]
        step *= 2
    return sizes


CLASSES: Final = _classes(8, QUANTUM_BYTES)
"""Bytes of every class of allocations: 8, 16, 32, 48, 64, 80, ..."""
PAGE_CLASSES: Final = _classes(PAGE_BYTES, PAGE_BYTES)
"""Bytes of every class of stretches of pages."""
SMALL_CLASSES: Final = bisect_left(CLASSES, LARGE_BYTES)


def class_index(size_bytes: int) -> int:
    """Return the class of an allocation.

    >>> [CLASSES[class_index(n)] for n in (1, 9, 17, 100, 129, 4097, 17_000, 1_100_000)]
    [8, 16, 32, 112, 160, 5120, 20480, 1310720]
    """
    return bisect_left(CLASSES, size_bytes)


def slab_bytes(class_bytes: int) -> int:
    """Return the size of a slab: the fewest pages that allocations fill exactly.

    >>> [slab_bytes(n) // 4096 for n in (8, 48, 160, 3072, 14336)]
    [1, 3, 5, 3, 7]
    """
    return math.lcm(class_bytes, PAGE_BYTES)


def page_class(size_bytes: int) -> int:
    """Return the index of the smallest class of stretches that has so many bytes."""
    return bisect_left(PAGE_CLASSES, size_bytes)


def floor_bin(size_bytes: int, pad_bytes: int) -> int:
    """Return the bin of a free stretch: by the largest request, padded, that it can meet."""
    index = page_class(size_bytes - pad_bytes + 1)
    return page_class(size_bytes if index == 0 else PAGE_CLASSES[index - 1] + pad_bytes)


def ceiling_bin(size_bytes: int, pad_bytes: int) -> int:
    """Return the first bin all of whose stretches have `size_bytes`."""
    index = page_class(size_bytes - pad_bytes + 1)
    floor = size_bytes if index == 0 else PAGE_CLASSES[index - 1] + pad_bytes
    if floor < size_bytes:
        floor = PAGE_CLASSES[page_class(floor - pad_bytes + 1)] + pad_bytes
    return page_class(floor)
