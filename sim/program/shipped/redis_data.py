"""Where a Redis server's data lies: in extents, which the allocator maps as the data arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.alloc.jemalloc.sizes import PAGE_CLASSES, page_class
from sim.base.units import MIB, PAGE_BYTES, Vpn
from sim.program.api import Region

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any

    from numpy.typing import NDArray

    from sim.program.api import Process

EXTENT_BYTES: Final = 2 * MIB
"""What the allocator maps at first, and whole multiples of it later (jemalloc: HUGEPAGE)."""


def extents(pages: int) -> list[int]:
    """Return the sizes, in pages, of the extents that hold `pages` pages of data, in turn.

    Each is the next size class (jemalloc's ``extent_grow_retained``: four a doubling), in whole
    2 MiB; the last is no longer than what is left.

    >>> [size // 512 for size in extents(40 * 512 + 1)]
    [1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7]
    """
    unit = EXTENT_BYTES // PAGE_BYTES
    found: list[int] = []
    left = -(-pages // unit)
    for size_bytes in PAGE_CLASSES[page_class(EXTENT_BYTES) :]:
        if left <= 0:
            break
        units = min(left, -(-size_bytes // EXTENT_BYTES))
        found.append(units * unit)
        left -= units
    return found


@dataclass(frozen=True, slots=True)
class Data:
    """Pages of data, numbered in order of address, and where they lie.

    Attributes
    ----------
    region
        All of them, and what may lie between the extents.
    firsts, places
        For each stretch without a hole: the number of its first page, and where that is in
        `region`.
    pages
        How many.
    """

    region: Region
    firsts: tuple[int, ...]
    places: tuple[int, ...]
    pages: int

    def place(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where pages lie in `region`."""
        if len(self.firsts) == 1:
            return numbers + self.places[0] if self.places[0] else numbers
        firsts, places = np.array(self.firsts), np.array(self.places)
        stretch = np.searchsorted(firsts, numbers, side="right") - 1
        found: NDArray[np.int64] = numbers - firsts[stretch] + places[stretch]
        return found

    def stretches(self, first: int, pages: int) -> Iterator[tuple[int, int]]:
        """Yield where `pages` pages from number `first` on lie in `region`, and how many there."""
        ends = (*self.firsts[1:], self.pages)
        for start, place, end in zip(self.firsts, self.places, ends, strict=True):
            low, high = max(first, start), min(first + pages, end)
            if low < high:
                yield place + low - start, high - low


def load(task: Process, pages: int) -> Generator[Any, Any, Data]:
    """Map and write `pages` pages of data, extent after extent; of the first the last may stay.

    Extents come one below the other (`mmap`), so the first one has the highest pages.
    """
    sizes = extents(pages)
    filled: list[tuple[Region, int]] = []
    spare = sum(sizes) - pages
    for size in sizes:
        extent = yield from task.mmap(size * PAGE_BYTES)
        used = size - (0 if filled else spare)
        yield from task.write(extent, pages=used)
        filled.append((extent, used))
    return _joined(filled)


def _joined(filled: list[tuple[Region, int]]) -> Data:
    """Return extents, each with how many pages of it are used, as one."""
    filled = sorted(filled, key=lambda each: each[0].start_vpn)
    start = int(filled[0][0].start_vpn)
    end = max(int(extent.start_vpn) + extent.pages for extent, _ in filled)
    firsts: list[int] = []
    places: list[int] = []
    number = 0
    for extent, used in filled:
        place = int(extent.start_vpn) - start
        if not firsts or place - places[-1] != number - firsts[-1]:
            firsts.append(number)
            places.append(place)
        number += used
    return Data(Region(Vpn(start), end - start), tuple(firsts), tuple(places), number)
