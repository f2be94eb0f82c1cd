"""Which points of a design a study's `where` allows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from sim.base.errors import ScenarioError
from sim.base.text import shorten
from sim.scenario.complaints import suggestion
from sim.scenario.constraints import (
    DURATION,
    NUMBER,
    RATE,
    SIZE,
    SPEED,
    Dimension,
    Measure,
    constraint_of,
    meant_key,
    measure_of,
    quantity_of,
)
from sim.scenario.study import Study
from sim.study.design import Made
from sim.study.key_kinds import is_kind, what_keys_take
from sim.study.points import Point, value_at

ScenarioAt = Callable[[Point], Mapping[str, Any]]
"""Returns the scenario that a point makes; raises `ScenarioError` if it makes none."""


def allowed(study: Study, design: Made, scenario_at: ScenarioAt) -> Made:
    """Return a design without the points that the study's `where` forbids.

    Raises `ScenarioError` for a constraint without a meaning, and where what is left is no such
    design any more.
    """
    if not study.file.where:
        return design
    kept = [point for point in design.points if _holds(study, point, scenario_at)]
    lost = len(design.points) - len(kept)
    if not lost:
        return design
    if not kept:
        raise study.error(f"forbids all {lost} points; allow some", "where")
    if design.kind == "factorial":
        message = f"forbids {lost} of {len(design.points)} points, and a factorial takes them all"
        raise study.error(f"{message}; change levels, or write `design: grid`", "where")
    if design.kind == "one at a time" and kept[0] is not design.points[0]:
        message = "forbids the point that others differ from; name another with `baseline`"
        raise study.error(message, "where")
    occurring = map(set, zip(*(point.levels for point in kept), strict=True))
    axes = [
        replace(axis, levels=tuple(level for level in axis.levels if level.name in names))
        for axis, names in zip(design.axes, occurring, strict=True)
    ]
    places = tuple(design.places[point.index] for point in kept) if design.places else ()
    points = [replace(point, index=index) for index, point in enumerate(kept)]
    return replace(design, axes=axes, points=points, places=places, left_out=lost)


def _holds(study: Study, point: Point, scenario_at: ScenarioAt) -> bool:
    """Return whether every constraint holds at a point.

    It is asked of the scenario that the point makes.  Where it makes none, of what it sets: a point
    that is forbidden need not be possible.
    """
    own = [*point.sets, *study.file.set]
    scenario: Mapping[str, Any] = {}
    try:
        scenario = scenario_at(point)
        values = dict(_leaves(scenario))
    except ScenarioError:
        values = {key: quantity_of(value) for key, value in point.sets.items()}
        asked = [
            (n, text)
            for n, text in enumerate(study.file.where)
            if all(meant_key(word, list(values)) for word in constraint_of(text).words)
        ]
        if all(_asked(study, n, text, values, own, scenario) for n, text in asked):
            raise
        return False
    return all(
        _asked(study, n, text, values, own, scenario) for n, text in enumerate(study.file.where)
    )


def _asked(
    study: Study,
    number: int,
    text: str,
    values: Mapping[str, Any],
    own: list[str],
    scenario: Mapping[str, Any],
) -> bool:
    """Return whether a constraint holds of `values`; keys in `own` go first, then numbers.

    `scenario` says which programs its processes run: what their keys are is known by them.
    """
    numbers = [key for key, value in values.items() if isinstance(value, int | float)]

    def value_of(word: str) -> Measure:
        key = meant_key(word, own) or meant_key(word, numbers) or meant_key(word, list(values))
        if key is None:
            known = [*own, *(known for known in values if not known.startswith("host.prices."))]
            raise ValueError(f"{shorten(word)!r} is no key here; {suggestion(word, known)}")
        value = values.get(key)
        if value is None and scenario:  # a resolved one has some values elsewhere
            value = value_at(scenario, key)
        if value is None:
            raise ValueError(f"{key} has no value at some point; leave it out, or set it")
        return measure_of(value, _dimension(key, scenario))

    try:
        return constraint_of(text).holds(value_of)
    except ValueError as error:
        raise study.error(str(error), "where", number) from None


_DIMENSIONS: Final[Mapping[str, Dimension]] = {
    "a size": SIZE,
    "a duration": DURATION,
    "a rate": RATE,
    "a speed": SPEED,
    "a number": NUMBER,
    "a whole number": NUMBER,
}
"""By what the reference of keys says that one takes."""


def _dimension(key: str, scenario: Mapping[str, Any]) -> Dimension | None:
    """Return the dimension of a key's value; None if the reference does not say."""
    takes = what_keys_take([key], scenario)[key]
    return next((found for kind, found in _DIMENSIONS.items() if is_kind(takes, kind)), None)


def _leaves(scenario: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a resolved scenario by their key paths."""
    for key, value in scenario.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
