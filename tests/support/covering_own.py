"""How often bounds, medians and means hold on runs of cowpool's own, drawn from stored ones.

python tests/support/covering_own.py     # a table of docs/statistics.md, a minute
"""

import sys

import numpy as np

from sim.base.rng import stream
from sim.stats.paired import looks, median_limits
from sim.stats.tolerance import order_rank, supported_content
from support import pools
from support.covering import CONFIDENCE, TRUTHS, half_widths

OWN = {
    "need of a Redis": ("redis_16", "memory_need_bytes.total"),
    "its request p999": ("redis_16", "request_latency_ns.p999"),
    "its longest fault": ("redis_16", "fault_latency_ns.max"),
    "mean fork of a web server": ("prefork_web", "fork_latency_ns.mean"),
    "its request p999 ": ("prefork_web", "request_latency_ns.p999"),
    "need of a growing heap": ("heap_growth", "memory_need_bytes.total"),
    "copies of a build": ("build_storm", "cow_copies"),
}
"""Metrics of programs that ship, as people call them."""

POOLS = pools.load()
MEDIAN_NS = (6, 10, 30)
N_LOOKS = 4


def drawn(name, r, n):
    """Return samples of a metric of runs, shape ``(r, n)``, and the pool that they are from."""
    pool, metric = OWN[name]
    values = np.sort(POOLS[pool][metric])
    return stream(1, 0, "own", name, n).choice(values, (r, n)), values


def supported_hits(name, r, n):
    """Return whether what n values support is true of the pool, without an assumption."""
    samples, pool = drawn(name, r, n)
    content = supported_content(n, confidence=CONFIDENCE)
    rank = order_rank(n, content=content, confidence=CONFIDENCE)
    bounds = np.sort(samples, axis=1)[:, rank - 1]
    return np.searchsorted(pool, bounds, side="right") / len(pool) >= content - 1e-12


def mean_hits(name, r, n):
    """Return whether Student's interval covers the mean of the pool."""
    samples, pool = drawn(name, r, n)
    return abs(samples.mean(axis=1) - pool.mean()) <= half_widths(samples)


def ranks(n, error=1 - CONFIDENCE):
    """Return the places of the limits of a median in n ordered values."""
    found = median_limits([float(value) for value in range(n)], error=error)
    return round(found.low), round(found.high)


def median_hits(name, r, n):
    """Return whether the limits of n values hold the median of the pool."""
    samples, pool = drawn(name, r, n)
    low, high = ranks(n)
    ordered, middle = np.sort(samples, axis=1), np.median(pool)
    return (ordered[:, low] <= middle) & (middle <= ordered[:, high])


def look_hits(truth, r):
    """Return whether the limits at all looks of a comparison hold, of values of a distribution.

    What is compared is alike, so the median of the differences of pairs is 0.
    """
    draw, _ = TRUTHS[truth]
    at = looks(1 - CONFIDENCE, N_LOOKS)
    generator = stream(1, 0, "looks", truth)
    off = draw(generator, (r, at[-1])) - draw(generator, (r, at[-1]))
    hits = np.full(r, True)
    for n in at:
        ordered = np.sort(off[:, :n], axis=1)
        low, high = ranks(n, (1 - CONFIDENCE) / N_LOOKS)
        hits &= (ordered[:, low] <= 0) & (ordered[:, high] >= 0)
    return hits


def table(r=100_000):
    """Yield the lines of the tables."""
    yield "| runs of | n runs support | median | mean, Student's t |"
    yield "|---|---|---|---|"
    for name in OWN:
        columns = (
            (supported_hits, (3, 10, 30)),
            (median_hits, MEDIAN_NS),
            (mean_hits, (3, 10, 30)),
        )
        cells = (" ".join(f"{hits(name, r, n).mean():.3f}" for n in ns) for hits, ns in columns)
        yield f"| {name.strip()} | {' | '.join(cells)} |"
    yield "\n| values are | all four looks |\n|---|---|"
    for truth in TRUTHS:
        yield f"| {truth} | {look_hits(truth, r // 4).mean():.3f} |"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in table())
