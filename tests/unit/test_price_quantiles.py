"""Quantile tables keep their mean exactly and their quantiles to the picosecond."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost import quantiles as q

ps = st.integers(1, 10**9)


@given(mean=ps, ratio=st.floats(0.001, 50))
def test_a_lognormal_keeps_its_mean_exactly(mean, ratio):
    table = q.lognormal(mean, round(mean * ratio))
    assert len(table) == q.KNOTS
    assert 2 * sum(table) - table[0] - table[-1] == 2 * q.PIECES * mean
    assert all(low <= high for low, high in pairwise(table))
    assert table[0] >= 0


def test_nothing_is_quicker_than_the_least():
    table = q.lognormal(690_000, 1_400_000, 450_000)
    assert table[0] >= 450_000
    assert q.table_mean_ps(table) == 690_000
    with pytest.raises(ValueError, match="below the mean"):
        q.lognormal(5, 1, 5)


def test_inner_knots_are_the_true_quantiles():
    scipy_stats = pytest.importorskip("scipy.stats")
    mean, sd = 2_200_000, 6_600_000
    sigma = math.sqrt(math.log1p((sd / mean) ** 2))
    true = scipy_stats.lognorm(s=sigma, scale=mean / math.exp(sigma**2 / 2))
    table = q.lognormal(mean, sd)
    for k in (1, 64, 128, 192, 255):
        assert table[k] == pytest.approx(true.ppf(k / 256), abs=1)


def test_the_standard_deviation_of_a_light_tail_is_kept():
    assert q.table_sd_ps(q.lognormal(1_000_000, 200_000)) == pytest.approx(200_000, rel=0.01)


def test_the_standard_deviation_of_a_heavy_tail_is_cut():
    assert q.table_sd_ps(q.lognormal(2_200_000, 50_000_000)) < 30_000_000


@given(knots=st.lists(st.integers(0, 10**12), min_size=2, max_size=600))
def test_explicit_quantiles_keep_their_ends_and_order(knots):
    knots.sort()
    table = q.explicit(knots)
    assert len(table) == q.KNOTS
    assert (table[0], table[-1]) == (knots[0], knots[-1])
    assert all(low <= high for low, high in pairwise(table))


def test_257_explicit_quantiles_are_taken_as_they_are():
    knots = [k * k for k in range(257)]
    assert q.explicit(knots) == tuple(knots)


def test_a_constant_is_flat():
    assert set(q.constant(42)) == {42}
    assert q.table_mean_ps(q.constant(42)) == 42
    assert q.table_sd_ps(q.constant(42)) == 0


def test_a_quantile_is_interpolated():
    table = q.explicit([0, 256_000])
    assert q.table_quantile_ps(table, 0.5) == 128_000
    assert q.table_quantile_ps(table, 1.0) == 256_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [("850 ns", 850_000), ("37.5ns", 37_500), ("1.5 us", 1_500_000), ("2 ms", 2 * 10**9),
     ("1 ps", 1), ("0 ns", 0), (3, 3_000), (0.25, 250), ("1e3 ns", 10**6), ("2 µs", 2 * 10**6)],
)  # fmt: skip
def test_prices_are_read_to_the_picosecond(text, expected):
    assert q.parse_ps(text) == expected


@pytest.mark.parametrize(
    "bad",
    ["850", "ns", "-1 ns", "1 parsec", True, None, [1], math.nan, math.inf, -1, "12 d", 1e300],
)
def test_what_is_not_a_price_is_refused_with_a_remedy(bad):
    with pytest.raises(ValueError, match="price"):
        q.parse_ps(bad)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: q.lognormal(0, 5), "positive mean"),
        (lambda: q.lognormal(-1, 0), ">= 0"),
        (lambda: q.lognormal(1, 2000), "1000 times"),
        (lambda: q.explicit([1]), "at least two"),
        (lambda: q.explicit([2, 1]), "decrease"),
        (lambda: q.explicit([-1, 1]), "lie in"),
        (lambda: q.constant(-1), "lie in"),
        (lambda: q.table_quantile_ps(q.constant(1), 2), "share"),
    ],
)
def test_impossible_tables_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
