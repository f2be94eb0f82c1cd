"""Paired comparisons of skewed values: what half of all pairs exceed, by order statistics.

Runs that share their random numbers are compared pair by pair.  Of n differences the sign test
gives limits for their median that hold whatever the distribution (Thompson 1936; David and
Nagaraja, Order Statistics, 7.1).  Results are looked at several times, at numbers of runs fixed
beforehand, so each look has a part of the error only (Bonferroni).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf  # noqa: F401  # for the examples
from statistics import median
from typing import Literal

from scipy import special

from sim.base.errors import InsufficientDataError
from sim.stats.estimate import check_fraction, finite

Finding = Literal["more", "less", "same", "cannot tell"]


@dataclass(frozen=True, slots=True)
class MedianLimits:
    """Median of n values, with limits that hold with probability `confidence` at least.

    The median is None, and a limit infinite, where values known only as more or less than
    something decide about it.
    """

    median: float | None
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
    sample = [float(value) for value in finite(values, at_least=1)]
    return median_limits_between(sample, sample, error=error)


def median_limits_between(
    lows: Sequence[float], highs: Sequence[float], *, error: float
) -> MedianLimits:
    """Return the limits of the median of values of which only bounds are known, maybe infinite.

    The i-th value lies between ``lows[i]`` and ``highs[i]``: a time that was cut off is at least
    what was seen of it.  The lower limit is that of the lower bounds, the upper one that of the
    upper bounds, so both hold whatever was cut off, and why.

    >>> median_limits_between([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, inf, inf], error=0.05)
    MedianLimits(median=3.5, low=1, high=inf, n=6, confidence=0.95)
    """
    check_fraction("error", error)
    n = len(lows)
    if n < least_pairs(error):
        raise InsufficientDataError(f"{n} pairs support no limits; it takes {least_pairs(error)}")
    rank = 0  # of the lower limit, from 0: P(Binomial(n, 1/2) <= rank) is within the error
    while float(special.bdtr(rank + 1, n, 0.5)) <= error / 2:
        rank += 1
    low, high = sorted(lows)[rank], sorted(highs)[n - 1 - rank]
    return MedianLimits(median_between(lows, highs), low, high, n, 1 - error)


def median_between(lows: Sequence[float], highs: Sequence[float]) -> float | None:
    """Return the median of values between bounds; None where the bounds leave it open.

    >>> median_between([1, 2, 3], [1, 2, inf]), median_between([1, 2, 3], [1, inf, inf])
    (2, None)
    """
    least, most = median(lows), median(highs)
    return least if least == most else None


def looks(error: float, n_looks: int) -> list[int]:
    """Return after how many pairs results are looked at: the fewest that can tell, then twice."""
    first = least_pairs(error / n_looks)
    return [first * 2**look for look in range(n_looks)]
