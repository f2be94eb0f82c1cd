"""A shard: every N-th run of a study, carried out by a process that knows of no other.

What a shard can do rests on no other shard's results.  Those are the runs of every point on its
main host and on every host of the check, as often as the study says beforehand: dealt out run by
run, those first that take longest, so that shards are as large as each other.  Where results
decide how often a point is run (`least`, `most`), points are dealt out, whole.  All other runs
follow from where the answer is; they are made when the shards are merged (`sharded`).
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sim.base.errors import ScenarioError
from sim.base.text import shorten
from sim.study.stored import Place


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`-th of `of` shards, counted from 1."""

    number: int
    of: int

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Return the shard that ``3/40`` is; raises `ScenarioError` for what is none."""
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
        number, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= of:
            message = f"{shorten(text)!r} is no shard; 1/40 is the first of 40, 40/40 the last"
            raise ScenarioError(message, key="--shard")
        return cls(number, of)

    def __str__(self) -> str:
        return f"shard {self.number} of {self.of}"


class Share:
    """The runs of a shard, of those whose `weights` are given by place: single ones, or points.

    A run that takes the place of another, on a larger host, is where that was.

    >>> runs = {Place("runs", point, 0, n): 1.0 + point for point in (0, 1) for n in (0, 1)}
    >>> first = Share(Shard(1, 2), runs, whole_points=False)
    >>> [(place.point, place.replication) for place in runs if first.has(place)]
    [(0, 0), (1, 0)]
    """

    def __init__(self, shard: Shard, weights: Mapping[Place, float], *, whole_points: bool) -> None:
        self._whole_points = whole_points
        dealt: defaultdict[tuple[int, ...], float] = defaultdict(float)
        for place, weight in weights.items():
            dealt[self._unit(place)] += weight
        heaviest_first = sorted(dealt, key=lambda unit: (-dealt[unit], unit))
        self._units = frozenset(heaviest_first[shard.number - 1 :: shard.of])

    def has(self, place: Place) -> bool:
        """Return whether the run that stands at `place` is one of the shard's."""
        return self._unit(place) in self._units

    def _unit(self, place: Place) -> tuple[int, ...]:
        if self._whole_points:
            return (place.point,)
        host = place.host + 1 if place.part == "check" else 0
        return (place.point, host, place.replication)
