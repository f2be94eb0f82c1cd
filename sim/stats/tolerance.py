"""One-sided tolerance bounds: "99 % of saves need no more than this, at 95 % confidence".

A confidence interval says where the mean lies; a tolerance bound says where nearly all values
lie, which is what a machine is sized for.  What n values support without an assumption about
their distribution comes from order statistics: 299 values bound 99 % of all at 95 % confidence,
the largest of 10 bounds 74 %.  Normal theory says more from few values, but only if the values
are normal: it is used where that was declared beforehand and the values do not speak against it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from scipy import special

from sim.base.errors import InsufficientDataError
from sim.stats.estimate import check_fraction, finite

Method = Literal["order statistic", "normal theory", "largest value"]

GUARD_LEVEL: Final = 0.05
"""Normal theory is not used where the Shapiro-Wilk test gives a p below this."""


MOST_TESTED: Final = 5000
"""So many values the test looks at: Royston's p is not known to be right for more."""


@dataclass(frozen=True, slots=True)
class UpperBound:
    """A value that at least a share `content` of all values stay below, at `confidence`.

    `n` values went into it.  By the method ``largest value`` the content is what n values
    support, less than what was asked for.  `shapiro_p` is there if normal theory was declared: the
    p of the Shapiro-Wilk test, 0 for values that are all equal.

    >>> print(upper_bound([1.0, 2.0, 3.0], content=0.9, confidence=0.9, normal=True))
    6.258 (90 % of values, 90 % confidence, n=3, normal theory)
    >>> print(upper_bound([1.0, 2.0, 3.0], content=0.9, confidence=0.9))
    3 (46.4 % of values, 90 % confidence, n=3, largest value)
    """

    bound: float
    content: float
    confidence: float
    n: int
    method: Method
    shapiro_p: float | None = None

    def __str__(self) -> str:
        return (
            f"{self.bound:.4g} ({100 * self.content:g} % of values, "
            f"{100 * self.confidence:g} % confidence, n={self.n}, {self.method})"
        )


def upper_bound(
    values: Sequence[float],
    *,
    content: float,
    confidence: float,
    normal: bool = False,
    n_cut_off: int = 0,
) -> UpperBound:
    """Return the bound that the values support.

    =========================================  ==================  =========================
    values                                     method              content
    =========================================  ==================  =========================
    `values_needed` or more                    order statistic     as asked for
    fewer, declared normal, guard not against  normal theory       as asked for
    fewer                                      largest value       what so many values support
    =========================================  ==================  =========================

    Parameters
    ----------
    values
        Shape ``(n,)``, one per independent observation, all in one unit; so is the bound.
    normal
        The values were declared to be normal before they were seen.
    n_cut_off
        How many more observations there were of which is known only that they are larger than
        they were seen to be (censored).  They count as larger than all `values`.

    Raises
    ------
    InsufficientDataError
        No value, one that is not finite, or the bound's rank is that of a value cut off.
    """
    n = len(values) + n_cut_off
    p = None
    if normal and len(values) > 1:
        p = shapiro_p(values)
        few = n < values_needed(content=content, confidence=confidence)
        if few and not n_cut_off and p >= GUARD_LEVEL:
            return normal_bound(values, content=content, confidence=confidence, shapiro_p=p)
    return order_bound(
        values, content=content, confidence=confidence, n_cut_off=n_cut_off, shapiro_p=p
    )


def order_bound(
    values: Sequence[float],
    *,
    content: float,
    confidence: float,
    n_cut_off: int = 0,
    shapiro_p: float | None = None,
) -> UpperBound:
    """Return the smallest order statistic that is a tolerance bound, for any distribution.

    If not even the largest value is one, it is returned with the content that it does bound.
    Raises `InsufficientDataError` if the rank is that of a value that was cut off.
    """
    sample = finite(values, at_least=0)
    n = len(sample) + n_cut_off
    if n == 0:
        raise InsufficientDataError("no values: nothing is bounded")
    method: Method = "order statistic"
    if n < values_needed(content=content, confidence=confidence):
        method = "largest value"
        content = supported_content(n, confidence=confidence)
    rank = order_rank(n, content=content, confidence=confidence)
    if rank > len(sample):
        raise InsufficientDataError(
            f"{n_cut_off} of {n} values were cut off, so no bound on {100 * content:g} % is known"
        )
    bound = float(np.sort(sample)[rank - 1])
    return UpperBound(bound, content, confidence, n, method, shapiro_p)


def order_rank(n: int, *, content: float, confidence: float) -> int:
    """Return the smallest r for which the r-th of n values is a tolerance bound; at most n.

    The r-th of n values exceeds the `content` quantile with probability
    ``P(Binomial(n, content) <= r - 1)`` at least (Wilks 1941).

    >>> order_rank(473, content=0.99, confidence=0.95)
    472
    """
    below = special.bdtr(np.arange(n), n, content)
    ranks = np.flatnonzero(below >= confidence)
    return int(ranks[0]) + 1 if len(ranks) else n


def supported_content(n: int, *, confidence: float) -> float:
    """Return the share of all values that the largest of n bounds, whatever their distribution.

    ``(1 - confidence) ** (1 / n)``, rounded down to a thousandth where it is above one.

    >>> supported_content(10, confidence=0.95), supported_content(1, confidence=0.95)
    (0.741, 0.05)
    """
    check_fraction("confidence", confidence)
    if n < 1:
        raise InsufficientDataError("no values: nothing is bounded")
    share: float = (1 - confidence) ** (1 / n)
    thousandths = math.floor(share * 1000 + 1e-9)
    return thousandths / 1000 if thousandths else share


def normal_bound(
    values: Sequence[float],
    *,
    content: float,
    confidence: float,
    shapiro_p: float | None = None,
) -> UpperBound:
    """Return mean + k standard deviations, exact if the values are normal.

    k comes from the noncentral t distribution; see Hahn and Meeker (1991), Statistical
    Intervals, section 4.6, and `normal_factor`.

    Raises `InsufficientDataError` for fewer than two values, or one that is not finite.
    """
    sample = finite(values, at_least=2)
    n = len(sample)
    factor = normal_factor(n, content=content, confidence=confidence)
    bound = float(sample.mean()) + factor * float(sample.std(ddof=1))
    return UpperBound(bound, content, confidence, n, "normal theory", shapiro_p)


@lru_cache(maxsize=1024)
def normal_factor(n: int, *, content: float, confidence: float) -> float:
    """Return k of the one-sided normal tolerance bound, dimensionless.

    >>> round(normal_factor(10, content=0.99, confidence=0.95), 3)
    3.981
    """
    check_fraction("content", content)
    check_fraction("confidence", confidence)
    if n < 2:
        raise InsufficientDataError(f"2 values are needed, got {n}")
    shift = float(special.ndtri(content)) * math.sqrt(n)
    return float(special.nctdtrit(n - 1, shift, confidence)) / math.sqrt(n)


def shapiro_p(values: Sequence[float]) -> float:
    """Return the p of the Shapiro-Wilk test that `values` are normal (Shapiro and Wilk 1965).

    Values that are all equal, or two, give 0 and 1: the former are certainly not normal, of the
    latter nothing can be told.
    """
    from scipy import stats

    sample = finite(values, at_least=1)[:MOST_TESTED]
    if float(np.ptp(sample)) == 0.0:
        return 0.0
    if len(sample) < 3:
        return 1.0
    # Centred and scaled: the algorithm (Royston 1995) loses digits where the spread is tiny.
    return float(stats.shapiro((sample - sample.mean()) / sample.std()).pvalue)


@lru_cache(maxsize=1024)
def values_needed(*, content: float, confidence: float) -> int:
    """Return how many values make their maximum a bound for any distribution.

    >>> values_needed(content=0.99, confidence=0.95)
    299
    """
    check_fraction("content", content)
    check_fraction("confidence", confidence)
    n = max(1, math.ceil(math.log1p(-confidence) / math.log(content)))
    while 1 - content**n < confidence:
        n += 1
    while n > 1 and 1 - content ** (n - 1) >= confidence:
        n -= 1
    return n
