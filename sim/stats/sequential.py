"""Is one size enough?  A truncated sequential test of the share of runs that fail.

Wald's sequential probability ratio test of "a share `refuted` fails, or more" against "`hoped`, or
fewer", stopped after `most` runs.  Its errors and the runs that it takes are found by dynamic
programming over the number of failures, so they hold exactly for independent runs, not by Wald's
approximations (A. Wald, Sequential Analysis, 1947, 3.1 to 3.8; the recursion is Aroian's, 1968).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np

from sim.stats.estimate import check_fraction

Verdict = Literal["enough", "not enough", "cannot tell"]

HOPED_PART: Final = 0.25
"""The test tells the refuted share from this part of it."""
LONGEST: Final = 1.5
"""It is given up after so many times the runs that a test of fixed length would take."""


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """When to stop: `enough` at or below one line of log likelihood ratios, `not enough` above one.

    `refuted` and `hoped` are shares of failures, `low` and `high` the lines, `most` the runs after
    which it cannot tell.
    """

    refuted: float
    hoped: float
    low: float
    high: float
    most: int

    def log_ratio(self, n: int, failures: int) -> float:
        """Return the log likelihood ratio of `refuted` to `hoped` after `n` runs."""
        failed = math.log(self.refuted / self.hoped)
        passed = math.log1p(-self.refuted) - math.log1p(-self.hoped)
        return failures * failed + (n - failures) * passed

    def verdict(self, n: int, failures: int) -> Verdict | None:
        """Return what is known after `n` runs; None to go on."""
        ratio = self.log_ratio(n, failures)
        if ratio <= self.low:
            return "enough"
        if ratio >= self.high:
            return "not enough"
        return "cannot tell" if n >= self.most else None


@dataclass(frozen=True, slots=True)
class Characteristic:
    """What a test does where each run fails with a certain chance: chances, and mean runs."""

    enough: float
    not_enough: float
    cannot_tell: float
    runs: float


def characteristic(test: SequentialTest, share: float) -> Characteristic:
    """Return what `test` does where each run fails with chance `share`, in [0, 1]."""
    going = np.array([1.0])  # chance of so many failures, and no verdict yet
    enough = not_enough = runs = 0.0
    for n in range(1, test.most + 1):
        runs += float(going.sum())
        going = np.append(going * (1 - share), 0.0) + np.insert(going * share, 0, 0.0)
        ratios = test.log_ratio(n, 0) + np.arange(len(going)) * (
            test.log_ratio(1, 1) - test.log_ratio(1, 0)
        )
        below, above = ratios <= test.low, ratios >= test.high
        enough += float(going[below].sum())
        not_enough += float(going[above].sum())
        going[below | above] = 0.0
        while len(going) > 1 and going[-1] == 0.0:
            going = going[:-1]
    return Characteristic(enough, not_enough, float(going.sum()), runs)


@lru_cache(maxsize=64)
def sequential_test(*, share: float, confidence: float) -> SequentialTest:
    """Return the test that refutes "fewer than `share` of all runs pass", at `confidence`.

    Where exactly that few pass, it says ``enough`` with a chance of ``1 - confidence`` at most;
    where a quarter as many fail, ``not enough`` with no larger one.  Of the lines that keep these
    chances it takes the nearest, to a hundredth.

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
    best = SequentialTest(refuted, hoped, low, high, most)
    for side in ("low", "high", "low"):  # each line moves the other's error a little
        best = _nearest(best, side, error)
    return best


def _nearest(test: SequentialTest, side: str, error: float) -> SequentialTest:
    """Return `test` with a line as near to 0 as its error allows."""

    def moved(part: float) -> SequentialTest:
        low = test.low if side == "high" else math.log(error) * part
        high = test.high if side == "low" else -math.log(error) * part
        return SequentialTest(test.refuted, test.hoped, low, high, test.most)

    def keeps(candidate: SequentialTest) -> bool:
        if side == "low":
            return characteristic(candidate, test.refuted).enough <= error
        return characteristic(candidate, test.hoped).not_enough <= error

    low, high = 0, 100  # Wald's lines, at 100, keep both
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(moved(middle / 100)) else (middle, high)
    return moved(high / 100)


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
