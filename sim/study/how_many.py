"""How many runs a plan makes, and how many replications it can have for its time."""

import math
from typing import Final

from sim.base.units import S, format_duration
from sim.scenario.questions import Search
from sim.stats.tolerance import values_needed

CURVE_SIZES: Final = 4
"""About at so many sizes the capacity curve has runs of its own."""


def runs_of(n: int, search: Search, n_sizes: int) -> int:
    """Return about how many runs a search of `n` replications makes, its inputs not counted.

    Half of the replications run again at the answer; thresholds are found by doubling and halving.
    Where runs may be known from others (`sim.study.one_run`) that is the most: how many are known
    is seen as they are made, but each replication is run once.
    """
    steps = 4 * math.ceil(math.log2(n_sizes + 1))
    return n + n // 2 + steps + min(search.probes, n) + CURVE_SIZES * min(search.curve, n)


def replications_of(
    search: Search, weight: float, n_sizes: int, *, share: float, confidence: float
) -> int:
    """Return of how many replications a plan is made: by its time, by its runs, by its objectives.

    `weight` is how long a run takes, foretold in s, all runs one after the other.  Raises
    `ValueError` if not even one fits into the time.
    """
    n = search.runs or values_needed(content=share, confidence=confidence)
    if search.time is None:
        return n
    affordable = search.time / S / weight
    while n > 0 and runs_of(n, search, n_sizes) > affordable:
        n -= 1
    if n == 0:
        least = format_duration(round(runs_of(1, search, n_sizes) * weight * S))
        raise ValueError(f"is too short for one replication, which takes some {least}")
    return n
