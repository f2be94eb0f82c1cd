"""Wilson intervals, and how rare events are written."""

import pytest

from sim.errors import InsufficientDataError
from sim.stats.proportion import format_percent, trials_needed, wilson


def test_the_published_example():
    """Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3."""
    assert (wilson(81, 263).low, wilson(81, 263).high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert (wilson(15, 148).low, wilson(15, 148).high) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert (wilson(0, 20).low, wilson(0, 20).high) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert (wilson(1, 29).low, wilson(1, 29).high) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@pytest.mark.parametrize(
    ("events", "trials", "text"),
    [
        (0, 11, "0 of 11 (below 25.9 % at 95 %)"),
        (11, 11, "11 of 11 (above 74.1 % at 95 %)"),
        (1, 1, "1 of 1 (above 20.7 % at 95 %)"),
        (1, 20, "1 of 20 (0.89 % to 23.6 % at 95 %)"),
        (0, 1_000_000, "0 of 1000000 (below 0.00038 % at 95 %)"),
        (1_000_000, 1_000_000, "1000000 of 1000000 (above 99.99962 % at 95 %)"),
        (1, 1_000_000, "1 of 1000000 (0.000018 % to 0.00057 % at 95 %)"),
    ],
)
def test_an_interval_is_never_written_as_nought_or_all(events, trials, text):
    assert str(wilson(events, trials)) == text


def test_the_bound_for_zero_events_gives_the_trials_needed():
    for limit in (0.5, 0.259, 0.05, 0.01, 0.001):
        n = trials_needed(limit)
        assert wilson(0, n).high <= limit < wilson(0, n - 1).high


def test_a_percentage_keeps_the_digits_that_matter():
    assert format_percent(0.5) == "50.0 %"
    assert format_percent(0.0123) == "1.2 %"
    assert format_percent(0.00123) == "0.12 %"
    assert format_percent(0.999) == "99.90 %"
    assert format_percent(0.0) == "0 %"
    assert format_percent(1.0) == "100 %"


def test_misuse_is_refused():
    with pytest.raises(InsufficientDataError, match="no trials"):
        wilson(0, 0)
    with pytest.raises(ValueError, match=r"events must be in 0 .. 3, got 4"):
        wilson(4, 3)
    with pytest.raises(ValueError, match=r"events must be in 0 .. 3, got -1"):
        wilson(-1, 3)
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        wilson(1, 3, confidence=1.0)
    with pytest.raises(ValueError, match="limit must lie between 0 and 1"):
        trials_needed(0)
