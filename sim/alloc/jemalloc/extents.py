"""jemalloc's stretches of pages (extents) of one arena: in use, dirty, or retained.

Read in jemalloc 5.3.0 ``src/extent.c``, ``src/eset.c``, ``src/pac.c``.  A freed extent is *dirty*:
its pages stay, to be used again.  When it decays, its frames are given back (MADV_DONTNEED) and its
addresses *retained*.  Nothing is ever unmapped.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.alloc.calls import Dontneed, Mmap
from sim.alloc.jemalloc.sizes import LARGE_BYTES, PAGE_CLASSES, ceiling_bin, floor_bin, page_class
from sim.base.units import MIB

if TYPE_CHECKING:
    from sim.alloc.calls import Operation

ACTIVE: Final = 0
DIRTY: Final = 1
RETAINED: Final = 2

LG_MAX_FIT: Final = 6
"""A dirty extent is split for a request of at least 1/64 of its class."""
NO_LIMIT: Final = 63
OVERSIZE_BYTES: Final = 8 * MIB
"""A free extent of this size is given back at once."""


@dataclass(slots=True)
class Extent:
    """Pages from `address` on.  `serial`: older ones have lower numbers, and are preferred.

    `head`: a mapping begins here; it is never joined with what lies before it.  `zeroed`: nobody
    wrote to it since the kernel gave it.
    """

    address: int
    bytes: int
    serial: int
    head: bool = False
    zeroed: bool = False
    state: int = ACTIVE

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + self.bytes


class Cache:
    """Free extents in one state."""

    def __init__(self, state: int, pad_bytes: int) -> None:
        self.state = state
        self.pages_bytes = 0
        self._pad = pad_bytes
        self._bins: dict[int, list[tuple[int, int]]] = {}
        self.oldest_first: dict[int, Extent] = {}

    def add(self, extent: Extent) -> None:
        """Put an extent in."""
        extent.state = self.state
        insort(self._bins.setdefault(self._bin(extent), []), (extent.serial, extent.address))
        self.oldest_first[extent.address] = extent
        self.pages_bytes += extent.bytes

    def remove(self, extent: Extent) -> None:
        """Take an extent out."""
        number = self._bin(extent)
        found = self._bins[number]
        del found[bisect_left(found, (extent.serial, extent.address))]
        if not found:
            del self._bins[number]
        del self.oldest_first[extent.address]
        self.pages_bytes -= extent.bytes
        extent.state = ACTIVE

    def fit(self, size_bytes: int, lg_max_fit: int) -> Extent | None:
        """Return the oldest extent that has `size_bytes`; among equals the lowest."""
        best: tuple[int, int] | None = None
        for number in sorted(n for n in self._bins if n >= ceiling_bin(size_bytes, self._pad)):
            if PAGE_CLASSES[number] >> lg_max_fit > size_bytes:
                break
            first = self._bins[number][0]
            if best is None or first < best:
                best = first
        return None if best is None else self.oldest_first[best[1]]

    def _bin(self, extent: Extent) -> int:
        return floor_bin(extent.bytes, self._pad)


class Extents:
    """All extents of an arena.

    Parameters
    ----------
    pad_bytes
        By how much large allocations are longer than their class (a page, if cache oblivious).
    decays
        Whether dirty pages are ever given back; then oversize ones are at once.
    """

    def __init__(self, pad_bytes: int, *, decays: bool = True) -> None:
        self.dirty = Cache(DIRTY, pad_bytes)
        self.retained = Cache(RETAINED, pad_bytes)
        self._pad = pad_bytes
        self._decays = decays
        self._grow = page_class(2 * MIB)
        self._serial = 0
        self._at: dict[int, Extent] = {}
        self._until: dict[int, Extent] = {}  # by end

    def copy(self) -> Extents:
        """Return the same extents, as a forked child has them."""
        other = Extents(self._pad, decays=self._decays)
        other._grow, other._serial = self._grow, self._serial
        for extent in self._at.values():
            e = Extent(extent.address, extent.bytes, extent.serial, extent.head, extent.zeroed)
            other._note(e)
        for mine, theirs in ((self.dirty, other.dirty), (self.retained, other.retained)):
            for address in mine.oldest_first:
                theirs.add(other._at[address])
        return other

    def at(self, address: int) -> Extent:
        """Return the extent that begins at `address`."""
        return self._at[address]

    def allocate(self, size_bytes: int, *, zero: bool = False) -> Operation[Extent]:
        """Return an extent of that size; `zero`: it holds zeroes.

        Raises `Refused` if there is no memory.
        """
        extent = self._recycle(self.dirty, size_bytes, LG_MAX_FIT)
        if extent is None:
            extent = self._recycle(self.retained, size_bytes, NO_LIMIT)
        if extent is None:
            extent = yield from self._map(size_bytes)
        if zero and not extent.zeroed:
            yield Dontneed(extent.address, extent.bytes)
            extent.zeroed = True
        return extent

    def free(self, extent: Extent) -> Operation[None]:
        """Make an extent dirty; large ones are joined with dirty neighbours."""
        extent.zeroed = False
        if extent.bytes >= LARGE_BYTES:
            extent = self._join(extent, self.dirty)
            if extent.bytes >= OVERSIZE_BYTES and self._decays:
                yield from self._give_back(extent)
                return
        self.dirty.add(extent)

    def expand(self, extent: Extent, more_bytes: int) -> bool:
        """Lengthen an extent in use, if what lies behind it is free and long enough."""
        behind = self._at.get(extent.end)
        if behind is None or behind.head or behind.state == ACTIVE or behind.bytes < more_bytes:
            return False
        cache = self.dirty if behind.state == DIRTY else self.retained
        cache.remove(behind)
        self._split(behind, more_bytes, cache)
        self._merge(extent, behind)
        return True

    def shrink(self, extent: Extent, size_bytes: int) -> Operation[None]:
        """Make an extent in use shorter, and what is left dirty."""
        trail = self._cut(extent, size_bytes)
        yield from self.free(trail)

    def decay(self, keep_bytes: int = 0) -> Operation[None]:
        """Give back dirty extents, the oldest first, until at most `keep_bytes` are dirty."""
        while self.dirty.pages_bytes > keep_bytes:
            extent = next(iter(self.dirty.oldest_first.values()))
            self.dirty.remove(extent)
            yield from self._give_back(extent)

    # -- inside ------------------------------------------------------------------------------

    def _give_back(self, extent: Extent) -> Operation[None]:
        yield Dontneed(extent.address, extent.bytes)
        extent.zeroed = True
        self.retained.add(self._join(extent, self.retained))

    def _recycle(self, cache: Cache, size_bytes: int, lg_max_fit: int) -> Extent | None:
        extent = cache.fit(size_bytes, lg_max_fit)
        if extent is not None:
            cache.remove(extent)
            self._split(extent, size_bytes, cache)
        return extent

    def _map(self, size_bytes: int) -> Operation[Extent]:
        """Map the next size of a growing series that is enough, and retain what is too much."""
        index = max(self._grow, page_class(size_bytes))
        address = yield Mmap(PAGE_CLASSES[index])
        extent = Extent(address, PAGE_CLASSES[index], self._serial, head=True, zeroed=True)
        self._serial += 1
        self._grow = index + 1
        self._note(extent)
        self._split(extent, size_bytes, self.retained)
        return extent

    def _split(self, extent: Extent, size_bytes: int, cache: Cache) -> None:
        if extent.bytes > size_bytes:
            trail = self._cut(extent, size_bytes)
            cache.add(self._join(trail, cache) if cache is self.retained else trail)

    def _cut(self, extent: Extent, size_bytes: int) -> Extent:
        del self._until[extent.end]
        trail = Extent(
            extent.address + size_bytes,
            extent.bytes - size_bytes,
            extent.serial,
            zeroed=extent.zeroed,
        )
        extent.bytes = size_bytes
        self._note(extent)
        self._note(trail)
        return trail

    def _join(self, extent: Extent, cache: Cache) -> Extent:
        """Join an extent with free neighbours of one kind; return the whole."""
        while True:
            behind = self._at.get(extent.end)
            if behind is not None and behind.state == cache.state and not behind.head:
                cache.remove(behind)
                self._merge(extent, behind)
                continue
            before = self._until.get(extent.address)
            if before is None or before.state != cache.state or extent.head:
                return extent
            cache.remove(before)
            self._merge(before, extent)
            extent = before

    def _merge(self, extent: Extent, behind: Extent) -> None:
        del self._until[extent.end], self._at[behind.address]
        extent.bytes += behind.bytes
        extent.serial = min(extent.serial, behind.serial)
        extent.zeroed = extent.zeroed and behind.zeroed
        self._until[extent.end] = extent

    def _note(self, extent: Extent) -> None:
        self._at[extent.address] = self._until[extent.end] = extent
