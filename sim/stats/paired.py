"""Paired comparisons of skewed values: what half of all pairs exceed, by order statistics.

Runs that share their random numbers are compared pair by pair.  Of n differences the sign test
gives limits for their median that hold whatever the distribution (Thompson 1936; David and
Nagaraja, Order Statistics, 7.1).  Results are looked at several times, at numbers of runs fixed
beforehand, so each look has a part of the error only (Bonferroni).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import special

from sim.base.errors import InsufficientDataError
from sim.stats.estimate import check_fraction, finite

Finding = Literal["more", "less", "same", "cannot tell"]


@dataclass(frozen=True, slots=True)
class MedianLimits:
    """Median of n values, with limits that hold with probability `confidence` at least."""

    median: float
    low: float
    high: float
    n: int
    confidence: float

    def finding(self, neutral: float, within: float) -> Finding:
        """Return which side of `neutral` the median lies on.

        ``same`` if it lies within the distance `within` of it.
        """
        if neutral - within <= self.low and self.high <= neutral + within:
            return "same"
        if self.low > neutral:
            return "more"
        return "less" if self.high < neutral else "cannot tell"


def least_pairs(error: float) -> int:
    """Return how few values have limits of this error: the smallest and the largest of them.

    >>> least_pairs(0.05), least_pairs(0.05 / 32)
    (6, 11)
    """
    check_fraction("error", error)
    n = 1
    while 2.0 ** (1 - n) > error:
        n += 1
    return n


def median_limits(values: Sequence[float], *, error: float) -> MedianLimits:
    """Return the limits of the median that `values` support, each side wrong in ``error / 2``.

    Raises `InsufficientDataError` for fewer than `least_pairs` values.

    >>> median_limits([3.0, 1.0, 2.0, 5.0, 4.0, 6.0], error=0.05)
    MedianLimits(median=3.5, low=1.0, high=6.0, n=6, confidence=0.95)
    """
    check_fraction("error", error)
    ordered = sorted(finite(values, at_least=1))
    n = len(ordered)
    if n < least_pairs(error):
        raise InsufficientDataError(f"{n} pairs support no limits; it takes {least_pairs(error)}")
    rank = 0  # of the lower limit, from 0: P(Binomial(n, 1/2) <= rank) is within the error
    while float(special.bdtr(rank + 1, n, 0.5)) <= error / 2:
        rank += 1
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    low, high = float(ordered[rank]), float(ordered[n - 1 - rank])
    return MedianLimits(float(middle), low, high, n, 1 - error)


def looks(error: float, n_looks: int) -> list[int]:
    """Return after how many pairs results are looked at: the fewest that can tell, then twice."""
    first = least_pairs(error / n_looks)
    return [first * 2**look for look in range(n_looks)]
