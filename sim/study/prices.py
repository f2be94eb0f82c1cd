"""The prices a study ran on, one line each, for the report's list of sources."""

from collections.abc import Mapping
from typing import Any

from sim.cost.catalogue import price_spec

_PS_PER_NS = 1000


def price_list(scenario: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return name, mean, range and source of every price of a resolved scenario, in ns."""
    prices = []
    for name, resolved in sorted(scenario["host"].get("prices", {}).items()):
        spec = price_spec(resolved)
        prices.append(
            {
                "name": name,
                "mean_ns": spec.mean_ps / _PS_PER_NS,
                "low_ns": resolved["low_ps"] / _PS_PER_NS,
                "high_ns": resolved["high_ps"] / _PS_PER_NS,
                "source": spec.source,
                "assumed": spec.source.startswith("assumed"),
            }
        )
    return prices
