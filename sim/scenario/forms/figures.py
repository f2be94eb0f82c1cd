"""How a run shows what forms foretell, and how forms write sizes."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES, S, format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.scenario.forms.form import Document, Seen

CHANCE: Final = 5.0
"""Standard deviations that a form allows for chance: one run in 1.7 million has more."""

BUSY: Final = 0.7
"""Share of a CPU beyond which work queues so long that no form holds."""

OTHER_PAGES: Final = 8
"""Pages of a process besides its data: its stack, and what its program has written."""

OTHER_TABLES: Final = 8
"""Page tables of a process besides those of its data, at most."""


def first_of(record: str) -> Seen:
    """Return the first number that the process recorded under this name."""
    return lambda document, name: float(document["programs"][name][record][0])


def mean_of(record: str) -> Seen:
    """Return the mean of the numbers that the process recorded under this name."""
    return lambda document, name: float(mean(document["programs"][name][record]))


def metric(*path: str, per: float = 1.0) -> Seen:
    """Return a metric, in units of `per`."""

    def seen(document: Document, name: str) -> float:
        found: Any = document["metrics"]
        for key in path:
            found = found[key]
        if found is None:
            raise LookupError(f"{'.'.join(path)} has no value")
        return float(found) / per

    return seen


def resident_pages(document: Document, name: str) -> float:
    """Return the largest resident set of the process, in pages."""
    return float(process(document, name)["peak_rss_bytes"]) / PAGE_BYTES


def ended_ns(document: Document, name: str) -> float:
    """Return when the process ended of its own accord."""
    found = process(document, name)
    if not found["ended"].startswith("exit"):
        raise LookupError(f"{name} has not ended: {found['ended']}")
    return float(found["ended_ns"])


def process(document: Document, name: str) -> Mapping[str, Any]:
    """Return what a run says of one process."""
    for found in document["processes"]:
        if found["name"] == name:
            row: Mapping[str, Any] = found
            return row
    raise LookupError(f"no process {name}")


def children(document: Document, name: str) -> list[Mapping[str, Any]]:
    """Return the processes below `name`."""
    return [p for p in document["processes"] if p["name"].startswith(f"{name}/")]


def per_s(count: float, ns: float) -> float:
    """Return a rate."""
    return count * S / ns


def pages_text(pages: float, word: str = "pages") -> str:
    """Return a size of `pages` in bytes, and how many there are."""
    return f"{format_bytes(round(pages) * PAGE_BYTES)} ({round(pages):,} {word})"
