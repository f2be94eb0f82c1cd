"""Probabilities of events, counted: none in a hundred runs is not "never"."""

import math
from dataclasses import dataclass

from scipy import special

from sim.errors import InsufficientDataError
from sim.stats.estimate import check_fraction


@dataclass(frozen=True, slots=True)
class Proportion:
    """How often an event was seen, and the interval for its probability.

    An event that was never seen prints its upper bound, one that was always seen its lower
    bound; neither is ever printed as 0 % or 100 %.

    >>> str(wilson(0, 11)), str(wilson(3, 10))
    ('0 of 11 (below 25.9 % at 95 %)', '3 of 10 (10.8 % to 60.3 % at 95 %)')
    """

    events: int
    trials: int
    low: float
    high: float
    confidence: float

    @property
    def fraction(self) -> float:
        """The share of trials in which the event was seen; for axes, not for text."""
        return self.events / self.trials

    def __str__(self) -> str:
        if self.events == 0:
            interval = f"below {format_percent(self.high)}"
        elif self.events == self.trials:
            interval = f"above {format_percent(self.low)}"
        else:
            interval = f"{format_percent(self.low)} to {format_percent(self.high)}"
        return f"{self.events} of {self.trials} ({interval} at {100 * self.confidence:g} %)"


def wilson(events: int, trials: int, *, confidence: float = 0.95) -> Proportion:
    """Return the Wilson score interval for a probability.

    Unlike the textbook's normal interval it is never empty, stays within [0, 1] and covers about
    as often as it says for few trials too; see Brown, Cai and DasGupta (2001), Statistical
    Science 16(2), 101-133.

    Raises `InsufficientDataError` without trials, `ValueError` for a count out of range.
    """
    check_fraction("confidence", confidence)
    if trials == 0:
        raise InsufficientDataError("no trials: nothing is known about the probability")
    if not 0 <= events <= trials:
        raise ValueError(f"events must be in 0 .. {trials}, got {events}")
    z2 = float(special.ndtri((1 + confidence) / 2)) ** 2
    share = events / trials
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = math.sqrt(z2 * share * (1 - share) / trials + (z2 / (2 * trials)) ** 2)
    half_width = spread / (1 + z2 / trials)
    low = 0.0 if events == 0 else max(0.0, centre - half_width)
    high = 1.0 if events == trials else min(1.0, centre + half_width)
    return Proportion(events, trials, low, high, confidence)


def trials_needed(limit: float, *, confidence: float = 0.95) -> int:
    """Return how many trials without an event put the upper bound at `limit` or below.

    >>> trials_needed(0.01)
    381
    """
    check_fraction("limit", limit)
    check_fraction("confidence", confidence)
    z2 = float(special.ndtri((1 + confidence) / 2)) ** 2
    return max(1, math.ceil(z2 * (1 - limit) / limit))


def format_percent(fraction: float) -> str:
    """Return a fraction in per cent with as many digits as tell it from 0 % and 100 %.

    >>> format_percent(0.259), format_percent(0.00004), format_percent(0.99996)
    ('25.9 %', '0.0040 %', '99.9960 %')
    """
    percent = 100 * fraction
    margin = min(percent, 100 - percent) * (1 + 1e-9)  # 100 - 99.9 is a little less than 0.1
    if margin <= 0:
        return f"{percent:.0f} %"
    decimals = min(max(1, 1 - math.floor(math.log10(margin))), 15)
    return f"{percent:.{decimals}f} %"
