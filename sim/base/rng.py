"""Random streams that are known by name.

What a stream yields depends on the seed, the replication and its name, and on nothing else: not
on who drew before, on the point of a sweep, or on which other streams exist.  So scenarios that
are compared share their luck, and adding a process shifts nobody else's.

NumPy is imported on first use, so that ``import sim.base.rng`` costs nothing.
"""

import hashlib
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    import numpy as np

_GENERATOR: Final = 0
_KEY: Final = 1
"""Purposes: a generator and a counter's key of the same name must not share their bits."""


def stream(seed: int, replication: int, *names: str | int) -> "np.random.Generator":
    """Return a fresh generator at the start of the stream called `names`.

    ``stream(seed, 7, "redis", "arrivals")`` is the same in every scenario of a sweep (common
    random numbers).  ``"ab", "c"`` and ``"a", "bc"`` are different names, as are ``1`` and ``"1"``.

    Raises `ValueError` for a seed or replication out of range, or without a name.
    """
    import numpy as np

    return np.random.Generator(np.random.PCG64(_sequence(seed, replication, _GENERATOR, names)))


def key_words(seed: int, replication: int, name: str, n_words: int) -> list[int]:
    """Return `n_words` words of 32 bits, the key of the counter-based draws called `name`.

    The n-th draw is then a pure function of the key and n: nothing is buffered, and a step that
    is tried again repeats its draw.  Two keys share no word but by chance (2**-32 a pair).

    Raises `ValueError` for a seed or replication out of range, or fewer than one word.
    """
    if n_words < 1:
        raise ValueError(f"n_words must be >= 1, got {n_words}")
    sequence = _sequence(seed, replication, _KEY, (name,))
    return cast("list[int]", sequence.generate_state(n_words).tolist())


def _sequence(
    seed: int, replication: int, purpose: int, names: tuple[str | int, ...]
) -> "np.random.SeedSequence":
    import numpy as np

    if not 0 <= seed < 2**64:
        raise ValueError(f"a seed must be in 0 .. 2**64 - 1, got {seed}")
    if not 0 <= replication < 2**32:
        raise ValueError(f"a replication must be in 0 .. 2**32 - 1, got {replication}")
    if not names:
        raise ValueError("a random stream needs a name")
    words = [word for name in names for word in _words(name)]
    return np.random.SeedSequence(seed, spawn_key=(replication, purpose, *words))


def _words(name: str | int) -> tuple[int, int]:
    """Return two words of 32 bits that stand for `name`, the same in every process."""
    kind = "int" if isinstance(name, int) else "str"
    digest = hashlib.sha256(f"{kind}:{name}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")
