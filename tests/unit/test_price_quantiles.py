"""Quantile tables keep their mean exactly and their quantiles to the picosecond."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.cost import quantiles as q

ps = st.integers(1, 10**9)


@given(mean=ps, ratio=st.floats(0.001, 50))
def test_a_lognormal_keeps_its_mean_exactly(mean, ratio):
    table = q.lognormal(mean, round(mean * ratio))
    assert len(table) == q.KNOTS
    doubled = sum(w * (a + b) for w, (a, b) in zip(q.WEIGHTS, pairwise(table), strict=True))
    assert doubled == 2 * q.WHOLE * mean
    assert all(low <= high for low, high in pairwise(table))
    assert table[0] >= 0


def test_nothing_is_quicker_than_the_least():
    table = q.lognormal(690_000, 1_400_000, 450_000)
    assert table[0] >= 450_000
    assert q.table_mean_ps(table) == 690_000
    with pytest.raises(ValueError, match="below the mean"):
        q.lognormal(5, 1, 5)


def law_of(mean, sd):
    sigma = math.sqrt(math.log1p((sd / mean) ** 2))
    return stats.lognorm(s=sigma, scale=mean / math.exp(sigma**2 / 2))


SHARES = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999, 1 - 2**-24)


@pytest.mark.parametrize("ratio", [0.05, 0.5, 1, 2, 6, 20])
def test_a_lognormal_follows_its_law_to_the_last_percentile(ratio):
    mean = 2_200_000
    table, law = q.lognormal(mean, round(mean * ratio)), law_of(mean, mean * ratio)
    for share in SHARES:
        assert q.table_quantile_ps(table, share) == pytest.approx(law.ppf(share), rel=0.002)


def test_the_comparison_with_the_law_can_fail():
    """Negative control: a table that ends where the mean asks for it, as it once did."""
    mean, sd = 2_200_000, 4_400_000
    knots = [0, *(round(law_of(mean, sd).ppf(k / 256)) for k in range(1, 256))]
    knots.append(512 * mean - 2 * sum(knots))
    table, law = q.explicit(knots), law_of(mean, sd)
    ratios = [q.table_quantile_ps(table, share) / law.ppf(share) for share in (0.999, 0.9999)]
    assert ratios[0] > 1.05
    assert ratios[1] < 0.7


def test_beyond_the_last_inner_knot_the_mean_is_the_laws():
    mean, sd = 2_200_000, 4_400_000
    table, law = q.lognormal(mean, sd), law_of(mean, sd)
    beyond = law.isf((np.arange(100_000) + 0.5) / 100_000 * 2**-24).mean()
    assert (table[-2] + table[-1]) / 2 == pytest.approx(beyond, rel=0.01)


@pytest.mark.parametrize("ratio", [0.1, 1, 2, 6])
def test_the_standard_deviation_is_kept(ratio):
    sd = round(1_000_000 * ratio)
    assert q.table_sd_ps(q.lognormal(1_000_000, sd)) == pytest.approx(sd, rel=0.01)


def test_weights_are_all_of_the_distribution():
    assert len(q.WEIGHTS) == q.KNOTS - 1
    assert sum(q.WEIGHTS) == q.WHOLE
    assert (q.WEIGHTS[0], q.WEIGHTS[-1]) == (2**16, 1)


@given(knots=st.lists(st.integers(0, 10**12), min_size=2, max_size=600))
def test_explicit_quantiles_keep_their_ends_and_order(knots):
    knots.sort()
    table = q.explicit(knots)
    assert len(table) == q.KNOTS
    assert (table[0], table[-1]) == (knots[0], knots[-1])
    assert all(low <= high for low, high in pairwise(table))


def test_257_explicit_quantiles_are_taken_as_they_are():
    knots = [1000 * k * k for k in range(257)]
    table = q.explicit(knots)
    assert [q.table_quantile_ps(table, k / 256) for k in range(257)] == knots
    assert q.table_quantile_ps(table, 255.5 / 256) == 500 * (255**2 + 256**2)  # a straight line


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
