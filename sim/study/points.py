"""The axes of a study and its points; which combinations of levels those are, is its design's."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sim.base.text import shorten
from sim.scenario.designs import RangeAxis
from sim.scenario.groups import settled
from sim.scenario.questions import level_name
from sim.scenario.study import Study, ZippedAxis
from sim.study.ranges import Level, Range, ValueOf, range_of

Part = Literal[
    "runs", "need", "check", "around", "inputs", "fresh", "outgrown", "container", "limit", "less",
    "sizes", "moved sizes", "sampled", "corner", "too small",
]  # fmt: skip
"""On what kind of host points are run; see `sim.study.plan`."""

MEMORY: Final = "host.memory"
"""The key that sets how large a host is."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that varies; `label` is what people call it.

    A range has no levels of its own where the design chooses them.
    """

    key: str
    label: str
    levels: tuple[Level, ...]
    range: Range | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the scenario that it sets."""
        return tuple(self.levels[0].sets) if self.levels else (self.key,)


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of levels, one name an axis; `name` is its own, if it has one."""

    index: int
    levels: tuple[str, ...]
    sets: Mapping[str, Any]
    name: str = ""

    @property
    def title(self) -> str:
        """What it is called: by its own name, or by its levels."""
        return self.name or " · ".join(self.levels)


def axes_of(study: Study, value_of: ValueOf | None = None) -> list[Axis]:
    """Return the study's axes in the order of the file.

    `value_of` tells what the ends of a range are.  Raises `ScenarioError` when two levels of an
    axis have the same name, a key is set twice, or a range is none.
    """
    axes = []
    file = study.file
    other = [*file.set, *(() if file.need is None else file.need.set)]
    likely = [key for key, given in file.uncertain.items() if given.likely is not None]
    for twice in (key for key in likely if key in other):
        message = f"{twice} has a `likely` value and is set besides; keep one of them"
        raise study.error(message, "uncertain", twice)
    other += likely
    other += [] if file.check is None else [MEMORY]
    forms = forms_of(study)
    for key, form in forms.items():
        axis = _axis(study, key, form, value_of, forms)
        names = [level.name for level in axis.levels]
        if len(set(names)) < len(names):
            raise study.error("two levels have the same name; name them apart", *_at(study, key))
        for name in filter(_is_formula, names):
            message = f"the level {shorten(name)!r} would be a formula in a spreadsheet; rename it"
            raise study.error(message, *_at(study, key))
        for twice in (name for name in axis.keys if name in other):
            message = f"{twice} is an axis and set besides; keep one of them"
            raise study.error(message, *_at(study, key))
        other += axis.keys
        axes.append(axis)
    return axes


def forms_of(study: Study) -> dict[str, Any]:
    """Return the axes as written; those of points that are written themselves, as lists."""
    listed = study.file.listed
    if listed is None:
        return dict(study.file.axes)
    return {
        key: list({level_name(s[key]): s[key] for s in listed.values() if key in s}.values())
        for key in study.file.varied
    }


def first_sets(study: Study) -> dict[str, Any]:
    """Return what the first level of every axis sets, as written; of a range, its low end."""
    sets: dict[str, Any] = {}
    for key, form in forms_of(study).items():
        if isinstance(form, RangeAxis):
            sets[key] = form.range[0]
        else:
            sets |= next(_levels(key, form)).sets
    return sets


def _axis(
    study: Study, key: str, form: Any, value_of: ValueOf | None, others: Iterable[str]
) -> Axis:
    label = study.file.labels.get(key) or label_of(key, others)
    if not isinstance(form, RangeAxis) or value_of is None:
        return Axis(key, label, tuple(_levels(key, form)))
    span = range_of(study, key, form, value_of)
    if form.levels is None and study.file.fills:
        return Axis(key, label, (), span)
    n = form.levels or 2
    levels = span.levels(n)
    if len(levels) < n:
        message = f"the range has no {n} whole numbers so spread; write fewer levels"
        raise study.error(message, "axes", key, "levels")
    return Axis(key, label, tuple(levels), span)


def label_of(key: str, others: Iterable[str] = ()) -> str:
    """Return what people may call a key path: its last word, or enough of them to be told apart.

    `others` are paths that it stands beside.

    >>> label_of("processes.redis.dataset"), label_of("processes.m.steps.2.repeat.times")
    ('dataset', 'repeat times')
    >>> label_of("processes.a.dataset", ["processes.b.dataset"])
    'a dataset'
    """
    words = [part for part in key.split(".") if not part.isdecimal()]
    n_words = 2 if "steps" in words[:-1] else 1
    beside = [[part for part in o.split(".") if not part.isdecimal()] for o in others if o != key]
    while n_words < len(words) and any(other[-n_words:] == words[-n_words:] for other in beside):
        n_words += 1
    return " ".join(words[-n_words:]).replace("_", " ")


def _is_formula(name: str) -> bool:
    """Whether a spreadsheet would compute a cell of a table instead of showing it."""
    return name.startswith(("=", "@", "\t")) or (name[:1] in "+-" and not name[1:2].isdigit())


def _at(study: Study, key: str) -> tuple[str, str]:
    return ("axes", key) if study.file.axes else ("design", "points")


def _levels(key: str, axis: Any) -> Iterator[Level]:
    if isinstance(axis, ZippedAxis):
        for n in range(axis.n_levels):
            sets = {k: values[n] for k, values in axis.zip.items()}
            named = axis.names[n] if axis.names else " · ".join(map(level_name, sets.values()))
            yield Level(named, sets)
    elif isinstance(axis, Mapping):
        for name, value in axis.items():
            yield Level(level_name(name), {key: value})
    else:
        for value in axis:
            yield Level(level_name(value), {key: value})


def points_of(axes: Sequence[Axis]) -> list[Point]:
    """Return every combination of levels; the last axis varies fastest."""
    every = itertools.product(*(axis.levels for axis in axes))
    return [point_of(index, levels) for index, levels in enumerate(every)]


def point_of(index: int, levels: Sequence[Level], name: str = "") -> Point:
    """Return the point at a level of each axis."""
    sets: dict[str, Any] = {}
    for level in levels:
        sets |= level.sets
    return Point(index, tuple(level.name for level in levels), sets, name)


def place_text(axes: Sequence[Axis], point: Point) -> str:
    """Return where a point stands, in words: ``data set 16 GiB, writes 20000/s``."""
    levels = zip(axes, point.levels, strict=True)
    words = ", ".join(f"{axis.label} {name}" for axis, name in levels)
    return f"{point.name}: {words}" if point.name else words


def names_of(axes: Sequence[Axis], point: Point) -> tuple[str, ...]:
    """Return what a point may be called, the name to suggest first.

    Its own name if it has one, its levels in words as they are printed, and its title.
    """
    words = place_text(axes, point)
    return (point.name, words) if point.name else (words, point.title)


def value_at(scenario: Mapping[str, Any], key_path: str) -> Any:
    """Return the value that a dotted key path leads to; None if it leads nowhere.

    Of a resolved scenario also what it has elsewhere than where people write it.

    >>> value_at({"host": {"cpus": 2}}, "host.cpus")
    2
    """
    value: Any = scenario
    for step in settled(scenario, key_path.split(".")):
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value
