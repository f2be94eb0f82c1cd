"""Tolerance bounds against published factors and by hand."""

import math

import numpy as np
import pytest
from scipy import special

from sim.base.errors import InsufficientDataError
from sim.stats.tolerance import (
    normal_bound,
    normal_factor,
    order_bound,
    shapiro_p,
    supported_content,
    upper_bound,
    values_needed,
)


@pytest.mark.parametrize(
    ("n", "content", "factor"),
    [
        (2, 0.90, 20.581),
        (2, 0.99, 37.094),
        (3, 0.95, 7.656),
        (5, 0.99, 5.741),
        (10, 0.90, 2.355),
        (10, 0.95, 2.911),
        (10, 0.99, 3.981),
        (30, 0.99, 3.064),
        (50, 0.99, 2.862),
    ],
)
def test_the_published_factors(n, content, factor):
    """Odeh and Owen (1980), table 1, at 95 % confidence."""
    assert normal_factor(n, content=content, confidence=0.95) == pytest.approx(factor, abs=6e-4)


@pytest.mark.parametrize(
    ("content", "confidence", "n"),
    [(0.99, 0.95, 299), (0.95, 0.95, 59), (0.90, 0.95, 29), (0.90, 0.90, 22), (0.5, 0.5, 1)],
)
def test_the_values_that_their_maximum_needs(content, confidence, n):
    """Wilks (1941)."""
    assert values_needed(content=content, confidence=confidence) == n


def test_the_maximum_of_just_enough_values_is_the_bound():
    bound = order_bound(range(299), content=0.99, confidence=0.95)
    assert bound.bound == 298
    assert bound.method == "order statistic"
    assert str(bound) == "298 (99 % of values, 95 % confidence, n=299, order statistic)"


def test_the_second_largest_does_when_there_are_473_values():
    """P(Binomial(473, 0.99) <= 471) = 0.9502, for 472 it is 0.9498 (the classical 93 for 95 %)."""
    assert order_bound(range(473), content=0.99, confidence=0.95).bound == 471
    assert order_bound(range(472), content=0.99, confidence=0.95).bound == 471
    assert order_bound(range(93), content=0.95, confidence=0.95).bound == 91
    assert order_bound(range(92), content=0.95, confidence=0.95).bound == 91


def test_one_value_bounds_the_median_at_half_confidence():
    assert order_bound([5.0], content=0.5, confidence=0.5).bound == 5


def test_normal_theory_by_hand():
    bound = normal_bound([1.0, 2.0, 3.0], content=0.95, confidence=0.95)
    assert bound.bound == pytest.approx(2 + 7.6559, abs=1e-4)
    assert bound.n == 3


NORMAL = [-1.28, -0.84, -0.52, -0.25, 0.0, 0.25, 0.52, 0.84, 1.28, 1.64]
"""Quantiles of the normal distribution: as normal as ten values get."""


def test_ten_values_support_no_more_than_74_per_cent():
    bound = upper_bound(NORMAL, content=0.99, confidence=0.95)
    assert (bound.method, bound.content, bound.bound) == ("largest value", 0.741, 1.64)
    assert bound.shapiro_p is None


@pytest.mark.parametrize(
    ("n", "confidence", "content"),
    [(1, 0.95, 0.05), (3, 0.95, 0.368), (10, 0.95, 0.741), (298, 0.95, 0.989), (10, 0.8, 0.851)],
)
def test_what_so_many_values_support(n, confidence, content):
    """``(1 - confidence) ** (1 / n)``, rounded down."""
    assert supported_content(n, confidence=confidence) == content
    assert values_needed(content=content, confidence=confidence) <= n


def test_normal_theory_is_used_only_if_it_was_declared():
    bound = upper_bound(NORMAL, content=0.99, confidence=0.95, normal=True)
    assert (bound.method, bound.content) == ("normal theory", 0.99)
    assert bound.shapiro_p > 0.9


def test_order_statistics_are_preferred_once_there_are_enough():
    many = upper_bound([1.0, 2.0] * 150, content=0.99, confidence=0.95, normal=True)
    assert many.method == "order statistic"
    assert many.bound == 2


def test_values_that_are_not_normal_get_what_they_support_whatever_was_declared():
    bound = upper_bound([*NORMAL[:-1], 20.0], content=0.99, confidence=0.95, normal=True)
    assert (bound.method, bound.content, bound.bound) == ("largest value", 0.741, 20.0)
    assert bound.shapiro_p < 0.001


def test_equal_values_are_not_normal():
    """Ten equal values say nothing about the rare one that is not."""
    bound = upper_bound([4.0] * 10, content=0.99, confidence=0.95, normal=True)
    assert (bound.bound, bound.content, bound.shapiro_p) == (4.0, 0.741, 0.0)


def test_thousands_of_values_can_be_tested():
    many = special.ndtri((np.arange(12_000) * 7919 % 12_000 + 0.5) / 12_000)
    assert shapiro_p(many) > 0.05
    assert shapiro_p(many**3) < 1e-6


def test_the_published_shapiro_wilk_test():
    """Shapiro and Wilk (1965), example 3.1: weights of 11 men, W = .79, p below .01."""
    men = [148, 154, 158, 160, 161, 162, 166, 170, 182, 195, 236]
    assert 0.005 < shapiro_p(men) < 0.01
    assert shapiro_p([x * 1e-6 + 1e9 for x in men]) == pytest.approx(shapiro_p(men), rel=0.05)


@pytest.mark.parametrize(
    ("n_whole", "n_cut_off", "rank"),
    [(473, 0, 472), (472, 1, 472), (471, 2, None), (299, 0, 299), (299, 1, None)],
)
def test_values_cut_off_count_as_larger_than_all(n_whole, n_cut_off, rank):
    """The bound is there as long as its rank lies below the first value that was cut off."""
    if rank is None:
        with pytest.raises(InsufficientDataError, match=f"{n_cut_off} of {n_whole + n_cut_off}"):
            upper_bound(range(n_whole), content=0.99, confidence=0.95, n_cut_off=n_cut_off)
    else:
        bound = upper_bound(range(n_whole), content=0.99, confidence=0.95, n_cut_off=n_cut_off)
        assert bound.bound == rank - 1
        assert bound.n == n_whole + n_cut_off


def test_normal_theory_is_not_used_beside_values_cut_off():
    with pytest.raises(InsufficientDataError, match="1 of 11 values were cut off"):
        upper_bound(NORMAL, content=0.99, confidence=0.95, normal=True, n_cut_off=1)


@pytest.mark.parametrize(
    ("bound", "values", "message"),
    [
        (normal_bound, [1.0], "2 replications are needed, got 1"),
        (order_bound, [], "no values"),
        (upper_bound, [], "no values"),
        (upper_bound, [1.0, math.nan], "1 of 2 values are not finite"),
    ],
)
def test_too_little_is_refused(bound, values, message):
    with pytest.raises(InsufficientDataError, match=message):
        bound(values, content=0.99, confidence=0.95)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="content must lie between 0 and 1, got 99"):
        values_needed(content=99, confidence=0.95)
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1, got 0"):
        normal_factor(5, content=0.9, confidence=0)
    with pytest.raises(InsufficientDataError, match="2 values are needed, got 1"):
        normal_factor(1, content=0.9, confidence=0.9)
