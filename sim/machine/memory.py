"""Zeroed arrays for the machine: lazily backed, in huge pages where the system has them."""

import mmap
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LARGE_BYTES = 4 << 20


def zeroed(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros; of records, with its fields as attributes.

    Large ones are mapped privately and advised for huge pages, because touching them for the first
    time in 4 KiB pages would cost more than the simulation does.
    """
    kind = np.dtype(dtype)
    n_bytes = int(np.prod(shape)) * kind.itemsize
    if n_bytes >= _LARGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        pages = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        pages.madvise(mmap.MADV_HUGEPAGE)
        array = np.frombuffer(pages, dtype=kind).reshape(shape)
    else:
        array = np.zeros(shape, kind)
    return array.view(np.recarray) if kind.names else array


def grown(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return a copy of `array` with room for `rows` rows, the new ones zero."""
    larger = zeroed((rows, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
