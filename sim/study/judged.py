"""What a run says to the objectives of a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sim.base.units import format_duration
from sim.scenario.conditions import Condition, metric_text
from sim.study.first_kill import FIRST_KILL
from sim.study.records import errors_of, flatten

OF_A_KILL: Final = frozenset({"killed", "need_cut_off"})
"""Errors that say no more than that somebody was killed, and that memory was short for it."""


class TooShortError(Exception):
    """A run ended before a time that an objective asks about, and nobody had been killed.

    `number` is that of the objective.
    """

    def __init__(self, number: int, condition: Condition, ended_ns: float) -> None:
        self.number = number
        super().__init__(
            f"{condition} cannot be told: a run ended at {format_duration(ended_ns)} by itself,"
            " and nobody had been killed; let its processes go on until then, or ask"
            " `oom_kills = 0`"
        )


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
    """Return what a run's result says to the objectives, by this table, its first row that fits.

    =====================================  ==================================================
    a run                                  fails, as
    =====================================  ==================================================
    breaks conditions                      their metrics are what they are
    has errors besides kills allowed for   what is wrong may hide what was asked
    has no value of some metric            that has no value
    had no kill before it ended, too soon  - (raises `TooShortError`: it is no answer)
    is another one                         - (it passes)
    =====================================  ==================================================

    A run without a kill was watched until its end: its `first_oom_ns` is later than that.
    """
    metrics = dict(flatten(result["metrics"]))
    broken, missing = [], []
    too_short = None
    for number, condition in enumerate(conditions):
        value = metrics.get(condition.metric)
        if value is not None:
            if not condition.holds(value):
                broken.append(f"{condition.metric} is {metric_text(condition.metric, value)}")
        elif condition.metric != FIRST_KILL:
            missing.append(f"{condition.metric} has no value")
        elif (ended_ns := result["simulated_ns"]) < condition.limit:
            too_short = too_short or TooShortError(number, condition, ended_ns)
        elif condition.is_upper:
            broken.append(f"{FIRST_KILL} is later than {format_duration(ended_ns)}")
    if not broken:  # else most of what is wrong besides comes of that
        ends = {each["ended"] for each in result.get("processes", ())}
        lives = ends != {"oom-killed"}
        allowed = frozenset.intersection(
            *(_allowed_by(each, metrics, somebody_lives=lives) for each in conditions)
        )
        broken = [
            str(error.get("what") or error["code"])
            for error in errors_of(result)
            if error["code"] not in allowed
        ]
    broken = broken or missing  # a value that is missing comes of what is wrong
    if too_short and not broken:
        raise too_short
    values = {condition.metric: metrics.get(condition.metric) for condition in conditions}
    return Judged(tuple(dict.fromkeys(broken)), values)


def _allowed_by(
    condition: Condition, metrics: Mapping[str, float | None], *, somebody_lives: bool
) -> frozenset[str]:
    """Return which errors leave a run that meets a condition an answer to it.

    Kills, where it is about them and allows for those that there were; but if everybody was killed,
    no more could be.  Of the time to the first one a run is an answer wherever its horizon cuts it
    off.
    """
    if condition.metric == FIRST_KILL:
        return OF_A_KILL | {"unfinished"}
    had_kills = condition.metric == "oom_kills" and metrics.get("oom_kills")
    return OF_A_KILL if had_kills and somebody_lives else frozenset()
