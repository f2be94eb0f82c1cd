"""One-sided tolerance bounds: "99 % of saves need no more than this, at 95 % confidence".

A confidence interval says where the mean lies; a tolerance bound says where nearly all values
lie, which is what a machine is sized for.  Two ways to get one: from order statistics, which
assume nothing about the distribution but need many values, and from normal theory, which needs
few but assumes that the values are normal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from sim.errors import InsufficientDataError
from sim.stats.estimate import check_fraction, finite

Method = Literal["order statistic", "normal theory"]


@dataclass(frozen=True, slots=True)
class UpperBound:
    """A value that at least a share `content` of all values stay below, at `confidence`.

    `n` values went into it; `n_needed` would have done without assuming a distribution.

    >>> print(upper_bound([1.0, 2.0, 3.0], content=0.9, confidence=0.9))
    6.258 (90 % of values, 90 % confidence, n=3, normal theory: 22 needed without it)
    """

    bound: float
    content: float
    confidence: float
    n: int
    n_needed: int
    method: Method

    def __str__(self) -> str:
        how = f"{self.method}: {self.n_needed} needed without it"
        return (
            f"{self.bound:.4g} ({100 * self.content:g} % of values, "
            f"{100 * self.confidence:g} % confidence, n={self.n}, "
            f"{how if self.method == 'normal theory' else self.method})"
        )


def upper_bound(values: Sequence[float], *, content: float, confidence: float) -> UpperBound:
    """Return the bound from order statistics if there are values enough, else normal theory's.

    `values` has shape ``(n,)``, one per independent observation, all in one unit; the bound is in
    that unit.  Which of the two it is stands in ``method``: normal theory is an assumption.

    Raises `InsufficientDataError` for fewer than two values, or one that is not finite.
    """
    if len(values) >= values_needed(content=content, confidence=confidence):
        return order_bound(values, content=content, confidence=confidence)
    return normal_bound(values, content=content, confidence=confidence)


def order_bound(values: Sequence[float], *, content: float, confidence: float) -> UpperBound:
    """Return the smallest order statistic that is a tolerance bound, for any distribution.

    The r-th of n values exceeds the `content` quantile with probability
    ``P(Binomial(n, content) <= r - 1)`` at least (Wilks 1941); the smallest such r is taken.

    Raises `InsufficientDataError`, saying how many are needed, if not even the largest will do.
    """
    sample = finite(values, at_least=1)
    needed = values_needed(content=content, confidence=confidence)
    n = len(sample)
    if n < needed:
        raise InsufficientDataError(
            f"{needed} values are needed for a bound on {100 * content:g} % at "
            f"{100 * confidence:g} % confidence without assuming a distribution, got {n}"
        )
    below = special.bdtr(np.arange(n), n, content)
    ranks = np.flatnonzero(below >= confidence)
    bound = float(np.sort(sample)[ranks[0] if len(ranks) else n - 1])
    return UpperBound(bound, content, confidence, n, needed, "order statistic")


def normal_bound(values: Sequence[float], *, content: float, confidence: float) -> UpperBound:
    """Return mean + k standard deviations, exact if the values are normal.

    k comes from the noncentral t distribution; see Hahn and Meeker (1991), Statistical
    Intervals, section 4.6, and `normal_factor`.

    Raises `InsufficientDataError` for fewer than two values, or one that is not finite.
    """
    sample = finite(values, at_least=2)
    n = len(sample)
    factor = normal_factor(n, content=content, confidence=confidence)
    bound = float(sample.mean()) + factor * float(sample.std(ddof=1))
    needed = values_needed(content=content, confidence=confidence)
    return UpperBound(bound, content, confidence, n, needed, "normal theory")


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
