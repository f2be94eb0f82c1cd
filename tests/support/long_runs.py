"""How often what one long run tells of its mean holds, and percentiles pooled over runs.

    python tests/support/long_runs.py        # the tables of docs/statistics.md, some minutes

Queues start empty, as a simulation does.  `tests/truth/test_long_runs_hold.py` holds the same
functions against what is claimed.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import signal, special

from sim.base.errors import InsufficientDataError
from sim.base.rng import stream
from sim.machine.layout import FIRST_BATCH, MOST_BATCHES
from sim.stats.batch_means import N_MEANS, joined, long_run, skart_interval
from sim.stats.tails import clustered_limits

CONFIDENCE = 0.95
_VALUES_AT_ONCE = 4_000_000


def queue(load: float) -> Callable:
    """Return how to draw times in an M/M/1 queue (waiting and service), arrivals 1 apart."""

    def draw(generator, r, n):
        between = generator.exponential(1.0, (r, n))
        service = generator.exponential(load, (r, n))
        steps = np.cumsum(service[:, :-1] - between[:, 1:], axis=1)
        walk = np.concatenate([np.zeros((r, 1)), steps], axis=1)
        return walk - np.minimum.accumulate(walk, axis=1) + service

    return draw


def autoregressive(generator, r, n, phi=0.9):
    """Draw values each of which is 0.9 of the one before, and noise; from the steady state on."""
    noise = generator.normal(size=(r, n))
    noise[:, 0] /= np.sqrt(1 - phi**2)
    return 10 + signal.lfilter([1.0], [1.0, -phi], noise, axis=1)


TRUTHS = {
    "independent, exponential": (lambda g, r, n: g.exponential(1.0, (r, n)), 1.0),
    "AR(1), .9": (autoregressive, 10.0),
    "M/M/1, load .5": (queue(0.5), 0.5 / 0.5),
    "M/M/1, load .8": (queue(0.8), 0.8 / 0.2),
    "M/M/1, load .9": (queue(0.9), 0.9 / 0.1),
}
"""How to draw runs, shape ``(runs, values)``, and the mean in the long run."""

LENGTHS = (2_000, 5_000, 20_000, 80_000)


@dataclass(frozen=True)
class Counted:
    """Of `runs`, how many told an interval and how many of those held; what the others said."""

    runs: int
    told: int
    held: int
    words: dict[str, int]

    @property
    def wrong(self) -> int:
        """How many runs told an interval without the mean."""
        return self.told - self.held


def batches_of(values):
    """Return the means of batches as a run keeps them: 5, 10, 20, ... values, below 800."""
    each = FIRST_BATCH
    while values.shape[1] // each >= MOST_BATCHES:
        each *= 2
    n = values.shape[1] // each
    return values[:, : n * each].reshape(len(values), n, each).mean(axis=2)


def blocks(truth: str, r: int, n: int) -> Iterator[np.ndarray]:
    """Yield batches of `r` runs of `n` values, some runs at a time."""
    draw, _ = TRUTHS[truth]
    generator = stream(1, 0, "long run", truth, n)
    for first in range(0, r, most := max(1, _VALUES_AT_ONCE // n)):
        yield batches_of(draw(generator, min(most, r - first), n))


def counted(truth: str, r: int, n: int) -> Counted:
    """Return what `r` runs of `n` values told."""
    mean, words, held = TRUTHS[truth][1], dict.fromkeys(("told", "warming up", "correlated"), 0), 0
    for batches in blocks(truth, r, n):
        for run in batches:
            found = long_run(run)
            words[found.verdict] += 1
            held += found.verdict == "told" and found.low <= mean <= found.high
    return Counted(r, words["told"], held, words)


def unchecked(truth: str, r: int, n: int) -> tuple[float, float]:
    """Return how often an interval holds that is told whatever the correlation, and the usual one.

    The usual one takes batches of five for independent.
    """
    mean, by_means, usual = TRUTHS[truth][1], 0, 0
    for batches in blocks(truth, r, n):
        for run in batches:
            low, high = skart_interval(joined(run, N_MEANS), CONFIDENCE)
            by_means += low <= mean <= high
        t = special.stdtrit(batches.shape[1] - 1, (1 + CONFIDENCE) / 2)
        half = t * batches.std(axis=1, ddof=1) / np.sqrt(batches.shape[1])
        usual += int((abs(batches.mean(axis=1) - mean) <= half).sum())
    return by_means / r, usual / r


# -- percentiles pooled over runs -------------------------------------------------------

VALUES = 500
"""In a run."""


def waiting_for_a_fork(generator, runs):
    """Draw requests, a fiftieth of which waits for the run's fork, some time of its length."""
    values = generator.exponential(1.0, (runs, VALUES))
    length = 50 * np.exp(0.5 * generator.normal(size=(runs, 1)))
    values[:, : VALUES // 50] += generator.random((runs, VALUES // 50)) * length
    return values


CLUSTERED = {
    "lognormal, s = 1": lambda g, runs: np.exp(g.normal(size=(runs, VALUES))),
    "each run has its level": lambda g, runs: (
        np.exp(0.5 * g.normal(size=(runs, 1))) * g.exponential(1.0, (runs, VALUES))
    ),
    "2 % wait for a fork": waiting_for_a_fork,
}


def pooled_hits(truth: str, quantile: float, runs: int, r: int) -> tuple[int, int, int]:
    """Return how many of `r` studies had limits, in how many they held, and as if values were runs.

    The last is the binomial limit for independent values.
    """
    draw = CLUSTERED[truth]
    generator = stream(1, 0, "pooled", truth, runs)
    # drawn, as a closed form would have to be found for each: an error of 0.1 of a study's
    exact = float(np.quantile(draw(stream(1, 0, "exact", truth), 20_000), quantile))
    told = held = naive = 0
    for _ in range(r):
        values = draw(generator, runs)
        pooled = np.sort(values.ravel())
        half = 1.96 * np.sqrt(quantile * (1 - quantile) / len(pooled))
        ends = np.quantile(pooled, np.clip([quantile - half, quantile + half], 0, 1))
        naive += ends[0] <= exact <= ends[1]
        near = np.quantile(pooled, np.linspace(max(0, 3 * quantile - 2), 1, 1000))
        shares = np.array([np.searchsorted(np.sort(v), near, side="right") for v in values])
        try:
            low, high = clustered_limits(
                *(shares / VALUES, np.full(runs, float(VALUES)), near, quantile),
                confidence=CONFIDENCE,
                generator=generator,
            )
        except InsufficientDataError:
            continue
        told += 1
        held += low <= exact <= high
    return told, held, naive


def tables(r=2_000):
    """Yield the lines of the tables."""
    yield "| values are | " + " | ".join(f"{n:,} values" for n in LENGTHS) + " |"
    yield "|---|" + "---|" * len(LENGTHS)
    for truth in TRUTHS:
        cells = []
        for n in LENGTHS:
            found = counted(truth, r if n < LENGTHS[-1] else r // 2, n)
            share, wrong = found.told / found.runs, found.wrong / found.runs
            held = f"{found.held / found.told:.3f}" if share >= 0.01 else "-"
            cells.append(f"{share:.0%}, {held}, {wrong:.1%}")
        yield f"| {truth} | {' | '.join(cells)} |"
    yield "\n| values are | batch means without a check | as if independent |\n|---|---|---|"
    for truth in TRUTHS:
        found = [unchecked(truth, r, n) for n in LENGTHS[:3]]
        sides = (" ".join(f"{each[side]:.3f}" for each in found) for side in (0, 1))
        yield f"| {truth} | {' | '.join(sides)} |"
    yield ""
    yield from pooled_table()


def pooled_table(r=400):
    """Yield the lines of the table of percentiles pooled over runs."""
    yield "| values are | runs | p50 | p99 | as if independent |\n|---|---|---|---|---|"
    for truth in CLUSTERED:
        for runs in (25, 60):
            told = {q: pooled_hits(truth, q, runs, r) for q in (0.5, 0.99)}
            cells = [
                f"{n / r:.0%}, {held / n:.3f}" if n > r / 20 else "refused"
                for n, held, _ in told.values()
            ]
            naive = " ".join(f"{each[2] / r:.3f}" for each in told.values())
            yield f"| {truth} | {runs} | {' | '.join(cells)} | {naive} |"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in tables())
