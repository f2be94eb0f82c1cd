"""Exact limits of probabilities, what a count refutes, and how rare events are written."""

import pytest
from scipy import stats

from sim.base.errors import InsufficientDataError
from sim.stats.proportion import (
    exact_limits,
    format_percent,
    level_of_a_look,
    refuting_count,
    share_noticed,
)


def test_the_published_example():
    """Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 5.

    His intervals are two-sided at 95 %: each end is a limit at 97.5 %.
    """
    for events, trials, ends in (
        (81, 263, (0.2527, 0.3676)),
        (15, 148, (0.0578, 0.1617)),
        (0, 20, (0.0, 0.1684)),
        (1, 29, (0.0009, 0.1776)),
    ):
        limits = exact_limits(events, trials, confidence=0.975)
        assert (limits.low, limits.high) == pytest.approx(ends, abs=5e-5)


@pytest.mark.parametrize(("events", "trials"), [(0, 1), (0, 10), (3, 10), (10, 10), (7, 1000)])
def test_the_limits_are_those_of_scipy(events, trials):
    """`scipy.stats.binomtest`, one-sided, with the method `exact`."""
    limits = exact_limits(events, trials)
    less = stats.binomtest(events, trials, alternative="less").proportion_ci(0.95, "exact")
    greater = stats.binomtest(events, trials, alternative="greater").proportion_ci(0.95, "exact")
    assert limits.high == pytest.approx(less.high, rel=1e-9)
    assert limits.low == pytest.approx(greater.low, rel=1e-9)


@pytest.mark.parametrize(
    ("events", "trials", "text"),
    [
        (0, 1, "0 of 1 (at most 95.0 % at 95 %)"),
        (0, 11, "0 of 11 (at most 23.9 % at 95 %)"),
        (11, 11, "11 of 11 (at least 76.1 % at 95 %)"),
        (1, 1, "1 of 1 (at least 5.0 % at 95 %)"),
        (1, 20, "1 of 20 (0.25 % to 21.7 %, each limit at 95 %)"),
        (0, 1_000_000, "0 of 1000000 (at most 0.00030 % at 95 %)"),
        (1_000_000, 1_000_000, "1000000 of 1000000 (at least 99.99970 % at 95 %)"),
        (1, 1_000_000, "1 of 1000000 (0.0000051 % to 0.00048 %, each limit at 95 %)"),
    ],
)
def test_an_interval_is_never_written_as_nought_or_all(events, trials, text):
    assert str(exact_limits(events, trials)) == text


def test_results_that_decide_on_more_trials_cost_confidence():
    assert exact_limits(0, 1, looks=2).high == pytest.approx(0.975)
    assert str(exact_limits(0, 10, looks=2)) == "0 of 10 (at most 30.9 % at 95 %)"
    assert level_of_a_look(0.95, 1) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("trials", "share", "count"),
    [(10, 0.01, 2), (5, 0.01, 1), (6, 0.01, 2), (59, 0.01, 3), (10, 0.259, 6), (10, 0.95, 11)],
)
def test_the_count_that_refutes_is_rarer_than_one_in_twenty_if_the_claim_holds(
    trials, share, count
):
    assert refuting_count(trials, share) == count
    chance = stats.binom.sf([count - 2, count - 1], trials, share)
    assert chance[0] > 0.05 >= chance[1]


@pytest.mark.parametrize(("trials", "count"), [(10, 2), (10, 10), (1, 1), (300, 7)])
def test_what_is_noticed_is_noticed_with_the_stated_power(trials, count):
    share = share_noticed(trials, count)
    assert stats.binom.sf(count - 1, trials, share) == pytest.approx(0.8)


def test_a_percentage_keeps_the_digits_that_matter():
    assert format_percent(0.5) == "50.0 %"
    assert format_percent(0.0123) == "1.2 %"
    assert format_percent(0.00123) == "0.12 %"
    assert format_percent(0.999) == "99.90 %"
    assert format_percent(0.0) == "0 %"
    assert format_percent(1.0) == "100 %"


def test_misuse_is_refused():
    with pytest.raises(InsufficientDataError, match="no trials"):
        exact_limits(0, 0)
    with pytest.raises(ValueError, match=r"events must be in 0 .. 3, got 4"):
        exact_limits(4, 3)
    with pytest.raises(ValueError, match=r"events must be in 0 .. 3, got -1"):
        exact_limits(-1, 3)
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        exact_limits(1, 3, confidence=1.0)
    with pytest.raises(ValueError, match="looks must be >= 1, got 0"):
        exact_limits(1, 3, looks=0)
    with pytest.raises(InsufficientDataError, match="nothing can be refuted"):
        refuting_count(0, 0.1)
    with pytest.raises(ValueError, match=r"count must be in 1 .. 3, got 4"):
        share_noticed(3, 4)
