"""Paired comparisons of a scenario with the same one, changed: what is more, less, the same.

Replication r of each variant has the random numbers of replication r of the base, so that chance
cancels as far as it can.  Runs are looked at after numbers of them that are fixed beforehand, until
every metric of every variant is decided, or the last look is over.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import variance
from typing import Any, Final

from sim.base.counts import out_of
from sim.base.errors import PartlyDoneError, ScenarioError
from sim.engine.conditions import conditions_of
from sim.engine.shortfalls import is_room
from sim.scenario.conditions import no_such_metric
from sim.scenario.effort import expected_work_s
from sim.stats.paired import (
    MedianLimits,
    least_pairs,
    looks,
    median_between,
    median_limits_between,
)
from sim.study.executor import Executor
from sim.study.first_kill import ABOUT_KILLS, Span, less, span_of, times
from sim.study.job import Job
from sim.study.packed import unpack
from sim.study.percentiles import run_has_enough
from sim.study.progress import Progress
from sim.study.records import CUT_OFF_CODES, errors_of, flatten

NOTHING: Final = Span(0, 0)
N_LOOKS: Final = 4
ERROR: Final = 0.05
SAME_WITHIN: Final = 0.01
"""A ratio within this distance of 1 is called the same."""

USUAL: Final = (
    "memory_need_bytes.total",
    "minor_faults",
    "major_faults",
    "cow_copies",
    "fork_latency_ns.mean",
    "request_latency_ns.mean",
    "request_latency_ns.p99",
    "cpu_busy_fraction",
)
"""What is compared unless somebody says otherwise, where there is any of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one variant beside the base.

    `limits` are of the median of what `is_ratio` says: ratios of a pair, or differences; None if
    there are too few pairs.  `identical` tells that all pairs are.  `gain` is by how much common
    random numbers shrank the variance of the difference; None if there is none.  `more_runs` is
    about how many pairs it would take, where it cannot be told.  `n_cut_off` is of how many pairs a
    run ended before it could tell; `base` and `other` are None where that leaves them open.
    """

    variant: str
    metric: str
    base: float | None
    other: float | None
    is_ratio: bool
    limits: MedianLimits | None
    identical: bool
    gain: float | None
    n: int
    n_cut_off: int = 0

    @property
    def verdict(self) -> str:
        """``more``, ``less``, ``same`` or ``cannot tell``."""
        if self.limits is None:
            return "cannot tell"
        neutral = 1.0 if self.is_ratio else 0.0
        return self.limits.finding(neutral, SAME_WITHIN if self.is_ratio else 0.0)

    @property
    def more_runs(self) -> int | None:
        """About how many pairs would tell, by the square root of their number."""
        if self.verdict != "cannot tell" or self.limits is None:
            return None
        if self.limits.median is None:
            return None
        off = abs(self.limits.median - (1.0 if self.is_ratio else 0.0))
        width = (self.limits.high - self.limits.low) / 2
        if not off or not width:
            return None
        return max(1, round(self.n * (width / off) ** 2) - self.n)


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of a comparison: rows, and what stands in the way of runs, by variant.

    There are no limits of fewer than `n_least` pairs.  `only_room` is in how many runs of a variant
    the peak of memory is what there was room for.  `middles` are medians over the runs of a variant
    by variant and metric, where all of them have an answer and it is not cut off.  `too_few` are
    percentiles without a row by variant: some run of it, or of the base, has too few values.
    `left_out` is how many pairs of a variant with the base have a run that is no answer, for each
    variant but the base, and `n_unanswered` how many runs of a variant.  `absent` are metrics of
    which all runs have an answer, and none has any.  `conditions` are what runs do not follow, and
    the variants of which that holds.
    """

    rows: tuple[Row, ...]
    n: int
    n_least: int
    confidence: float
    unanswered: Mapping[str, tuple[str, ...]]
    only_room: Mapping[str, int] = field(default_factory=dict)
    middles: Mapping[tuple[str, str], float] = field(default_factory=dict)
    too_few: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    n_unanswered: Mapping[str, int] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    conditions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def metrics_of(names: Sequence[str], option: str = "--metric") -> tuple[str, ...]:
    """Return metrics to compare; raises `ScenarioError` for one that runs do not have."""
    for name in names:
        if wrong := no_such_metric(name):
            raise ScenarioError(wrong, key=option)
    return tuple(names) or USUAL


def compare(
    variants: Mapping[str, Mapping[str, Any]],
    metrics: Sequence[str],
    executor: Executor,
    progress: Progress,
    *,
    seed: int,
    most: int | None = None,
    first: int = 0,
) -> Compared:
    """Run resolved scenarios, the base first, and compare the others with it.

    `most` limits the pairs; there are no limits with fewer than the first look takes.  `first` is
    the number of the first replication.  Raises `PartlyDoneError` if a run fails.
    """
    base, *others = variants
    family = max(1, len(metrics) * len(others))
    error = ERROR / family
    at = [n for n in looks(error, N_LOOKS) if most is None or n < most]
    at += [most] if most is not None and len(at) < N_LOOKS else []
    results: dict[str, list[Mapping[str, Any]]] = {name: [] for name in variants}
    rows: list[Row] = []
    for n in at:
        _run_up_to(n, variants, results, executor, progress, seed, first)
        rows = [
            row
            for other in others
            for metric in metrics
            if (row := _row(metric, base, other, results, error / N_LOOKS)) is not None
        ]
        if all(row.verdict != "cannot tell" for row in rows):  # or none has anything to compare
            break
    unanswered = {
        name: found for name, runs in results.items() if (found := _in_the_way(runs, metrics))
    }
    only_room = {name: n for name, runs in results.items() if (n := _with_room_alone(runs))}
    n_least = least_pairs(error / N_LOOKS)
    middles = {
        (name, metric): middle
        for name, runs in results.items()
        for metric in metrics
        if (middle := _middle(metric, runs)) is not None
    }
    too_few = {
        other: found
        for other in others
        if (found := _too_few(metrics, [*results[base], *results[other]]))
    }
    explained = _explained(metrics)
    lost = {name: [_is_lost(run, explained) for run in runs] for name, runs in results.items()}
    return Compared(
        rows=tuple(rows),
        n=len(results[base]),
        n_least=n_least,
        confidence=1 - ERROR,
        unanswered=unanswered,
        only_room=only_room,
        middles=middles,
        too_few=too_few,
        left_out={
            other: sum(a or b for a, b in zip(lost[base], lost[other], strict=True))
            for other in others
        },
        n_unanswered={name: sum(own) for name, own in lost.items() if any(own)},
        absent=frozenset(metric for metric in metrics if _is_absent(metric, results)),
        conditions=_conditions(variants),
    )


def _conditions(variants: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return what runs of the variants do not follow, each with the variants of which it holds."""
    found: dict[str, tuple[str, ...]] = {}
    for name, scenario in variants.items():
        for what in dict.fromkeys(each.what for each in conditions_of(scenario)):
            found[what] = (*found.get(what, ()), name)
    return found


def _is_absent(metric: str, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
    """Return whether all runs have an answer, and none has any of a metric."""
    runs = [run for own in results.values() for run in own]
    answered = not any(_is_lost(run, _explained([metric])) for run in runs)
    return answered and all(_span(metric, run) in (None, NOTHING) for run in runs)


def _explained(metrics: Sequence[str]) -> Collection[str]:
    """Return which errors leave a run an answer to all of these metrics."""
    return CUT_OFF_CODES if ABOUT_KILLS.issuperset(metrics) else ()


def _is_lost(run: Mapping[str, Any], explained: Collection[str]) -> bool:
    return any(error["code"] not in explained for error in run["errors"])


def _too_few(metrics: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the percentiles for which some run has too few values, but some."""
    return tuple(
        metric
        for metric in metrics
        if any(
            run["metrics"].get(metric) is not None and not run_has_enough(metric, run["metrics"])
            for run in runs
        )
    )


def _middle(metric: str, runs: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the median of a metric over runs; None unless all of them tell."""
    if _too_few([metric], runs):
        return None
    spans = [span for run in runs if (span := _span(metric, run)) is not None]
    if not spans or len(spans) < len(runs):
        return None
    return median_between([span.low for span in spans], [span.high for span in spans])


def _with_room_alone(runs: Sequence[Mapping[str, Any]]) -> int:
    """Return in how many runs reclaim took what there was no room for, so that no need shows."""
    return sum(is_room(run["metrics"]) for run in runs)


def _run_up_to(
    n: int,
    variants: Mapping[str, Mapping[str, Any]],
    results: Mapping[str, list[Mapping[str, Any]]],
    executor: Executor,
    progress: Progress,
    seed: int,
    first: int,
) -> None:
    jobs, whose = [], {}
    for name, scenario in variants.items():
        work = expected_work_s(scenario)
        for replication in range(len(results[name]), n):
            key = f"{name}/{replication}"
            jobs.append(Job(key, scenario, seed, first + replication, work))
            whose[key] = name, replication
    heaviest_first = sorted(jobs, key=lambda job: (-job.weight, job.key))
    found: dict[tuple[str, int], Mapping[str, Any]] = {}

    def take(some: Sequence[Job]) -> None:
        weights = {job.key: job.weight for job in some}
        for finished in executor.run(some):
            name, replication = whose[finished.key]
            if finished.body is None:
                reason = (finished.reason or "no result").strip().splitlines()[-1]
                raise PartlyDoneError(f"run {first + replication} of {name} failed: {reason}")
            result = unpack(finished.body)
            found[name, replication] = {
                "metrics": dict(flatten(result["metrics"])),
                "errors": errors_of(result),
                "ended_ns": result["simulated_ns"],
            }
            progress.advance(weights[finished.key])

    if first == 0 and not any(results.values()):  # fresh runs come later
        # One short run alone, so that what it compiles is there for all the others, and is not in
        # the time that these are said to take.
        progress.note("one short run first: on a new machine it compiles the simulator")
        take([heaviest_first.pop()])
    progress.begin("pairs of runs", len(heaviest_first), sum(j.weight for j in heaviest_first))
    take(heaviest_first)
    for name, runs in results.items():
        runs += [found[name, replication] for replication in range(len(runs), n)]


def _row(
    metric: str,
    base: str,
    other: str,
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    error: float,
) -> Row | None:
    """Return the row of a metric; None if there is none of it, or too little, on either side."""
    if _too_few([metric], [*results[base], *results[other]]):
        return None
    pairs = [
        (first, second)
        for a, b in zip(results[base], results[other], strict=True)
        if (first := _span(metric, a)) is not None and (second := _span(metric, b)) is not None
    ]
    if not pairs or all(a == b == NOTHING or a.high == b.high == inf for a, b in pairs):
        return None
    is_ratio = all(a.low > 0 and b.low > 0 for a, b in pairs)
    changes = [times(b, a) if is_ratio else less(b, a) for a, b in pairs]
    lows, highs = [change.low for change in changes], [change.high for change in changes]
    enough = len(pairs) >= least_pairs(error)
    exact = [(a.low, b.low) for a, b in pairs if a.high < inf and b.high < inf]
    return Row(
        variant=other,
        metric=metric,
        base=median_between(*zip(*(a for a, _ in pairs), strict=True)),
        other=median_between(*zip(*(b for _, b in pairs), strict=True)),
        is_ratio=is_ratio,
        limits=median_limits_between(lows, highs, error=error) if enough else None,
        identical=all(a == b and a.high < inf for a, b in pairs),
        gain=_gain(exact) if len(exact) == len(pairs) else None,
        n=len(pairs),
        n_cut_off=len(pairs) - len(exact),
    )


def _span(metric: str, run: Mapping[str, Any]) -> Span | None:
    """Return what a run says of a metric; None if it is no answer to that."""
    if _is_lost(run, _explained([metric])):
        return None
    return span_of(metric, run["metrics"].get(metric), run["ended_ns"])


def _gain(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return how many times larger the variance of the difference were without common numbers."""
    if len(pairs) < 2:
        return None
    apart = variance(a for a, _ in pairs) + variance(b for _, b in pairs)
    together = variance(b - a for a, b in pairs)
    return apart / together if together else None


def _in_the_way(runs: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> tuple[str, ...]:
    """Return why runs are no answer to some of `metrics`, a line a reason, with a count."""
    explained = _explained(metrics)
    counts: dict[str, int] = {}
    for run in runs:
        errors = [error for error in run["errors"] if error["code"] not in explained]
        for what in {str(error.get("what") or error["code"]) for error in errors}:
            counts[what] = counts.get(what, 0) + 1
    return tuple(
        f"{what} ({out_of(count, len(runs), 'run')})" for what, count in sorted(counts.items())
    )
