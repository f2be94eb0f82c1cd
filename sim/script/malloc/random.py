"""Random scripts of malloc and free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sim.base.units import KIB, MIB, PAGE_BYTES
from sim.script.fewest import fewest
from sim.script.malloc.grammar import Operation, Verb, World, check_script

if TYPE_CHECKING:
    from collections.abc import Callable

Sizes = tuple[tuple[int, int], ...]

SIZES: Final = (  # largest size, and how often sizes come from below it
    (120, 20),
    (1040, 20),
    (8 * KIB, 15),
    (64 * KIB, 15),
    (128 * KIB, 10),
    (256 * KIB, 8),
    (2 * MIB, 10),
    (6 * MIB, 2),
)
LARGER_SIZES: Final = ((1040, 10), (64 * KIB, 25), (1 * MIB, 40), (6 * MIB, 20), (24 * MIB, 5))
"""For libraries whose notes are not followed to the page: heaps that are large beside them."""
NEAR_THRESHOLD: Final = 0.05
"""How often a size lies within a page of 128 KiB."""
VERBS: Final = {
    Verb.MALLOC: 30,
    Verb.CALLOC: 6,
    Verb.REALLOC: 8,
    Verb.FREE: 24,
    Verb.WRITE: 22,
    Verb.READ: 3,
    Verb.TRIM: 1,
    Verb.MALLOPT: 0.3,
    Verb.FORK: 2,
    Verb.THREAD: 1,
    Verb.EXIT: 1.5,
}
"""The verbs, and how often each is drawn."""
MOST_OPERATIONS: Final = 120
MOST_PROCESSES: Final = 5


def script_generator(seed: int, index: int) -> np.random.Generator:
    """Return the random numbers of script `index` of a seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))


def random_script(
    rng: np.random.Generator,
    *,
    operations: int = MOST_OPERATIONS,
    threads: bool = True,
    sizes: Sizes = SIZES,
) -> list[Operation]:
    """Return a random valid script of at most that many operations.

    A script has forks or, every fourth one and only if `threads`, threads.  `sizes` are the
    largest size of a kind of blocks, and how often it is drawn.
    """
    weights = dict(VERBS)
    del weights[Verb.FORK if threads and rng.random() < 0.25 else Verb.THREAD]
    drawn = _Drawn(rng, weights, sizes)
    for _ in range(int(rng.integers(10, operations + 1))):
        drawn.add()
    return drawn.script


class _Drawn:
    """A script that grows."""

    def __init__(self, rng: np.random.Generator, weights: dict[Verb, float], sizes: Sizes) -> None:
        self.script: list[Operation] = []
        self._rng = rng
        self._sizes = sizes
        self._world = World()
        self._verbs = list(weights)
        total = sum(weights.values())
        self._shares = [weight / total for weight in weights.values()]
        self._named = 0

    def add(self) -> None:
        """Draw operations until one can happen, and add it."""
        while self._world.processes:
            verb = self._verbs[int(self._rng.choice(len(self._verbs), p=self._shares))]
            actors = self._world.actors()
            operation = self._draw(actors[int(self._rng.integers(len(actors)))], verb)
            if operation is None:
                continue
            try:
                self._world.apply(operation)
            except ValueError:
                continue
            self.script.append(operation)
            return

    def _draw(self, actor: str, verb: Verb) -> Operation | None:
        rng = self._rng
        blocks = self._world.processes[self._world.process_of(actor)].blocks
        if verb in (Verb.MALLOC, Verb.CALLOC):
            return Operation(actor, verb, self._new_name("b"), 0, self._size())
        if verb in (Verb.FORK, Verb.THREAD):
            if len(self._world.actors()) >= MOST_PROCESSES:
                return None
            return Operation(actor, verb, self._new_name("C" if verb is Verb.FORK else "T"))
        if verb is Verb.EXIT:
            return Operation(actor, verb) if len(self._world.actors()) > 1 else None
        if verb is Verb.TRIM:
            return Operation(actor, verb)
        if verb is Verb.MALLOPT:
            option = ("top_pad", "trim_threshold", "mmap_threshold")[int(rng.integers(3))]
            return Operation(actor, verb, option, 0, int(rng.integers(0, 257)) * KIB)
        if not blocks:
            return None
        name = list(blocks)[int(rng.integers(len(blocks)))]
        if verb is Verb.FREE:
            return Operation(actor, verb, name)
        if verb is Verb.REALLOC:
            return Operation(actor, verb, name, 0, self._size())
        if rng.random() < 0.5:
            return Operation(actor, verb, name)
        first, end = sorted(int(n) for n in rng.integers(0, blocks[name] + 1, 2))
        return Operation(actor, verb, name, first, end) if first < end else None

    def _size(self) -> int:
        rng = self._rng
        if rng.random() < NEAR_THRESHOLD:
            return 128 * KIB + int(rng.integers(-PAGE_BYTES, PAGE_BYTES))
        weights = np.array([weight for _, weight in self._sizes], float)
        most = self._sizes[int(rng.choice(len(self._sizes), p=weights / weights.sum()))][0]
        return int(rng.integers(1, most + 1))

    def _new_name(self, letter: str) -> str:
        self._named += 1
        return f"{letter}{self._named}"


def shrink(script: list[Operation], fails: Callable[[list[Operation]], bool]) -> list[Operation]:
    """Return the script without every line that it fails without, largest pieces first."""
    return fewest(script, lambda shorter: _is_valid(shorter) and fails(shorter))


def _is_valid(script: list[Operation]) -> bool:
    from sim.base.errors import ScenarioError

    try:
        check_script(script)
    except ScenarioError:
        return False
    return True
