"""What findings say of the study itself: its question, its axes, the runs that failed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sim
from sim.engine import conditions
from sim.engine.conditions import exactness
from sim.engine.long_run import WARM_UP
from sim.scenario.questions import level_name
from sim.scenario.resolve import RESULTS_VERSION
from sim.study.plan import Planner
from sim.study.points import Axis, Part, Point, place_text, value_at
from sim.study.reasons import last_line, raised_in
from sim.study.records import Failure, Record
from sim.study.store import Store


def study_facts(
    planner: Planner, part: Part, axes: Sequence[Mapping[str, Any]], records: Sequence[Record]
) -> dict[str, Any]:
    """Return what a study asks, and how many runs each of its parts has."""
    study, design = planner.study, planner.design
    return {
        "name": study.name,
        "question": study.question,
        "base": study.base,
        "part": part,
        "axes": list(axes),
        "design": {
            "kind": design.kind,
            "words": design.words,
            "points": [point.title for point in design.points],
            "left_out": design.left_out,
        },
        "metric": study.answer.metric,
        "metrics": list(study.metrics),
        "baseline": dict(planner.baseline) or None,
        "seed": study.seed,
        "file": study.model_dump(mode="json", exclude_defaults=True),
        "runs": {
            part: sum(r.place.part == part for r in records)
            for part in (
                "runs",
                "need",
                "inputs",
                "corner",
                "sampled",
                "too small",
                "check",
                "around",
                "fresh",
                "outgrown",
                "container",
                "limit",
                "less",
            )
            if any(r.place.part == part for r in records)
        },
    }


def provenance_facts(
    planner: Planner,
    head: int | None,
    scenarios: Iterable[Mapping[str, Any] | None],
    command: str,
) -> dict[str, Any]:
    """Return by what a study was carried out; `scenarios` are those of its points."""
    return {
        "software": "cowpool",
        "version": sim.__version__,
        "results_version": RESULTS_VERSION,
        "conditions": conditions_of(scenarios),
        "run_command": None if head is None else planner.run_command(head),
        "seed": planner.study.seed,
        "command": command,
    }


def runs_facts(
    records: Sequence[Record], failures: Sequence[Failure], n_missing: int, n_damaged: int
) -> dict[str, int]:
    """Return what became of the runs of a study."""
    return {
        "runs_done": len(records),
        "runs_failed": len(failures),
        "runs_missing": n_missing,
        "runs_damaged": n_damaged,
    }


def conditions_of(scenarios: Iterable[Mapping[str, Any] | None]) -> list[str]:
    """Return what of the hosts and groups of some points is not followed exactly, each once."""
    said = (conditions.conditions_of(each) for each in scenarios if each is not None)
    return list(dict.fromkeys(each.what for found in said for each in found))


def exact_words(store: Store, metric: str, records: Sequence[Record]) -> str:
    """Return what is to be said behind a figure of some runs of one point; mostly nothing.

    Of the mean latency of requests how many runs are all warm-up, and of a single one what it says
    of the long run.
    """
    said = exactness(metric, store.scenario(records[0].scenario)["host"])
    exact = f" ({said})" if said else ""
    if metric != "request_latency_ns.mean":
        return exact
    if len(records) == 1 and records[0].long_run:
        return f"{exact} [in the long run: {records[0].long_run}]"
    n_warm = sum(record.long_run.startswith(WARM_UP) for record in records)
    return f"{exact} [{WARM_UP} in {n_warm} of {len(records)} runs]" if n_warm else exact


def axis_facts(
    n: int,
    axis: Axis,
    points: Sequence[Point],
    scenario_at: Callable[[int], Mapping[str, Any] | None],
) -> dict[str, Any]:
    """Return axis number `n` with the number behind each level, where there is one.

    `scenario_at` returns the resolved scenario of a point's runs, None if it has none.
    """
    levels = []
    for level in axis.levels:
        point = next((p.index for p in points if p.levels[n] == level.name), None)
        if point is None:
            continue  # no point of the design is there
        scenario = scenario_at(point)
        value = None
        if scenario is not None and len(level.sets) == 1:
            value = value_at(scenario, next(iter(level.sets)))
        number = value if isinstance(value, int | float) else None
        levels.append({"name": level.name, "value": number})
    span = axis.range
    ends = (
        []
        if span is None
        else [
            {"name": level_name(name), "value": value}
            for name, value in zip(span.ends, (span.low, span.high), strict=True)
        ]
    )
    log = span is not None and span.log
    return {"key": axis.key, "label": axis.label, "levels": levels, "log": log, "ends": ends}


def failure_facts(
    failure: Failure, axes: Sequence[Axis], points: Sequence[Point]
) -> dict[str, Any]:
    """Return what is said of a run without a result."""
    place = failure.place
    return {
        "part": place.part,
        "where": place_text(axes, points[place.point]),
        "host": place.host,
        "replication": place.replication,
        "reason": last_line(failure.reason),
        "raised_in": raised_in(failure.reason),
    }
