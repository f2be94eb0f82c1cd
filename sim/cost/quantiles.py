"""Quantile tables: the one form in which every price is kept.

A table holds 1,217 integers in picoseconds: the quantiles at 0/256, 1/256, ... 240/256, then those
that divide the upper sixteenth finer: into 256 parts, of whose upper sixteenth the same is true,
and so on down to parts of 2**-24.  Between two knots the distribution is linear.  So the tail of a
lognormal price follows its law up to the quantile 1 - 2**-24, which one draw in 17 million
exceeds; what lies beyond has the mean that the law gives it there, spread evenly up to the last
knot.

The mean of the table is the stated mean **exactly**, because sums of many draws (a fork of a
million entries) must come out right.  Straight lines between the knots of a curve are off by some
thousandths of it; the whole table is scaled by that.  Nothing here is random, and nothing
needs NumPy.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from itertools import accumulate, pairwise
from operator import add, mul
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PIECES: Final = 256
"""Parts of a level; the first divides the whole distribution."""
COARSE: Final = 240
"""Parts of a level that are not divided further; the upper sixteenth is, by the next level."""
LEVELS: Final = 5
KNOTS: Final = COARSE * (LEVELS - 1) + PIECES + 1
WEIGHTS: Final = tuple(
    16 ** (LEVELS - 1 - level)
    for level in range(LEVELS)
    for _ in range(PIECES if level == LEVELS - 1 else COARSE)
)
"""Probability of each part between two knots, in units of 2**-24."""
_KNOT_WEIGHTS: Final = tuple(map(add, (0, *WEIGHTS), (*WEIGHTS, 0)))
"""Of each knot: the weights of the parts that it begins and ends."""
WHOLE: Final = 1 << 24
"""What the weights add up to."""
PS_PER_NS: Final = 1_000
MAX_PS: Final = 10**15
"""The highest knot a table may have, 1,000 s: what a step costs stays within 64 bits."""

Table = tuple[int, ...]
"""A quantile table: `KNOTS` integers in picoseconds, none below the one before."""

_UNITS_PS: Final = {
    "ps": 1,
    "ns": 10**3,
    "us": 10**6,
    "µs": 10**6,
    "μs": 10**6,
    "ms": 10**9,
    "s": 10**12,
}
_PRICE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*([a-zµμ]+)\s*")
_HINT: Final = "write e.g. `850 ns` or `37.5 ns`"


def parse_ps(value: object) -> int:
    """Return a price in whole picoseconds; a plain number counts in ns, as elsewhere.

    >>> parse_ps("37.5 ns"), parse_ps(2)
    (37500, 2000)

    Raises `ValueError` for anything that is not a finite time of at least 0.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is not a price; {_HINT}")
    if isinstance(value, str):
        match = _PRICE.fullmatch(value)
        if match is None or match[2] not in _UNITS_PS:
            raise ValueError(f"{value!r} is not a price; {_HINT}")
        text, scale = match[1], _UNITS_PS[match[2]]
    else:
        text, scale = repr(value), PS_PER_NS
    try:
        ps = Decimal(text) * scale
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a price; {_HINT}") from None
    if not ps.is_finite():
        raise ValueError(f"a price must be finite, got {value!r}; {_HINT}")
    if ps < 0:
        raise ValueError(f"a price must be >= 0, got {value!r}; {_HINT}")
    if ps > MAX_PS:
        raise ValueError(f"a price of {value!r} is too large; the longest is 1,000 s")
    return int(ps.to_integral_value())


def constant(ps: int) -> Table:
    """Return the flat table of a price that is always the same."""
    if not 0 <= ps <= MAX_PS:
        raise ValueError(f"a price must lie in [0, {MAX_PS}] ps, got {ps}")
    return (ps,) * KNOTS


@lru_cache(maxsize=256)  # a study resolves the same prices hundreds of times
def lognormal(mean_ps: int, sd_ps: int, least_ps: int = 0) -> Table:
    """Return the table of a lognormal distribution of this mean and standard deviation.

    Both are those of the price itself, not of its logarithm.  `least_ps` is what even the
    quickest draw costs (a trap and the zeroing of a page cannot be had for less): only what
    goes beyond it varies.  With m the mean beyond it and s the deviation,
    ``sigma**2 = log(1 + (s/m)**2)`` and ``mu = log(m) - sigma**2 / 2``.  The mean of the table is
    `mean_ps` exactly.
    """
    check_lognormal(mean_ps, sd_ps, least_ps)
    if least_ps:
        return tuple(least_ps + knot for knot in lognormal(mean_ps - least_ps, sd_ps))
    if sd_ps == 0:
        return constant(mean_ps)
    mu, sigma = _of_logarithm(mean_ps, sd_ps)
    inner = [math.exp(mu + sigma * z) for z in _normal_quantiles()]
    normal = NormalDist()
    # The first and the last piece have the mean that the law gives to what lies in them.
    lowest_mean = mean_ps * PIECES * normal.cdf(normal.inv_cdf(1 / PIECES) - sigma)
    first = min(max(0.0, 2 * lowest_mean - inner[0]), inner[0])
    return _with_mean([first, *inner, _last_knot(mean_ps, mu, sigma)], mean_ps)


def check_lognormal(mean_ps: int, sd_ps: int, least_ps: int = 0) -> None:
    """Raise `ValueError` if `lognormal` has no such table; this takes no time, the table does."""
    if not (mean_ps >= 0 and sd_ps >= 0 and least_ps >= 0):
        raise ValueError(f"must be >= 0: mean {mean_ps}, sd {sd_ps}, least {least_ps} ps")
    if least_ps and least_ps >= mean_ps:
        raise ValueError(f"least must be below the mean, got {least_ps} and {mean_ps} ps")
    varies_ps = mean_ps - least_ps
    if sd_ps == 0:
        constant(varies_ps)
        return
    if varies_ps == 0:
        raise ValueError("a lognormal with a positive sd needs a positive mean")
    if sd_ps > 1000 * varies_ps:
        raise ValueError("the sd of a lognormal may be at most 1000 times its mean")
    last = _last_knot(varies_ps, *_of_logarithm(varies_ps, sd_ps))
    if last > MAX_PS:
        raise ValueError(f"the tail of this price reaches {last:.3g} ps; lower its sd")


def _of_logarithm(mean_ps: int, sd_ps: int) -> tuple[float, float]:
    """Return mean and standard deviation of the logarithm of what varies."""
    sigma = math.sqrt(math.log1p((sd_ps / mean_ps) ** 2))
    return math.log(mean_ps) - sigma * sigma / 2, sigma


def _last_knot(mean_ps: int, mu: float, sigma: float) -> float:
    """Return where the last piece ends, so that it has the mean of what lies in it."""
    normal = NormalDist()
    begins = math.exp(mu + sigma * _normal_quantiles()[-1])
    its_mean = mean_ps * WHOLE * normal.cdf(normal.inv_cdf(1 / WHOLE) + sigma)
    return max(2 * its_mean - begins, begins)


def explicit(quantiles_ps: Sequence[int]) -> Table:
    """Return a table through the given quantiles, equally spaced from 0 to 1, at least two.

    Between them, and so from the last but one to the last, the distribution is linear.  257 of
    them are knots of the table themselves.
    """
    given = list(quantiles_ps)
    if len(given) < 2:
        raise ValueError(f"quantiles need at least two numbers, got {len(given)}")
    if any(high < low for low, high in pairwise(given)):
        raise ValueError("quantiles must not decrease")
    if given[0] < 0 or given[-1] > MAX_PS:
        raise ValueError(f"quantiles must lie in [0, {MAX_PS}] ps")
    spans = len(given) - 1
    knots = []
    for below in accumulate(WEIGHTS, initial=0):
        index, rest = divmod(below * spans, WHOLE)
        step = given[index + 1] - given[index] if rest else 0
        knots.append(given[index] + step * rest // WHOLE)
    return tuple(knots)


def table_mean_ps(table: Table) -> float:
    """Return the mean of a table in picoseconds: what a draw costs on average."""
    if table[0] == table[-1]:  # as most are, and no knot is below the one before
        return float(table[0])
    return _mean_ps(table)


@lru_cache(maxsize=256)  # asked for as often as `lognormal`
def _mean_ps(table: Table) -> float:
    return _doubled_area(table) / (2 * WHOLE)


def table_sd_ps(table: Table) -> float:
    """Return the standard deviation of a table in picoseconds."""
    mean = table_mean_ps(table)
    squares = (
        weight * (a * a + a * b + b * b)
        for weight, (a, b) in zip(WEIGHTS, pairwise(table), strict=True)
    )
    return math.sqrt(max(0.0, sum(squares) / (3 * WHOLE) - mean * mean))


def table_quantile_ps(table: Table, share: float) -> float:
    """Return the quantile of a table at `share` in [0, 1], in picoseconds."""
    if not 0 <= share <= 1:
        raise ValueError(f"a share must lie in [0, 1], got {share}")
    first, place = 0, share * PIECES
    while place >= COARSE and first < COARSE * (LEVELS - 1):
        first, place = first + COARSE, (place - COARSE) * 16
    part = min(int(place), PIECES - 1)
    low, high = table[first + part : first + part + 2]
    return low + (high - low) * (place - part)


def price_array(tables: Sequence[Table]) -> Any:
    """Return tables as one NumPy array of shape ``(len(tables), KNOTS)``, int64 ps."""
    import numpy as np

    return np.array([list(table) for table in tables], dtype=np.int64).reshape(-1, KNOTS)


@cache
def _normal_quantiles() -> tuple[float, ...]:
    """Return the standard normal quantiles at the inner knots, from the tail that is nearer."""
    normal = NormalDist()
    below = list(accumulate(WEIGHTS))[:-1]
    return tuple(
        normal.inv_cdf(b / WHOLE) if 2 * b <= WHOLE else -normal.inv_cdf((WHOLE - b) / WHOLE)
        for b in below
    )


def _doubled_area(table: Sequence[int]) -> int:
    """Return twice the sum of weight times middle over all pieces: exact, like its terms."""
    return sum(map(mul, _KNOT_WEIGHTS, table))


def _with_mean(knots: list[float], mean_ps: int) -> Table:
    """Return `knots` scaled and rounded so that the mean is exact.

    All are rounded down; then all knots from some place on are raised by 1 ps, as often as what is
    missing asks for: from the first place that does not add too much, then from a later one.  To
    raise the last knot alone adds 1 to the doubled area, so nothing stays missing.
    """
    due = 2 * WHOLE * mean_ps
    scale = due / sum(w * (a + b) for w, (a, b) in zip(WEIGHTS, pairwise(knots), strict=True))
    table = [int(knot * scale) for knot in knots]
    missing = due - _doubled_area(table)
    while missing < 0:  # by the rounding of `scale`
        table = [max(0, knot - 1) for knot in table]
        missing = due - _doubled_area(table)
    adds, raised = 2 * WHOLE, 0
    for place, weight in enumerate((0, *WEIGHTS)):
        # Knots from `place` on: half of the piece before, and the whole of those behind.
        adds -= weight
        more, missing = divmod(missing, adds)
        raised += more
        table[place] += raised
        adds -= weight
    return tuple(table)
