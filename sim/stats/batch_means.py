"""The mean of a long run's successive values, which are not independent: batch means.

Within one run the values of neighbours are alike, so the usual interval is far too narrow.  Means
of long batches are nearly independent.  Four words say what a run supports:

* ``warming up``: all of it looks like warm-up.  MSER (White 1997) cuts so many first batches that
  the interval of the rest is narrowest; a cut beyond the half says that no steady state is seen.
* ``insufficient``: fewer than 400 batches.
* ``correlated``: the lag-1 correlation of the 400 to 799 batches, jackknifed, is 0.4 or more (the
  rule of Law and Carson 1979; Law 2015, 9.5.3).
* ``told``: an interval from 40 batch means, put right for their skewness and for what is left of
  their correlation (Tafazzoli, Steiger and Wilson 2011, N-Skart).

MSER tells what to cut and cuts nothing: to cut a run where it is quietest makes its mean too small.
All this is approximate; how often it holds is measured, see docs/statistics.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

LEAST_BATCHES: Final = 400
CORRELATED_FROM: Final = 0.4
N_MEANS: Final = 40
"""Batch means that an interval is made of."""
LAST_KEPT: Final = 5
"""MSER leaves out cuts that keep no more batches than that: a few alike are no steady state."""

Verdict = Literal["told", "warming up", "insufficient", "correlated"]


@dataclass(frozen=True, slots=True)
class LongRun:
    """What one run says of the mean in the long run.

    `low` and `high` are the ends of the interval, None unless `verdict` is ``told``.  `n_batches`
    is how many batches there were, `n_cut` how many of the first MSER would cut, `correlation`
    that of successive batches; None where there are too few.
    """

    verdict: Verdict
    n_batches: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    n_cut: int | None = None
    correlation: float | None = None


def long_run(batches: Sequence[float], *, confidence: float = 0.95) -> LongRun:
    """Return what the means (or sums) of successive batches, all of one size, say of the mean.

    >>> long_run([1.0, 2.0] * 100).verdict
    'insufficient'
    >>> long_run(list(range(500))).verdict
    'warming up'
    >>> flat = long_run([1.0, 2.0, 2.0, 1.0, 3.0] * 100)
    >>> flat.verdict, flat.mean
    ('told', 1.8)
    """
    values = np.asarray(batches, np.float64)
    n = len(values)
    if n < LEAST_BATCHES:
        return LongRun("insufficient", n)
    mean, n_cut, correlation = float(values.mean()), mser(values), jackknifed(values)
    if n_cut > n / 2:
        return LongRun("warming up", n, mean, None, None, n_cut, correlation)
    if correlation >= CORRELATED_FROM:
        return LongRun("correlated", n, mean, None, None, n_cut, correlation)
    low, high = skart_interval(joined(values, N_MEANS), confidence)
    return LongRun("told", n, mean, low, high, n_cut, correlation)


def mser(values: NDArray[np.float64]) -> int:
    """Return how many of the first values to cut, by the marginal standard error rule.

    That after which the variance of the rest, over its number, is smallest (K. P. White, An
    effective truncation heuristic for bias reduction in simulation output, Simulation 69(6), 1997;
    of means of five, MSER-5: White, Cobb and Spratt 2000).

    >>> mser(np.array([9.0, 5.0] + [1.0, 2.0] * 20))
    2
    """
    kept = np.arange(len(values), 0, -1)
    centred = values - values.mean()
    sums = np.cumsum(centred[::-1])[::-1]
    squares = np.cumsum(centred[::-1] ** 2)[::-1]
    error = (squares - sums**2 / kept) / kept**2
    return int(np.argmin(error[: max(1, len(values) - LAST_KEPT)]))


def lag_1(values: NDArray[np.float64]) -> float:
    """Return the correlation of successive values; 0 for values that are all equal."""
    off = values - values.mean()
    square = float(off @ off)
    return float(off[1:] @ off[:-1]) / square if square else 0.0


def jackknifed(values: NDArray[np.float64]) -> float:
    """Return the correlation of successive values, its bias of order 1 / n taken off; at most 1."""
    half = len(values) // 2
    return min(1.0, 2 * lag_1(values) - (lag_1(values[:half]) + lag_1(values[half:])) / 2)


def joined(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the means of `n` batches of as many values each as there are, the first left out."""
    each = len(values) // n
    means: NDArray[np.float64] = values[len(values) - each * n :].reshape(n, each).mean(axis=1)
    return means


def skart_interval(means: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Return an interval of the mean from batch means that are skewed and a little correlated."""
    from scipy import special

    n, mean = len(means), float(means.mean())
    off = means - mean
    spread = float((off**2).mean())
    if spread == 0.0:
        return mean, mean
    skewness = float((off**3).mean()) / spread**1.5 * math.sqrt(n * (n - 1)) / (n - 2)
    left = min(max(lag_1(means), 0.0), 0.99)
    error = math.sqrt(spread / (n - 1) * (1 + left) / (1 - left))
    t = float(special.stdtrit(n - 1, (1 + confidence) / 2))
    bend = skewness / (6 * math.sqrt(n))
    return mean - _bent(t, bend) * error, mean - _bent(-t, bend) * error


def _bent(t: float, bend: float) -> float:
    """Return Student's t put right for skewness (Willink 2005)."""
    if abs(bend) < 1e-3:
        return t
    return (float(np.cbrt(1 + 6 * bend * (t - bend))) - 1) / (2 * bend)
