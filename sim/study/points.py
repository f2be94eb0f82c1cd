"""The axes of a study and its points: one for each combination of the axes' levels."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sim.base.text import shorten
from sim.scenario.questions import level_name
from sim.scenario.study import Study, ZippedAxis

Part = Literal[
    "runs", "need", "check", "around", "inputs", "fresh", "outgrown", "container", "limit", "less",
    "sizes", "moved sizes", "sampled",
]  # fmt: skip
"""On what kind of host points are run; see `sim.study.plan`."""

MEMORY: Final = "host.memory"
"""The key that sets how large a host is."""


@dataclass(frozen=True, slots=True)
class Level:
    """One setting of an axis, by its name."""

    name: str
    sets: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that varies; `label` is what people call it."""

    key: str
    label: str
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of levels, one name an axis."""

    index: int
    levels: tuple[str, ...]
    sets: Mapping[str, Any]


def axes_of(study: Study) -> list[Axis]:
    """Return the study's axes in the order of the file.

    Raises `ScenarioError` when two levels of an axis have the same name, or a key is set twice.
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
    for key, axis in file.axes.items():
        levels = tuple(_levels(key, axis))
        names = [level.name for level in levels]
        if len(set(names)) < len(names):
            raise study.error("two levels have the same name; name them apart", *_at(key))
        for name in filter(_is_formula, names):
            message = f"the level {shorten(name)!r} would be a formula in a spreadsheet; rename it"
            raise study.error(message, *_at(key))
        for twice in (name for name in levels[0].sets if name in other):
            message = f"{twice} is an axis and set besides; keep one of them"
            raise study.error(message, *_at(key))
        other += levels[0].sets
        axes.append(Axis(key, file.labels.get(key) or label_of(key, file.axes), levels))
    return axes


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


def _at(key: str) -> tuple[str, str]:
    return "axes", key


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
    points = []
    for index, levels in enumerate(itertools.product(*(axis.levels for axis in axes))):
        sets: dict[str, Any] = {}
        for level in levels:
            sets |= level.sets
        points.append(Point(index, tuple(level.name for level in levels), sets))
    return points
