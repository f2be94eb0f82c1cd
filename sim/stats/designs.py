"""Designs of experiments, in the unit cube: what is spread how, which effects stand apart.

A Latin hypercube cuts each axis into as many strata as it has points, with a point in each (McKay,
Beckman and Conover 1979); a Sobol' sequence fills boxes evenly too (Owen's scrambling).  Neither is
a random sample: means over their points are closer than those of one, and no share of their points
is a probability.  Both are SciPy's (`scipy.stats.qmc`).

A two-level factorial runs every combination of a low and a high level; a fraction of it has a
column for each further factor that is a product of others (Box, Hunter and Hunter, Statistics for
Experimenters, 12).  The resolution is the length of the shortest such product: with 5, main effects
and two-factor interactions stand apart; with 4, interactions share columns.
"""

from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from operator import xor
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST_SOBOL_AXES: Final = 21_201
"""Dimensions that SciPy has direction numbers for."""
BEST_RESOLUTION: Final = 5
WORST_RESOLUTION: Final = 3


def latin_hypercube(n: int, axes: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return `n` points in the unit cube, shape ``(n, axes)``, one in each n-th of each axis."""
    from scipy.stats import qmc

    return qmc.LatinHypercube(axes, rng=random).random(n)


def sobol(n: int, axes: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the first `n` points, a power of 2, of a scrambled Sobol' sequence, ``(n, axes)``."""
    from scipy.stats import qmc

    return qmc.Sobol(axes, rng=random).random_base2(n.bit_length() - 1)


@dataclass(frozen=True, slots=True)
class Factorial:
    """A two-level design: `high` tells where each factor is high, shape ``(n, factors)``.

    `words` has for each factor the basic columns that its own is the product of, as bits.
    """

    high: NDArray[np.bool_]
    words: tuple[int, ...]

    @property
    def resolution(self) -> int | None:
        """How many factors the shortest product has that is the same at every point."""
        for length in range(WORST_RESOLUTION, BEST_RESOLUTION):
            for chosen in combinations(self.words, length):
                if reduce(xor, chosen) == 0:
                    return length
        full = 1 << len(self.words) == len(self.high)
        return None if full else BEST_RESOLUTION

    def aliases(self) -> list[tuple[tuple[int, ...], ...]]:
        """Return main effects and two-factor interactions; what cannot be told apart, together.

        An effect is the numbers of its factors.
        """
        by_column: dict[int, list[tuple[int, ...]]] = {}
        factors = range(len(self.words))
        for effect in (*((n,) for n in factors), *combinations(factors, 2)):
            by_column.setdefault(reduce(xor, (self.words[n] for n in effect)), []).append(effect)
        return [tuple(effects) for effects in by_column.values()]


def factorial(factors: int, n: int | None = None) -> Factorial:
    """Return a two-level design of `n` points, a power of 2; default: of every combination.

    Points are in order of the first factor, then the second, and so on.  A fraction has the best
    resolution that taking each further column as soon as it fits gives, of at least
    `WORST_RESOLUTION`.  Raises `ValueError`, with what would be right, if so few points cannot be.
    """
    if n is None or n >= 1 << factors:
        if n is not None and n > 1 << factors:
            raise ValueError(f"{factors} axes have {1 << factors} combinations; write at most that")
        basic, words = factors, tuple(1 << bit for bit in range(factors))
    else:
        basic = n.bit_length() - 1
        words = _columns(factors, basic)
    bits = np.array(words, dtype=np.int64)
    rows = np.arange(1 << basic, dtype=np.int64)
    reversed_rows = sum(((rows >> bit) & 1) << (basic - 1 - bit) for bit in range(basic))
    signs = [_parity(reversed_rows & word) for word in bits]
    # A product of an even number of signs is high where an even number of its columns is low.
    odd = np.array([word.bit_count() % 2 for word in words])
    return Factorial(np.column_stack(signs) ^ (odd == 0)[None, :], words)


def _columns(factors: int, basic: int) -> tuple[int, ...]:
    """Return columns, each a product of basic ones, of which few multiplied are never constant.

    Taken in ascending order as soon as they fit, which makes them a lexicode (Conway and Sloane
    1986): as many as are known to be possible, up to 8 basic columns.
    """
    basics = [1 << bit for bit in range(basic)]
    for resolution in range(BEST_RESOLUTION, WORST_RESOLUTION - 1, -1):
        chosen: list[int] = []
        sums: list[set[int]] = [{0}, *(set() for _ in range(resolution - 2))]  # of so many chosen
        for word in (*basics, *range(3, 1 << basic)):
            if len(chosen) < factors and not any(word in some for some in sums):
                chosen.append(word)
                for few in range(len(sums) - 1, 0, -1):
                    sums[few] |= {word ^ other for other in sums[few - 1]}
        if len(chosen) == factors:
            return tuple(chosen)
    least = 1 << factors.bit_length()
    raise ValueError(f"{1 << basic} points are too few for {factors} axes; write at least {least}")


def _parity(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(np.bitwise_count(values) % 2 == 1)


def placed(u: float, low: float, high: float, *, log: bool) -> float:
    """Return where the share `u` of the way from `low` to `high` is, on a scale.

    >>> placed(0.5, 1.0, 100.0, log=True), placed(0.5, 0.0, 2.0, log=False)
    (10.0, 1.0)
    """
    return float(low * (high / low) ** u if log else low + u * (high - low))
