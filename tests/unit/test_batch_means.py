"""Four words on one run: told, warming up, insufficient, correlated."""

import numpy as np
import pytest

from sim.stats.batch_means import (
    LEAST_BATCHES,
    jackknifed,
    joined,
    lag_1,
    long_run,
    mser,
    skart_interval,
)


def noise(n, seed=1):
    return np.random.default_rng(seed).normal(10, 1, n)


def test_independent_batches_tell_their_mean():
    found = long_run(noise(500))
    assert found.verdict == "told"
    assert found.low < 10 < found.high
    assert found.high - found.low == pytest.approx(2 * 2 / np.sqrt(500), rel=0.3)


def test_fewer_than_400_batches_are_insufficient():
    assert long_run(noise(LEAST_BATCHES - 1)).verdict == "insufficient"
    assert long_run(noise(LEAST_BATCHES)).verdict == "told"


def test_a_level_that_still_falls_is_all_warm_up():
    found = long_run(np.linspace(100, 1, 500) + noise(500))
    assert found.verdict == "warming up"
    assert found.n_cut > 250
    assert found.low is found.high is None


def test_what_depends_on_its_neighbour_is_correlated():
    walk = noise(500) - 10
    for at in range(1, 500):
        walk[at] += 0.8 * walk[at - 1]
    found = long_run(walk)
    assert (found.verdict, found.low) == ("correlated", None)
    assert found.correlation == pytest.approx(0.8, abs=0.1)


def test_mser_cuts_a_warm_up_where_it_ends():
    values = noise(500)
    values[:60] += 30
    assert 60 <= mser(values) <= 70
    assert long_run(values[60:]).n_cut < 44


def test_mser_is_the_smallest_error_of_what_is_left_by_the_definition():
    values = noise(90, seed=3) + np.exp(-np.arange(90) / 9)
    errors = [((values[d:] - values[d:].mean()) ** 2).sum() / (90 - d) ** 2 for d in range(85)]
    assert mser(values) == int(np.argmin(errors))


def test_values_that_are_all_equal_have_an_interval_of_no_width():
    found = long_run([7.0] * 450)
    assert (found.verdict, found.low, found.high, found.correlation) == ("told", 7.0, 7.0, 0.0)


def test_batches_are_joined_at_the_end_and_what_is_left_over_comes_first():
    assert joined(np.arange(11.0), 5).tolist() == [1.5, 3.5, 5.5, 7.5, 9.5]


def test_correlation_is_that_of_the_textbook():
    values = noise(100)
    off = values - values.mean()
    assert lag_1(values) == pytest.approx((off[1:] * off[:-1]).sum() / (off**2).sum())
    assert jackknifed(values) == pytest.approx(
        2 * lag_1(values) - (lag_1(values[:50]) + lag_1(values[50:])) / 2
    )


def test_skewed_means_have_a_longer_arm_on_their_long_side():
    means = np.random.default_rng(4).exponential(size=40)
    low, high = skart_interval(means, 0.95)
    assert high - means.mean() > means.mean() - low > 0
    mirrored = skart_interval(-means, 0.95)
    assert mirrored == pytest.approx((-high, -low))
