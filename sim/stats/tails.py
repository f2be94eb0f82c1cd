"""Quantiles of values that come in clusters, as requests come in runs: a bootstrap over clusters.

What one run brings is not independent: one fork has delayed all of its slowest requests.  So runs
are drawn anew, not requests (Davison and Hinkley 1997, Bootstrap Methods, 3.8).  Too few runs make
such limits too narrow, so their level is widened as Student's t is (the expanded percentile
interval: Hesterberg 2015, What Teachers Should Know About the Bootstrap, 4.5), and without 20 runs
that reach beyond the quantile there are none.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.base.errors import InsufficientDataError

LEAST_BEYOND: Final = 20
"""So many clusters must reach beyond a quantile."""
N_DRAWS: Final = 1000
_MOST_POINTS: Final = 1000
_NEAR: Final = 10.0
"""So many standard errors about the quantile draws are looked for."""


def clustered_limits(
    shares: NDArray[np.float64],
    counts: NDArray[np.float64],
    grid: NDArray[np.float64],
    quantile: float,
    *,
    confidence: float,
    generator: np.random.Generator,
) -> tuple[float, float]:
    """Return limits of a quantile of the pooled values; approximate, see docs/statistics.md.

    Parameters
    ----------
    shares
        Shape ``(clusters, points)``: which share of a cluster's values is at most ``grid[point]``.
    counts
        Shape ``(clusters,)``: how many values each has.
    grid
        Shape ``(points,)``, ascending.  The limits are two of these.
    quantile
        In (0, 1).

    Raises
    ------
    InsufficientDataError
        Fewer than `LEAST_BEYOND` clusters have values beyond the quantile.
    """
    from scipy import special

    at_most = shares * counts[:, None]
    pooled = at_most.sum(axis=0) / counts.sum()
    place = min(int(np.searchsorted(pooled, quantile * (1 - 1e-12))), len(grid) - 1)
    beyond = int((shares[:, place] < 1).sum())
    if beyond < LEAST_BEYOND:
        raise InsufficientDataError(
            f"{beyond} runs reach beyond it, limits take {LEAST_BEYOND} of these"
        )
    n = len(counts)
    off = at_most[:, place] - pooled[place] * counts
    error = math.sqrt(n / (n - 1)) * float(np.linalg.norm(off)) / float(counts.sum())
    near = np.flatnonzero(abs(pooled - quantile) <= _NEAR * error)
    points = np.unique(np.append(near[:: max(1, len(near) // _MOST_POINTS)], place))
    drawn = generator.multinomial(n, np.full(n, 1 / n), N_DRAWS)
    reached = (drawn @ at_most[:, points]) / (drawn @ counts)[:, None] >= quantile * (1 - 1e-12)
    first = np.where(reached.any(axis=1), reached.argmax(axis=1), len(points) - 1)
    t = float(special.stdtrit(beyond - 1, (1 - confidence) / 2))
    level = float(special.ndtr(t * math.sqrt(n / (n - 1))))
    ordered = np.sort(first)
    low = ordered[math.floor(level * (N_DRAWS - 1))]
    high = ordered[math.ceil((1 - level) * (N_DRAWS - 1))]
    return float(grid[points[low]]), float(grid[points[high]])
