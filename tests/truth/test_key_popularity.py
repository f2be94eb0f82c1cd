"""Keys by Zipf's law against its probabilities.

Chi-square goodness of fit at a false-alarm rate of 1e-6 a test, fixed seeds; ranks that are
expected fewer than 5 times are pooled.  Negative controls: an exponent 1 % off, and a
scattering that keeps popular keys together.
"""

import numpy as np
import pytest
from scipy import stats

from sim.base.rng import stream
from sim.program.zipf import KeyStream, Scatter, ZipfRanks
from sim.stats.theory import zipf_probabilities

FALSE_ALARM = 1e-6
DRAWS = 1_000_000


def p_value(ranks, probabilities):
    observed = np.bincount(ranks - 1, minlength=probabilities.size).astype(float)
    expected = probabilities * ranks.size
    rare = expected < 5
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    if expected[-1] == 0:
        observed, expected = observed[:-1], expected[:-1]
    return stats.chisquare(observed, expected * (observed.sum() / expected.sum())).pvalue


@pytest.mark.truth
@pytest.mark.parametrize("exponent", [0.0, 0.5, 0.99, 1.0, 1.2, 3.0])
@pytest.mark.parametrize("keys", [2, 1000])
def test_ranks_follow_zipfs_law(keys, exponent):
    ranks = ZipfRanks(keys, exponent).draw(stream(1, 0, "zipf"), DRAWS)
    assert ranks.min() >= 1
    assert ranks.max() <= keys
    assert p_value(ranks, zipf_probabilities(keys, exponent)) > FALSE_ALARM


@pytest.mark.truth
def test_an_exponent_one_percent_off_is_noticed():
    ranks = ZipfRanks(1000, 1.0).draw(stream(1, 0, "zipf"), DRAWS)
    assert p_value(ranks, zipf_probabilities(1000, 1.01)) < FALSE_ALARM


def test_one_key_is_always_drawn():
    assert set(ZipfRanks(1, 1.0).draw(stream(1, 0, "zipf"), 100)) == {1}


def test_a_hundred_million_keys_need_no_table():
    ranks = ZipfRanks(10**8, 0.99).draw(stream(1, 0, "zipf"), 100_000)
    assert ranks.max() > 5 * 10**7
    assert (ranks == 1).mean() == pytest.approx(1 / 20.6, rel=0.1)  # 1 / H(10**8, 0.99)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 1000, 65_536, 65_537, 1_000_003])
def test_scattering_is_a_permutation(n):
    placed = Scatter(n)(np.arange(n, dtype=np.int64))
    assert (np.sort(placed) == np.arange(n)).all()


def pages_of_popular_keys(place, keys=1_000_000, popular=20_000, keys_a_page=36):
    """Return z of how many pages the most popular keys lie on, against random places."""
    pages = keys // keys_a_page
    found = len(set((place(np.arange(popular)) // keys_a_page).tolist()))
    missed = (1 - popular / keys) ** keys_a_page
    return (found - pages * (1 - missed)) / np.sqrt(pages * missed * (1 - missed))


def test_popular_keys_are_scattered_over_the_pages():
    assert abs(pages_of_popular_keys(Scatter(1_000_000))) < 4.8916


def test_keys_that_stay_together_are_noticed():
    assert pages_of_popular_keys(lambda ranks: ranks) < -4.8916
    assert pages_of_popular_keys(lambda ranks: ranks * 49 % 1_000_000) > 4.8916


@pytest.mark.parametrize("kind", ["uniform", "zipf"])
def test_keys_do_not_depend_on_how_they_are_taken(kind):
    one = KeyStream(stream(1, 0, "keys"), 5000, kind, 0.99).take(150_000)
    other = KeyStream(stream(1, 0, "keys"), 5000, kind, 0.99)
    parts = np.concatenate([other.take(n) for n in (1, 70_000, 0, 79_999)])
    assert (one == parts).all()
    assert one.min() >= 0
    assert one.max() < 5000
