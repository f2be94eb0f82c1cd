"""Prices at the ends of their ranges, and the ranges of times that add up from prices.

A price's `low` and `high` bound its true mean.  Nobody knows where in between it lies, so a time
that was simulated with the middle prices is told together with what the same work takes with all
prices low and with all high.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sim.cost.catalogue import Price, price_spec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

End = Literal["low", "high"]

FORK_LINES: Final = tuple(price.name.lower() for price in Price if price.name.startswith("FORK_"))
"""Work that a fork consists of."""

FAULT_LINES: Final = tuple(
    price.name.lower()
    for price in (
        Price.ZERO_FILL, Price.ZERO_PAGE_MAP, Price.COW_COPY, Price.COW_REUSE, Price.FILE_MAP,
        Price.FILE_MAP_AROUND, Price.MAJOR_FAULT, Price.SEGFAULT, Price.SPURIOUS,
        Price.TABLE_ALLOC, Price.HUGE_ZERO_FILL, Price.HUGE_COPY, Price.HUGE_SPLIT,
        Price.FOLIO_PAGE,
    )
)  # fmt: skip
"""Work that faults consist of."""


@dataclass(frozen=True, slots=True)
class Factors:
    """By how much a time is multiplied when its prices are all low, and when all are high."""

    low: float
    high: float


def price_factors(
    work: Mapping[str, Mapping[str, int]],
    prices: Mapping[str, Mapping[str, Any]],
    lines: Collection[str],
) -> Factors | None:
    """Return how far the time of some work moves over the ranges of its prices.

    `work` is a run's, units and ns by line; `prices` are the resolved scenario's ``host.prices``.
    Of `lines`, those that the run has are taken.  The factors are of CPU time: what was spent
    waiting for a CPU, a lock or a device is in no price.  None if there was no such work, or if
    it costs nothing.
    """
    spent_ns = low_ps = high_ps = 0
    for line in lines:
        if line in work:
            units = work[line]["units"]
            spent_ns += work[line]["ns"]
            low_ps += units * prices[line]["low_ps"]
            high_ps += units * prices[line]["high_ps"]
    if not spent_ns:
        return None
    return Factors(low_ps / 1000 / spent_ns, high_ps / 1000 / spent_ns)


def prices_at(prices: Mapping[str, Mapping[str, Any]], end: End) -> dict[str, dict[str, Any]]:
    """Return all prices of a resolved scenario with their means at one end of their ranges."""
    return {name: price_at(price, end) for name, price in prices.items()}


def price_at(price: Mapping[str, Any], end: End) -> dict[str, Any]:
    """Return a resolved price with its mean at one end of its range, its shape as it was.

    A distribution is scaled as a whole.
    """
    wanted_ps = int(price[f"{end}_ps"])
    mean_ps = price_spec(price).mean_ps
    factor = wanted_ps / mean_ps if mean_ps else 0.0
    if "value_ps" in price or not mean_ps:
        shape: dict[str, Any] = {"value_ps": wanted_ps}
    elif "lognormal" in price:
        given = price["lognormal"]
        shape = {"lognormal": {key: round(ps * factor) for key, ps in given.items()}}
        shape["lognormal"]["mean_ps"] = wanted_ps
    else:
        shape = {"quantiles_ps": [round(ps * factor) for ps in price["quantiles_ps"]]}
    moved = {**shape, "source": f"{end} end of the range of: {price['source']}"}
    middle_ps = price_spec({**moved, "low_ps": 0, "high_ps": 10**18}).mean_ps
    return {
        **moved,
        "low_ps": min(int(price["low_ps"]), int(middle_ps)),
        "high_ps": max(int(price["high_ps"]), int(middle_ps) + 1),
    }
