"""Tidy tables of a study's results: one row a run, a point and metric, a host.

Every table is sorted by point, host and replication, so that it is the same whatever the order in
which the runs came in.  What cannot be estimated is left empty, never guessed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sim.errors import InsufficientDataError
from sim.stats.estimate import Estimate, mean_over_replications, paired_difference
from sim.stats.proportion import wilson
from sim.study.need import PARTS, Need, need_of
from sim.study.plan import Axis, Part, Point
from sim.study.records import Record, metric_text

Groups = Mapping[tuple[str, int, int], list[Record]]
"""Records by part, point and host, in order of replication."""


def grouped(records: Sequence[Record]) -> Groups:
    """Return records by part, point and host."""
    groups: dict[tuple[str, int, int], list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda r: r.place):
        groups[record.place.part, record.place.point, record.place.host].append(record)
    return groups


def runs_table(records: Sequence[Record], axes: Sequence[Axis], points: Sequence[Point]) -> Any:
    """Return one row a run: its place, its host, and all its metrics."""
    rows = [
        {
            "part": record.place.part,
            **_levels(axes, points[record.place.point]),
            "host": record.place.host,
            "replication": record.place.replication,
            "host_memory_bytes": record.memory_bytes,
            "ran_out": record.ran_out,
            "ending": record.ending,
            **record.scalars,
            "run": record.key,
        }
        for record in sorted(records, key=lambda r: r.place)
    ]
    return pd.DataFrame(rows)


def points_table(
    groups: Groups, part: Part, axes: Sequence[Axis], points: Sequence[Point], confidence: float
) -> Any:
    """Return one row a point and metric: mean and confidence interval over replications.

    A metric that lacks a value in some run, or a run that ended in a deadlock, gives no mean.
    """
    rows = []
    for point in points:
        records = groups.get((part, point.index, 0), [])
        for metric in records[0].scalars if records else ():
            estimate = estimate_of(records, metric, confidence)
            rows.append(
                {
                    **_levels(axes, point),
                    "metric": metric,
                    "mean": None if estimate is None else estimate.mean,
                    "half_width": None if estimate is None else estimate.half_width,
                    "confidence": confidence,
                    "n": len(records),
                    "text": "" if estimate is None else estimate_text(metric, estimate),
                }
            )
    return pd.DataFrame(rows)


def estimate_of(records: Sequence[Record], metric: str, confidence: float) -> Estimate | None:
    """Return the mean of a metric over the runs of a cell; None where there is none."""
    values = values_of(records, metric)
    try:
        return None if values is None else mean_over_replications(values, confidence=confidence)
    except InsufficientDataError:
        return None


def values_of(records: Sequence[Record], metric: str) -> list[float] | None:
    """Return a metric's value in every run, or None if a run has none or is stuck."""
    if any(record.ending == "deadlock" for record in records):
        return None
    values = [record.scalars.get(metric) for record in records]
    known = [value for value in values if value is not None]
    return known if known and len(known) == len(values) else None


def estimate_text(metric: str, estimate: Estimate) -> str:
    """Return an estimate for people, in the metric's unit."""
    mean, half_width = (metric_text(metric, v) for v in (estimate.mean, estimate.half_width))
    return mean if estimate.half_width == 0 else f"{mean} ± {half_width}"


def paired_table(
    groups: Groups,
    part: Part,
    axes: Sequence[Axis],
    points: Sequence[Point],
    baseline: Mapping[str, str],
    metrics: Sequence[str],
    confidence: float,
) -> Any:
    """Return differences from the baseline, replication by replication.

    `baseline` names levels of some axes; each point is compared with the one that has these
    levels and is otherwise like it.
    """
    by_levels = {point.levels: point for point in points}
    rows = []
    for point in points:
        levels = tuple(
            baseline.get(axis.key, level) for axis, level in zip(axes, point.levels, strict=True)
        )
        base = by_levels[levels]
        if base.index == point.index:
            continue
        for metric in metrics:
            treated = values_of(groups.get((part, point.index, 0), []), metric)
            control = values_of(groups.get((part, base.index, 0), []), metric)
            if treated is None or control is None:
                continue
            n = min(len(treated), len(control))
            try:
                difference = paired_difference(treated[:n], control[:n], confidence=confidence)
            except InsufficientDataError:
                continue
            rows.append(
                {
                    **_levels(axes, point),
                    "baseline": " · ".join(levels),
                    "metric": metric,
                    "difference": difference.mean,
                    "half_width": difference.half_width,
                    "confidence": confidence,
                    "n": n,
                    "text": estimate_text(metric, difference),
                }
            )
    return pd.DataFrame(rows)


def needs_of(
    groups: Groups, n_points: int, *, content: float, confidence: float
) -> dict[int, Need]:
    """Return the memory need of every point whose roomy runs allow one to be stated.

    A point where memory ran out even on the roomy host, or that got stuck, has none.
    """
    needs = {}
    for point in range(n_points):
        records = groups.get(("need", point, 0), [])
        if any(record.ran_out or record.ending == "deadlock" for record in records):
            continue
        totals = [
            {
                part: record.scalars.get(f"memory_need_bytes.{part}") or 0.0
                for part in ("total", *PARTS)
            }
            for record in records
        ]
        try:
            needs[point] = need_of(totals, content=content, confidence=confidence)
        except InsufficientDataError:
            continue
    return needs


def need_table(
    needs: Mapping[int, Need],
    hosts_bytes: Mapping[int, int],
    data_bytes: Mapping[int, int],
    axes: Sequence[Axis],
    points: Sequence[Point],
) -> Any:
    """Return one row a point: what it needs, its parts, and the host that holds it."""
    rows = []
    for index, need in sorted(needs.items()):
        data = data_bytes.get(index)
        rows.append(
            {
                **_levels(axes, points[index]),
                "point": index,
                "mean_bytes": need.mean.mean,
                "half_width_bytes": need.mean.half_width,
                "bound_bytes": need.bound.bound,
                "content": need.bound.content,
                "confidence": need.bound.confidence,
                "n": need.bound.n,
                "method": need.bound.method,
                **{f"{part}_bytes": value for part, value in need.parts_bytes.items()},
                "host_bytes": hosts_bytes[index],
                "data_set_bytes": data,
                "times_data": hosts_bytes[index] / data if data else None,
            }
        )
    return pd.DataFrame(rows)


def oom_table(
    groups: Groups,
    axes: Sequence[Axis],
    points: Sequence[Point],
    factors: Mapping[str, Sequence[float]],
    confidence: float,
) -> Any:
    """Return one row a point and host: how often memory ran out, with Wilson's interval.

    `factors` says, for each part, which multiple of the data or of the answer a host is.
    """
    rows = []
    for (part, point, host), records in sorted(groups.items()):
        if part not in factors:
            continue
        events = sum(record.ran_out for record in records)
        seen = wilson(events, len(records), confidence=confidence)
        rows.append(
            {
                "part": part,
                **_levels(axes, points[point]),
                "point": point,
                "factor": factors[part][host],
                "host_memory_bytes": records[0].memory_bytes,
                "ran_out": events,
                "runs": len(records),
                "low": seen.low,
                "high": seen.high,
                "confidence": confidence,
                "text": str(seen),
            }
        )
    return pd.DataFrame(rows)


def agreement(groups: Groups) -> tuple[int, int]:
    """Return in how many runs of the check memory ran out just when it had to, and of how many.

    It had to when the need that the same replication had on a roomy host is more than the host
    leaves for processes.
    """
    agree = runs = 0
    for (part, point, _), records in groups.items():
        if part not in ("check", "around"):
            continue
        needs = {
            record.place.replication: record.scalars.get("memory_need_bytes.total")
            for record in groups.get(("need", point, 0), [])
            if not record.ran_out
        }
        for record in records:
            need_bytes = needs.get(record.place.replication)
            if need_bytes is not None:
                runs += 1
                agree += record.ran_out == (need_bytes > record.usable_bytes)
    return agree, runs


def stages_table(groups: Groups, part: Part, axes: Sequence[Axis], points: Sequence[Point]) -> Any:
    """Return one row a point, kind of fault and stage: the time that went there, all runs."""
    rows = []
    for point in points:
        totals: dict[str, int] = defaultdict(int)
        for record in groups.get((part, point.index, 0), []):
            for name, spent_ns in record.stages_ns.items():
                totals[name] += int(spent_ns)
        for name, spent_ns in totals.items():
            kind, _, stage = name.partition("/")
            rows.append(
                {
                    **_levels(axes, point),
                    "point": point.index,
                    "kind": kind,
                    "stage": stage or "all",
                    "time_ns": spent_ns,
                }
            )
    return pd.DataFrame(rows)


def fork_table(
    groups: Groups,
    part: Part,
    axes: Sequence[Axis],
    points: Sequence[Point],
    confidence: float,
) -> Any:
    """Return one row a point: the forking process's resident set, and how long a fork took."""
    rows = []
    for point in points:
        records = groups.get((part, point.index, 0), [])
        mean = estimate_of(records, "fork_latency_ns.mean", confidence)
        longest = values_of(records, "fork_latency_ns.max")
        if mean is None or longest is None:
            continue
        rows.append(
            {
                **_levels(axes, point),
                "point": point.index,
                "resident_bytes": sum(r.resident_bytes for r in records) / len(records),
                "fork_ns": mean.mean,
                "half_width_ns": mean.half_width,
                "longest_ns": max(longest),
                "n": mean.n,
            }
        )
    return pd.DataFrame(rows)


def _levels(axes: Sequence[Axis], point: Point) -> dict[str, str]:
    return {axis.key: name for axis, name in zip(axes, point.levels, strict=True)}
