"""How long a fork takes by the prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.scenario.explain.section import Section
from sim.stats.theory import TABLE_ENTRIES
from sim.units import GIB, format_bytes, format_duration, pages_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.cost.catalogue import PriceSpec

FORK_AREAS: Final = 5
"""Areas of a parent in the fork times shown here: data, text, stack and the like."""


def fork_ns(specs: Mapping[str, PriceSpec], rss_bytes: int) -> float:
    """Return how long a fork takes on average by the prices, without waiting, in ns.

    A parent of `rss_bytes` in 4 KiB pages and `FORK_AREAS` areas; copy-on-write.
    """
    pages = pages_for(rss_bytes)
    leaf_tables = -(-pages // TABLE_ENTRIES)
    return (
        specs["fork_base"].mean_ns
        + FORK_AREAS * specs["fork_area"].mean_ns
        + leaf_tables * specs["fork_table"].mean_ns
        + pages * (specs["fork_pte"].mean_ns + specs["fork_folio"].mean_ns)
        + specs["fork_flush"].mean_ns
    )


def forks_section(specs: Mapping[str, PriceSpec], host: Mapping[str, Any]) -> Section:
    """Return how long forks of some sizes take."""
    published = {
        point["rss"]: f"; published {format_duration(point['time'])} ({point['source']})"
        for point in host["published"]
        if point["kind"] == "fork"
    }
    lines = [
        (
            f"{format_bytes(rss)} resident",
            format_duration(round(fork_ns(specs, rss))) + published.get(rss, ""),
        )
        for rss in sorted({*published, GIB // 64, GIB, 16 * GIB})
    ]
    return Section("Fork by the prices, without waiting", tuple(lines))
