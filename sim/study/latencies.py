"""How long things take at the answer's point, over the ranges of their prices."""

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

from sim.base.errors import InsufficientDataError
from sim.base.units import format_duration
from sim.cost.bounds import PRICED, mean_range
from sim.study.headline import Figure, figure_from
from sim.study.records import Record, read_work
from sim.study.store import Store

FROM_WORK: Final = {"fork_latency_ns": "fork, mean", "fault_latency_ns": "page fault, mean"}
"""Latencies whose range follows from the work of the runs, and what people call them."""

FROM_RUNS: Final = {
    "vfork_latency_ns.mean": "vfork or posix_spawn, mean",
    "request_latency_ns.mean": "request, mean",
    "request_latency_ns.p99": "request, p99",
}
"""Latencies whose range takes runs with other prices."""


def latencies_of(
    store: Store, records: Sequence[Record], price_runs: Mapping[str, Sequence[Record]]
) -> list[dict[str, Any]]:
    """Return one row a latency: with low, middle and high prices, in ns.

    `records` are the runs of one point, `price_runs` its runs with all prices low, and with all
    high.  A figure that no run gives is None; a latency without samples, or with too few, has no
    row.
    """
    works = read_work(store, [record.key for record in records])
    prices = store.scenario(records[0].scenario)["host"].get("prices", {})
    rows = []
    for metric, name in FROM_WORK.items():
        spans = [
            (float(record.scalars[f"{metric}.mean"] or 0), span)
            for record, work in zip(records, works, strict=True)
            if (span := _span(record, metric, work, prices)) is not None
        ]
        if not spans:
            continue
        n = len(spans)
        rows.append(
            _row(
                name,
                sum(span.low_ns for _, span in spans) / n,
                sum(mean for mean, _ in spans) / n,
                sum(span.high_ns for _, span in spans) / n,
                f"units of work of {_runs(n)} times low, middle and high prices",
            )
        )
    for metric in FROM_RUNS:
        row = _from_runs(metric, records, price_runs, figure_from(store, metric))
        rows += [] if row is None else [row]
    return rows


def _span(
    record: Record,
    metric: str,
    work: Mapping[str, Any],
    prices: Mapping[str, Mapping[str, Any]],
) -> Any:
    latency = {part: record.scalars.get(f"{metric}.{part}") for part in ("count", "mean")}
    return mean_range(latency, work, prices, PRICED[metric])


def _from_runs(
    metric: str,
    records: Sequence[Record],
    price_runs: Mapping[str, Sequence[Record]],
    figure_of: Figure,
) -> dict[str, Any] | None:
    """Return the row of a latency that was simulated at all three prices, with the same luck."""
    shared = {record.place.replication for record in records}
    for runs in price_runs.values():
        shared &= {record.place.replication for record in runs} or shared
    middle = _figure(figure_of, records, shared)
    if middle is None:
        return None
    ends = {end: _figure(figure_of, runs, shared) for end, runs in price_runs.items()}
    how = f"{_runs(len(shared))} at each of the prices"
    if not ends or None in ends.values():
        how = f"{_runs(len(shared))}; not run with other prices"
    return _row(FROM_RUNS[metric], ends.get("low"), middle, ends.get("high"), how)


def _figure(figure_of: Figure, records: Sequence[Record], shared: Set[int]) -> float | None:
    own = [record for record in records if record.place.replication in shared]
    try:
        return figure_of(own) if own else None
    except InsufficientDataError:
        return None


def _row(
    name: str, low_ns: float | None, middle_ns: float, high_ns: float | None, how: str
) -> dict[str, Any]:
    return {
        "name": name,
        "low_ns": low_ns,
        "middle_ns": middle_ns,
        "high_ns": high_ns,
        "text": range_text(low_ns, middle_ns, high_ns),
        "how": how,
    }


def range_text(low_ns: float | None, middle_ns: float, high_ns: float | None) -> str:
    """Return a time with its range over the prices: ``135 ms to 617 ms, 249 ms with ...``.

    Where prices hardly matter, chance may put the middle ones at an end.
    """
    middle = f"{format_duration(middle_ns)} with the middle prices"
    if low_ns is None or high_ns is None:
        return f"{middle}; no run with others"
    least, most = min(low_ns, middle_ns), max(high_ns, middle_ns)
    return f"{format_duration(least)} to {format_duration(most)}, {middle}"


def _runs(n: int) -> str:
    return "one run" if n == 1 else f"{n} runs"
