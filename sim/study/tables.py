"""Tidy tables of a study's results: one row a run, a point and metric, a host.

Every table is sorted by point, host and replication, so that it is the same whatever the order in
which the runs came in.  What cannot be estimated is left empty, never guessed.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Any

from sim.base.errors import InsufficientDataError
from sim.machine.parts import PARTS
from sim.stats.estimate import paired
from sim.study.first_kill import FIRST_KILL, first_kill, paired_first_kill
from sim.study.frames import frame_of
from sim.study.need import Need, need_of
from sim.study.percentiles import Distributions, run_has_enough
from sim.study.points import Axis, Part, Point
from sim.study.records import Record
from sim.study.summary import (
    Summary,
    n_not_answered,
    programs_of,
    summarised,
    summary_of,
    text_of,
    values_of,
)

Groups = Mapping[tuple[str, int, int], list[Record]]
"""Records by part, point and host, in order of replication."""


def grouped(records: Sequence[Record]) -> Groups:
    """Return records by part, point and host."""
    groups: dict[tuple[str, int, int], list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda r: r.place):
        groups[record.place.part, record.place.point, record.place.host].append(record)
    return groups


def runs_table(records: Sequence[Record], axes: Sequence[Axis], points: Sequence[Point]) -> Any:
    """Return one row a run: its place, its host, whether it is an answer, and all its metrics."""
    rows = [
        {
            "part": record.place.part,
            **levels_of(axes, points[record.place.point]),
            "host": record.place.host,
            "replication": record.place.replication,
            "host_memory_bytes": record.memory_bytes,
            "answered": record.answered,
            "not_answered_because": " ".join(dict.fromkeys(e["code"] for e in record.errors)),
            "ran_out": record.ran_out,
            "ending": record.ending,
            **record.scalars,
            "run": record.key,
        }
        for record in sorted(records, key=lambda r: r.place)
    ]
    return frame_of(rows)


def points_table(
    groups: Groups,
    part: Part,
    axes: Sequence[Axis],
    points: Sequence[Point],
    confidence: float,
    distributions: Callable[[Sequence[Record]], Distributions],
    exact: Callable[[str, Sequence[Record]], str],
    named: Collection[str],
) -> Any:
    """Return one row a point and metric: mean and range over replications.

    A confidence interval is there where the metric's mean is known to have one
    (`sim.study.near_normal`).  A metric that lacks a value in some run, or a run that ended in a
    deadlock, gives no mean.  A percentile is that of all values of all runs, as far as they are
    enough (`sim.study.percentiles`); `distributions` reads them.  `not_answered` is how many of the
    runs are no answer; `exact` says of a metric of some runs that it is not exact, or nothing.
    Percentiles that are `named` have limits.
    """
    rows = []
    for point in points:
        records = groups.get((part, point.index, 0), [])
        latencies, lost = distributions(records), n_not_answered(records)
        for metric in records[0].scalars if records else ():
            limited = metric in named
            summary = summary_of(records, metric, confidence, latencies, limited=limited)
            text = text_of(metric, summary, records)
            if metric == FIRST_KILL:
                text = first_kill(records, confidence).text
            rows.append(
                {
                    **levels_of(axes, point),
                    "metric": metric,
                    **_summary_columns(summary),
                    "confidence": confidence,
                    "n": len(records),
                    "not_answered": lost,
                    "text": text + exact(metric, records),
                }
            )
    return frame_of(rows)


def _summary_columns(summary: Summary | None) -> dict[str, float | None]:
    names = ("mean", "half_width", "low", "high")
    low, high = (None, None) if summary is None or summary.limits is None else summary.limits
    columns = {name: None if summary is None else getattr(summary, name) for name in names}
    return {**columns, "limit_low": low, "limit_high": high}


def paired_table(
    groups: Groups,
    part: Part,
    axes: Sequence[Axis],
    points: Sequence[Point],
    baseline: Mapping[str, str],
    metrics: Sequence[str],
    confidence: float,
    planned: Mapping[int, Set[int]],
) -> Any:
    """Return differences from the baseline, replication by replication.

    `baseline` names levels of some axes; each point is compared with the one that has these
    levels and is otherwise like it, if there is one.  `planned` are the replications of each
    point, `lost` how many that both were to have make no pair: a run failed, or has no value.
    """
    by_levels = {point.levels: point for point in points}
    rows = []
    for point in points:
        levels = tuple(
            baseline.get(axis.key, level) for axis, level in zip(axes, point.levels, strict=True)
        )
        base = by_levels.get(levels)
        if base is None or base.index == point.index:
            continue
        treated = groups.get((part, point.index, 0), [])
        control = groups.get((part, base.index, 0), [])
        n_planned = len(planned.get(point.index, set()) & planned.get(base.index, set()))
        for metric in metrics:
            columns = _difference(metric, treated, control, confidence)
            if columns is None:
                continue
            n_lost = n_planned - columns["n"]
            lost = f" [{n_lost} of {n_planned} pairs lost]" if n_lost else ""
            rows.append(
                {
                    **levels_of(axes, point),
                    "baseline": " · ".join(levels),
                    "metric": metric,
                    **{name: columns[name] for name in ("difference", "half_width", "low", "high")},
                    "confidence": confidence,
                    "n": columns["n"],
                    "lost": n_lost,
                    "not_answered": n_not_answered([*treated, *control]),
                    "text": columns["text"] + lost,
                }
            )
    return frame_of(rows)


def _difference(
    metric: str, treated: Sequence[Record], control: Sequence[Record], confidence: float
) -> Mapping[str, Any] | None:
    """Return what is known of a metric's difference; None if no pair says anything of it.

    `low` and `high` are the smallest and the largest; of the time to the first kill the limits of
    its median.
    """
    if not treated or not control:
        return None
    if not all(run_has_enough(metric, record.scalars) for record in (*treated, *control)):
        return None  # a percentile of so few values is about its largest one
    if metric == FIRST_KILL:
        return paired_first_kill(treated, control, confidence)
    pairs = paired(by_replication(treated, metric), by_replication(control, metric))
    if not len(pairs):
        return None
    programs = programs_of([*treated, *control])
    summary = summarised(metric, [float(d) for d in pairs], confidence, programs)
    text = text_of(metric, summary, [*treated, *control])
    columns = {"difference": summary.mean, "n": summary.n, "text": text}
    return {**columns, "half_width": summary.half_width, "low": summary.low, "high": summary.high}


def by_replication(records: Sequence[Record], metric: str) -> dict[int, float]:
    """Return a metric's values by the number of the replication, of runs that have one."""
    return {
        record.place.replication: value
        for record in records
        if record.ending != "deadlock" and (value := record.scalars.get(metric)) is not None
    }


def needs_of(
    groups: Groups,
    n_points: int,
    *,
    content: float,
    confidence: float,
    normal: bool,
    looks: Callable[[int], int],
) -> dict[int, Need]:
    """Return the memory need of every point whose runs on a large host allow one to be stated.

    A run whose need was cut off counts as larger than all others; where that leaves no bound, and
    where a run is no answer for another reason, the point has none.  `looks` tells for a point at
    how many moments results decided how often it is run.
    """
    needs = {}
    for point in range(n_points):
        records = groups.get(("need", point, 0), [])
        if not records or any(record.in_the_way(of_need=True) for record in records):
            continue
        whole = [record for record in records if not record.cut_off]
        parts = [
            {
                part: record.scalars.get(f"memory_need_bytes.{part}") or 0.0
                for part in ("total", *PARTS)
            }
            for record in whole
        ]
        try:
            needs[point] = need_of(
                parts,
                content=content,
                confidence=confidence,
                normal=normal,
                n_cut_off=len(records) - len(whole),
                looks=looks(point),
            )
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
                **levels_of(axes, points[index]),
                "point": index,
                "mean_bytes": need.mean_bytes,
                "low_bytes": need.seen_bytes[0],
                "high_bytes": need.seen_bytes[1],
                "bound_bytes": need.bound.bound,
                "content": need.bound.content,
                "confidence": need.bound.confidence,
                "n": need.bound.n,
                "cut_off": need.n_cut_off,
                "method": need.bound.method,
                "shapiro_p": need.bound.shapiro_p,
                **{f"{part}_bytes": value for part, value in need.parts_bytes.items()},
                "host_bytes": hosts_bytes[index],
                "data_set_bytes": data,
                "times_data": hosts_bytes[index] / data if data else None,
            }
        )
    return frame_of(rows)


def unanswered_table(
    reasons: Mapping[int, Sequence[str]], axes: Sequence[Axis], points: Sequence[Point]
) -> Any:
    """Return one row a point without an answer and reason."""
    rows = [
        {**levels_of(axes, points[point]), "point": point, "reason": reason}
        for point, own in sorted(reasons.items())
        for reason in own
    ]
    return frame_of(rows)


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
                    **levels_of(axes, point),
                    "point": point.index,
                    "kind": kind,
                    "stage": stage or "all",
                    "time_ns": spent_ns,
                    "not_answered": n_not_answered(groups.get((part, point.index, 0), [])),
                }
            )
    return frame_of(rows)


def fork_table(groups: Groups, part: Part, axes: Sequence[Axis], points: Sequence[Point]) -> Any:
    """Return one row a point: the forking process's resident set, and how long a fork took.

    `fork_ns` is the mean over runs of their means, between `low_ns` and `high_ns`; no interval for
    it would hold (`sim.study.near_normal`).
    """
    rows = []
    for point in points:
        records = groups.get((part, point.index, 0), [])
        means = values_of(records, "fork_latency_ns.mean")
        longest = values_of(records, "fork_latency_ns.max")
        if means is None or longest is None:
            continue
        rows.append(
            {
                **levels_of(axes, point),
                "point": point.index,
                "resident_bytes": sum(r.resident_bytes for r in records) / len(records),
                "fork_ns": sum(means) / len(means),
                "low_ns": min(means),
                "high_ns": max(means),
                "longest_ns": max(longest),
                "n": len(means),
                "not_answered": n_not_answered(records),
            }
        )
    return frame_of(rows)


def levels_of(axes: Sequence[Axis], point: Point) -> dict[str, str]:
    """Return the levels of a point by the keys of their axes, its name first if it has one."""
    named = {"name": point.name} if point.name else {}
    return named | {axis.key: name for axis, name in zip(axes, point.levels, strict=True)}
