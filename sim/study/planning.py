"""Carrying out a plan: the smallest size, or the largest, at which the objectives are met.

Runs go through the store as those of a study do: a plan that was stopped goes on where it was.
Which runs are made depends on the study and on results alone.
"""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import PartlyDoneError, ScenarioError
from sim.base.units import S, format_duration
from sim.scenario.conditions import Condition, condition_of, metric_text
from sim.scenario.questions import Search
from sim.scenario.study import Study
from sim.stats.record_search import Found, Trial, record_search, threshold_search
from sim.stats.sequential import SequentialTest, Verdict, sequential_test
from sim.stats.tolerance import supported_content, values_needed
from sim.study.base import run_key
from sim.study.carrier import Carrier, Order
from sim.study.executor import Executor
from sim.study.inputs import End, Input, inputs_at
from sim.study.plan import Cell, Planner
from sim.study.records import errors_of, flatten
from sim.study.sizes import Sizes
from sim.study.store import Store

if TYPE_CHECKING:
    from sim.study.points import Part

CURVE_SIZES: Final = 4
"""About at so many sizes the capacity curve has runs of its own."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run says to the objectives: why it fails, empty if it passes; metrics asked for."""

    broken: tuple[str, ...]
    values: Mapping[str, float | None]

    @property
    def passed(self) -> bool:
        """Whether it meets all of them."""
        return not self.broken


@dataclass(frozen=True, slots=True)
class Moved:
    """Where the answer goes with an input at an end of its range: a size, None beyond the last.

    It is the threshold of one replication, the one that decides the answer.
    """

    input: Input
    end: End
    size: int | None


@dataclass(frozen=True, slots=True)
class Searched:
    """What a plan found; `curve` has for some sizes the runs that passed, and all of them.

    The runs of the curve are those of the first `curve_runs` replications at each size, and of all
    replications where all have run; `probes` were spread over the sizes beyond the answer;
    `content` is the share of all runs that is supported.  `moved_runs` were made for `moved`.
    """

    found: Found
    judged: Mapping[Trial, Judged]
    curve: tuple[tuple[int, int, int], ...]
    moved: tuple[Moved, ...]
    moved_runs: int
    content: float
    probes: int
    curve_runs: int


@dataclass(frozen=True, slots=True)
class Tried:
    """What the test of one size came to, after `n` runs of which some `failures`: those `judged`.

    What was run beside them, and ended after the test had, is not among them.
    """

    size: int
    test: SequentialTest
    verdict: Verdict
    n: int
    failures: int
    judged: Mapping[Trial, Judged]


def conditions_of(study: Study) -> tuple[Condition, ...]:
    """Return the objectives of a study; raises `ScenarioError` for one that is none."""
    conditions = []
    for number, text in enumerate(study.file.objectives.each_run):
        try:
            conditions.append(condition_of(text))
        except ValueError as error:
            raise study.error(str(error), "objectives", "each_run", str(number)) from None
    return tuple(conditions)


def judge(result: Mapping[str, Any], conditions: Sequence[Condition]) -> Judged:
    """Return what a run's result says to the objectives.

    A run that is no answer meets none: whatever is wrong with it may hide what was asked.
    """
    metrics = dict(flatten(result["metrics"]))
    broken, missing = [], []
    for condition in conditions:
        value = metrics.get(condition.metric)
        if value is None:
            missing.append(f"{condition.metric} has no value")
        elif not condition.holds(value):
            broken.append(f"{condition.metric} is {metric_text(condition.metric, value)}")
    if not broken:  # else most of what is wrong besides comes of that
        broken = [str(error.get("what") or error["code"]) for error in errors_of(result)]
    broken = broken or missing  # a value that is missing comes of what is wrong
    values = {condition.metric: metrics.get(condition.metric) for condition in conditions}
    return Judged(tuple(dict.fromkeys(broken)), values)


class Plan:
    """Runs trials of one point of a study at chosen sizes, and judges them."""

    def __init__(
        self,
        store: Store,
        planner: Planner,
        carrier: Carrier,
        executor: Executor,
        point: int,
        sizes: Sizes,
        conditions: Sequence[Condition],
    ) -> None:
        self._store = store
        self._planner = planner
        self._carrier = carrier
        self._executor = executor
        self._point = point
        self._conditions = conditions
        self._cells: dict[tuple[int, int], Cell] = {}
        self._reads_disk = False
        self.sizes = sizes

    def search(self, search: Search, n: int, *, confidence: float) -> Searched:
        """Find the size with `n` replications; see `sim.stats.record_search`."""
        n_sizes = len(self.sizes.every)
        judged: dict[Trial, Judged] = {}
        probes, n_curve = min(search.probes, n), min(search.curve, n)
        found = _driven(
            record_search(n_sizes, n, probes),
            partial(self._passed, "looking for the size", judged),
        )
        curve: list[tuple[int, int, int]] = []
        if found.holds:
            curve = self._curve(found, n_curve, judged)
            found = replace(found, passed={t: j.passed for t, j in judged.items()})
        moved, moved_runs = self._moved(found) if found.holds else ((), 0)
        content = supported_content(n, confidence=confidence)
        return Searched(found, judged, tuple(curve), moved, moved_runs, content, probes, n_curve)

    def try_size(self, size: int, *, share: float, confidence: float) -> Tried:
        """Run one size until it is known whether it is enough, or that this cannot be told."""
        test = sequential_test(share=share, confidence=confidence)
        judged: dict[Trial, Judged] = {}
        n = failures = 0
        verdict = None
        while verdict is None:
            block = [Trial(r, size) for r in range(n, min(n + _A_LOOK, test.most))]
            self._passed("is this size enough", judged, block)
            for trial in block:
                n, failures = n + 1, failures + (not judged[trial].passed)
                verdict = test.verdict(n, failures)
                if verdict is not None:
                    break
        counted = {trial: result for trial, result in judged.items() if trial.replication < n}
        return Tried(size, test, verdict, n, failures, counted)

    def _curve(
        self, found: Found, n: int, judged: dict[Trial, Judged]
    ) -> list[tuple[int, int, int]]:
        """Return how many of the first `n` replications pass at sizes about the answer.

        At the next size beyond it, and at sizes below it, farther and farther, until none passes;
        of all replications where the search has run all of them.
        """
        assert found.size is not None
        beyond = [found.size + 1] if found.size + 1 < len(self.sizes.every) else []
        below = [found.size - 2**power for power in range(found.size.bit_length())]
        rows = []
        for size in (*beyond, found.size, *below) if n else ():
            passed = self._passed("the capacity curve", judged, [Trial(r, size) for r in range(n)])
            own = {t: j.passed for t, j in judged.items() if t.size == size}
            every = own if len(own) == found.n_replications else passed
            rows.append((size, sum(every.values()), len(every)))
            if not any(passed.values()):
                break
        return sorted(rows)

    def _moved(self, found: Found) -> tuple[tuple[Moved, ...], int]:
        """Return where the deciding replication's threshold goes with each uncertain input.

        And how many runs that took.

        Nothing where none decides: the first size is enough for all.
        """
        if found.size is None or not found.decided_by:
            return (), 0
        replication = found.decided_by[0]
        ends = [
            (each, end)
            for each in inputs_at(self._planner, self._point, reads_disk=self._reads_disk)
            for end in each.ends
            if not each.asked and each.key != self.sizes.key and self._may_be(each, end)
        ]
        searches = [threshold_search(len(self.sizes.every), found.size) for _ in ends]
        thresholds: dict[int, int | None] = {}

        def order_of(number: int, size: int) -> Order | None:
            """Return the run that a search asks for next; None if it has ended.

            A size at which the input cannot have its value is not enough.
            """
            try:
                while True:
                    try:
                        cell = self._cell(size, number + 1, ends[number][1].sets)
                    except ScenarioError:
                        size = searches[number].send(False)
                    else:
                        return Order(cell, 1, replication)
            except StopIteration as end:
                thresholds[number] = end.value
                return None

        n_runs = 0
        asked = {n: order_of(n, next(search)) for n, search in enumerate(searches)}
        while orders := {n: order for n, order in asked.items() if order is not None}:
            # in step, so that all workers have something to do
            self._carrier.carry_out("one input at a time", list(orders.values()), self._executor)
            n_runs += len(orders)
            asked = {}
            for number, order in orders.items():
                try:
                    size = searches[number].send(self._judged(order).passed)
                except StopIteration as end:
                    thresholds[number] = end.value
                else:
                    asked[number] = order_of(number, size)
        return tuple(Moved(*ends[n], thresholds[n]) for n in range(len(ends))), n_runs

    def _may_be(self, each: Input, end: End) -> bool:
        """Return whether an input may have this value at the last size, which is the likeliest.

        Raises `ScenarioError` if the study itself gives one that may not.
        """
        try:
            last = self.sizes.every[-1].sets
            self._planner.size_cell("sizes", self._point, 0, {**end.sets, **last})
        except ScenarioError:
            if each.key in self._planner.study.uncertain:
                raise
            return False
        return True

    def _passed(
        self, what: str, judged: dict[Trial, Judged], trials: Sequence[Trial]
    ) -> dict[Trial, bool]:
        """Make those `trials` that were not made yet; return for each whether it passed."""
        new = [trial for trial in trials if trial not in judged]
        orders = [Order(self._cell(trial.size), 1, trial.replication) for trial in new]
        self._carrier.carry_out(what, orders, self._executor)
        judged.update({t: self._judged(o) for t, o in zip(new, orders, strict=True)})
        return {trial: judged[trial].passed for trial in trials}

    def _judged(self, order: Order) -> Judged:
        scenario = order.cell.scenario
        planner = self._planner
        key = run_key(scenario, planner.study.seed, order.first, planner.plugin_sha256)
        result = self._store.result(key)
        if result is None:
            reason = (self._store.failure(key) or "no result").strip().splitlines()[-1]
            size = self.sizes.every[order.cell.host % len(self.sizes.every)]
            message = f"run {order.first} at {size.name} failed, so nothing can be said: {reason}"
            raise PartlyDoneError(message)
        self._reads_disk |= bool(result["metrics"].get("major_faults"))
        return judge(result, self._conditions)

    def _cell(self, size: int, moved: int = 0, sets: Mapping[str, Any] | None = None) -> Cell:
        """Return the cell of a size, its inputs as they are or `moved` to the n-th end."""
        if (moved, size) not in self._cells:
            part: Part = "moved sizes" if moved else "sizes"
            number = max(moved - 1, 0) * len(self.sizes.every) + size
            own = {**(sets or {}), **self.sizes.every[size].sets}
            cell = self._planner.size_cell(part, self._point, number, own)
            self._cells[moved, size] = cell
        return self._cells[moved, size]


_A_LOOK: Final = 16
"""Runs between two looks at the test of one size; what is beyond the end of it does not count."""


def runs_of(n: int, search: Search, n_sizes: int) -> int:
    """Return about how many runs a search of `n` replications makes, its inputs not counted.

    Half of the replications run again at the answer; thresholds are found by doubling and halving.
    """
    steps = 4 * math.ceil(math.log2(n_sizes + 1))
    return n + n // 2 + steps + min(search.probes, n) + CURVE_SIZES * min(search.curve, n)


def replications_of(
    search: Search, weight: float, n_sizes: int, *, share: float, confidence: float
) -> int:
    """Return of how many replications a plan is made: by its time, by its runs, by its objectives.

    `weight` is how long a run takes, foretold in s, all runs one after the other.  Raises
    `ValueError` if not even one fits into the time.
    """
    n = search.runs or values_needed(content=share, confidence=confidence)
    if search.time is None:
        return n
    affordable = search.time / S / weight
    while n > 0 and runs_of(n, search, n_sizes) > affordable:
        n -= 1
    if n == 0:
        least = format_duration(round(runs_of(1, search, n_sizes) * weight * S))
        raise ValueError(f"is too short for one replication, which takes some {least}")
    return n


def _driven(
    search: Generator[Sequence[Trial], Mapping[Trial, bool], Found],
    passed: Callable[[Sequence[Trial]], dict[Trial, bool]],
) -> Found:
    """Answer what a search asks, and return what it finds."""
    answers: Mapping[Trial, bool] | None = None
    try:
        while True:
            trials = next(search) if answers is None else search.send(answers)
            answers = passed(trials)
    except StopIteration as end:
        found: Found = end.value
        return found
