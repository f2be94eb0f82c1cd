"""Probabilities of events, counted: none in a hundred runs is not "never"."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from scipy import special

from sim.base.errors import InsufficientDataError
from sim.stats.estimate import check_fraction

REFUTES_AT: Final = 0.05
"""A claim about a probability is refuted by counts that would be rarer than this if it held."""

POWER: Final = 0.8
"""What a test would notice is told for this chance that it does."""


@dataclass(frozen=True, slots=True)
class Proportion:
    """How often an event was seen, and exact limits for its probability.

    `low` and `high` are one-sided limits, each at `confidence` for itself.  An event that was
    never seen prints the upper one, one that was always seen the lower one, rounded so that they
    still hold; neither is ever printed as 0 % or 100 %.

    >>> str(exact_limits(0, 10)), str(exact_limits(3, 10))
    ('0 of 10 (at most 25.9 % at 95 %)', '3 of 10 (8.7 % to 60.7 %, each limit at 95 %)')
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
        level = f"at {100 * self.confidence:g} %"
        if self.events == 0:
            limits = f"at most {format_percent(self.high, math.ceil)} {level}"
        elif self.events == self.trials:
            limits = f"at least {format_percent(self.low, math.floor)} {level}"
        else:
            low, high = format_percent(self.low, math.floor), format_percent(self.high, math.ceil)
            limits = f"{low} to {high}, each limit {level}"
        return f"{self.events} of {self.trials} ({limits})"


def exact_limits(
    events: int, trials: int, *, confidence: float = 0.95, looks: int = 1
) -> Proportion:
    """Return the one-sided limits of Clopper and Pearson (1934), Biometrika 26, 404-413.

    Each is right with probability `confidence` at least, for every probability and number of
    trials.  Where results decided whether there were more trials, at one of `looks` moments, the
    level is divided among them (Bonferroni), so that it still holds.

    Raises `InsufficientDataError` without trials, `ValueError` for a count out of range.
    """
    check_fraction("confidence", confidence)
    if trials == 0:
        raise InsufficientDataError("no trials: nothing is known about the probability")
    if not 0 <= events <= trials:
        raise ValueError(f"events must be in 0 .. {trials}, got {events}")
    level = level_of_a_look(confidence, looks)
    low = float(special.betaincinv(events, trials - events + 1, 1 - level)) if events else 0.0
    high = 1.0
    if events < trials:
        high = float(special.betaincinv(events + 1, trials - events, level))
    return Proportion(events, trials, low, high, confidence)


def level_of_a_look(confidence: float, looks: int) -> float:
    """Return the confidence for each of `looks` looks that together keep `confidence`.

    >>> level_of_a_look(0.95, 2)
    0.975
    """
    if looks < 1:
        raise ValueError(f"looks must be >= 1, got {looks}")
    return 1 - (1 - confidence) / looks


def refuting_count(trials: int, share: float, *, level: float = REFUTES_AT) -> int:
    """Return how many events refute that an event has probability `share` at most.

    The smallest count that, if the claim holds, is reached or exceeded with probability `level`
    at most (the exact binomial test); ``trials + 1`` if no count is.

    >>> refuting_count(10, 0.01), refuting_count(1, 0.01), refuting_count(3, 0.95)
    (2, 1, 4)
    """
    check_fraction("share", share)
    if trials < 1:
        raise InsufficientDataError("no trials: nothing can be refuted")
    at_least = (float(special.bdtrc(count - 1, trials, share)) for count in range(trials + 2))
    return next(count for count, chance in enumerate(at_least) if chance <= level)


def share_noticed(trials: int, count: int, *, power: float = POWER) -> float:
    """Return the probability of an event that gives `count` or more with probability `power`.

    What a test that is decided at `count` can see; the smaller, the sharper.

    >>> round(share_noticed(10, 2), 3)
    0.271
    """
    if not 1 <= count <= trials:
        raise ValueError(f"count must be in 1 .. {trials}, got {count}")
    return float(special.betaincinv(count, trials - count + 1, power))


def format_percent(fraction: float, rounded: Callable[[float], int] = round) -> str:
    """Return a fraction in per cent with as many digits as tell it from 0 % and 100 %.

    `rounded` makes a whole number of the last digit: `math.floor` or `math.ceil` for limits.

    >>> format_percent(0.259), format_percent(0.00004), format_percent(0.99996)
    ('25.9 %', '0.0040 %', '99.9960 %')
    """
    percent = 100 * fraction
    margin = min(percent, 100 - percent) * (1 + 1e-9)  # 100 - 99.9 is a little less than 0.1
    if margin <= 0:
        return f"{percent:.0f} %"
    decimals = min(max(1, 1 - math.floor(math.log10(margin))), 15)
    if rounded is round:
        return f"{percent:.{decimals}f} %"
    scale = 10**decimals
    towards = 1 + 1e-12 if rounded is math.floor else 1 - 1e-12  # 95 % is 95.00000000000001
    text = f"{rounded(percent * scale * towards) / scale:.{decimals}f}"
    return f"{percent if float(text) in (0, 100) else float(text):.{decimals}f} %"
