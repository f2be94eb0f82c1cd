"""Limits of quantiles of values that come in clusters."""

import numpy as np
import pytest

from sim.base.errors import InsufficientDataError
from sim.stats.tails import LEAST_BEYOND, N_DRAWS, clustered_limits


def limits(clusters, quantile, seed=1):
    grid = np.unique(np.concatenate(clusters))
    shares = np.array([np.searchsorted(np.sort(c), grid, side="right") / len(c) for c in clusters])
    counts = np.array([float(len(c)) for c in clusters])
    generator = np.random.default_rng(seed)
    return clustered_limits(shares, counts, grid, quantile, confidence=0.95, generator=generator)


def levels(n, size, seed, spread=0.5):
    """Clusters whose level differs: what one has tells of its others."""
    random = np.random.default_rng(seed)
    return [np.exp(spread * random.normal()) * random.exponential(size=size) for _ in range(n)]


def test_they_are_on_both_sides_of_the_quantile_of_all_values():
    clusters = levels(60, 200, 1)
    low, high = limits(clusters, 0.99)
    assert low < np.quantile(np.concatenate(clusters), 0.99) < high


def test_values_of_one_cluster_are_not_independent():
    """Sixty clusters of 2,000 tell hardly more than sixty of 50; as single values they would."""
    few, many = (limits(levels(60, size, 2), 0.9) for size in (50, 2000))
    assert many[1] - many[0] > 0.7 * (few[1] - few[0])
    lone = [np.array([x]) for x in np.concatenate(levels(60, 50, 2))]
    low, high = limits(lone, 0.9)
    assert high - low < 0.7 * (few[1] - few[0])


def test_without_enough_clusters_beyond_there_are_none():
    clusters = [np.arange(100.0) for _ in range(100)]
    for cluster in clusters[: LEAST_BEYOND - 1]:
        cluster[-10:] = 1000.0
    with pytest.raises(InsufficientDataError, match="19 runs reach beyond it, limits take 20"):
        limits(clusters, 0.98)
    clusters[LEAST_BEYOND - 1][-10:] = 1000.0
    assert limits(clusters, 0.98)[1] == 1000.0


def test_the_same_values_have_the_same_limits():
    clusters = levels(40, 100, 3)
    assert limits(clusters, 0.9) == limits(clusters, 0.9)
    assert N_DRAWS == 1000


def test_clusters_count_by_their_size():
    """A cluster of many values decides about the quantile of all, each of few does not."""
    small = [np.linspace(0, 1, 10) for _ in range(30)]
    large = [np.linspace(10, 11, 1000) for _ in range(30)]
    assert limits([*small, *large], 0.5)[0] > 10
