"""The objectives of a study as conditions, and whether its runs can tell them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sim.base.units import format_duration
from sim.scenario.conditions import Condition, condition_of
from sim.scenario.study import Study
from sim.study.first_kill import FIRST_KILL
from sim.study.judged import TooShortError


def conditions_of(study: Study) -> tuple[Condition, ...]:
    """Return the objectives of a study; raises `ScenarioError` for one that is none."""
    conditions = []
    for number, text in enumerate(study.file.objectives.each_run):
        try:
            conditions.append(condition_of(text))
        except ValueError as error:
            raise _error(study, number, str(error)) from None
    return tuple(conditions)


def require_horizons(
    study: Study, conditions: Sequence[Condition], scenarios: Iterable[Mapping[str, Any]]
) -> None:
    """Raise `ScenarioError` if an objective asks about a time that runs do not come to.

    Where nobody is killed before the horizon, nothing is known of what would have come.
    """
    horizons = [each["run"]["horizon"] for each in scenarios]
    first_ns = min((ns for ns in horizons if ns is not None), default=None)
    for number, condition in enumerate(conditions):
        if condition.metric == FIRST_KILL and first_ns is not None and first_ns < condition.limit:
            until, least = format_duration(first_ns), format_duration(condition.limit)
            message = f"{condition} cannot be told of runs that end at {until} (run.horizon);"
            raise _error(study, number, f"{message} set run.horizon to {least} or more")


@contextmanager
def refused_where_too_short(study: Study) -> Iterator[None]:
    """Raise `ScenarioError` where a run ended too soon to tell an objective of the study."""
    try:
        yield
    except TooShortError as error:
        raise _error(study, error.number, str(error)) from None


def _error(study: Study, number: int, message: str) -> Exception:
    return study.error(message, "objectives", "each_run", str(number))
