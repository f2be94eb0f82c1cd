"""Prices and their evidence, explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.cost.quantiles import PS_PER_NS, table_quantile_ps
from sim.machine.work import KINDS
from sim.scenario.explain.section import Section, ns_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.cost.catalogue import PriceSpec


def prices_section(specs: Mapping[str, PriceSpec]) -> Section:
    """Return every price with its evidence."""
    n_assumed = sum(spec.assumed for spec in specs.values())
    lines = [
        ("evidence", f"{len(specs) - n_assumed} of {len(specs)} prices have a source, "
         f"{n_assumed} are assumed")
    ]  # fmt: skip
    lines += [(key, _price_text(specs[key])) for key in KINDS]
    return Section("Prices: mean (low to high), 99th percentile, source", tuple(lines))


def _price_text(spec: PriceSpec) -> str:
    text = f"{ns_text(spec.mean_ns)} ({ns_text(spec.low_ns)} to {ns_text(spec.high_ns)})"
    if spec.table[0] != spec.table[-1]:
        text += f", p99 {ns_text(table_quantile_ps(spec.table, 0.99) / PS_PER_NS)}"
    return f"{text}; {spec.source}"
