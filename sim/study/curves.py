"""Curves of the point that the answer is about: free pages over time, latencies pooled."""

from collections.abc import Mapping, Sequence
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
    for key in keys:
        for kind, table in read_distributions(store, key).items():
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
    grid = grid_of(runs)
    share = np.zeros(len(grid))
    for run in runs:
        share += run["n"] * shares_at(grid, run)
    return share / sum(run["n"] for run in runs), grid


def grid_of(runs: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Return every time, in ns, that some run's distribution names, ascending."""
    return np.unique(np.concatenate([np.asarray(run["ns"], dtype=np.float64) for run in runs]))


def shares_at(grid: NDArray[np.float64], run: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return a run's distribution function at the times `grid`."""
    times = np.asarray(run["ns"], dtype=np.float64)
    reached = np.asarray(run["p"], dtype=np.float64) / 100
    # Where several percentiles are one time, the largest of them is reached there.
    last = np.append(np.flatnonzero(np.diff(times)), len(times) - 1)
    shares: NDArray[np.float64] = np.interp(grid, times[last], reached[last], left=0.0)
    return shares
