"""Percentiles of latencies in a study: of all values of all runs, or refused.

The mean over runs of each run's p999 is no percentile of anything: it was 45 % above that of the
requests themselves.  So a percentile is that of the pooled distribution, and it is stated only if
enough independent values lie behind it.  Beyond p99 these are forks, not requests: the slowest
requests of a run are those that one fork has delayed, however many they are.  Limits
come from a bootstrap over runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sim.base.errors import InsufficientDataError
from sim.base.rng import stream
from sim.stats.enough import BULK, enough_for, independent_values, percentile_needs
from sim.stats.tails import LEAST_BEYOND, clustered_limits
from sim.study.curves import Steps, pooled_shares
from sim.study.records import Record, read_distributions
from sim.study.store import Store

PERCENTS: Final[Mapping[str, float]] = {"p50": 50, "p90": 90, "p99": 99, "p999": 99.9}

_KINDS: Final[Mapping[str, str]] = {
    "request_latency_ns": "request",
    "fork_latency_ns": "fork",
    "vfork_latency_ns": "vfork",
    "runqueue_wait_ns": "runqueue",
}
"""The distribution of a run that a latency is about; that of faults is all the others."""

_DELAYED_BY_FORKS: Final = ("request_latency_ns", "runqueue_wait_ns")


def percent_of(metric: str) -> float | None:
    """Return which percentile a metric is; None if it is none.

    >>> percent_of("request_latency_ns.p999"), percent_of("cow_copies")
    (99.9, None)
    """
    latency, _, name = metric.rpartition(".")
    return PERCENTS.get(name) if latency.endswith("_ns") else None


def run_has_enough(metric: str, scalars: Mapping[str, float | None]) -> bool:
    """Whether a run by itself, of these metrics, has values enough for one that is a percentile.

    The rule of a study's own percentiles, and of what `run` prints; other metrics always have.

    >>> run_has_enough("request_latency_ns.p99", {"request_latency_ns.count": 80})
    False
    """
    percent, latency = percent_of(metric), metric.rpartition(".")[0]
    if percent is None:
        return True
    values = int(scalars.get(f"{latency}.count") or 0)
    forks = int(scalars.get("forks") or 0) if latency in _DELAYED_BY_FORKS else 0
    return enough_for(percent, independent_values(percent, values, forks))


@dataclass(frozen=True, slots=True, eq=False)
class Distributions:
    """What each run of a cell says of its latencies, by kind; itself only, to be a key."""

    runs: Sequence[Mapping[str, Mapping[str, Any]]]


def distributions_of(store: Store, records: Sequence[Record]) -> Distributions:
    """Return what the runs `records` say of their latencies."""
    return Distributions(read_distributions(store, [record.key for record in records]))


def pooled_percentile(
    distributions: Distributions, records: Sequence[Record], metric: str
) -> float:
    """Return a percentile, in ns, of all values in the runs `records`.

    Raises `InsufficientDataError`, saying how many independent values there are and are needed.
    """
    percent, latency = percent_of(metric), metric.rpartition(".")[0]
    if percent is None:
        raise ValueError(f"{metric} is no percentile")
    unit, n = _independent(records, latency, percent)
    if not enough_for(percent, n):
        raise InsufficientDataError(
            f"{metric} needs {percentile_needs(percent):,} {unit}, {len(records)} runs have {n:,}"
        )
    pooled = _pooled(distributions, latency)
    if pooled is None:
        raise InsufficientDataError(f"{metric} has no value")
    shares, times = pooled
    at = int(np.searchsorted(shares, percent / 100 * (1 - 1e-12)))
    return float(times[min(at, len(shares) - 1)])


@lru_cache(maxsize=4)  # four percentiles are asked of each
def _pooled(
    distributions: Distributions, latency: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the distribution function of all values, shares and times; None without a value."""
    tables = [table for run in _tables(distributions, latency) for table in run]
    return pooled_shares(tables) if tables else None


def percentile_limits(
    distributions: Distributions, metric: str, confidence: float
) -> tuple[float, float]:
    """Return limits, in ns, of a percentile of all values: a bootstrap over runs.

    Raises `InsufficientDataError` where fewer than 20 runs reach beyond it.
    """
    percent, latency = percent_of(metric), metric.rpartition(".")[0]
    if percent is None:
        raise ValueError(f"{metric} is no percentile")
    runs = [tables for tables in _tables(distributions, latency) if tables]
    if len(runs) < LEAST_BEYOND:
        raise InsufficientDataError(f"{len(runs)} runs have values, limits take {LEAST_BEYOND}")
    steps = Steps([table for tables in runs for table in tables])
    shares = steps.shares()
    counts = np.array([float(sum(table["n"] for table in tables)) for tables in runs])
    at_most = [sum(table["n"] * next(shares) for table in tables) for tables in runs]
    return clustered_limits(
        np.array(at_most) / counts[:, None],
        counts,
        steps.grid,
        percent / 100,
        confidence=confidence,
        generator=stream(0, 0, "bootstrap", metric),
    )


def _tables(distributions: Distributions, latency: str) -> list[list[Mapping[str, Any]]]:
    """Return what each run says of a latency: one table, of faults one a kind."""
    return [
        [table for kind, table in run.items() if _is_about(kind, latency) and table.get("n")]
        for run in distributions.runs
    ]


def _independent(records: Sequence[Record], latency: str, percent: float) -> tuple[str, int]:
    """Return what the independent values of a latency are called, and how many there are."""
    values = _total(records, f"{latency}.count")
    forks = _total(records, "forks") if latency in _DELAYED_BY_FORKS else 0
    unit = "forks" if forks and percent > BULK else "values"
    return unit, independent_values(percent, values, forks)


def _total(records: Sequence[Record], metric: str) -> int:
    return int(sum(record.scalars.get(metric) or 0 for record in records))


def _is_about(kind: str, latency: str) -> bool:
    own = _KINDS.get(latency)
    return kind == own if own is not None else kind not in _KINDS.values()
