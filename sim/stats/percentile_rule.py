"""Which percentiles may be stated: those that enough independent values lie beyond."""

import math
from typing import Final

from sim.stats.estimate import check_fraction

VALUES_BEYOND: Final = 5
"""A percentile may be stated if this many independent values are expected to lie beyond it."""


def values_for_percentile(percent: float) -> int:
    """Return how many independent values the percentile `percent` needs to be stated.

    With ``5 / (1 - p)`` of them the chance that none lies beyond it is exp(-5), 0.7 %, and the
    share that truly lies beyond what was found is known to a factor of about two.  With fewer, what
    is printed is the largest value or close to it, whatever the percentile's name.

    Values that share a cause are not independent: the thousands of requests that one fork delays
    are one value when it comes to the slowest.

    >>> [values_for_percentile(p) for p in (50, 90, 99, 99.9)]
    [10, 50, 500, 5000]
    """
    check_fraction("percent / 100", percent / 100)
    return math.ceil(VALUES_BEYOND * 100 / (100 - percent) * (1 - 1e-9))


def may_be_stated(percent: float, n_independent: int) -> bool:
    """Return whether `n_independent` values are enough for the percentile `percent`."""
    return n_independent >= values_for_percentile(percent)
