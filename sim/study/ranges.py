"""Axes that are ranges: what their ends are, how they are spread, and their levels."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sim.base.text import shorten
from sim.scenario.designs import RangeAxis
from sim.scenario.questions import level_name
from sim.scenario.study import Study
from sim.stats.designs import placed
from sim.study.written import is_flow, kind_of, read, written

ValueOf = Callable[[str, Any], Any]
"""Returns what a key is, in base units, where it is written so; raises `ScenarioError`."""


@dataclass(frozen=True, slots=True)
class Level:
    """One setting of an axis, by its name."""

    name: str
    sets: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Range:
    """A range of a key: its ends as written and in base units, their kind, how it is spread."""

    key: str
    kind: str
    ends: tuple[Any, Any]
    low: float
    high: float
    log: bool
    whole: bool

    def level(self, u: float) -> Level:
        """Return the level that has the share `u`, in [0, 1), of the range below it.

        Each whole number has an equal part of the range, on its scale.
        """
        if self.whole:
            beyond = placed(u, self.low, self.high + 1, log=self.log)
            number = min(int(self.high), math.floor(beyond))
            return Level(str(number), {self.key: number})
        return self._written(placed(u, self.low, self.high, log=self.log))

    def levels(self, n: int) -> list[Level]:
        """Return `n` levels evenly spread, both ends among them; fewer if there are no more."""
        shares = [number / (n - 1) for number in range(n)]
        values = [placed(u, self.low, self.high, log=self.log) for u in shares]
        if self.whole:
            numbers = dict.fromkeys(round(value) for value in values)
            return [Level(str(number), {self.key: number}) for number in numbers]
        return [self._written(value) for value in values]

    def _written(self, value: float) -> Level:
        text = written(self.kind, value)
        rounded = read(self.kind, text)
        for end, limit in zip(self.ends, (self.low, self.high), strict=True):
            if rounded == limit or (rounded < limit) == (limit == self.low):
                return Level(level_name(end), {self.key: end})
        return Level(text, {self.key: rounded if self.kind == "number" else text})


def range_of(study: Study, key: str, axis: RangeAxis, value_of: ValueOf) -> Range:
    """Return what a range axis means; raises `ScenarioError` if it is none."""
    ends: list[float] = []
    for number, end in enumerate(axis.range):
        value = value_of(key, end)
        if isinstance(value, bool) or not isinstance(value, int | float):
            message = f"{shorten(str(end))!r} is no number; write levels as a list"
            raise study.error(message, "axes", key, "range", number)
        ends.append(value)
    low, high = ends
    if low >= high:
        message = "ends before it begins; write the smaller value first"
        raise study.error(message, "axes", key, "range")
    kinds = {kind_of(end) for end in axis.range if end != 0}
    if len(kinds) > 1:
        message = f"its ends are {' and '.join(sorted(kinds))}; write both alike"
        raise study.error(message, "axes", key, "range")
    log = axis.scale == "log" if axis.scale else is_flow(axis.range[1]) and low > 0
    if log and low <= 0:
        message = "a logarithmic scale has no 0; begin above it, or write `scale: linear`"
        raise study.error(message, "axes", key, "range")
    kind = kinds.pop()
    whole = kind == "number" and all(isinstance(end, int) for end in ends)
    return Range(key, kind, (axis.range[0], axis.range[1]), low, high, log, whole)
