"""Percentiles from histograms whose buckets grow with the value (as in HdrHistogram).

A histogram is an array of ``N_BUCKETS`` counts of whole, non-negative values below 2**63.  Each
octave has 64 buckets of equal width, so a bucket is at most 1/64 of its values wide and its middle
at most 1/128 (0.8 %) off; values below 128 have a bucket each and are exact.  The layout, which
compiled code repeats::

    bits = number of binary digits of value         # 0 for 0
    shift = max(bits - 7, 0)                         # bucket width is 1 << shift
    index = (shift << 6) + (value >> shift)

The index has no gaps and grows with the value: an octave ends at ``(shift << 6) + 127`` and the
next begins at ``((shift + 1) << 6) + 64``, one further.  Adding two arrays merges two histograms.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.base.errors import InsufficientDataError

N_BUCKETS: Final = (56 << 6) + 128
"""Buckets of a histogram: 3,712 reach up to 2**63 - 1."""

RELATIVE_ERROR: Final = 1 / 128
"""Largest relative distance of a value from the middle of its bucket."""


def bucket_of(value: int) -> int:
    """Return the bucket of one value; raises `ValueError` outside 0 .. 2**63 - 1.

    >>> [bucket_of(value) for value in (0, 63, 127, 128, 129, 130, 2**63 - 1)]
    [0, 63, 127, 128, 128, 129, 3711]
    """
    if not 0 <= value < 2**63:
        raise ValueError(f"a histogram holds values in 0 .. 2**63 - 1, got {value}")
    shift = max(value.bit_length() - 7, 0)
    return (shift << 6) + (value >> shift)


def bucket_bounds(index: int) -> tuple[int, int]:
    """Return the lowest and the highest value of a bucket, both included.

    >>> bucket_bounds(127), bucket_bounds(128), bucket_bounds(3711)[1] == 2**63 - 1
    ((127, 127), (128, 129), True)
    """
    if not 0 <= index < N_BUCKETS:
        raise ValueError(f"a histogram has buckets 0 .. {N_BUCKETS - 1}, got {index}")
    shift = max((index >> 6) - 1, 0)
    low = (index - (shift << 6)) << shift
    return low, low + (1 << shift) - 1


def bucket_middle(index: int) -> int:
    """Return the value that stands for a bucket, within 0.8 % of all its values."""
    low, high = bucket_bounds(index)
    return low + (high - low + 1) // 2


def histogram(values: ArrayLike) -> NDArray[np.int64]:
    """Return the counts, shape ``(N_BUCKETS,)``, of an array of values of any shape."""
    array = np.asarray(values, dtype=np.int64).ravel()
    if len(array) and array.min() < 0:
        raise ValueError(f"a histogram holds values in 0 .. 2**63 - 1, got {array.min()}")
    indices = np.searchsorted(_LOWS, array, side="right") - 1
    return np.bincount(indices, minlength=N_BUCKETS).astype(np.int64)


def merge(histograms: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the histogram of all values of `histograms`, each of shape ``(N_BUCKETS,)``."""
    merged = np.zeros(N_BUCKETS, dtype=np.int64)
    for counts in histograms:
        merged += _checked(counts)
    return merged


def percentile(counts: NDArray[np.int64], percent: float) -> int:
    """Return the smallest value that at least `percent` % of all values do not exceed.

    Within 0.8 % of the same figure of the sorted values (nearest rank); exact below 128.

    Raises `InsufficientDataError` for an empty histogram, `ValueError` for a `percent` outside
    (0, 100].

    >>> percentile(histogram([10, 20, 30, 40]), 50)
    20
    """
    return percentiles(counts, [percent])[0]


def percentiles(counts: NDArray[np.int64], percents: Sequence[float]) -> list[int]:
    """Return several percentiles of one histogram, as `percentile` does."""
    cumulative = np.cumsum(_checked(counts))
    n = int(cumulative[-1])
    if n == 0:
        raise InsufficientDataError("no values: an empty histogram has no percentiles")
    ranks = [_rank(n, percent) for percent in percents]
    indices = np.searchsorted(cumulative, ranks, side="left")
    return [bucket_middle(int(index)) for index in indices]


def _rank(n: int, percent: float) -> int:
    """Return the nearest rank, 1 .. n; millionths, since 99.9 has no binary fraction."""
    if not 0 < percent <= 100:
        raise ValueError(f"percent must lie in (0, 100], got {percent}")
    millionths = round(percent * 1_000_000)
    return max(1, -(-n * millionths // 100_000_000))


def _checked(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    if counts.shape != (N_BUCKETS,):
        raise ValueError(f"a histogram has shape ({N_BUCKETS},), got {counts.shape}")
    return counts


_LOWS: Final = np.array([bucket_bounds(index)[0] for index in range(N_BUCKETS)], dtype=np.int64)
