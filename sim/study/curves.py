"""Curves of the point that the answer is about: free pages over time, latencies pooled."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sim.study.records import Record, read_distributions
from sim.study.store import Store

MOST_SAMPLES: Final = 600
"""Samples kept of a time series: more than a figure can show, few enough to print."""
STATES: Final = (
    "anon_pages", "shared_memory_pages", "hugetlb_pages", "page_tables_pages",
    "kernel_stacks_pages", "zram_pages", "page_cache_pages",
)  # fmt: skip
"""What frames are in use for, in the order in which a figure stacks them."""


def free_pages_curves(
    store: Store,
    groups: Mapping[tuple[str, int, int], Sequence[Record]],
    part: str,
    point: int,
) -> list[dict[str, Any]]:
    """Return free pages over time on two telling hosts, the larger first.

    The smallest host on which memory never ran out and the largest on which it did; without such
    hosts, the one of the main part.
    """
    hosts = [
        records
        for (name, index, _), records in groups.items()
        if index == point and name in ("check", "around")
    ]
    held = [records for records in hosts if not any(r.ran_out for r in records)]
    short = [records for records in hosts if any(r.ran_out for r in records)]
    chosen: list[Record] = []
    if held:
        chosen.append(min(held, key=lambda rs: rs[0].memory_bytes)[0])
    if short:
        largest = max(short, key=lambda rs: rs[0].memory_bytes)
        chosen.append(next(r for r in largest if r.ran_out))
    if not chosen:
        chosen = [groups[part, point, 0][0]]
    return [curve for record in chosen if (curve := _curve(store, record)) is not None]


def _curve(store: Store, record: Record) -> dict[str, Any] | None:
    result = store.result(record.key)
    if result is None or not result.get("series", {}).get("t_ns"):
        return None
    series, host = result["series"], result["host"]
    kept = kept_samples(series["free_pages"])

    def thinned(levels: Sequence[int]) -> list[int]:
        return [int(levels[at]) for at in kept]

    return {
        "host_memory_bytes": record.memory_bytes,
        "ran_out": record.ran_out,
        "replication": record.place.replication,
        "t_ns": thinned(series["t_ns"]),
        "free_pages": thinned(series["free_pages"]),
        "states": {name: thinned(series[name]) for name in STATES if any(series.get(name, ()))},
        "groups": {
            name: {
                "current_pages": thinned(series["groups"][name]["current_pages"]),
                "max_bytes": group["max_bytes"],
            }
            for name, group in result.get("groups", {}).items()
            if group["max_bytes"] is not None and name in series.get("groups", {})
        },
        "marks": result.get("marks", []),
        "min_pages": host["min_pages"],
        "low_pages": host["low_pages"],
        "high_pages": host["high_pages"],
    }


def kept_samples(free: Sequence[int]) -> list[int]:
    """Return which samples of a time series stay, at most `MOST_SAMPLES`, its lows among them.

    Of each group of neighbours the lowest is kept: what matters about free pages is how few there
    were.
    """
    if len(free) <= MOST_SAMPLES:
        return list(range(len(free)))
    groups = np.array_split(np.arange(len(free)), MOST_SAMPLES)
    values = np.asarray(free)
    return [int(group[int(values[group].argmin())]) for group in groups]


def pooled_distributions(store: Store, keys: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Return each latency's distribution function, pooled over the runs `keys`."""
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for distributions in read_distributions(store, keys):
        for kind, table in distributions.items():
            if table.get("n"):
                by_kind.setdefault(kind, []).append(table)
    return {kind: pooled_distribution(curves) for kind, curves in sorted(by_kind.items())}


def pooled_distribution(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the distribution function of the values of several runs; at least one.

    A run tells percentiles (`p` in per cent, `ns`) of `n` times.  The pooled function, `share` at
    `ns`, is the mean of the runs' functions, each with its weight `n`.
    """
    share, grid = pooled_shares(runs)
    return {"share": share.tolist(), "ns": grid.tolist()}


def pooled_shares(
    runs: Sequence[Mapping[str, Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the same as two arrays, the shares and the times."""
    steps = Steps(runs)
    share = np.zeros(len(steps.grid))
    for run, own in zip(runs, steps.shares(), strict=True):
        share += run["n"] * own
    return share / sum(run["n"] for run in runs), steps.grid


class Steps:
    """The distribution functions of runs, each by percentiles: `grid` has all their times, in ns.

    Where several percentiles of a run are one time, the largest of them is reached there.
    """

    def __init__(self, runs: Sequence[Mapping[str, Any]]) -> None:
        ends = np.cumsum([len(run["ns"]) for run in runs])
        times = np.fromiter(chain.from_iterable(run["ns"] for run in runs), np.float64, ends[-1])
        last = np.empty(len(times), dtype=np.bool_)
        np.not_equal(times[1:], times[:-1], out=last[:-1])
        last[ends - 1] = True
        self.grid = np.unique(times[last])
        self._runs, self._times, self._last, self._ends = runs, times, last, ends.tolist()

    def shares(self) -> Iterator[NDArray[np.float64]]:
        """Yield each run's distribution function at the times of the grid."""
        percents: Sequence[float] = ()
        reached = np.zeros(0)
        begin = 0
        for run, end in zip(self._runs, self._ends, strict=True):
            if run["p"] != percents:  # all runs of one release tell the same percentiles
                percents = run["p"]
                reached = np.array(percents, dtype=np.float64) / 100
            last = self._last[begin:end]
            own = self._times[begin:end][last]
            yield np.interp(self.grid, own, reached[last], left=0.0)
            begin = end
