"""Is one size enough?  A truncated sequential test of the share of runs that fail.

Wald's sequential probability ratio test of "a share `refuted` fails, or more" against "`hoped`, or
fewer", stopped after `most` runs.  Its errors and the runs that it takes are found by dynamic
programming over the number of failures, so they hold exactly for independent runs, not by Wald's
approximations (A. Wald, Sequential Analysis, 1947, 3.1 to 3.8; the recursion is Aroian's, 1968).

Its upper line tells only that more than `hoped` fail.  That more than `refuted` do takes a line of
its own: the likelihood ratio of all larger shares alike to `refuted` itself.  Where no more than
`refuted` fail, that ever reaches 1 / error with a chance of `error` at most, whenever the test
stops (J. Ville, Étude critique de la notion de collectif, 1939).
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

import numpy as np

from sim.stats.estimate import check_fraction

Verdict = Literal["enough", "not enough", "not shown", "cannot tell"]

HOPED_PART: Final = 0.25
"""The test tells the refuted share from this part of it."""
LONGEST: Final = 1.5
"""It is given up after so many times the runs that a test of fixed length would take."""


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """When to stop.

    `refuted` and `hoped` are shares of failures.  `low` and `high` are lines of log likelihood
    ratios: at or below one it is `enough`, at or above the other more than `hoped` fail.  From
    `refuting[n]` failures in `n` runs on more than `refuted` do.  After `most` runs it gives up.
    """

    refuted: float
    hoped: float
    low: float
    high: float
    most: int
    refuting: tuple[int, ...]

    def log_ratio(self, n: int, failures: int) -> float:
        """Return the log likelihood ratio of `refuted` to `hoped` after `n` runs."""
        failed = math.log(self.refuted / self.hoped)
        passed = math.log1p(-self.refuted) - math.log1p(-self.hoped)
        return failures * failed + (n - failures) * passed

    def verdict(self, n: int, failures: int) -> Verdict | None:
        """Return what is known after `n` runs; None to go on.

        ``enough``: fewer than `refuted` fail.  ``not enough``: more do.  ``not shown``: more than
        `hoped` do, and so far it does not look as if it were more than `refuted`.
        """
        ratio = self.log_ratio(n, failures)
        if ratio <= self.low:
            return "enough"
        if failures >= self.refuting[n]:
            return "not enough"
        if ratio >= self.high and (failures <= self.refuted * n or n >= self.most):
            return "not shown"
        return "cannot tell" if n >= self.most else None


@dataclass(frozen=True, slots=True)
class Characteristic:
    """What a test does where each run fails with a certain chance: chances, and mean runs."""

    enough: float
    not_enough: float
    not_shown: float
    cannot_tell: float
    runs: float


def characteristic(test: SequentialTest, share: float) -> Characteristic:
    """Return what `test` does where each run fails with chance `share`, in [0, 1]."""
    going = np.array([1.0])  # chance of so many failures, and no verdict yet
    enough = not_enough = not_shown = runs = 0.0
    for n in range(1, test.most + 1):
        runs += float(going.sum())
        going = np.append(going * (1 - share), 0.0) + np.insert(going * share, 0, 0.0)
        failures = np.arange(len(going))
        ratios = test.log_ratio(n, 0) + failures * (test.log_ratio(1, 1) - test.log_ratio(1, 0))
        below, beyond = ratios <= test.low, failures >= test.refuting[n]
        ends = (failures <= test.refuted * n) | (n == test.most)
        above = (ratios >= test.high) & ends & ~beyond
        enough += float(going[below].sum())
        not_enough += float(going[beyond].sum())
        not_shown += float(going[above].sum())
        going[below | beyond | above] = 0.0
        while len(going) > 1 and going[-1] == 0.0:
            going = going[:-1]
    return Characteristic(enough, not_enough, not_shown, float(going.sum()), runs)


@lru_cache(maxsize=64)
def sequential_test(*, share: float, confidence: float) -> SequentialTest:
    """Return the test that refutes "fewer than `share` of all runs pass", at `confidence`.

    Where exactly that few pass, it says ``enough`` with a chance of ``1 - confidence`` at most, and
    ``not enough`` with no larger one; where a quarter as many fail, ``not shown`` or ``not enough``
    with no larger one either.  Of the lines that keep these chances it takes the nearest, to a
    hundredth.

    >>> test = sequential_test(share=0.99, confidence=0.95)
    >>> characteristic(test, 0.01).enough <= 0.05
    True
    """
    check_fraction("share", share)
    check_fraction("confidence", confidence)
    refuted, error = 1 - share, 1 - confidence
    hoped = HOPED_PART * refuted
    most = math.ceil(LONGEST * _fixed_length(refuted, hoped, error))
    low, high = math.log(error), -math.log(error)
    best = SequentialTest(refuted, hoped, low, high, most, _refuting(refuted, error, most))
    for side in ("low", "high", "low"):  # each line moves the other's error a little
        best = _nearest(best, side, error)
    return best


def _nearest(test: SequentialTest, side: str, error: float) -> SequentialTest:
    """Return `test` with a line as near to 0 as its error allows."""

    def moved(part: float) -> SequentialTest:
        low = test.low if side == "high" else math.log(error) * part
        high = test.high if side == "low" else -math.log(error) * part
        return replace(test, low=low, high=high)

    def keeps(candidate: SequentialTest) -> bool:
        if side == "low":
            return characteristic(candidate, test.refuted).enough <= error
        at_hoped = characteristic(candidate, test.hoped)
        return at_hoped.not_enough + at_hoped.not_shown <= error

    low, high = 0, 100  # Wald's lines, at 100, keep both
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(moved(middle / 100)) else (middle, high)
    return moved(high / 100)


def _refuting(share: float, error: float, most: int) -> tuple[int, ...]:
    """Return from how many failures on, by runs, more than `share` fail; up to `most` runs.

    The first with which larger shares, all alike, are ``1 / error`` times as likely as `share`.
    """
    from scipy import special

    least, failures = [1], 1
    for n in range(1, most + 1):
        while failures <= n:
            a, b = failures + 1, n - failures + 1
            larger = special.betaln(a, b) + math.log(max(special.betaincc(a, b, share), 1e-300))
            own = failures * math.log(share) + (n - failures) * math.log1p(-share)
            if larger - math.log1p(-share) - own >= -math.log(error):
                break
            failures += 1
        least.append(failures)
    return tuple(least)


def _fixed_length(refuted: float, hoped: float, error: float) -> int:
    """Return how many runs a test of fixed length takes that has these errors."""
    from scipy import stats

    n = 1
    while True:
        # most failures that refute
        most = int(stats.binom.ppf(error, n, refuted))
        if stats.binom.cdf(most, n, refuted) > error:
            most -= 1
        if most >= 0 and stats.binom.sf(most, n, hoped) <= error:
            return n
        n += max(1, n // 20)
