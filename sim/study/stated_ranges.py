"""Whether what a study states of its inputs can be so, and holds the values they have.

Seen before anything runs: ends in order, a value within them, and of a distribution what will be
drawn from it.
"""

from collections.abc import Iterator
from typing import Any, Final

from sim.base.errors import ScenarioError
from sim.scenario.questions import UncertainInput
from sim.stats.laws import Law
from sim.study.inputs import Input, inputs_at
from sim.study.plan import Planner
from sim.study.points import MEMORY, value_at
from sim.study.sampled import law_spans
from sim.study.stated import (
    SPAN,
    is_price,
    law_of,
    mean_ps,
    number_of,
    stated_value,
    with_units,
)
from sim.study.written import kind_of, written

_BOTH: Final = (False, True)
"""Whether runs read from the disk is not known before them; the disk's inputs are drawn if so."""


def check_uncertain(planner: Planner) -> None:
    """Raise `ScenarioError` if what a study states of its inputs cannot be.

    An end that the scenario refuses, ends that are not ``low <= likely <= high``, a value of the
    scenario outside of them, or a distribution from which values are drawn that cannot be.
    """
    planner.main_cell(0)  # what is thought likely comes first
    for key, given in planner.study.uncertain.items():
        _check_units(planner, key, given)
        law = law_of(key, given) if is_price(key) else None
        if law is not None and (least := law.quantile((1 - SPAN) / 2)) < 0:
            raise _cannot_be_drawn(planner, key, law, least, _no_price(least))
        if given.has_law or is_price(key):
            continue  # looked at below
        for end in (given.low, given.high, *given.instead):
            if end is not None:
                planner.input_cell(0, 0, {key: end})
    if not planner.study.uncertain:
        return
    for point in _some_of_each_level(planner):
        known = {each.key: each for each in inputs_at(planner, point, reads_disk=True)}
        for key, given in planner.study.uncertain.items():
            if key in known:
                _check_order(planner, point, known[key], given)
        _check_drawn(planner, point)


def _check_units(planner: Planner, key: str, given: UncertainInput) -> None:
    for path, value in with_units(key, given):
        try:
            planner.input_cell(0, 0, {key: value})
        except ScenarioError as error:
            if "has no unit" in error.message:
                raise planner.error(error.message, "uncertain", key, *path) from None


def _some_of_each_level(planner: Planner) -> Iterator[int]:
    """Yield points that the answer may be about: for each level of an axis one that has it."""
    seen: set[tuple[int, str]] = set()
    for point in planner.candidates():
        levels = set(enumerate(planner.points[point].levels))
        if not seen or not levels <= seen:
            seen |= levels
            yield point


def _check_order(planner: Planner, point: int, each: Input, given: UncertainInput) -> None:
    """Raise `ScenarioError` unless low, the value and high are in this order.

    The value of an axis is the question's: its range is not drawn, and may be elsewhere.
    """
    key = each.key
    low, likely, high = (
        _number(planner, point, key, end) for end in (given.low, given.likely, given.high)
    )
    if low is not None and high is not None and low > high:
        message = f"low {given.low} is above high {given.high}; write the smaller one as `low`"
        raise planner.error(message, "uncertain", key)
    if given.scale == "log" and low is not None and low <= 0:
        message = "a logarithmic scale has no 0; begin above it, or write `scale: linear`"
        raise planner.error(message, "uncertain", key)
    if likely is None and (each.asked or given.has_law):
        return
    value = _value(planner, point, key) if likely is None else likely
    if value is None:
        return
    beyond = None
    if low is not None and value < low:
        beyond = f"below low {given.low}"
    elif high is not None and value > high:
        beyond = f"above high {given.high}"
    if beyond is None:
        return
    if likely is not None:
        message = f"likely {given.likely} is {beyond}; write low <= likely <= high"
    else:
        end = given.high if given.low is None else given.low
        text = each.text if is_price(key) else written(kind_of(end), value)
        message = f"it is {text}, {beyond}; add `likely: ...` within the ends, or change them"
        if planner.study.need is not None and key in planner.study.need.set:
            message = f"`need` makes it {text}, {beyond}; leave it out"
            if key == MEMORY:
                message += ": the need is measured on a host that is large enough"
        elif key in planner.study.set:
            message = f"`set` makes it {text}, {beyond}; change that, or the ends"
    raise planner.error(message, "uncertain", key)


def _number(planner: Planner, point: int, key: str, end: Any) -> float | None:
    """Return an end in base units, or ps; None if there is none, or it is no number here."""
    if end is None:
        return None
    if is_price(key):
        return number_of(key, end)
    try:
        value = value_at(planner.input_cell(point, 0, {key: end}).scenario, key)
    except ScenarioError:
        return None
    return _if_number(value)


def _value(planner: Planner, point: int, key: str) -> float | None:
    value = value_at(planner.main_cell(point).scenario, key)
    return mean_ps(value) if is_price(key) else _if_number(value)


def _if_number(value: Any) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)


def _check_drawn(planner: Planner, point: int) -> None:
    """Raise `ScenarioError` if a value that will be drawn from a distribution cannot be."""
    for reads_disk in _BOTH:
        spans = law_spans(planner, point, planner.study.sample, reads_disk=reads_disk)
        for each, ends in spans:
            assert each.law is not None
            before = value_at(planner.main_cell(point).scenario, each.key)
            for number in ends:
                try:
                    value = stated_value(each.key, number, before)
                    planner.input_cell(point, 0, {each.key: value})
                except ScenarioError as error:
                    why = error.message
                    raise _cannot_be_drawn(planner, each.key, each.law, number, why) from None
                except ValueError:
                    why = _no_price(number)
                    raise _cannot_be_drawn(planner, each.key, each.law, number, why) from None


def _no_price(number_ps: float) -> str:
    return f"{number_ps / 1000:.6g} ns is no price"


def _cannot_be_drawn(
    planner: Planner, key: str, law: Law, number: float, why: str
) -> ScenarioError:
    reason = why.partition(";")[0].removeprefix(f"{key}: ").replace(repr(number), f"{number:.6g}")
    message = f"{law.words} has values that cannot be: {reason}; cut it with `low` or `high`"
    return planner.error(message, "uncertain", key)
