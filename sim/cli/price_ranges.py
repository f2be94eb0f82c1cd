"""How far the times of one run move over the ranges of the prices, by two more runs.

Of forks and faults the work that was done says it (`sim.cost.bounds.mean_range`).  What waits for
others does not add up: it is run again with all prices low, and with all high.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import ScenarioError
from sim.base.limits import LimitReachedError
from sim.base.text import shorten
from sim.base.units import format_duration
from sim.cost.bounds import prices_at
from sim.stats.enough import enough_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.cost.bounds import End

    Again = Callable[[Mapping[str, Any]], Mapping[str, Any]]
    """Carry a resolved scenario out with the same random numbers; return its document."""

MOST_WORK: Final = 2_000_000
"""Faults and requests of a run that is run again without being asked: a second or two each."""
_ENDS: Final[tuple[End, End]] = ("low", "high")
_TIMES: Final = {
    "vfork_latency_ns": ("vforks hold the parent for", "the longest for"),
    "request_latency_ns": ("requests take", "the slowest"),
}
"""What is run again for: how it is called, and its largest value."""


def range_sentences(document: Mapping[str, Any], again: Again, wanted: bool | None) -> list[str]:
    """Return how far requests and vforks of a run that answers move with the prices.

    `wanted` None: unless the run was a large one, of which it is said that this was left out.
    """
    times = [name for name in _TIMES if document["metrics"][name]["count"]]
    if not times or wanted is False or not document["answered"]:
        return []
    if wanted is None and _work(document) > MOST_WORK:
        what = " and ".join(name.partition("_")[0] + "s" for name in times)
        return [
            f"Times of {what} are with the middle prices; `--price-ranges` makes two more runs,"
            " with all prices low and all high."
        ]
    scenario = document["provenance"]["scenario"]
    found: list[Mapping[str, Any]] = []
    for end in _ENDS:
        try:
            other = again(_with_prices(scenario, end))
        except (LimitReachedError, ScenarioError) as error:
            return [f"With all prices {end} it cannot be run: {shorten(str(error), 200)}."]
        if not other["answered"]:
            return [f"With all prices {end} it has no answer: {_first_error(other)}."]
        found.append(other)
    told = "; ".join(_moved(name, [document, *found]) for name in times)
    return [f"Over the ranges of the prices (two more runs) {told}."]


def _work(document: Mapping[str, Any]) -> int:
    metrics = document["metrics"]
    requests: int = metrics["request_latency_ns"]["count"]
    return requests + int(metrics["minor_faults"]) + int(metrics["major_faults"])


def _with_prices(scenario: Mapping[str, Any], end: End) -> dict[str, Any]:
    host = scenario["host"]
    return {**scenario, "host": {**host, "prices": prices_at(host["prices"], end)}}


def _first_error(document: Mapping[str, Any]) -> str:
    first = next(each for each in document["validity"] if each["severity"] == "error")
    return f"{first['where']}: {first['what']}"


def _moved(name: str, documents: list[Mapping[str, Any]]) -> str:
    latencies = [document["metrics"][name] for document in documents]
    what, most = _TIMES[name]
    said = f"{what} {_span(latencies, 'mean')}"
    if all(latency["count"] == 1 for latency in latencies):
        return said
    said += " on average"
    if all(enough_for(99.0, latency["count"]) for latency in latencies):
        said += f", 99 % of them at most {_span(latencies, 'p99')}"
    return f"{said}, {most} {_span(latencies, 'max')}"


def _span(latencies: list[Mapping[str, Any]], key: str) -> str:
    values = sorted(latency[key] for latency in latencies if latency["count"])
    low, high = (format_duration(round(values[end])) for end in (0, -1))
    return low if low == high else f"{low} to {high}"
