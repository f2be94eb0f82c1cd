"""Which page leaves its frame when another needs one: the policies of the textbooks.

Linux's own, which knows of second use, lists and refaults, is a mechanism of its kernel
(`sim.kernel.reclaim`); these are what it is compared with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.policy.replacement.clock import Clock
from sim.policy.replacement.fifo import Fifo
from sim.policy.replacement.lru import Lru
from sim.policy.replacement.mglru_like import MglruLike
from sim.policy.replacement.opt import Opt
from sim.policy.replacement.played import Step, count_faults, lru_faults, play, stack_distances
from sim.policy.replacement.random import Random

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.policy.replacement.protocol import Page, Replacement

__all__ = [
    "POLICIES",
    "Clock",
    "Fifo",
    "Lru",
    "MglruLike",
    "Opt",
    "Random",
    "Step",
    "count_faults",
    "fault_curve",
    "lru_faults",
    "play",
    "policy_for",
    "stack_distances",
]

POLICIES: Final = ("fifo", "clock", "lru", "mglru_like", "random", "opt")
"""The policies by name."""


def policy_for(name: str, frames: int, references: Sequence[Page], seed: int = 0) -> Replacement:
    """Return the policy called `name` with so many frames, all free, for what will be touched.

    Only OPT looks at `references`; `seed` decides whom RANDOM takes.  Raises `ValueError` for an
    unknown name, or less than one frame.
    """
    if frames < 1:
        raise ValueError(f"frames must be >= 1, got {frames}")
    match name:
        case "fifo":
            return Fifo(frames)
        case "clock":
            return Clock(frames)
        case "lru":
            return Lru(frames)
        case "mglru_like":
            return MglruLike(frames)
        case "random":
            from sim.base.rng import stream

            return Random(frames, stream(seed, 0, "replacement"))
        case "opt":
            return Opt(frames, references)
    raise ValueError(f"no replacement policy is called {name!r}; there are: {', '.join(POLICIES)}")


def fault_curve(
    name: str, references: Sequence[Page], frames: Sequence[int], seed: int = 0
) -> list[int]:
    """Return the faults that `references` take under a policy, for each number of frames.

    The hit ratio is 1 less the faults over the references.  RANDOM draws the same numbers for each.

    >>> fault_curve("fifo", "123412512345", range(1, 8))
    [12, 12, 9, 10, 5, 5, 5]
    """
    return [count_faults(policy_for(name, n, references, seed), references) for n in frames]
