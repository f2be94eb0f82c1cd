"""Time averages of levels, and the cut at the end of warm-up."""

import pytest

from sim.base.errors import InsufficientDataError
from sim.stats.level import Level


def test_a_level_is_weighted_by_time():
    level = Level(0, 2)
    level.set(10, 5)
    level.add(30, -1)
    assert level.area(40) == 2 * 10 + 5 * 20 + 4 * 10
    assert level.mean(40) == 4.0
    assert (level.value, level.minimum, level.maximum) == (4, 2, 5)


def test_warm_up_is_a_cut_in_the_integral():
    level = Level(0, 7)
    level.set(5, 1)
    level.restart(10)
    assert level.value == 1
    level.set(14, 3)
    assert level.mean(20) == (1 * 4 + 3 * 6) / 10
    assert (level.minimum, level.maximum) == (1, 3)


def test_a_level_that_was_passed_through_in_no_time_still_counts_as_an_extreme():
    level = Level(0, 5)
    level.set(3, 0)
    level.set(3, 5)
    assert level.minimum == 0
    assert level.mean(6) == 5.0


def test_the_integral_does_not_overflow():
    level = Level(0, 2**40)
    assert level.area(2**62) == 2**102


def test_time_does_not_go_back():
    level = Level(10, 1)
    with pytest.raises(ValueError, match="time goes back, from 10 to 9 ns"):
        level.set(9, 2)


def test_an_average_over_no_time_is_refused():
    level = Level(10, 1)
    with pytest.raises(InsufficientDataError, match="no time has passed since 10 ns"):
        level.mean(10)
    level.restart(20)
    with pytest.raises(InsufficientDataError, match="no time has passed since 20 ns"):
        level.mean(20)
