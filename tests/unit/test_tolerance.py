"""Tolerance bounds against published factors and by hand."""

import math

import pytest

from sim.errors import InsufficientDataError
from sim.stats.tolerance import (
    normal_bound,
    normal_factor,
    order_bound,
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
    assert (bound.n, bound.n_needed) == (3, 59)


def test_order_statistics_are_preferred_once_there_are_enough():
    few = upper_bound([1.0, 2.0] * 10, content=0.99, confidence=0.95)
    many = upper_bound([1.0, 2.0] * 150, content=0.99, confidence=0.95)
    assert (few.method, many.method) == ("normal theory", "order statistic")
    assert "normal theory: 299 needed without it" in str(few)
    assert many.bound == 2


def test_equal_values_are_their_own_bound():
    assert upper_bound([4.0] * 5, content=0.99, confidence=0.95).bound == 4


@pytest.mark.parametrize(
    ("bound", "values", "message"),
    [
        (order_bound, [1.0] * 298, "299 values are needed .* got 298"),
        (normal_bound, [1.0], "2 replications are needed, got 1"),
        (upper_bound, [], "2 replications are needed, got 0"),
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
