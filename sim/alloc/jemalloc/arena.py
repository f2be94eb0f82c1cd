"""One arena of jemalloc: its extents, and when their pages are given back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.alloc.jemalloc.decay import Decay
from sim.alloc.jemalloc.extents import Extents
from sim.alloc.jemalloc.notes import DIRTY_PAGES, RETAINED_PAGES
from sim.base.units import PAGE_BYTES

if TYPE_CHECKING:
    from sim.alloc.calls import Operation
    from sim.alloc.jemalloc.extents import Extent
    from sim.alloc.jemalloc.notes import Notes

TICKS: Final = 1000
"""After how many calls that reach it an arena looks at the clock; jemalloc: on average."""


class Arena:
    """Extents, and their decay: `decay_ms` -1 never, 0 at once."""

    def __init__(self, notes: Notes, pad_bytes: int, decay_ms: int, now_ns: int) -> None:
        self.extents = Extents(pad_bytes, decays=decay_ms >= 0)
        self._notes = notes
        self._decay_ms = decay_ms
        self._decay = Decay(decay_ms, now_ns)
        self._ticks = 0

    def copy(self, notes: Notes) -> Arena:
        """Return the same arena, as a forked child has it."""
        other = Arena.__new__(Arena)
        other.__dict__.update(self.__dict__)
        other._notes = notes
        other.extents = self.extents.copy()
        other._decay = self._decay.copy()
        return other

    def allocate(
        self, size_bytes: int, *, zero: bool = False, slab: bool = False
    ) -> Operation[Extent]:
        """Return an extent of that size, and make a note of it."""
        dirty_bytes = self.extents.dirty.pages_bytes
        extent = yield from self.extents.allocate(size_bytes, zero=zero)
        reused = self.extents.dirty.pages_bytes < dirty_bytes
        self._notes.touch_free_lists(*(DIRTY_PAGES if reused else (0, *RETAINED_PAGES)))
        self._notes.add(extent, slab=slab)
        return extent

    def free(self, extent: Extent) -> Operation[None]:
        """Make an extent dirty, or, where nothing is kept, give its pages back."""
        self._notes.remove(extent)
        self._notes.touch_free_lists(*DIRTY_PAGES)
        yield from self.extents.free(extent)
        if self._decay_ms == 0:
            yield from self.extents.decay()

    def shrink(self, extent: Extent, size_bytes: int) -> Operation[None]:
        """Make an extent in use shorter."""
        yield from self.extents.shrink(extent, size_bytes)
        self._notes.add(extent)
        if self._decay_ms == 0:
            yield from self.extents.decay()

    def tick(self, now_ns: int, count: int = 1) -> Operation[None]:
        """Note calls that reached the arena; every so often, give back what has decayed."""
        self._ticks += count
        if self._ticks < TICKS or self._decay_ms <= 0:
            return
        self._ticks = 0
        dirty_pages = self.extents.dirty.pages_bytes // PAGE_BYTES
        keep = self._decay.limit(now_ns, dirty_pages)
        yield from self.extents.decay(keep * PAGE_BYTES)
