"""What an answer rests on: the inputs of a scenario, how each is known, and what else it may be.

A program says beside its parameters how far from their values these may truly lie
(`sim.program.declared`), a host likewise, and a study may say otherwise.  A value that is the
program's own default counts as assumed, whoever wrote it down, until the study's ``uncertain``
says where it comes from: nobody measures a server and finds the default of a simulator.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sim.base.errors import ScenarioError
from sim.base.units import KIB, format_bytes, format_duration, in_base_units
from sim.cost.bounds import prices_at
from sim.program.declared import LeftOut, Uncertain, mark_of
from sim.program.signature import Parameter, parameters_of
from sim.scenario.hosts import DISK_UNCERTAIN, HOST_UNCERTAIN
from sim.scenario.programs import show_value
from sim.scenario.questions import UncertainInput
from sim.scenario.study import StudyFile
from sim.stats.laws import Law
from sim.study.plan import Cell, Planner
from sim.study.points import Axis, value_at
from sim.study.records import Record
from sim.study.stated import (
    PRICES,
    SPAN,
    is_price,
    law_of,
    mean_ps,
    number_of,
    stated_value,
)

Evidence = Literal["given", "measured", "assumed"]

HOST_SHOWN: Final = ("kernel", "cpus", "thp")
"""Keys of the host that are shown as inputs although nothing is said of how sure they are."""

_FEW_BYTES: Final = 100 * KIB
"""Below this a size that is no multiple of 1 KiB was given in bytes."""

_HOST_TEXT: Final[Mapping[str, Callable[[Any], str]]] = {
    "disk.latency": format_duration,
    "disk.bandwidth": lambda value: f"{format_bytes(value)}/s",
}


@dataclass(frozen=True, slots=True)
class End:
    """What an input is set to instead of its value, and how people write it."""

    text: str
    sets: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """One input of an answer.

    `ends` are what is tried instead of its value: low and high of a number in this order, each
    other choice; empty where nobody says how far off it may be.  `law` is its distribution, where
    one is stated, `ends` then hold 90 % of it; else it is a triangle, of its logarithm with `log`.
    `asked` tells whether it is an axis of the study: then its value is the question's, not the
    answer's to doubt.
    """

    key: str
    label: str
    text: str
    evidence: Evidence
    source: str
    measure: str
    asked: bool
    is_choice: bool
    ends: tuple[End, ...]
    log: bool = False
    law: Law | None = None


@dataclass(frozen=True, slots=True)
class Omission:
    """Memory that a program leaves to be given: its line, its size, and where to read it.

    With `passes` it is gone before a child is there.
    """

    key: str
    what: str
    part: str
    size_bytes: int
    measure: str
    passes: bool = False


def inputs_of(
    scenario: Mapping[str, Any],
    programs: Mapping[str, Callable[..., Any]],
    study: StudyFile,
    axes: Sequence[Axis],
    *,
    reads_disk: bool,
    written: Mapping[str, Any] | None = None,
) -> list[Input]:
    """Return the inputs of a resolved scenario of a study, processes first, then the host.

    `reads_disk` tells whether its runs do: else nothing is said of the disk.  `written` is the base
    scenario as it was written: what it does not say of the host, nobody gave.
    """
    found = [
        _of_parameter(name, process, parameter, study, axes)
        for name, process in scenario["processes"].items()
        for parameter in parameters_of(programs[process["program"]])
        if mark_of(parameter, LeftOut) is None and _is_said(process.get(parameter.key))
    ]
    marks = {**HOST_UNCERTAIN, **(DISK_UNCERTAIN if reads_disk else {})}
    for key in (*marks, *HOST_SHOWN):
        value = value_at(scenario, f"host.{key}")
        if value is not None:
            given = f"host.{key}" in study.set or value_at(written or {}, f"host.{key}") is not None
            found.append(_of_host(key, value, marks.get(key), study, axes, given=given))
    found.append(_of_prices(scenario["host"]["prices"], study))
    known = {each.key for each in found}
    for key in study.uncertain:
        if key not in known:
            value = value_at(scenario, key)
            show = _price_text if is_price(key) else str
            found.append(_input(key, value, None, study, axes, default=None, show=show))
    return found


def inputs_at(planner: Planner, point: int, *, reads_disk: bool) -> list[Input]:
    """Return the inputs of a point of a study."""
    return inputs_of(
        planner.main_cell(point).scenario,
        planner.programs,
        planner.study,
        planner.axes,
        reads_disk=reads_disk,
        written=planner.written,
    )


def input_cells(planner: Planner, point: int, *, reads_disk: bool) -> list[tuple[Input, End, Cell]]:
    """Return the runs of a point with each input at each of its ends, all else as it was.

    An end of a program's own range that cannot be here, because other inputs forbid it, is left
    out; a `ScenarioError` about one that the study itself gives is raised.
    """
    found: list[tuple[Input, End, Cell]] = []
    for each in inputs_at(planner, point, reads_disk=reads_disk):
        for end in each.ends:
            try:
                cell = planner.input_cell(point, len(found), end.sets)
            except ScenarioError:
                if each.key in planner.study.uncertain:
                    raise
                continue
            found.append((each, end, cell))
    return found


def omissions_of(
    scenario: Mapping[str, Any], programs: Mapping[str, Callable[..., Any]]
) -> list[Omission]:
    """Return what the programs of a resolved scenario leave to be given."""
    return [
        Omission(
            f"processes.{name}.{parameter.key}",
            mark.what,
            mark.part,
            int(process[parameter.key]) * int(process.get("copies", 1)),
            mark.measure,
            mark.passes,
        )
        for name, process in scenario["processes"].items()
        for parameter in parameters_of(programs[process["program"]])
        if (mark := mark_of(parameter, LeftOut)) is not None
    ]


def reads_disk(records: Sequence[Record]) -> bool:
    """Return whether runs waited for the disk."""
    return any(record.scalars.get("major_faults") for record in records)


def _is_said(value: Any) -> bool:
    return value is not None and value != "" and not isinstance(value, list | dict)


def _of_parameter(
    process_name: str,
    process: Mapping[str, Any],
    parameter: Parameter,
    study: StudyFile,
    axes: Sequence[Axis],
) -> Input:
    key, value = f"processes.{process_name}.{parameter.key}", process[parameter.key]
    return _input(
        key,
        value,
        mark_of(parameter, Uncertain),
        study,
        axes,
        default=None if parameter.required else parameter.default,
        show=lambda other: _shown(parameter, other),
    )


def _shown(parameter: Parameter, value: Any) -> str:
    """Return a parameter's value as people write it: 2,000 B, not 1.95 KiB."""
    few_bytes = parameter.unit == "bytes" and isinstance(value, int) and value < _FEW_BYTES
    if few_bytes and value % KIB:
        return f"{value:,} B"
    return show_value(parameter.unit, value)


def _of_host(
    key: str,
    value: Any,
    mark: Uncertain | None,
    study: StudyFile,
    axes: Sequence[Axis],
    *,
    given: bool,
) -> Input:
    show, default = _HOST_TEXT.get(key, str), None if given else value
    return _input(f"host.{key}", value, mark, study, axes, default=default, show=show)


def _input(
    key: str,
    value: Any,
    mark: Uncertain | None,
    study: StudyFile,
    axes: Sequence[Axis],
    *,
    default: Any,
    show: Callable[[Any], str],
) -> Input:
    own, axis = study.uncertain.get(key), _axis(key, axes)
    said = mark.says if mark is not None else ""
    label = said or key.rsplit(".", 1)[-1].replace("_", " ")
    law = None if own is None else law_of(key, own)
    text = show(value)
    log = is_price(key) or "/" in text
    if own is not None and own.scale is not None:
        log = own.scale == "log"
    if axis is not None and axis.key == key:
        label = axis.label
    evidence, source = _evidence(value, own, mark, asked=axis is not None, default=default)
    if law is not None:
        said_source = own.source if own is not None else ""
        evidence = evidence if said_source else "measured" if own and own.data else "given"
        source = f"{said_source}; {law.words}" if said_source else law.words
    measure = own.measure if own is not None and own.measure else mark.measure if mark else ""
    return Input(
        key,
        label,
        text,
        evidence,
        source,
        measure,
        asked=axis is not None,
        is_choice=law is None and _is_choice(own, mark),
        ends=_ends(key, value, own, mark, show) if law is None else _span(key, value, law, show),
        log=log,
        law=law,
    )


def _span(key: str, value: Any, law: Law, show: Callable[[Any], str]) -> tuple[End, ...]:
    """Return the ends between which 90 % of a distribution lie."""
    numbers = [law.quantile((1 - SPAN) / 2), law.quantile((1 + SPAN) / 2)]
    ends = [stated_value(key, number, value) for number in dict.fromkeys(numbers)]
    return tuple(End(show(end), {key: end}) for end in ends)


def _price_text(price: Any) -> str:
    return format_duration(mean_ps(price) / 1000)


def _axis(key: str, axes: Sequence[Axis]) -> Axis | None:
    return next((axis for axis in axes if any(key in level.sets for level in axis.levels)), None)


def _evidence(
    value: Any, own: UncertainInput | None, mark: Uncertain | None, *, asked: bool, default: Any
) -> tuple[Evidence, str]:
    """Return how a value is known, and what is said of its source."""
    range_source = mark.source if mark is not None else ""
    if own is not None and own.source:
        first = own.source.strip().lower()
        if first.startswith("assumed"):
            return "assumed", own.source
        return ("measured" if first.startswith("measured") else "given"), own.source
    if not asked and default is not None and value == default:
        return "assumed", range_source
    return "given", range_source


def _is_choice(own: UncertainInput | None, mark: Uncertain | None) -> bool:
    if own is not None and (own.instead or own.low is not None or own.high is not None):
        return bool(own.instead)
    return mark is not None and bool(mark.instead)


def _ends(
    key: str,
    value: Any,
    own: UncertainInput | None,
    mark: Uncertain | None,
    show: Callable[[Any], str],
) -> tuple[End, ...]:
    """Return what to try: as the study says, else as the program does.

    A study that says where a value comes from and gives no range takes it for exact.
    """
    if own is not None:
        given = own.instead or [end for end in (own.low, own.high) if end is not None]
        if is_price(key):
            ends = [(end, stated_value(key, number_of(key, end), value)) for end in given]
            return tuple(End(str(end), {key: price}) for end, price in ends)
        if given or own.source:
            return tuple(End(str(end), {key: end}) for end in given)
    if mark is None:
        return ()
    return tuple(End(show(end), {key: in_base_units(end)}) for end in mark.ends(value))


def _of_prices(prices: Mapping[str, Mapping[str, Any]], study: StudyFile) -> Input:
    stated = {key for key in prices if f"{PRICES}.{key}" in study.uncertain}
    others = {key: price for key, price in prices.items() if key not in stated}
    n_assumed = sum(str(price["source"]).startswith("assumed") for price in prices.values())
    ends = tuple(
        End(f"all {end}", {PRICES: {**prices, **prices_at(others, end)}})
        for end in ("low", "high")
        if PRICES not in study.uncertain
    )
    return Input(
        PRICES,
        "prices",
        "middle of their ranges",
        "assumed",
        f"assumed: {n_assumed} of {len(prices)} prices; all low, or all high, at once",
        "how long forks and faults take on your host (perf trace -F all, bpftrace)",
        asked=False,
        is_choice=False,
        ends=ends,
    )
