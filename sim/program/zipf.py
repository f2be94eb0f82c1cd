"""Which key a request is for: popularity by rank, and where the ranks lie.

Keys are numbered from 0 in the order in which they were stored.  Popular keys are
scattered over all of them by a fixed permutation, as hashing does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

KeyDistribution = Literal["uniform", "zipf"]

BLOCK: Final = 65_536
"""How many keys are drawn at a time; what is drawn does not depend on how it is asked for."""

_ROUNDS: Final = 4
_MIX: Final = (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F)
"""Odd multipliers from the finalisers of xxHash and MurmurHash3, one a round."""


class ZipfRanks:
    """Ranks 1 .. `n`, rank k with probability proportional to ``k ** -exponent``.

    Exact, for any exponent >= 0, by rejection-inversion: W. Hoermann and G. Derflinger
    (1996), Rejection-inversion to generate variates from monotone discrete distributions,
    ACM TOMACS 6(3).  Needs no table; fewer than 1.2 candidates a rank for usual exponents.
    """

    def __init__(self, n: int, exponent: float) -> None:
        if n < 1:
            raise ValueError(f"n must be >= 1, got {n}")
        if not 0.0 <= exponent <= 20.0:
            raise ValueError(f"exponent must be in [0, 20], got {exponent}")
        self._n = n
        self._exponent = exponent
        first, last, at_two = self._integral(np.array([1.5, n + 0.5, 2.5]))
        self._low = first - 1.0
        self._high = last
        two = np.array([2.0])
        self._sure = 2.0 - float(self._inverse(np.array([at_two]) - self._density(two))[0])

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Return `count` ranks, shape ``(count,)``."""
        ranks = np.empty(count, np.int64)
        filled = 0
        while filled < count:
            missing = count - filled
            drawn = self._low + rng.random(missing) * (self._high - self._low)
            x = self._inverse(drawn)
            k = np.clip(np.rint(x), 1.0, float(self._n))
            good = k - x <= self._sure
            unsure = np.flatnonzero(~good)
            if unsure.size:
                at = k[unsure]
                good[unsure] = drawn[unsure] >= self._integral(at + 0.5) - self._density(at)
            accepted = k[good]
            ranks[filled : filled + accepted.size] = accepted
            filled += accepted.size
        return ranks

    def _density(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(-self._exponent * np.log(x))

    def _integral(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Antiderivative of the density that is 0 at 1: (x**(1-s) - 1) / (1-s), or log x."""
        log_x = np.log(x)
        power = 1.0 - self._exponent
        if abs(power) < 1e-12:
            return log_x
        return np.expm1(power * log_x) / power

    def _inverse(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        power = 1.0 - self._exponent
        if abs(power) < 1e-12:
            return np.exp(y)
        return np.exp(np.log1p(np.maximum(power * y, -1.0 + 1e-15)) / power)


class Scatter:
    """A fixed permutation of 0 .. `n` - 1 that looks like a random one.

    A four-round unbalanced Feistel network on the smallest power of two that holds `n`;
    numbers that land outside are sent through again (cycle walking), so it stays a
    permutation.  It takes no memory, where a table of 10**8 keys would take 800 MB.
    """

    def __init__(self, n: int) -> None:
        if not 1 <= n <= 2**48:
            raise ValueError(f"n must be in 1 .. 2**48, got {n}")
        self._n = n
        bits = max(2, (n - 1).bit_length())
        self._low_bits = bits // 2
        self._high_bits = bits - self._low_bits

    def __call__(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where each of `numbers` (in 0 .. n - 1) goes; same shape."""
        placed = self._permute(numbers)
        outside = np.flatnonzero(placed >= self._n)
        while outside.size:
            again = self._permute(placed[outside])
            placed[outside] = again
            outside = outside[again >= self._n]
        return placed

    def _permute(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        low_mask = (1 << self._low_bits) - 1
        high_mask = (1 << self._high_bits) - 1
        low = numbers & low_mask
        high = numbers >> self._low_bits
        for round_number in range(_ROUNDS):
            if round_number % 2:
                low = low ^ (_mix(high, round_number) & low_mask)
            else:
                high = high ^ (_mix(low, round_number) & high_mask)
        return (high << self._low_bits) | low


class KeyStream:
    """An endless sequence of keys 0 .. `n` - 1, drawn block by block."""

    def __init__(
        self, rng: np.random.Generator, n: int, kind: KeyDistribution, exponent: float
    ) -> None:
        self._draw = _drawer(rng, n, kind, exponent)
        self._rest: NDArray[np.int64] = np.empty(0, np.int64)

    def take(self, count: int) -> NDArray[np.int64]:
        """Return the next `count` keys."""
        parts = [self._rest]
        have = self._rest.size
        while have < count:
            block = self._draw()
            parts.append(block)
            have += block.size
        keys = np.concatenate(parts)
        self._rest = keys[count:]
        return keys[:count]


def zipf_shares(n: int, exponent: float) -> NDArray[np.float64]:
    """Return the probability of each rank 1 .. `n`; shape ``(n,)``."""
    weights = np.arange(1, n + 1, dtype=np.float64) ** -exponent
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def _drawer(
    rng: np.random.Generator, n: int, kind: KeyDistribution, exponent: float
) -> Callable[[], NDArray[np.int64]]:
    if kind == "uniform":
        return lambda: rng.integers(0, n, BLOCK)
    ranks = ZipfRanks(n, exponent)
    scatter = Scatter(n)
    return lambda: scatter(ranks.draw(rng, BLOCK) - 1)


def _mix(values: NDArray[np.int64], round_number: int) -> NDArray[np.int64]:
    """Return a hash of each value below 2**24, in its low 31 bits."""
    mixed = ((values + round_number + 1) * _MIX[round_number]) & (2**55 - 1)
    mixed ^= mixed >> 15
    mixed = ((mixed & (2**30 - 1)) * _MIX[(round_number + 1) % _ROUNDS]) >> 16
    return mixed & (2**31 - 1)
