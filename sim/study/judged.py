"""What a run says to the objectives of a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.scenario.conditions import Condition, metric_text
from sim.study.records import errors_of, flatten


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run says to the objectives: why it fails, empty if it passes; metrics asked for.

    `known` tells that it was not made: another one is known to be the same (`sim.study.one_run`).
    """

    broken: tuple[str, ...]
    values: Mapping[str, float | None]
    known: bool = False

    @property
    def passed(self) -> bool:
        """Whether it meets all of them."""
        return not self.broken


def judge(result: Mapping[str, Any], conditions: Sequence[Condition]) -> Judged:
    """Return what a run's result says to the objectives.

    A run that is no answer meets none: whatever is wrong with it may hide what was asked.
    """
    metrics = dict(flatten(result["metrics"]))
    broken, missing = [], []
    for condition in conditions:
        value = metrics.get(condition.metric)
        if value is None:
            missing.append(f"{condition.metric} has no value")
        elif not condition.holds(value):
            broken.append(f"{condition.metric} is {metric_text(condition.metric, value)}")
    if not broken:  # else most of what is wrong besides comes of that
        broken = [str(error.get("what") or error["code"]) for error in errors_of(result)]
    broken = broken or missing  # a value that is missing comes of what is wrong
    values = {condition.metric: metrics.get(condition.metric) for condition in conditions}
    return Judged(tuple(dict.fromkeys(broken)), values)
