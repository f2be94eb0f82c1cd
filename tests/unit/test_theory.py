"""Closed forms for memory, by hand and against enumeration."""

from itertools import product
from math import comb

import numpy as np
import pytest

from sim.stats.theory import (
    cow_copies,
    distinct_pages_written,
    distinct_pages_written_poisson,
    distinct_weighted,
    distinct_weighted_poisson,
    hot_cold_probabilities,
    page_table_pages,
    snapshot_copies,
    snapshot_copies_weighted,
    snapshot_peak_pages,
    zipf_probabilities,
)


@pytest.mark.parametrize(("pages", "writes"), [(1, 3), (2, 1), (2, 3), (3, 4), (5, 2), (4, 0)])
def test_occupancy_equals_counting_all_histories(pages, writes):
    hits = [len(set(history)) for history in product(range(pages), repeat=writes)]
    mean, variance = distinct_pages_written(pages, writes)
    assert mean == pytest.approx(np.mean(hits))
    assert variance == pytest.approx(np.var(hits), abs=1e-12)


def test_the_variance_keeps_its_digits_for_a_million_pages():
    """As in the Poisson limit: n (e^-c - (1 + c) e^-2c) with c writes a page."""
    n, c = 4_000_000, 0.25
    _, variance = distinct_pages_written(n, int(n * c))
    assert variance == pytest.approx(n * (np.exp(-c) - (1 + c) * np.exp(-2 * c)), rel=1e-5)


def test_weighted_pages_equal_counting_all_histories():
    chances = [0.5, 0.3, 0.2]
    expected = 0.0
    for history in product(range(3), repeat=3):
        expected += len(set(history)) * np.prod([chances[page] for page in history])
    assert distinct_weighted(chances, 3) == pytest.approx(expected)
    assert distinct_weighted(chances, 0) == 0
    assert distinct_weighted([1.0], 5) == 1


def test_even_weights_are_uniform():
    even = np.full(50, 1 / 50)
    assert distinct_weighted(even, 40) == pytest.approx(distinct_pages_written(50, 40)[0])
    assert distinct_weighted_poisson(even, 40) == pytest.approx(
        distinct_pages_written_poisson(50, 40)
    )


def test_a_poisson_number_of_writes_is_a_mixture():
    n, mean_writes = 7, 5.0
    chance, mean, square = np.exp(-mean_writes), 0.0, 0.0
    for writes in range(200):
        m, v = distinct_pages_written(n, writes)
        mean, square = mean + chance * m, square + chance * (v + m * m)
        chance *= mean_writes / (writes + 1)
    assert distinct_pages_written_poisson(n, mean_writes) == pytest.approx((mean, square - mean**2))


def test_zipf_and_hot_cold_weights():
    assert zipf_probabilities(4, 0.0).tolist() == [0.25] * 4
    assert zipf_probabilities(3, 1.0) == pytest.approx([6 / 11, 3 / 11, 2 / 11])
    assert hot_cold_probabilities(10, 0.2, 0.8) == pytest.approx([0.4] * 2 + [0.025] * 8)
    assert hot_cold_probabilities(10, 0.0, 0.8) == pytest.approx([0.1] * 10)
    assert hot_cold_probabilities(10, 1.0, 0.8) == pytest.approx([0.1] * 10)


@pytest.mark.parametrize(
    ("sharers", "writers", "copies"),
    [(1, 0, 0), (1, 1, 0), (2, 0, 0), (2, 1, 1), (2, 2, 1), (5, 4, 4), (5, 5, 4), (0, 0, 0)],
)
def test_the_last_owner_copies_nothing(sharers, writers, copies):
    assert cow_copies(sharers, writers) == copies


@pytest.mark.parametrize(
    ("pages", "tables"),
    [
        (0, 0),
        (1, 4),
        (512, 4),
        (513, 5),
        (2**18, 512 + 1 + 1 + 1),  # 1 GiB
        (2**20, 2048 + 4 + 1 + 1),  # 4 GiB
        (2**27, 2**18 + 512 + 1 + 1),  # 512 GiB
    ],
)
def test_page_tables_have_four_levels(pages, tables):
    assert page_table_pages(pages) == tables


def test_giving_back_spares_half_of_few_writes_and_bounds_many():
    assert snapshot_copies(10**6, 1000, gives_back=False) == pytest.approx(1000, rel=1e-3)
    assert snapshot_copies(10**6, 1000, gives_back=True) == pytest.approx(500, rel=1e-3)
    assert snapshot_copies(1000, 10**7, gives_back=True) == pytest.approx(1000, rel=1e-3)
    assert snapshot_copies(1000, 0, gives_back=True) == 0
    assert snapshot_peak_pages(1000, 0, gives_back=True) == 0


@pytest.mark.parametrize("a", [0.9999e-4, 1.0001e-4])
def test_the_series_meets_the_formula(a):
    assert snapshot_copies(1000, 1000 * a, gives_back=True) == pytest.approx(
        1000 * (a / 2 - a * a / 6 + a**3 / 24), rel=1e-9
    )


@pytest.mark.parametrize("a", [0.5e-6, 2e-6, 1e-3, 0.1, 1.0, 10.0, 1000.0])
def test_the_peak_is_where_a_fine_grid_finds_it(a):
    share = np.linspace(0, 1, 200_001)
    held = 1000 * (1 - share) * -np.expm1(-a * share)
    assert snapshot_peak_pages(1000, 1000 * a, gives_back=True) == pytest.approx(
        held.max(), rel=1e-5
    )


def test_even_weights_give_the_uniform_snapshot():
    even = np.full(1000, 1 / 1000)
    for back in (False, True):
        uniform = snapshot_copies(1000, 800, gives_back=back)
        assert snapshot_copies_weighted(even, 800, gives_back=back) == pytest.approx(uniform, abs=1)


def test_hot_pages_that_are_saved_first_are_hardly_copied():
    chances = hot_cold_probabilities(1000, 0.1, 0.9)
    first = snapshot_copies_weighted(chances, 2000, gives_back=True)
    last = snapshot_copies_weighted(chances[::-1], 2000, gives_back=True)
    kept = snapshot_copies_weighted(chances, 2000, gives_back=False)
    assert first < last < kept
    assert kept == pytest.approx(distinct_weighted_poisson(chances, 2000)[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: distinct_pages_written(0, 1), "pages must be >= 1, got 0"),
        (lambda: distinct_pages_written(1, -1), "writes must be >= 0, got -1"),
        (lambda: distinct_pages_written_poisson(1, float("nan")), "writes must be >= 0, got nan"),
        (lambda: distinct_weighted([0.5, 0.4], 1), "probabilities must add to 1, got 0.9"),
        (lambda: distinct_weighted([1.5, -0.5], 1), "must be a list of finite numbers >= 0"),
        (lambda: distinct_weighted_poisson([[1.0]], 1), "must be a list of finite numbers >= 0"),
        (lambda: zipf_probabilities(3, -1), "exponent must be >= 0, got -1"),
        (lambda: hot_cold_probabilities(3, 2, 0), "hot_fraction must be in 0 .. 1, got 2"),
        (lambda: hot_cold_probabilities(3, 0, 2), "hot_share must be in 0 .. 1, got 2"),
        (lambda: cow_copies(2, 3), "writers must be in 0 .. 2, got 3"),
        (lambda: page_table_pages(-1), "pages must be >= 0, got -1"),
    ],
)
def test_misuse_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_poisson_hits_are_binomial_when_uniform():
    n, mean_writes = 6, 4.0
    hit = 1 - np.exp(-mean_writes / n)
    chances = [comb(n, k) * hit**k * (1 - hit) ** (n - k) for k in range(n + 1)]
    mean = sum(k * p for k, p in enumerate(chances))
    assert distinct_pages_written_poisson(n, mean_writes)[0] == pytest.approx(mean)
