"""Latencies of a run, read out of the machine: exact sums and maxima, percentiles within 1 %."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from sim.machine.layout import FIRST_BATCH
from sim.observe.histogram import SUM_LIMIT
from sim.stats.quantile import merge, percentiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sim.machine.layout import Arrays

PERCENTS: Final = (
    *(1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 93, 95, 96, 97, 98, 98.5, 99, 99.3, 99.5),
    *(99.6, 99.7, 99.8, 99.85, 99.9, 99.93, 99.95, 99.97, 99.98, 99.99, 99.995, 99.999, 100),
)
"""Percentiles of a distribution, dense where the tail of a latency is."""
_NAMED: Final = {"p50": 50, "p90": 90, "p99": 99, "p999": 99.9, "max": 100}


@dataclass(frozen=True, slots=True)
class Latencies:
    """Values of one kind: how often which bucket was met, their sum and the largest, in ns."""

    buckets: NDArray[np.int64]
    """Shape ``(N_BUCKETS,)``, as in `sim.stats.quantile`."""
    sum_ns: int
    largest_ns: int

    @property
    def count(self) -> int:
        """How many values there are."""
        return int(self.buckets.sum())

    def percentiles(self, percents: Sequence[float]) -> list[int]:
        """Return percentiles (nearest rank) in ns, within 1 %, the largest value exactly.

        Raises `InsufficientDataError` if there is no value.
        """
        n = self.count
        return [
            self.largest_ns if _is_last(n, percent) else min(found, self.largest_ns)
            for percent, found in zip(percents, percentiles(self.buckets, percents), strict=True)
        ]

    def summary(self) -> dict[str, float | int | None]:
        """Return count, mean and largest, all exact, and percentiles within 1 %, in ns.

        The percentiles are those of the values seen, however few; without any they are None.
        Whether so many values say anything of others, `sim.stats.enough` knows.
        """
        if self.count == 0:
            return {"count": 0, "mean": None, **dict.fromkeys(_NAMED)}
        found = self.percentiles(list(_NAMED.values()))
        mean = self.sum_ns / self.count
        return {"count": self.count, "mean": mean, **dict(zip(_NAMED, found, strict=True))}

    def distribution(self) -> dict[str, Any]:
        """Return percentiles `p`, the times `ns` there, how many values and their exact sum."""
        found = self.percentiles(PERCENTS)
        return {"p": list(PERCENTS), "ns": found, "n": self.count, "sum_ns": self.sum_ns}


def latencies(m: Arrays, *rows: int) -> Latencies:
    """Return what the machine has counted in some rows of its histograms, taken together."""
    exact = [m.latencies[row] for row in rows]
    return Latencies(
        merge([m.histograms[row] for row in rows]),
        sum(int(row.sum_high) * SUM_LIMIT + int(row.sum_low) for row in exact),
        max(int(row.largest) for row in exact),
    )


def forget_latencies(m: Arrays) -> None:
    """Forget all latencies: the end of warm-up."""
    m.histograms[:] = 0
    for field in ("sum_low", "sum_high", "largest"):
        m.latencies[field] = 0
    m.batching["batches"] = m.batching["requests"] = 0
    m.batching["each"] = FIRST_BATCH


def request_batches(m: Arrays) -> dict[str, Any]:
    """Return how many successive requests make a batch, and what each batch took together, in ns.

    What has come after the last whole batch is left out.  A batch that took 2**61 ns or more, 73
    years, would be told modulo that.
    """
    batching = m.batching[0]
    ends = [0, *m.request_sums[: int(batching.batches)].tolist()]
    sums = [(end - start) % SUM_LIMIT for start, end in pairwise(ends)]
    return {"each": int(batching.each), "sums_ns": sums}


def _is_last(n: int, percent: float) -> bool:
    """Whether the nearest rank of a percentile of `n` values is the last."""
    return n * (100_000_000 - round(percent * 1_000_000)) < 100_000_000
