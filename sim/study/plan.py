"""What a study means: its axes, its points, and the scenario of every run.

A *point* is one combination of the axes' levels.  A *part* of a study runs every point on a
certain kind of host: `runs` on the scenario's own, `need` on a large one, `check` on multiples of
the data, `around` on multiples of the answer, `fresh` on the answer itself; `inputs` is one point
with one input changed; `outgrown` are hosts that were to be large and on which memory ran out;
`container` is one point in a container without a limit, `limit` and `less` in one with; `sizes` is
one point at sizes of what a search is for, `moved sizes` besides with one input changed;
`sampled` is one point with all its inputs drawn, `corner` with all of them at their worst ends;
`too small` are hosts on which memory ran out with inputs changed.  A *cell* is a point on one such
host: the unit that is replicated.  Neither point nor part enters a seed: cells share their random
numbers, all but those of `fresh`, whose replications are numbered from `FRESH_FROM` on.
"""

import hashlib
import json
import math
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sim.base.errors import ScenarioError
from sim.base.text import shorten
from sim.base.units import PAGE_BYTES, BaseFloat, BaseInt
from sim.scenario.complaints import suggestion
from sim.scenario.conditions import no_such_metric
from sim.scenario.effort import expected_work_s
from sim.scenario.programs import known_programs
from sim.scenario.questions import Replications, Times, UncertainInput, as_times
from sim.scenario.study import Study
from sim.stats.tolerance import values_needed
from sim.study.design import made, n_points
from sim.study.limits import require_moderate_size
from sim.study.points import MEMORY, Axis, Part, Point, axes_of, first_sets, names_of, value_at
from sim.study.stated import likely_value
from sim.study.where import allowed

FRESH_FROM: Final = 1_000_000
"""The first replication of the runs that try an answer: no study makes so many to find it."""

WORK_OF_A_POINT_S: Final = 60.0
"""Where a study names no replications, a point gets no more of them than take this long."""
FEWEST: Final = 10
"""Where a study names no replications, a point gets at least so many."""

NEED_METRIC: Final = "memory_need_bytes.total"
"""What a study with a `need` is about."""
CONTAINER: Final = "container"
"""What the control group is called in which a container's limit is tried."""


class Resolve(Protocol):
    """Turns overrides of a study's base into a resolved scenario, or says what is wrong."""

    def __call__(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Return the base with `overrides` (key path to value), every default filled in."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A point on a host: one resolved scenario, to be replicated.

    `sets` is what it changes of its point, and `scenario` what comes of that.
    """

    part: Part
    point: int
    host: int
    sets: Mapping[str, Any]
    scenario: Mapping[str, Any]
    sha: str
    weight: float

    @property
    def memory_bytes(self) -> int:
        """Return the size of its host."""
        return int(self.scenario["host"]["memory"])


def scenario_digest(scenario: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a resolved scenario, whatever the order of its keys."""
    text = json.dumps(scenario, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Planner:
    """Makes the cells of a study; every scenario is checked before anything runs."""

    def __init__(
        self,
        study: Study,
        resolve: Resolve,
        programs: Mapping[str, Callable[..., Any]] | None = None,
        plugin_sha256: str | None = None,
        *,
        large: bool = False,
        written: Mapping[str, Any] | None = None,
    ) -> None:
        self.study = study.file
        self.written = written or {}
        self.programs = known_programs() if programs is None else programs
        self.plugin_sha256 = plugin_sha256
        self._source = study
        self._resolve = resolve
        self._plain: dict[str, dict[str, Any]] = {}
        self._enlarged: dict[int, int] = {}
        self._likely: dict[str, Any] | None = None
        axes = axes_of(study, self._value_of)
        if not large:
            require_moderate_size(study, axes, n_points(study, axes))
        if not self.study.fills:  # where others are compared with it, it has to be there first
            self._check_levels(axes, self.study.baseline or {}, "baseline")
        self.design = allowed(study, made(study, axes), lambda point: self._scenario(point, {}))
        self.axes, self.points = self.design.axes, self.design.points
        self._check_levels(self.axes, self.study.baseline or {}, "baseline")
        self._check_levels(self.axes, self.study.answer.levels, "answer")
        self._check_name(self.study.answer.at)

    @property
    def main_part(self) -> Part:
        """The part that figures come from: on a large host if the study asks for the need."""
        return "runs" if self.study.need is None else "need"

    @property
    def data_key(self) -> str | None:
        """The key whose multiples the study's hosts are; None if there is none."""
        if self.study.check is not None:
            return self.study.check.times
        times = None if self.study.need is None else as_times(self.study.need.set.get(MEMORY))
        return None if times is None else times.times

    @property
    def baseline(self) -> Mapping[str, str]:
        """The levels of the point that others are compared with; none if nobody says."""
        asked = {key: str(level) for key, level in (self.study.baseline or {}).items()}
        return {**self.design.base, **asked}

    def looks(self, point: int) -> int:
        """Return at how many moments results decide whether a point is run again; 1 is the end.

        The only point that the answer may be about is run in full whatever its results.
        """
        given = self.study.replications
        adaptive = isinstance(given, Replications) and given.most > given.least
        return 2 if adaptive and self.candidates() != [point] else 1

    @property
    def looks_at_hosts(self) -> int:
        """At how many moments results decide whether a host of the check is run again."""
        check = self.study.check
        return 1 if check is None or check.replications.least == check.replications.most else 2

    def replications(self, cell: Cell) -> Replications:
        """Return how often a cell of the main part is run: a function of the plan alone."""
        given = self.study.replications
        if isinstance(given, Replications):
            return given
        if given is None:
            given = FEWEST
            if self.study.need is not None:
                answer = self.study.answer
                wanted = values_needed(content=answer.content, confidence=answer.confidence)
                given = min(wanted, max(FEWEST, int(WORK_OF_A_POINT_S / cell.weight)))
        return Replications(least=given, most=given)

    def candidates(self) -> list[int]:
        """Return the points that the answer may be about: those that `answer.at` leaves."""
        at, wanted = self.study.answer.at, self.study.answer.levels
        return [
            point.index
            for point in self.points
            if (not isinstance(at, str) or at in names_of(self.axes, point))
            and all(
                str(wanted.get(axis.key, level)) == level
                for axis, level in zip(self.axes, point.levels, strict=True)
            )
        ]

    def main_cells(self) -> list[Cell]:
        """Return one cell a point."""
        return [self.main_cell(point.index) for point in self.points]

    def main_cell(self, point: int) -> Cell:
        """Return the cell of a point that figures come from."""
        return self._cell(self.main_part, self.points[point], 0, self._main_sets(point))

    def run_command(self, point: int) -> str | None:
        """Return what carries out one run of a point's main cell; None if no command line can."""
        sets = {**self._common_sets(), **self.points[point].sets, **self._main_sets(point)}
        memory = self.main_cell(point).memory_bytes
        if self.plugin_sha256 is not None or any(
            self._times(key, value) for key, value in sets.items() if key != MEMORY
        ):
            return None
        texts = {
            key: value if isinstance(value, str) else json.dumps(value, default=str)
            for key, value in sets.items()
        }
        texts |= {MEMORY: f"{memory}B"} if MEMORY in sets else {}
        settings = " ".join(f"--set {shlex.quote(f'{k}={v}')}" for k, v in texts.items())
        return f"cowpool run {self.study.base} {settings} --seed {self.study.seed}"

    def input_cell(self, point: int, number: int, sets: Mapping[str, Any]) -> Cell:
        """Return a point's main cell with one input changed; `number` tells such cells apart."""
        return self._cell("inputs", self.points[point], number, {**self._main_sets(point), **sets})

    def sampled_cell(self, point: int, number: int, sets: Mapping[str, Any]) -> Cell:
        """Return a point's main cell with all its inputs drawn; `number` tells draws apart."""
        return self._cell("sampled", self.points[point], number, {**self._main_sets(point), **sets})

    def corner_cell(self, point: int, sets: Mapping[str, Any]) -> Cell:
        """Return a point's main cell with all inputs at their worst ends at once."""
        return self._cell("corner", self.points[point], 0, {**self._main_sets(point), **sets})

    def size_cell(self, part: Part, point: int, number: int, sets: Mapping[str, Any]) -> Cell:
        """Return a point's cell with `sets` changed, on no other host than these say."""
        return self._cell(part, self.points[point], number, sets)

    def check_cells(self) -> list[Cell]:
        """Return one cell a point and multiple of the data; none without a `check`."""
        check = self.study.check
        if check is None:
            return []
        return [
            self._cell("check", point, host, {MEMORY: Times(times=check.times, by=by)})
            for point in self.points
            for host, by in enumerate(check.by)
        ]

    def around_cells(self, host_bytes: Mapping[int, int]) -> list[Cell]:
        """Return one cell a multiple of the host that the answer names for a point."""
        check = self.study.check
        if check is None:
            return []
        return [
            self._cell("around", self.points[point], host, {MEMORY: _whole_pages(size * by)})
            for point, size in sorted(host_bytes.items())
            for host, by in enumerate(check.around)
        ]

    def fresh_cell(self, point: int, host_bytes: int) -> Cell:
        """Return the cell that tries the answer, a host of `host_bytes`, at its point."""
        return self._cell("fresh", self.points[point], 0, {MEMORY: _whole_pages(host_bytes)})

    def container_cell(
        self, part: Part, point: int, number: int, limit_bytes: int | None, sets: Mapping[str, Any]
    ) -> Cell:
        """Return a point's cell, with `sets` changed, all of its processes in one container.

        Raises `ScenarioError` if they are in groups already.
        """
        processes = self.main_cell(point).scenario["processes"]
        if any(process["group"] is not None for process in processes.values()):
            message = "processes of the base are in groups of their own; leave it out"
            raise self._source.error(message, "container")
        most = None if limit_bytes is None else BaseInt(limit_bytes)
        inside = {f"processes.{name}.group": CONTAINER for name in processes}
        around = {f"groups.{CONTAINER}.memory_max": most, **inside}
        return self._cell(
            part, self.points[point], number, {**self._main_sets(point), **sets, **around}
        )

    def measure_on(self, point: int, memory_bytes: int) -> Cell:
        """Return a point's main cell on a host of this size, which it has from now on.

        Raises `ScenarioError` if there can be no such host.
        """
        sets = {**self._main_sets(point), MEMORY: _whole_pages(memory_bytes)}
        cell = self._cell(self.main_part, self.points[point], 0, sets)
        self._enlarged[point] = cell.memory_bytes
        return cell

    def larger(self, cell: Cell) -> Cell:
        """Return a cell on a host twice as large, in the same place.

        Raises `ScenarioError` if there can be no such host.
        """
        sets = {**cell.sets, MEMORY: _whole_pages(2 * cell.memory_bytes)}
        return self._cell(cell.part, self.points[cell.point], cell.host, sets)

    def on_host(
        self, point: int, memory_bytes: int, sets: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the scenario of a point on a host of this size, with `sets` changed."""
        cell_sets = {**(sets or {}), MEMORY: _whole_pages(memory_bytes)}
        return self._scenario(self.points[point], cell_sets)

    def _main_sets(self, point: int) -> Mapping[str, Any]:
        sets = {} if self.study.need is None else self.study.need.set
        if point in self._enlarged:
            return {**sets, MEMORY: _whole_pages(self._enlarged[point])}
        return sets

    def _common_sets(self) -> Mapping[str, Any]:
        """Return what holds in every run: what the study sets, and what it thinks likely."""
        if self._likely is None:
            self._likely = {
                key: value
                for key, given in self.study.uncertain.items()
                if (value := self._likely_value(key, given)) is not None
            }
        return {**self.study.set, **self._likely}

    def _likely_value(self, key: str, given: UncertainInput) -> Any:
        try:
            return likely_value(key, given, lambda: self._resolved(first_sets(self._source)))
        except ValueError as error:
            raise self._source.error(str(error), "uncertain", key) from None

    def check_metrics(self, known: Collection[str]) -> None:
        """Raise `ScenarioError` if the study asks for a metric that runs do not have."""
        asked: list[tuple[tuple[str, ...], str]]
        asked = [(("answer", "metric"), self.study.answer.metric)]
        asked += [(("metrics",), metric) for metric in self.study.metrics]
        for path, metric in asked:
            if wrong := no_such_metric(metric, known):
                raise self._source.error(wrong, *path)
        self._check_answer()

    def _check_answer(self) -> None:
        """Raise `ScenarioError` if the study asks for a figure that its answer would not be."""
        study, asked = self.study, self.study.answer
        if study.need is not None and asked.metric != NEED_METRIC:
            message = (
                f"`need` asks for memory, not for {asked.metric}; list that in `metrics`, or leave"
                " out `need`"
            )
            raise self._source.error(message, "answer", "metric")
        bounded = study.need or study.container or study.plan
        if bounded is None and "content" in asked.model_fields_set:
            message = "there is no bound without `need`, the answer is a mean; leave it out"
            raise self._source.error(message, "answer", "content")

    def error(self, message: str, *path: str | int) -> ScenarioError:
        """Return the error that says `message` about the value at `path` of the study's file."""
        return self._source.error(message, *path)

    def _value_of(self, key: str, written: Any) -> Any:
        """Return what a key is, in base units, where it is written so, all else as first."""
        first = Point(0, (), first_sets(self._source))
        return value_at(self._scenario(first, {key: written}), key)

    def _check_name(self, name: object) -> None:
        """Raise `ScenarioError` if the answer is about a point that there is not."""
        known = [names_of(self.axes, point) for point in self.points]
        if isinstance(name, str) and not any(name in names for names in known):
            instead = suggestion(name, [first for first, *_ in known])
            raise self._source.error(f"no point is called so; {instead}", "answer", "at")

    def _check_levels(self, axes: Sequence[Axis], levels: Mapping[str, Any], where: str) -> None:
        known = {axis.key: [level.name for level in axis.levels] for axis in axes}
        for key, level in levels.items():
            if str(level) not in known[key]:
                instead = suggestion(str(level), known[key])
                message = f"{shorten(str(level))!r} is no level of {key}; {instead}"
                path = (where, "at", key) if where == "answer" else (where, key)
                raise self._source.error(message, *path)

    def _cell(self, part: Part, point: Point, host: int, extra: Mapping[str, Any]) -> Cell:
        scenario = self._scenario(point, extra)
        sha, weight = scenario_digest(scenario), expected_work_s(scenario)
        return Cell(part, point.index, host, extra, scenario, sha, weight)

    def _scenario(self, point: Point, extra: Mapping[str, Any]) -> dict[str, Any]:
        return self._resolved({**self._common_sets(), **point.sets, **extra})

    def _resolved(self, sets: Mapping[str, Any]) -> dict[str, Any]:
        """Resolve the base changed: plain values first, then those that are multiples of others."""
        sets = {"run.seed": self.study.seed, **self.study.set, **sets}
        derived = {key: times for key, value in sets.items() if (times := self._times(key, value))}
        plain = {key: value for key, value in sets.items() if key not in derived}
        if not derived:
            return self._resolve(plain)
        known = repr(sorted(plain.items()))
        if known not in self._plain:
            self._plain[known] = self._resolve(plain)
        first = self._plain[known]
        multiples = {key: self._multiple(key, times, first) for key, times in derived.items()}
        return self._resolve({**plain, **multiples})

    def _times(self, key: str, value: Any) -> Times | None:
        try:
            return as_times(value)
        except ValueError as error:
            raise self._source.error(str(error), *(self._source.place_of(key) or ())) from None

    def _multiple(self, key: str, times: Times, scenario: Mapping[str, Any]) -> int | float:
        value = value_at(scenario, times.times)
        if isinstance(value, bool) or not isinstance(value, int | float):
            message = f"{times.times} is no number that could be multiplied"
            raise self._source.error(message, *(self._source.place_of(key) or ()))
        product = value * times.by
        if key == MEMORY:
            return _whole_pages(product)
        return BaseInt(round(product)) if isinstance(value, int) else BaseFloat(product)


def _whole_pages(size_bytes: float) -> BaseInt:
    return BaseInt(math.ceil(size_bytes / PAGE_BYTES) * PAGE_BYTES)
