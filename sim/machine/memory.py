"""Zeroed arrays for the machine: lazily backed, in huge pages where the system has them."""

import mmap
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LARGE_BYTES: Final = 4 << 20
_MOST_SPARE: Final = 4
_spare: list[mmap.mmap] = []
"""Buffers of machines that are no more, smallest first.

In a virtual machine the first touch of memory costs several times what clearing it again does, so a
worker that carries out one run after the other keeps its buffers.
"""


def zeroed(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros; of records, with its fields as attributes.

    Large ones are mapped privately and advised for huge pages, because touching them for the first
    time in 4 KiB pages would cost more than the simulation does.
    """
    kind = np.dtype(dtype)
    n_bytes = int(np.prod(shape)) * kind.itemsize
    if n_bytes >= _LARGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        pages = _spare_buffer(n_bytes)
        array = np.frombuffer(pages, dtype=kind, count=n_bytes // kind.itemsize).reshape(shape)
    else:
        array = np.zeros(shape, kind)
    return array.view(np.recarray) if kind.names else array


def _spare_buffer(n_bytes: int) -> mmap.mmap:
    """Return a buffer of at least `n_bytes`, the first so many of them zero."""
    for number, pages in enumerate(_spare):
        if len(pages) >= n_bytes:
            del _spare[number]
            np.frombuffer(pages, np.uint8, count=n_bytes)[:] = 0
            return pages
    pages = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages.madvise(mmap.MADV_HUGEPAGE)
    return pages


def recycle(array: NDArray[Any]) -> None:
    """Keep the buffer behind an array of `zeroed` for the next one; nobody may use it any more."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if isinstance(base, mmap.mmap):
        _spare.append(base)
        _spare.sort(key=len)
        del _spare[:-_MOST_SPARE]


def grown(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return a copy of `array` with room for `rows` rows, the new ones zero."""
    larger = zeroed((rows, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


class _CheckedRows(np.recarray):
    """Records whose row must not be negative."""

    def __getitem__(self, index: Any) -> Any:
        _refuse_negative(index)
        return super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        _refuse_negative(index)
        super().__setitem__(index, value)


class _CheckedNumbers(np.ndarray):
    """Numbers none of whose indices may be negative."""

    def __getitem__(self, index: Any) -> Any:
        _refuse_negative(index)
        return super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        _refuse_negative(index)
        super().__setitem__(index, value)


def checked(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view of an array that takes no negative index: Python would count from the end."""
    return array.view(_CheckedRows if array.dtype.names else _CheckedNumbers)


def _refuse_negative(index: Any) -> None:
    for number in index if isinstance(index, tuple) else (index,):
        if isinstance(number, int | np.integer) and number < 0:
            raise IndexError(f"index {number} is negative")
