"""The design of a study: which points its axes make.

`sim.scenario.designs` has what may be written, `sim.stats.designs` the mathematics.  A design is a
function of the study file alone, its seed included.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np

from sim.base.counts import counted
from sim.base.rng import stream
from sim.base.text import shorten
from sim.scenario.designs import Design
from sim.scenario.questions import level_name
from sim.scenario.study import Study
from sim.stats.designs import MOST_SOBOL_AXES, Factorial, factorial, latin_hypercube, sobol
from sim.study.points import Axis, Point, point_of, points_of
from sim.study.ranges import Level

Kind = Literal[
    "grid", "zip", "one at a time", "factorial", "latin hypercube", "sobol", "points"
]  # fmt: skip

FILLING: Final = ("latin hypercube", "sobol")
"""Designs that spread points over ranges."""


@dataclass(frozen=True, slots=True)
class Made:
    """A design as made: its kind, its axes with the levels that occur, its points.

    `places` has for each point where it lies in each axis, from 0 to 1, where the design chose
    that; `effects` is the two-level design, if it is one.  `left_out` counts points that the
    study's constraints forbid.
    """

    kind: Kind
    axes: list[Axis]
    points: list[Point]
    source: str = ""
    places: tuple[tuple[float, ...], ...] = ()
    effects: Factorial | None = None
    left_out: int = 0
    base: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What it is, in words."""
        n = len(self.points) + self.left_out
        source = f", {self.source}" if self.source else ""
        names = {
            "grid": "every combination",
            "zip": "axes that change together",
            "one at a time": "one axis at a time",
            "latin hypercube": f"a Latin hypercube of {n:,} points",
            "sobol": f"{n:,} points of a Sobol sequence",
            "points": f"a list of {counted(n, 'point')}{source}",
            "factorial": self._factorial_words(),
        }
        return names[self.kind] + (f", {self.left_out:,} left out" if self.left_out else "")

    def _factorial_words(self) -> str:
        resolution = None if self.effects is None else self.effects.resolution
        if resolution is None:
            return "a two-level factorial, full"
        return f"a two-level factorial, a fraction of resolution {_ROMAN[resolution]}"


_ROMAN: Final = {3: "III", 4: "IV", 5: "V"}


def kind_of_design(study: Study) -> Kind:
    """Return which design a study asks for."""
    design = study.file.design
    if not isinstance(design, Design):
        return design
    if design.factorial:
        return "factorial"
    if design.latin_hypercube:
        return "latin hypercube"
    return "sobol" if design.sobol else "points"


def n_points(study: Study, axes: Sequence[Axis]) -> int:
    """Return how many points a design makes, before any of it is made."""
    design = study.file.design
    levels = [len(axis.levels) for axis in axes]
    match kind_of_design(study):
        case "zip":
            return max(levels, default=1)
        case "one at a time":
            return 1 + sum(n - 1 for n in levels)
        case "factorial" if isinstance(design, Design) and design.factorial:
            return design.factorial
        case "points":
            return len(study.file.listed or ())
        case _ if isinstance(design, Design):
            return design.latin_hypercube or design.sobol or 0
        case _:
            return math.prod(levels)


def made(study: Study, axes: list[Axis]) -> Made:
    """Return a study's design; raises `ScenarioError` where its axes do not make one."""
    kind = kind_of_design(study)
    match kind:
        case "grid":
            return Made(kind, axes, points_of(axes))
        case "zip":
            return Made(kind, axes, _zipped(study, axes))
        case "one at a time":
            return _one_at_a_time(study, axes)
        case "factorial":
            return _factorial(study, axes)
        case "points":
            return _listed(study, axes)
        case _:
            return _filling(study, axes, kind)


def _zipped(study: Study, axes: Sequence[Axis]) -> list[Point]:
    lengths = {len(axis.levels) for axis in axes}
    if len(lengths) > 1:
        said = ", ".join(f"{axis.label} {len(axis.levels)}" for axis in axes)
        raise study.error(f"axes have {said} levels; write equally many to zip them", "axes")
    together = zip(*(axis.levels for axis in axes), strict=True)
    return [point_of(index, levels) for index, levels in enumerate(together)]


def _one_at_a_time(study: Study, axes: list[Axis]) -> Made:
    """Return the point at the baseline, and each other level with all else as there."""
    asked = study.file.baseline or {}
    base = [
        next((level for level in axis.levels if level.name == str(asked.get(axis.key))), first)
        for axis in axes
        for first in axis.levels[:1]
    ]
    points = [point_of(0, base, "base")]
    for n, axis in enumerate(axes):
        for level in axis.levels:
            if level.name != base[n].name:
                levels = [*base[:n], level, *base[n + 1 :]]
                points.append(point_of(len(points), levels, f"{axis.label} {level.name}"))
    names = {axis.key: level.name for axis, level in zip(axes, base, strict=True)}
    return Made("one at a time", axes, points, base=names)


def _factorial(study: Study, axes: list[Axis]) -> Made:
    for axis in axes:
        if len(axis.levels) != 2:
            message = f"has {len(axis.levels)} levels; a two-level factorial takes two"
            raise study.error(message, "axes", axis.key)
    design = study.file.design
    try:
        effects = factorial(len(axes), design.factorial if isinstance(design, Design) else None)
    except ValueError as error:
        raise study.error(str(error), "design", "factorial") from None
    points = [
        point_of(index, [axis.levels[int(high)] for axis, high in zip(axes, row, strict=True)])
        for index, row in enumerate(effects.high)
    ]
    return Made("factorial", axes, points, effects=effects)


def _listed(study: Study, axes: list[Axis]) -> Made:
    file, keys = study.file, [axis.key for axis in axes]
    by_name = [{level.name: level for level in axis.levels} for axis in axes]
    seen: dict[tuple[str, ...], str] = {}
    points: list[Point] = []
    has_names = isinstance(file.design, Design) and isinstance(file.design.points, dict)
    for name, sets in (file.listed or {}).items():
        place = "design", "points", study.point_place(name)
        for key in keys:
            if key not in sets:
                message = f"does not say {shorten(key)}; every point sets the same keys"
                raise study.error(message, *place)
        levels = [named[level_name(sets[key])] for key, named in zip(keys, by_name, strict=True)]
        point = point_of(len(points), levels, name if has_names else "")
        if point.levels in seen:
            message = f"is the same point as {shorten(seen[point.levels])!r}; keep one of them"
            raise study.error(message, *place)
        seen[point.levels] = name
        points.append(point)
    design = file.design
    return Made("points", axes, points, source=(isinstance(design, Design) and design.file) or "")


def _filling(study: Study, axes: list[Axis], kind: Kind) -> Made:
    """Return points that fill the ranges of axes evenly; a level has an equal share of its axis."""
    n, random = n_points(study, axes), stream(study.file.seed, 0, "design")
    if kind == "sobol" and len(axes) > MOST_SOBOL_AXES:
        message = f"has directions for {MOST_SOBOL_AXES:,} axes; write fewer, or `latin_hypercube`"
        raise study.error(message, "design", "sobol")
    cube = (latin_hypercube if kind == "latin hypercube" else sobol)(n, len(axes), random)
    rows = [[_level_at(axis, float(u)) for axis, u in zip(axes, us, strict=True)] for us in cube]
    digits = len(str(n))
    points = [
        point_of(index, levels, f"{kind[0].upper()}{index + 1:0{digits}}")
        for index, levels in enumerate(rows)
    ]
    places = tuple(tuple(map(float, us)) for us in np.asarray(cube))
    return _trimmed(Made(kind, axes, points, places=places), rows)


def _level_at(axis: Axis, u: float) -> Level:
    if axis.levels:
        return axis.levels[min(len(axis.levels) - 1, int(u * len(axis.levels)))]
    assert axis.range is not None
    return axis.range.level(u)


def _trimmed(design: Made, rows: Sequence[Sequence[Level]]) -> Made:
    """Return a design whose ranges have the levels that occur, in ascending order of place."""
    axes = []
    for n, axis in enumerate(design.axes):
        if axis.levels:
            axes.append(axis)
            continue
        order = sorted(range(len(rows)), key=lambda row: design.places[row][n])
        levels = {rows[row][n].name: rows[row][n] for row in order}
        axes.append(replace(axis, levels=tuple(levels.values())))
    return replace(design, axes=axes)
