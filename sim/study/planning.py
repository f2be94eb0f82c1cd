"""Carrying out a plan: the smallest size, or the largest, at which the objectives are met.

Runs go through the store as those of a study do: a plan that was stopped goes on where it was.
Which runs are made depends on the study and on results alone.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import PartlyDoneError, ScenarioError
from sim.scenario.conditions import Condition
from sim.scenario.questions import Search
from sim.stats.record_search import Found, Trial, record_search, threshold_search
from sim.stats.sequential import SequentialTest, Verdict, sequential_test
from sim.stats.tolerance import supported_content
from sim.study.base import run_key
from sim.study.carrier import Carrier, Order
from sim.study.executor import Executor
from sim.study.inputs import End, Input, inputs_at
from sim.study.judged import Judged, judge
from sim.study.one_run import OneRun, is_one_run, spread
from sim.study.plan import Cell, Planner
from sim.study.sizes import Sizes
from sim.study.store import Store

if TYPE_CHECKING:
    from sim.study.points import Part

Sets = Mapping[str, Any]
"""What is changed of a scenario, by key."""


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
    `one_run` tells what was known from one run of a replication at other sizes.
    """

    found: Found
    judged: Mapping[Trial, Judged]
    curve: tuple[tuple[int, int, int], ...]
    moved: tuple[Moved, ...]
    moved_runs: int
    content: float
    probes: int
    curve_runs: int
    one_run: "FromOneRun"

    @property
    def n_made(self) -> int:
        """How many runs were made, those at the ends of inputs not counted."""
        return sum(not judged.known for judged in self.judged.values())


@dataclass(frozen=True, slots=True)
class FromOneRun:
    """How far thresholds were taken from one run of each replication.

    `used` tells that nothing feeds back on memory.  `known` runs were not made, as they were
    known from others; `checked` of what was known were made all the same, and `as_known` tells that
    all of these were as known.  If one was not, all were made.
    """

    used: bool
    known: int
    checked: int
    as_known: bool


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


def may_know_runs(
    planner: Planner, point: int, sizes: Sizes, conditions: Sequence[Condition]
) -> bool:
    """Return whether runs of a plan may be known from others; plug-ins do what they like."""
    hardest, easiest = (
        planner.size_cell("sizes", point, 0, size.sets).scenario
        for size in (sizes.every[0], sizes.every[-1])
    )
    return planner.plugin_sha256 is None and is_one_run(hardest, easiest, conditions)


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
        self._seen: dict[tuple[int, int], OneRun] = {}
        self._off = 0
        self.sizes = sizes
        self._is_one_run = may_know_runs(planner, point, sizes, conditions)

    def search(self, search: Search, n: int, *, confidence: float) -> Searched:
        """Find the size with `n` replications; see `sim.stats.record_search`."""
        judged: dict[Trial, Judged] = {}
        probes, n_curve = min(search.probes, n), min(search.curve, n)
        used = self._is_one_run
        found, curve = self._found(n, probes, n_curve, judged)
        checked, as_known = self._checked(judged)
        if not as_known:
            self._is_one_run = False
            judged = {trial: own for trial, own in judged.items() if not own.known}
            found, curve = self._found(n, probes, n_curve, judged)
        one_run = FromOneRun(used, sum(own.known for own in judged.values()), checked, as_known)
        moved, moved_runs = self._moved(found) if found.holds else ((), 0)
        content = supported_content(n, confidence=confidence)
        return Searched(
            found, judged, tuple(curve), moved, moved_runs, content, probes, n_curve, one_run
        )

    def _found(
        self, n: int, probes: int, n_curve: int, judged: dict[Trial, Judged]
    ) -> tuple[Found, list[tuple[int, int, int]]]:
        """Return what a search finds, with the runs of the curve, and the curve."""
        found = _driven(
            record_search(
                len(self.sizes.every), n, probes, self._guess if self._is_one_run else None
            ),
            partial(self._passed, "looking for the size", judged),
        )
        if not found.holds:
            return found, []
        curve = self._curve(found, n_curve, judged)
        return replace(found, passed={t: j.passed for t, j in judged.items()}), curve

    def _checked(self, judged: dict[Trial, Judged]) -> tuple[int, bool]:
        """Make some of the runs that are known; return how many, and whether all were as known."""
        trials = spread(sorted((t for t in judged if judged[t].known), key=lambda t: t[::-1]))
        orders = self._made("runs that are known", trials)
        as_known = True
        for trial, order in zip(trials, orders, strict=True):
            result = self._result(order)
            as_known &= self._one(trial.replication).is_as_known(trial.size, result)
            judged[trial] = judge(result, self._conditions)
        return len(trials), as_known

    def _guess(self, replication: int, moved: int = 0, sets: Sets | None = None) -> int | None:
        """Return about where a threshold is; None before that replication has passed there."""
        return self._one(replication, moved, sets).guess(self._off)

    def _noted(self, order: Order, size: int, moved: int = 0, sets: Sets | None = None) -> Judged:
        """Judge a run, and take note of what it says of the same replication at other sizes."""
        result = self._result(order)
        own = judge(result, self._conditions)
        if self._is_one_run:
            one = self._one(order.first, moved, sets)
            one.note(size, result, own)
            off = None if moved else one.off()
            self._off = self._off if off is None else off
        return own

    def _one(self, replication: int, moved: int = 0, sets: Sets | None = None) -> OneRun:
        """Return what is known of a replication, its inputs as they are or moved to an end."""
        if (moved, replication) not in self._seen:
            at = lambda size: self._cell(size, moved, sets).scenario  # noqa: E731
            self._seen[moved, replication] = OneRun(at, len(self.sizes.every))
        return self._seen[moved, replication]

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
        searches = []
        for number, (_, end) in enumerate(ends, 1):
            guess = partial(self._guess, replication, number, end.sets)
            searches.append(
                threshold_search(
                    len(self.sizes.every), found.size, guess if self._is_one_run else None
                )
            )
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
                size = order.cell.host % len(self.sizes.every)
                own = self._noted(order, size, number + 1, ends[number][1].sets)
                try:
                    size = searches[number].send(own.passed)
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
        if self._is_one_run:
            known = {t: own for t in new if (own := self._one(t.replication).known(t.size))}
            judged.update(known)
            new = [trial for trial in new if trial not in known]
        for trial, order in zip(new, self._made(what, new), strict=True):
            judged[trial] = self._noted(order, trial.size)
        return {trial: judged[trial].passed for trial in trials}

    def _made(self, what: str, trials: Sequence[Trial]) -> list[Order]:
        """Make the runs of some trials; return what was ordered for each."""
        orders = [Order(self._cell(trial.size), 1, trial.replication) for trial in trials]
        self._carrier.carry_out(what, orders, self._executor)
        return orders

    def _result(self, order: Order) -> Mapping[str, Any]:
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
        return result

    def _cell(self, size: int, moved: int = 0, sets: Sets | None = None) -> Cell:
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
