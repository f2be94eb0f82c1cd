"""What findings say of the study itself: its question, its axes, the runs that failed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sim.scenario.study import StudyFile
from sim.study import answer
from sim.study.plan import value_at
from sim.study.points import Axis, Part, Point
from sim.study.records import Failure, Record


def study_facts(
    study: StudyFile, part: Part, axes: Sequence[Mapping[str, Any]], records: Sequence[Record]
) -> dict[str, Any]:
    """Return what a study asks, and how many runs each of its parts has."""
    return {
        "name": study.name,
        "question": study.question,
        "base": study.base,
        "part": part,
        "axes": list(axes),
        "metric": study.answer.metric,
        "metrics": list(study.metrics),
        "baseline": study.baseline,
        "seed": study.seed,
        "file": study.model_dump(mode="json", exclude_defaults=True),
        "runs": {
            part: sum(r.place.part == part for r in records)
            for part in ("runs", "need", "inputs", "check", "around", "fresh", "outgrown")
            if any(r.place.part == part for r in records)
        },
    }


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
        point = next(p.index for p in points if p.levels[n] == level.name)
        scenario = scenario_at(point)
        value = None
        if scenario is not None and len(level.sets) == 1:
            value = value_at(scenario, next(iter(level.sets)))
        number = value if isinstance(value, int | float) else None
        levels.append({"name": level.name, "value": number})
    return {"key": axis.key, "label": axis.label, "levels": levels}


def failure_facts(
    failure: Failure, axes: Sequence[Axis], points: Sequence[Point]
) -> dict[str, Any]:
    """Return what is said of a run without a result."""
    place = failure.place
    return {
        "part": place.part,
        "where": answer.place_text(axes, points[place.point]),
        "host": place.host,
        "replication": place.replication,
        "reason": failure.reason.strip().splitlines()[-1],
    }
