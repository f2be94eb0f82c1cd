"""Quantile tables: the one form in which every price is kept.

A table holds 257 integers in picoseconds, the quantiles at 0/256, 1/256, ... 256/256, between
which the distribution is linear.  The inner knots are the true quantiles; the two end knots are
chosen so that the mean of the table is the stated mean **exactly**, because sums of many draws
(a fork of a million entries) must come out right.  The price of that: the far tail of a heavy
distribution ends at the last knot, so its standard deviation is smaller than the stated one.
Nothing here is random, and nothing needs NumPy.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

KNOTS: Final = 257
PIECES: Final = KNOTS - 1
PS_PER_NS: Final = 1_000
MAX_PS: Final = 10**18
"""The highest knot a table may have, about eleven days: products stay within 64 bits."""

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
        raise ValueError(f"a price of {value!r} is too large; the longest is 11 days")
    return int(ps.to_integral_value())


def constant(ps: int) -> Table:
    """Return the flat table of a price that is always the same."""
    if not 0 <= ps <= MAX_PS:
        raise ValueError(f"a price must lie in [0, {MAX_PS}] ps, got {ps}")
    return (ps,) * KNOTS


def lognormal(mean_ps: int, sd_ps: int, least_ps: int = 0) -> Table:
    """Return the table of a lognormal distribution of this mean and standard deviation.

    Both are those of the price itself, not of its logarithm.  `least_ps` is what even the
    quickest draw costs (a trap and the zeroing of a page cannot be had for less): only what
    goes beyond it varies.  With m the mean beyond it and s the deviation,
    ``sigma**2 = log(1 + (s/m)**2)`` and ``mu = log(m) - sigma**2 / 2``.  The mean of the table is
    `mean_ps` exactly.
    """
    if not (mean_ps >= 0 and sd_ps >= 0 and least_ps >= 0):
        raise ValueError(f"must be >= 0: mean {mean_ps}, sd {sd_ps}, least {least_ps} ps")
    if least_ps:
        if least_ps >= mean_ps:
            raise ValueError(f"least must be below the mean, got {least_ps} and {mean_ps} ps")
        return tuple(least_ps + knot for knot in lognormal(mean_ps - least_ps, sd_ps))
    if sd_ps == 0 or mean_ps == 0:
        if sd_ps:
            raise ValueError("a lognormal with a positive sd needs a positive mean")
        return constant(mean_ps)
    if sd_ps > 1000 * mean_ps:
        raise ValueError("the sd of a lognormal may be at most 1000 times its mean")
    sigma = math.sqrt(math.log1p((sd_ps / mean_ps) ** 2))
    mu = math.log(mean_ps) - sigma * sigma / 2
    normal = NormalDist()
    inner = [round(math.exp(mu + sigma * normal.inv_cdf(k / PIECES))) for k in range(1, PIECES)]
    # Conditional mean of the lowest 1/256 of the mass, which the first piece is to have.
    lowest_mean = mean_ps * PIECES * normal.cdf(normal.inv_cdf(1 / PIECES) - sigma)
    first = min(max(0, round(2 * lowest_mean) - inner[0]), inner[0])
    return _with_mean([first, *inner], mean_ps)


def explicit(quantiles_ps: Sequence[int]) -> Table:
    """Return a table through the given quantiles, equally spaced from 0 to 1, at least two.

    257 of them are taken as they are; others are interpolated linearly.
    """
    given = list(quantiles_ps)
    if len(given) < 2:
        raise ValueError(f"quantiles need at least two numbers, got {len(given)}")
    if any(high < low for low, high in pairwise(given)):
        raise ValueError("quantiles must not decrease")
    if given[0] < 0 or given[-1] > MAX_PS:
        raise ValueError(f"quantiles must lie in [0, {MAX_PS}] ps")
    if len(given) == KNOTS:
        return tuple(given)
    spans = len(given) - 1
    knots = []
    for k in range(KNOTS):
        index, rest = divmod(k * spans, PIECES)
        if rest == 0:
            knots.append(given[index])
        else:
            knots.append(given[index] + (given[index + 1] - given[index]) * rest // PIECES)
    return tuple(knots)


def table_mean_ps(table: Table) -> float:
    """Return the mean of a table in picoseconds: what a draw costs on average."""
    return (2 * sum(table) - table[0] - table[-1]) / (2 * PIECES)


def table_sd_ps(table: Table) -> float:
    """Return the standard deviation of a table in picoseconds, tail cut at the last knot."""
    mean = table_mean_ps(table)
    square = sum((a * a + a * b + b * b) / 3 for a, b in pairwise(table))
    return math.sqrt(max(0.0, square / PIECES - mean * mean))


def table_quantile_ps(table: Table, share: float) -> float:
    """Return the quantile of a table at `share` in [0, 1], in picoseconds."""
    if not 0 <= share <= 1:
        raise ValueError(f"a share must lie in [0, 1], got {share}")
    index = min(int(share * PIECES), PIECES - 1)
    return table[index] + (table[index + 1] - table[index]) * (share * PIECES - index)


def price_array(tables: Sequence[Table]) -> Any:
    """Return tables as one NumPy array of shape ``(len(tables), 257)``, int64 picoseconds."""
    import numpy as np

    return np.array([list(table) for table in tables], dtype=np.int64).reshape(-1, KNOTS)


def _with_mean(body: list[int], mean_ps: int) -> Table:
    """Add the last knot to `body` (the first 256) so that the mean is exact.

    Rounding of tiny prices can ask for a last knot below the one before it; then the body is
    lowered by whole picoseconds until it fits.
    """
    while True:
        last = 2 * PIECES * mean_ps - 2 * sum(body) + body[0]
        if last >= body[-1]:
            if last > MAX_PS:
                raise ValueError(f"the tail of this price reaches {last} ps; lower its sd")
            return (*body, last)
        body = [max(0, knot - 1) for knot in body]
