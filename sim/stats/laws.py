"""What is stated about a number that nobody measured: a distribution, by its quantile function.

A triangle between ends, a distribution of `scipy.stats` with its parameters, one fitted to values
by maximum likelihood, or the values themselves.  A distribution may be cut to a range, in which it
keeps its shape.

SciPy is imported on first use, so that a study without distributions does not wait for it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

LEAST: Final = 1e-12
"""A share below this is this one: no distribution is asked for its end, which may be infinite."""
FEWEST: Final = 5
"""A distribution is fitted to so many values at least."""


@dataclass(frozen=True, slots=True)
class Law:
    """A distribution: `quantile` of a share in [0, 1), and what it is, in words."""

    quantile: Callable[[float], float]
    words: str


def triangular(u: float, low: float, mode: float, high: float, *, log: bool = False) -> float:
    """Return the quantile `u` of a triangle over ``[low, high]`` with its top at `mode`.

    >>> triangular(0.5, 0.0, 1.0, 2.0), round(triangular(0.5, 1.0, 10.0, 100.0, log=True), 6)
    (1.0, 10.0)
    """
    if log:
        return math.exp(triangular(u, math.log(low), math.log(mode), math.log(high)))
    if high == low:
        return low
    at_mode = (mode - low) / (high - low)
    if u < at_mode:
        return low + math.sqrt(u * (high - low) * (mode - low))
    return high - math.sqrt((1 - u) * (high - low) * (high - mode))


def empirical(values: Sequence[float]) -> Law:
    """Return the distribution that has each of `values` alike.

    >>> empirical([3.0, 1.0]).quantile(0.4), empirical([3.0, 1.0]).quantile(0.5)
    (1.0, 3.0)
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("there are no values; write one at least")
    n = len(ordered)
    return Law(lambda u: float(ordered[min(n - 1, int(u * n))]), f"{n} values as they are")


def named(
    name: str,
    parameters: Mapping[str, float],
    low: float | None = None,
    high: float | None = None,
) -> Law:
    """Return a distribution of `scipy.stats` with its parameters, cut to ``[low, high]``.

    Raises `ValueError`, with what would be right, for one that there is not, and where nothing of
    it lies in the range.

    >>> round(named("lognorm", {"s": 0.5, "scale": 200.0}).quantile(0.5))
    200
    """
    distribution = _distribution(name)
    known = [*_shapes(distribution), "loc", "scale"]
    for parameter in parameters:
        if parameter not in known:
            raise ValueError(f"{name} has no parameter {parameter!r}; it has {', '.join(known)}")
    missing = [shape for shape in _shapes(distribution) if shape not in parameters]
    if missing:
        raise ValueError(f"{name} lacks {', '.join(missing)}; it has {', '.join(known)}")
    frozen = distribution(**parameters)
    below = 0.0 if low is None else float(frozen.cdf(low))
    within = (1.0 if high is None else float(frozen.cdf(high))) - below
    if not (within > 0 and math.isfinite(frozen.ppf(below + within / 2))):
        raise ValueError(f"{name} with these parameters has nothing in the range; change one")
    least = -math.inf if low is None else low
    most = math.inf if high is None else high

    def quantile(u: float) -> float:
        return min(most, max(least, float(frozen.ppf(below + max(u, LEAST) * within))))

    said = ", ".join(f"{key} {value:g}" for key, value in parameters.items())
    return Law(quantile, f"{name} ({said})")


def fitted(
    name: str, values: Sequence[float], low: float | None = None, high: float | None = None
) -> Law:
    """Return a distribution of `scipy.stats` fitted to values by maximum likelihood.

    One that begins at 0 stays there.  Its words say how far its distribution function is from that
    of the values at most.  Raises `ValueError` for fewer than `FEWEST` values.
    """
    if len(values) < FEWEST:
        raise ValueError(f"{len(values)} values are too few for a fit; give {FEWEST}, or no `fit`")
    if min(values) == max(values):
        raise ValueError("all values are the same; leave out `fit`")
    distribution = _distribution(name)
    fixed = {"floc": 0.0} if distribution.a == 0 and min(values) > 0 else {}
    *shapes, loc, scale = distribution.fit(np.asarray(values, dtype=float), **fixed)
    parameters = dict(zip(_shapes(distribution), map(float, shapes), strict=True))
    law = named(name, {**parameters, "loc": float(loc), "scale": float(scale)}, low, high)
    ordered, n = np.sort(np.asarray(values, dtype=float)), len(values)
    reached = distribution(*shapes, loc, scale).cdf(ordered)
    steps = np.arange(n + 1) / n
    far = float(max(np.max(steps[1:] - reached), np.max(reached - steps[:-1])))
    return Law(law.quantile, f"{name} fitted to {n} values, distance {far:.2f} (Kolmogorov)")


def _distribution(name: str) -> Any:
    from scipy import stats

    found = getattr(stats, name, None)
    if not isinstance(found, stats.rv_continuous):
        raise ValueError(
            f"scipy.stats has no continuous distribution {name!r}; e.g. `norm`, `lognorm`, `gamma`"
        )
    return found


def _shapes(distribution: Any) -> list[str]:
    return distribution.shapes.split(", ") if distribution.shapes else []


def inner_ranks(n: int, *, content: float, confidence: float) -> tuple[int, float]:
    """Return how many values to leave out at each end of `n`, and the content that is left.

    Between the values that are left lies a share `content` of all, at `confidence`, whatever the
    distribution (Wilks 1941).  Where even the smallest and the largest do not support that, the
    content is what they do.

    >>> inner_ranks(200, content=0.9, confidence=0.95)
    (5, 0.9)
    >>> inner_ranks(10, content=0.9, confidence=0.95)[0]
    0
    """
    from scipy import stats

    def sure(out: int, share: float) -> float:  # `out` values on each side, the end itself too
        return float(stats.binom.cdf(n - 2 * (out + 1), n, share))

    if n < 2 or sure(0, content) < confidence:
        low, high = 0.0, content
        for _ in range(60 if n >= 2 else 0):
            middle = (low + high) / 2
            low, high = (middle, high) if sure(0, middle) >= confidence else (low, middle)
        return 0, low
    out = 0
    while sure(out + 1, content) >= confidence:
        out += 1
    return out, content
