"""What is stated about a number: quantiles agree with the distribution, mistakes are told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.samples import sample

from sim.stats.laws import empirical, fitted, inner_ranks, named

U = (np.arange(4_000) + 0.5) / 4_000


def values_of(law):
    return np.array([law.quantile(float(u)) for u in U])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("norm", {"loc": 5.0, "scale": 2.0}), ("lognorm", {"s": 0.4, "scale": 200.0}),
     ("gamma", {"a": 3.0}), ("uniform", {"loc": 1.0, "scale": 3.0}),
     ("beta", {"a": 2.0, "b": 5.0})],
)  # fmt: skip
def test_a_named_distribution_has_the_moments_of_scipy(name, parameters):
    values = values_of(named(name, parameters))
    truth = getattr(stats, name)(**parameters)
    assert values.mean() == pytest.approx(truth.mean(), rel=2e-3)
    assert values.std() == pytest.approx(truth.std(), rel=1e-2)


@settings(max_examples=sample(40, 300), deadline=None)
@given(st.floats(-2, 2), st.floats(0.01, 3), st.floats(0, 0.999999))
def test_a_cut_distribution_lies_in_its_range(low, width, u):
    value = named("norm", {}, low, low + width).quantile(u)
    assert low <= value <= low + width


def test_a_cut_keeps_the_shape():
    values = values_of(named("norm", {"loc": 1.0}, 0.0, 3.0))
    truth = stats.truncnorm(-1, 2, loc=1.0)
    assert np.max(np.abs(values - truth.ppf(U))) < 1e-6


def test_data_are_drawn_as_often_as_they_are():
    values = values_of(empirical([1.0, 1.0, 2.0, 7.0]))
    assert {v: int(np.sum(values == v)) for v in (1.0, 2.0, 7.0)} == {
        1.0: 2000,
        2.0: 1000,
        7.0: 1000,
    }


def test_a_fit_finds_the_parameters_it_was_drawn_from():
    drawn = stats.lognorm(0.3, scale=200).rvs(2_000, random_state=1)
    law = fitted("lognorm", [float(v) for v in drawn])
    for u in (0.05, 0.5, 0.95):
        assert law.quantile(u) == pytest.approx(stats.lognorm(0.3, scale=200).ppf(u), rel=0.03)
    assert "fitted to 2000 values" in law.words


def test_a_bad_fit_says_how_bad():
    drawn = [1.0] * 50 + [100.0] * 50 + [1.1]
    good = stats.norm(50, 5).rvs(100, random_state=1)
    far = [float(fitted("norm", list(map(float, v))).words.split("distance ")[1][:4])
           for v in (drawn, good)]  # fmt: skip
    assert far[0] > 0.3 > 0.1 > far[1]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: named("lognormal", {}), "no continuous distribution 'lognormal'; e.g. `norm`"),
        (lambda: named("poisson", {"mu": 1.0}), "no continuous distribution 'poisson'"),
        (lambda: named("__class__", {}), "no continuous distribution '__class__'"),
        (lambda: named("lognorm", {}), "lognorm lacks s; it has s, loc, scale"),
        (lambda: named("norm", {"s": 1.0}), "norm has no parameter 's'; it has loc, scale"),
        (lambda: named("norm", {"scale": -1.0}), "has nothing in the range; change one"),
        (lambda: named("norm", {}, 90.0), "has nothing in the range; change one"),
        (lambda: empirical([]), "there are no values; write one at least"),
        (lambda: fitted("norm", [1.0, 2.0]), "2 values are too few for a fit; give 5"),
        (lambda: fitted("norm", [1.0] * 9), "all values are the same; leave out `fit`"),
    ],
)
def test_what_is_no_distribution_is_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()


@pytest.mark.parametrize("n", [2, 10, 46, 60, 200, 1000])
def test_the_inner_values_hold_their_share_as_often_as_is_claimed(n):
    """Exact: the share between two order statistics has a Beta distribution (Wilks 1941)."""
    out, content = inner_ranks(n, content=0.9, confidence=0.95)
    holds = stats.beta(n - 1 - 2 * out, 2 + 2 * out).sf(content)
    assert holds >= 0.95 - 1e-9
    if content == 0.9:
        one_more = stats.beta(n - 3 - 2 * out, 4 + 2 * out).sf(content)
        assert one_more < 0.95  # and no more could be left out
    else:
        assert holds == pytest.approx(0.95)


def test_plain_quantiles_hold_their_share_too_seldom():
    """Negative control: the middle 90 % of 200 draws are 90 % of all in half of the cases."""
    assert stats.beta(200 - 1 - 20, 2 + 20).sf(0.9) < 0.6


def test_a_toy_with_a_known_truth_is_covered():
    """An answer of two inputs and chance: 90 % of what was stated, from 200 draws of all three."""
    random = np.random.default_rng(7)
    a, b = named("lognorm", {"s": 0.3}), empirical([1.0, 2.0, 2.0, 5.0])
    many = np.sort(_toy(a, b, random, 200_000))
    out, content = inner_ranks(200, content=0.9, confidence=0.95)
    held = 0
    for _ in range(400):
        few = np.sort(_toy(a, b, random, 200))
        low, high = few[out], few[-1 - out]
        share = np.searchsorted(many, high, "right") - np.searchsorted(many, low, "left")
        held += share / len(many) >= content
    assert held >= 372  # 93 %; .95 of 400 is 380, and 372 two standard errors below


def _toy(a, b, random, n):
    u = random.random((n, 2))
    x = stats.lognorm(0.3).ppf(u[:, 0])
    assert x[0] == pytest.approx(a.quantile(float(u[0, 0])))
    y = np.array([1.0, 2.0, 2.0, 5.0])[(u[:, 1] * 4).astype(int)]
    assert y[0] == b.quantile(float(u[0, 1]))
    return x * y + random.normal(0, 0.1, n)
