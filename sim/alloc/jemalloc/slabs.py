"""jemalloc's slabs, and the caches that a thread keeps of small and middling allocations.

Read in jemalloc 5.3.0 ``src/arena.c``, ``src/tcache.c``.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sim.alloc.jemalloc.sizes import CLASSES, SMALL_CLASSES, class_index, slab_bytes
from sim.base.units import KIB

if TYPE_CHECKING:
    from sim.alloc.jemalloc.extents import Extent

CACHED_CLASSES: Final = class_index(32 * KIB) + 1
"""Classes that a thread caches: up to 32 KiB."""
CACHED_LARGE: Final = 20
LEAST_CACHED: Final = 20
MOST_CACHED: Final = 200

Key = tuple[int, int]
"""Serial number and address of an extent: the order in which slabs are filled."""


class Slab:
    """A slab of one class; `free` has a bit for each place."""

    def __init__(self, extent: Extent, class_bytes: int) -> None:
        self.extent = extent
        self.class_bytes = class_bytes
        self.places = extent.bytes // class_bytes
        self.free = (1 << self.places) - 1

    @property
    def key(self) -> Key:
        """Its place in the order of slabs."""
        return self.extent.serial, self.extent.address

    def take(self) -> int:
        """Return the address of the lowest free place, which is taken."""
        lowest = self.free & -self.free
        self.free ^= lowest
        return self.extent.address + (lowest.bit_length() - 1) * self.class_bytes

    def give(self, address: int) -> int:
        """Free a place; return how many are free."""
        self.free |= 1 << ((address - self.extent.address) // self.class_bytes)
        return self.free.bit_count()


@dataclass(slots=True)
class Bin:
    """Slabs of one class that have free places: the one being filled, and others in order."""

    current: Slab | None = None
    others: list[tuple[Key, Slab]] = field(default_factory=list)

    def next_slab(self) -> Slab | None:
        """Return the slab to fill, if any has a free place."""
        if self.current is not None and self.current.free:
            return self.current
        self.current = self.others.pop(0)[1] if self.others else None
        return self.current

    def give(self, slab: Slab, address: int) -> bool:
        """Free a place of a slab; tell whether the slab is empty now, and no longer here."""
        free = slab.give(address)
        if free == slab.places:
            if slab is self.current:
                self.current = None
            elif slab.places > 1:
                del self.others[bisect_left(self.others, slab.key, key=lambda pair: pair[0])]
            return True
        if free == 1 and slab is not self.current:
            if self.current is not None and self.current.key > slab.key:
                if self.current.free:
                    self._add(self.current)
                self.current = slab
            else:
                self._add(slab)
        return False

    def _add(self, slab: Slab) -> None:
        insort(self.others, (slab.key, slab), key=lambda pair: pair[0])


@dataclass(slots=True)
class Cached:
    """A thread's free allocations of one class; the last one is used first."""

    limit: int
    stack: list[int] = field(default_factory=list)
    low_water: int = 0
    fill_shift: int = 1
    refilled: bool = False

    def get(self) -> int | None:
        """Return the address put last, if any."""
        if not self.stack:
            return None
        address = self.stack.pop()
        self.low_water = min(self.low_water, len(self.stack))
        return address

    def copy(self) -> Cached:
        """Return the same cache, as a forked child has it."""
        return Cached(self.limit, list(self.stack), self.low_water, self.fill_shift, self.refilled)


def empty_cache() -> list[Cached]:
    """Return the caches of a new thread, by class."""
    return [Cached(_limit(index)) for index in range(CACHED_CLASSES)]


def _limit(index: int) -> int:
    if index >= SMALL_CLASSES:
        return CACHED_LARGE
    twice = 2 * (slab_bytes(CLASSES[index]) // CLASSES[index])
    return min(max(twice, LEAST_CACHED), MOST_CACHED)
