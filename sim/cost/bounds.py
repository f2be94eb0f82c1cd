"""Prices at the ends of their ranges, and the ranges of times that add up from prices.

A price's `low` and `high` bound its true mean.  Nobody knows where in between it lies, so a time
that was simulated with the middle prices is told together with what the same work takes with all
prices low and with all high.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sim.cost.catalogue import price_spec
from sim.machine import work

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

End = Literal["low", "high"]

FORK_LINES: Final = tuple(name for name in work.NAMES if name.startswith("fork_"))
"""Work that a fork consists of."""

FAULT_LINES: Final = tuple(
    work.NAMES[kind]
    for kind in (
        work.ZERO_FILL, work.ZERO_PAGE_MAP, work.COW_COPY, work.COW_REUSE, work.FILE_MAP,
        work.FILE_MAP_AROUND, work.MAJOR_FAULT, work.SEGFAULT, work.SPURIOUS,
        work.TABLE_ALLOC, work.HUGE_ZERO_FILL, work.HUGE_COPY, work.HUGE_SPLIT,
        work.FOLIO_PAGE,
    )
)  # fmt: skip
"""Work that faults consist of."""

PRICED: Final[Mapping[str, tuple[str, ...]]] = {
    "fault_latency_ns": FAULT_LINES,
    "fork_latency_ns": FORK_LINES,
}
"""Latencies whose prices are known from the work that was done, and that work."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time with all prices at the low ends of their ranges, and with all at the high, in ns."""

    low_ns: float
    high_ns: float


def mean_range(
    latency: Mapping[str, Any],
    work: Mapping[str, Mapping[str, int]],
    prices: Mapping[str, Mapping[str, Any]],
    lines: Collection[str],
) -> Span | None:
    """Return the mean of a latency with all prices low, and with all high, in ns.

    `latency` is one of a run's (``count`` and ``mean``), `work` is the run's, units and ns by
    line, `prices` are the resolved scenario's ``host.prices``, and `lines` is the work that the
    latency consists of.  What it took beyond that was spent waiting for a CPU, a lock or a device,
    which is in no price: it is kept.  Where more of such work was done than the latency has (the
    child's part of an Async-fork), it has its share of it.  None if nothing was done.
    """
    count, mean_ns = latency["count"], latency["mean"]
    own = [line for line in lines if line in work]
    if not count or mean_ns is None or not own:
        return None
    spent_ns = sum(work[line]["ns"] for line in own)
    if not spent_ns:
        return None
    share = min(1.0, mean_ns * count / spent_ns)
    waited_ns = max(0.0, mean_ns - spent_ns / count)
    low, high = (
        share * sum(work[line]["units"] * prices[line][key] for line in own) / 1000 / count
        for key in ("low_ps", "high_ps")
    )
    return Span(waited_ns + low, waited_ns + high)


def prices_at(prices: Mapping[str, Mapping[str, Any]], end: End) -> dict[str, dict[str, Any]]:
    """Return all prices of a resolved scenario with their means at one end of their ranges."""
    return {name: price_at(price, end) for name, price in prices.items()}


def price_at(price: Mapping[str, Any], end: End) -> dict[str, Any]:
    """Return a resolved price with its mean at one end of its range, its shape as it was."""
    said = f"{end} end of the range of: {price['source']}"
    return price_with_mean(price, int(price[f"{end}_ps"]), said)


def price_with_mean(price: Mapping[str, Any], wanted_ps: int, source: str) -> dict[str, Any]:
    """Return a resolved price with another mean, its shape as it was, and `source` said of it.

    A distribution is scaled as a whole; bounds that the mean is beyond are moved to it.
    """
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
    moved = {**shape, "source": source}
    middle_ps = price_spec({**moved, "low_ps": 0, "high_ps": 10**18}).mean_ps
    return {
        **moved,
        "low_ps": min(int(price["low_ps"]), int(middle_ps)),
        "high_ps": max(int(price["high_ps"]), int(middle_ps) + 1),
    }
