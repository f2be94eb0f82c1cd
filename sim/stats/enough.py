"""How many values a percentile needs before it is worth printing."""

from typing import Final

VALUES_BEYOND: Final = 5
"""Values that must be expected beyond a percentile."""


def percentile_needs(percent: float) -> int:
    """Return how many independent values the percentile `percent` needs: 5 / (1 - percent / 100).

    With fewer, fewer than five are expected beyond it, and what is printed is one of the few
    largest values that chance has brought.  The usual rule for a share of n values, n p >= 5.

    Successive requests within a run are not independent: there the figure is a least number.

    >>> [percentile_needs(percent) for percent in (50, 90, 99, 99.9)]
    [10, 50, 500, 5000]

    Raises `ValueError` for a `percent` outside [0, 100).
    """
    if not 0 <= percent < 100:
        raise ValueError(f"percent must lie in [0, 100), got {percent}")
    beyond = 100_000_000 - round(percent * 1_000_000)  # millionths: 99.9 has no binary fraction
    return -(-VALUES_BEYOND * 100_000_000 // beyond)


BULK: Final = 99
"""Up to this percentile values within a run count one by one."""


def independent_values(percent: float, count: int, forks: int) -> int:
    """Return how many independent values tell the percentile `percent` of `count` requests.

    Beyond p99 these are the forks, if there are any: the slowest requests of a run are those that
    one fork has delayed, however many they are.

    >>> [independent_values(percent, 36_000, forks=1) for percent in (50, 99, 99.9)]
    [36000, 36000, 1]
    """
    return min(count, forks) if percent > BULK and forks else count


def enough_for(percent: float, count: int) -> bool:
    """Whether `count` independent values are enough for the percentile `percent`.

    >>> enough_for(99.9, 4999), enough_for(99.9, 5000)
    (False, True)
    """
    return count >= percentile_needs(percent)
