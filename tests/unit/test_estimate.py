"""Means and paired differences with their intervals."""

import math

import pytest

from sim.base.errors import InsufficientDataError
from sim.stats.estimate import Estimate, mean_over_replications, paired


def test_a_mean_and_its_interval():
    """By hand: mean 3, standard deviation sqrt(2.5), t(0.975, 4) = 2.776445."""
    estimate = mean_over_replications([1, 2, 3, 4, 5])
    assert estimate.mean == 3
    assert estimate.half_width == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)
    assert (estimate.n, estimate.confidence) == (5, 0.95)
    assert estimate.low == estimate.mean - estimate.half_width
    assert estimate.high == estimate.mean + estimate.half_width


def test_the_level_widens_the_interval():
    values = [1.0, 2.0, 4.0]
    narrow, wide = (mean_over_replications(values, confidence=c) for c in (0.9, 0.99))
    assert narrow.half_width < wide.half_width


def test_equal_values_have_no_spread():
    assert mean_over_replications([7, 7, 7]).half_width == 0


LUCK = [20.0, 0.0, 30.0, 10.0]
"""In no order: pairs that were sorted, or shifted, would show."""


def test_a_paired_difference_ignores_what_the_pairs_share():
    pairs = paired(dict(enumerate(x + 1 for x in LUCK)), dict(enumerate(LUCK)))
    assert list(pairs) == [1.0] * 4


def test_pairs_are_made_by_the_number_of_the_replication():
    """By place, the loss of replication 0 would pair each value with its neighbour's luck."""
    control = dict(enumerate(LUCK))
    del control[0]
    pairs = paired(dict(enumerate(x + 1 for x in LUCK)), control)
    assert list(pairs) == [1.0] * 3


def test_pairs_keep_their_own_differences():
    """Both sides sorted would give 0 three times."""
    pairs = paired({0: 1.0, 1: 2.0, 2: 3.0}, {0: 3.0, 1: 1.0, 2: 2.0})
    assert list(pairs) == [-2.0, 1.0, 1.0]


def test_the_order_in_which_runs_came_in_does_not_pair_them():
    pairs = paired({2: 7.0, 0: 5.0}, {0: 1.0, 2: 2.0})
    assert list(pairs) == [4.0, 5.0]


def test_replications_that_only_one_side_has_make_no_pair():
    assert not len(paired({0: 1.0, 1: 2.0}, {2: 1.0}))
    assert not len(paired({0: 1.0}, {}))
    with pytest.raises(InsufficientDataError, match="not finite"):
        paired({0: math.nan}, {0: 1.0})


def test_an_estimate_prints_its_level_and_n():
    assert str(Estimate(-1.52, 0.04, 0.95, 30)) == "-1.52 ± 0.04 (95 % CI, n=30)"
    assert str(Estimate(123456.7, 89.1, 0.999, 3)) == "1.235e+05 ± 89 (99.9 % CI, n=3)"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "2 replications are needed, got 0"),
        ([1.0], "2 replications are needed, got 1"),
        ([1.0, math.nan, 2.0], "1 of 3 values are not finite"),
        ([math.inf, 1.0], "1 of 2 values are not finite"),
    ],
)
def test_too_little_is_refused(values, message):
    with pytest.raises(InsufficientDataError, match=message):
        mean_over_replications(values)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1, got 95"):
        mean_over_replications([1, 2], confidence=95)
    with pytest.raises(ValueError, match="one value per replication"):
        mean_over_replications([[1, 2], [3, 4]])
