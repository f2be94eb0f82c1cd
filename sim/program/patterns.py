"""Which pages a stream of accesses touches, and when.

A pattern is given to `Process.read` and `Process.write`; it says which pages of the
given range the accesses go to, in order.  It holds parameters only: random draws are
made by the engine, from the task's own streams.  Page numbers count from 0 at the start
of the region, whatever the range; `Listed` names them one by one.

Nothing here knows what an access does or costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@final
@dataclass(frozen=True, slots=True)
class Sequential:
    """Every page of the range once, in ascending order."""


SEQUENTIAL: Final = Sequential()


@dataclass(frozen=True, slots=True)
class Uniform:
    """`count` accesses, each to a page drawn uniformly from the range, with replacement.

    Raises `ValueError` if `count` is negative.
    """

    count: int

    def __post_init__(self) -> None:
        _check_count("Uniform", self.count)


@dataclass(frozen=True, slots=True)
class HotCold:
    """`count` accesses to a range of which one part is hot.

    The first `hot_fraction` of the range's pages (at least one) are hot.  Each access goes
    with probability `hot_share` to a page drawn uniformly from the hot ones, otherwise to
    one drawn uniformly from the rest; where there is no rest, every access is hot.  Where an
    access spans several pages, all this is said of aligned groups of that many.

    Raises `ValueError` if `count` is negative, `hot_fraction` is not in (0, 1], or
    `hot_share` is not in [0, 1].
    """

    count: int
    hot_fraction: float
    hot_share: float

    def __post_init__(self) -> None:
        _check_count("HotCold", self.count)
        if not 0.0 < self.hot_fraction <= 1.0:
            raise ValueError(f"hot_fraction must be in (0, 1], got {self.hot_fraction}")
        if not 0.0 <= self.hot_share <= 1.0:
            raise ValueError(f"hot_share must be in [0, 1], got {self.hot_share}")

    def hot_pages(self, pages: int) -> int:
        """Return how many of `pages` pages are hot: the nearest whole number, at least 1.

        >>> HotCold(count=10, hot_fraction=0.1, hot_share=0.9).hot_pages(256)
        26
        """
        return min(pages, max(1, round(pages * self.hot_fraction)))


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """Exactly these pages, in this order; repeats are allowed.

    `pages` has shape ``(n,)``, dtype int64, and counts from the start of the region.
    The array is not copied: do not change it afterwards.

    Raises `ValueError` if it has another shape or type, or a negative number.
    """

    pages: NDArray[np.int64]

    def __post_init__(self) -> None:
        _check_int64("Listed", self.pages)
        if self.pages.size and int(self.pages.min()) < 0:
            raise ValueError(f"Listed pages must be >= 0, got {int(self.pages.min())}")


@dataclass(frozen=True, slots=True)
class Every:
    """Arrivals at `first_ns`, then every `interval_ns`: the n-th at first + n * interval.

    `first_ns` is absolute simulated time.  Raises `ValueError` if `first_ns` is negative
    or `interval_ns` is not positive.
    """

    first_ns: int
    interval_ns: int

    def __post_init__(self) -> None:
        for name in ("first_ns", "interval_ns"):
            if not isinstance(getattr(self, name), (int, np.integer)):
                raise ValueError(f"{name} must be a whole number, got {getattr(self, name)!r}")
        if self.first_ns < 0:
            raise ValueError(f"first_ns must be >= 0, got {self.first_ns}")
        if self.interval_ns < 1:
            raise ValueError(f"interval_ns must be >= 1, got {self.interval_ns}")


def check_arrivals(arrivals_ns: NDArray[np.int64]) -> None:
    """Raise `ValueError` unless `arrivals_ns` can pace a stream.

    Shape ``(n,)``, dtype int64, absolute ns, not negative, never decreasing.
    """
    _check_int64("arrivals", arrivals_ns)
    if arrivals_ns.size == 0:
        return
    if int(arrivals_ns[0]) < 0:
        raise ValueError(f"arrivals must be >= 0 ns, got {int(arrivals_ns[0])}")
    late = np.flatnonzero(arrivals_ns[1:] < arrivals_ns[:-1])
    if late.size:
        at = int(late[0]) + 1
        raise ValueError(
            f"arrivals must never decrease, but number {at} is at {int(arrivals_ns[at])} ns,"
            f" after one at {int(arrivals_ns[at - 1])} ns"
        )


Pattern = Sequential | Uniform | HotCold | Listed
"""Every pattern that `Process.read` and `Process.write` take."""


def _check_count(who: str, count: int) -> None:
    if not isinstance(count, (int, np.integer)):
        raise ValueError(f"{who} count must be a whole number, got {count!r}")
    if count < 0:
        raise ValueError(f"{who} count must be >= 0, got {count}")


def _check_int64(who: str, values: object) -> None:
    if not isinstance(values, np.ndarray):
        raise ValueError(f"{who} needs an int64 array, got {type(values).__name__}")
    if values.dtype != np.int64 or values.ndim != 1:
        raise ValueError(
            f"{who} needs a one-dimensional int64 array,"
            f" got {values.dtype} with shape {values.shape}"
        )
