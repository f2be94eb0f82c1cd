"""Truths that a record search is tried on, and the search carried out on them without runs."""

from collections.abc import Callable

import numpy as np

from sim.stats.record_search import Found, Guess, Trial, record_search, threshold_search

N_SIZES = 256


def searched(
    passes: Callable[[Trial], bool],
    n: int,
    n_probes: int = 0,
    n_sizes: int = N_SIZES,
    guess: Guess | None = None,
):
    """Return what the search finds where `passes` decides, and the trials that it made."""
    found, asked = asked_for(passes, n, n_probes, n_sizes, guess)
    return found, [trial for trials in asked for trial in trials]


def asked_for(
    passes: Callable[[Trial], bool],
    n: int,
    n_probes: int = 0,
    n_sizes: int = N_SIZES,
    guess: Guess | None = None,
):
    """Return what the search finds, and the trials as it asked for them, a list a time.

    The last is that of all replications at the answer, but for those that ran there already.
    """
    search, answers, asked = record_search(n_sizes, n, n_probes, guess), None, []
    try:
        while True:
            asked.append(search.send(answers))
            answers = {trial: passes(trial) for trial in asked[-1]}
    except StopIteration as end:
        found: Found = end.value
        return found, asked


def threshold_found(
    passes: Callable[[int], bool],
    n_sizes: int,
    start: int,
    guess: Callable[[], int | None] | None = None,
):
    """Return the threshold that is found from `start` on, and the sizes that were asked."""
    search, asked = threshold_search(n_sizes, start, guess), []
    try:
        size = next(search)
        while True:
            asked.append(size)
            size = search.send(passes(size))
    except StopIteration as end:
        return end.value, asked


def at_least(thresholds: np.ndarray) -> Callable[[Trial], bool]:
    """Return that a replication passes at its threshold and above."""
    return lambda trial: bool(trial.size >= thresholds[trial.replication])


TRUTHS = {
    "normal": lambda random, n: random.normal(120, 15, n),
    "lognormal": lambda random, n: 40 * random.lognormal(0, 0.4, n),
    "rare events": lambda random, n: 100 + 80 * (random.random(n) < 0.02),
    "step": lambda random, n: np.full(n, 97.0),
    "ramp": lambda random, n: random.uniform(20, 220, n),
}
"""Laws of thresholds, in sizes; what is beyond the last is cut down to it."""


def thresholds_of(truth: str, random: np.random.Generator, n: int) -> np.ndarray:
    """Return thresholds of `n` replications, each a size."""
    return np.clip(np.ceil(TRUTHS[truth](random, n)), 0, N_SIZES - 1).astype(int)
