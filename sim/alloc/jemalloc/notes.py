"""What jemalloc writes down about its extents, and which pages that takes.

Read in jemalloc 5.3.0 ``src/base.c``, ``src/emap.c``, ``include/jemalloc/internal/rtree.h``,
``edata.h``.  Only what grows with the heap or is copied after a fork is followed, and not to the
byte: a record of 128 bytes for each extent, 8 bytes for each page in a table (of a slab all pages,
else the first and the last), the thread's cache, the bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.alloc.calls import Mmap
from sim.alloc.jemalloc.slabs import CACHED_CLASSES, empty_cache
from sim.base.units import GIB, KIB, MIB, PAGE_BYTES

if TYPE_CHECKING:
    from sim.alloc.calls import Operation, Trace
    from sim.alloc.jemalloc.extents import Extent

RECORD_BYTES: Final = 128
ENTRY_BYTES: Final = 8
BIN_BYTES: Final = 224
REGION_BYTES: Final = GIB
"""What one table is for."""
TABLE_BYTES: Final = REGION_BYTES // PAGE_BYTES * ENTRY_BYTES
ARENA_BYTES: Final = 80 * KIB
DIRTY_PAGES: Final = (1, 2)
RETAINED_PAGES: Final = (3, 4, 5)
"""Pages of an arena that a change of its lists of free extents writes to, as measured."""
BINS_OFFSET: Final = 70 * KIB
NOTES_BYTES: Final = 512 * MIB
"""Room for notes on 200 GiB of heap."""
CACHE_ENDS: Final = [
    sum(cached.limit for cached in empty_cache()[: index + 1]) * 8
    for index in range(CACHED_CLASSES)
]
CACHE_BYTES: Final = sum(cached.limit for cached in empty_cache()) * 8 + 64


class Notes:
    """Where the notes on each extent are."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.cache_address = 0
        self._arena = 0
        self._next = 0
        self._tables: dict[int, int] = {}  # by number of the region: address
        self._records: dict[int, int] = {}  # by address of the extent
        self._spare: list[int] = []

    def copy(self, trace: Trace) -> Notes:
        """Return the same notes, as a forked child has them."""
        other = Notes(trace)
        other.__dict__.update(self.__dict__)
        other._trace = trace
        other._tables, other._records = dict(self._tables), dict(self._records)
        other._spare = list(self._spare)
        return other

    def begin(self) -> Operation[None]:
        """Map room for notes, with the first arena in it."""
        self._next = yield Mmap(NOTES_BYTES)
        self._arena = self._take(ARENA_BYTES)
        self._trace.write(self._arena, ARENA_BYTES)

    def begin_arena(self) -> Operation[None]:
        """Map a block with one more arena in it."""
        address = yield Mmap(2 * MIB)
        self._trace.write(address, ARENA_BYTES)

    def add(self, extent: Extent, *, slab: bool = False) -> None:
        """Make a note of an extent that is in use now."""
        record = self._records.get(extent.address)
        if record is None:
            record = self._spare.pop() if self._spare else self._take(RECORD_BYTES)
            self._records[extent.address] = record
        self._trace.write(record, RECORD_BYTES)
        if slab:
            for page in range(extent.address, extent.end, PAGE_BYTES):
                self._trace.write(self._entry(page))
        self._trace.write(self._entry(extent.address))
        self._trace.write(self._entry(extent.end - PAGE_BYTES))

    def remove(self, extent: Extent) -> None:
        """Make a note of an extent that is not in use any more."""
        record = self._records.pop(extent.address)
        self._spare.append(record)
        self._trace.write(record, RECORD_BYTES)
        self._trace.write(self._entry(extent.address))
        self._trace.write(self._entry(extent.end - PAGE_BYTES))

    def touch_extent(self, extent: Extent) -> None:
        """Write to the note on a slab: which places are free."""
        self._trace.write(self._records[extent.address], RECORD_BYTES)

    def touch_cache(self, index: int, kept: int) -> None:
        """Write the addresses of `kept` allocations into the thread's cache of a class.

        Taking one out writes to thread-local variables only.
        """
        end = self.cache_address + CACHE_ENDS[index]
        self._trace.write(end - 8 * kept, 8 * kept)

    def touch_free_lists(self, *pages: int) -> None:
        """Write to the arena's lists of free extents: `DIRTY_PAGES`, `RETAINED_PAGES`."""
        for page in pages:
            self._trace.write(self._arena + page * PAGE_BYTES)

    def touch_bin(self, index: int) -> None:
        """Write to the list of slabs of a class."""
        self._trace.write(self._arena + BINS_OFFSET + index * BIN_BYTES, BIN_BYTES)

    def _take(self, size_bytes: int) -> int:
        address = self._next
        self._next += size_bytes
        return address

    def _entry(self, address: int) -> int:
        """Return where the table has its entry for a page; its region gets one if it has none."""
        region, within = divmod(address, REGION_BYTES)
        if region not in self._tables:
            self._tables[region] = self._take(TABLE_BYTES)
        return self._tables[region] + within // PAGE_BYTES * ENTRY_BYTES
