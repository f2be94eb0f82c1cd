"""What a run says in sentences, before its tables: how much memory, how long forks and requests."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from sim.base.counts import counted
from sim.base.units import format_bytes, format_duration
from sim.cost.bounds import PRICED, mean_range
from sim.engine.conditions import exactness
from sim.engine.names import kind_of
from sim.engine.shortfalls import least_words
from sim.machine.parts import PARTS
from sim.stats.enough import enough_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_NAMED: Final = 3
"""So many processes are named of which a figure is; more are counted."""
_LEAST_SHARE: Final = 0.001
"""Parts of the need that are smaller than this share of it are not worth a word."""


def answer_of(document: Mapping[str, Any]) -> list[str]:
    """Return what a run answers, a sentence each; nothing where it answers nothing.

    What is of several processes of the scenario says so: times are measured of all together.
    Whether it does is the run's `answered`; a need that was cut off is a lower bound.
    """
    if not document["answered"]:
        return []
    said = (
        _need(document),
        _forks(document),
        _vforks(document),
        _requests(document),
    )
    return [sentence for sentence in said if sentence]


def _need(document: Mapping[str, Any]) -> str:
    need = document["metrics"]["memory_need_bytes"]
    total = need["total"]
    if not total:
        return ""
    cut_off = any(finding["code"] == "need_cut_off" for finding in document["validity"])
    parts = sorted((part for part in PARTS if part in need), key=lambda part: -need[part])
    shown = [part for part in parts if need[part] >= _LEAST_SHARE * total and need[part] > 0]
    bill = ", ".join(f"{format_bytes(need[part])} of {PARTS[part]}" for part in shown)
    scenario = document["provenance"]["scenario"]
    when = " after its warm-up" if scenario.get("run", {}).get("warmup") else ""
    room = any(finding["code"] == "peak_is_room" for finding in document["validity"])
    least = f"{least_words(document)} " if cut_off and not room else ""
    needs = (
        f"{scenario['name']} {'holds' if room else 'needs'} {least}{format_bytes(total)} of memory"
    )
    return f"{needs} at its peak{when}{_exact(document, 'memory_need_bytes.total')}: {bill}."


def _exact(document: Mapping[str, Any], metric: str) -> str:
    """Return what is to be said behind a figure that is not exact; else nothing."""
    said = exactness(metric, document["provenance"]["scenario"]["host"])
    return f" ({said})" if said else ""


def _forks(document: Mapping[str, Any]) -> str:
    forks = document["metrics"]["fork_latency_ns"]
    if not forks["count"]:
        return ""
    mean, over = format_duration(round(forks["mean"])), _over_prices(document, "fork_latency_ns")
    if forks["count"] == 1:
        return f"Its fork takes {mean}{over}{_exact(document, 'fork_latency_ns')}."
    longest = format_duration(round(forks["max"]))
    together = _together(_callers(document, "fork"))
    return (
        f"Its {forks['count']:,} forks{together} take {mean} on average{over}, the longest "
        f"{longest}{_exact(document, 'fork_latency_ns')}."
    )


def _vforks(document: Mapping[str, Any]) -> str:
    vforks = document["metrics"]["vfork_latency_ns"]
    count = vforks["count"]
    if not count:
        return ""
    mean, longest = (format_duration(round(vforks[key])) for key in ("mean", "max"))
    if count == 1:
        return f"Its vfork holds the parent for {mean}{_exact(document, 'vfork_latency_ns')}."
    together = _together(_callers(document, "vfork"))
    return (
        f"Its {count:,} vforks{together} hold the parent for {mean} on average, the longest for "
        f"{longest}{_exact(document, 'vfork_latency_ns')}."
    )


def _callers(document: Mapping[str, Any], kind: str) -> list[str]:
    """Return the processes of the scenario that, or whose children, made calls of a kind."""
    warmup_ns = document["provenance"]["scenario"].get("run", {}).get("warmup", 0)
    marks = document.get("marks", ())
    names = (m["name"] for m in marks if m["kind"] == kind and m["t_ns"] >= warmup_ns)
    return list(dict.fromkeys(kind_of(name.partition("/")[0]) for name in names))


def _together(origins: Sequence[str]) -> str:
    """Return of whom a figure is, where that is of several processes of the scenario."""
    if len(origins) < 2:
        return ""
    named = len(origins) <= _MOST_NAMED
    whose = " and ".join((", ".join(origins[:-1]), origins[-1])) if named else f"{len(origins)}"
    return f", of {whose}{'' if named else ' processes'} together,"


def _over_prices(document: Mapping[str, Any], name: str) -> str:
    """Return how far a mean moves over the ranges of the prices, where the work done says so."""
    prices = document["provenance"]["scenario"]["host"]["prices"]
    span = mean_range(document["metrics"][name], document["work"], prices, PRICED[name])
    if span is None:
        return ""
    low, high = (format_duration(round(ns)) for ns in (span.low_ns, span.high_ns))
    return f" ({low} to {high} over the ranges of the prices)"


def _requests(document: Mapping[str, Any]) -> str:
    requests = document["metrics"]["request_latency_ns"]
    count = requests["count"]
    if not count:
        return ""
    mean, slowest = (format_duration(round(requests[key])) for key in ("mean", "max"))
    if count == 1:
        return f"Its request takes {mean}{_exact(document, 'request_latency_ns')}."
    most = ""
    if enough_for(99.0, count):
        most = f", 99 % of them at most {format_duration(round(requests['p99']))}"
    loads = document.get("evidence", {}).get("arrivals", ())
    together = _together([load["process"] for load in loads if load["begun"]])
    return (
        f"{count:,} requests{together} take {mean} on average{most}, the slowest {slowest}"
        f"{_exact(document, 'request_latency_ns')}."
    )


def done_in(document: Mapping[str, Any]) -> str:
    """Return how many of the events ended that the programs are there for; empty if none did."""
    ended: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for event in document.get("evidence", {}).get("events", ()):
        ended[event["event"]] += event["ended"]
        failed[event["event"]] += event["failed"]
    return ", ".join(
        counted(n, name) + (f" ({failed[name]:,} failed)" if failed[name] else "")
        for name, n in ended.items()
        if n
    )
