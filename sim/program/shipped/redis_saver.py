"""The child of a Redis server that saves: reads all data, writes the dump, gives memory back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.base.units import MIB, PAGE_BYTES
from sim.program.patterns import Listed
from sim.program.shipped.redis_version import does

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from sim.program.api import Process
    from sim.program.shipped.redis_data import Data
    from sim.program.shipped.redis_heap import RedisHeap

STRETCHES: Final = 256
"""In how many stretches values are saved: in each, pages that are kept come first, then the dump
is written, so few stretches would put the others off."""

CHUNK_PAGES: Final = 65_536
"""Most pages that are listed in one call."""

SYNC_BYTES: Final = 4 * MIB
"""What is written between two fsyncs (``REDIS_AUTOSYNC_BYTES``)."""


@dataclass(frozen=True, slots=True)
class Dump:
    """The file that a save writes: its name, that of the one before (or none), and its size.

    With `drops` it is synced every 4 MiB, or every `STRETCHES`-th of it if that is more, and
    dropped from the page cache.
    """

    file: str
    before: str
    pages: int
    drops: bool

    @property
    def sync_pages(self) -> int:
        """Pages that are written between two syncs; 0: all."""
        if not self.drops:
            return 0
        return max(SYNC_BYTES // PAGE_BYTES, -(-self.pages // STRETCHES))

    @property
    def syncs(self) -> int:
        """How often it waits for the disk."""
        if not self.pages:
            return 0
        return -(-self.pages // self.sync_pages) if self.drops else 1


def frees_strings(version: str, heap: RedisHeap) -> bool:
    """Whether the saving child frees each value that has an allocation of its own."""
    return heap.objects is not None and does(version, "frees_strings")


def gives_back(version: str, heap: RedisHeap) -> bool:
    """Whether it gives whole pages of values back."""
    return bool(heap.values.mean_whole_pages) and does(version, "gives_back")


@dataclass(frozen=True, slots=True)
class Saver:
    """What a save does: values first, then all else, `page_ns` a page."""

    data: Data
    heap: RedisHeap
    version: str
    page_ns: int
    dump: Dump

    @property
    def expected_ns(self) -> int:
        """How long a save takes if nothing holds it up, the disk left out."""
        return max(1, self.page_ns * self.heap.pages)

    def run(self, task: Process) -> Generator[Any, Any, None]:
        """Save everything once."""
        if frees_strings(self.version, self.heap):
            yield from self._save_and_free(task)
        else:
            yield from self._save_in_order(task)
        yield from self._read(task, self.heap.values.pages, None)
        if self.dump.pages:
            yield from task.fsync(self.dump.file)
            if self.dump.before:  # the new one takes its name: rename()
                yield from task.drop(self.dump.before)

    def _save_in_order(self, task: Process) -> Generator[Any, Any, None]:
        """Read values in order of address; give back the pages that belong to one alone."""
        gives = gives_back(self.version, self.heap)
        written = 0
        for first, pages in self._stretches(gives):
            if gives:
                whole = self.heap.values.whole_pages(first, pages)
                numbers = first + np.arange(pages, dtype=np.int64)
                yield from self._listed(task, numbers[~whole], cpu_ns=self.page_ns)
                yield from self._listed(task, numbers[whole], cpu_ns=self.page_ns, drop=True)
            else:
                yield from self._read(task, first, pages)
            written = yield from self._write(task, written, (first + pages))

    def _save_and_free(self, task: Process) -> Generator[Any, Any, None]:
        """Read values in the order of the hash table, and free them as they are saved.

        A slab's pages are given back when the last of its values has been, so all of its n values
        have been passed after a share of the time whose n-th power is even.
        """
        values = self.heap.values.pages
        slab_pages, keys = self.heap.slab
        slabs = -(-values // slab_pages)
        passed = task.rng("order of saving").random(slabs) ** (1.0 / keys)
        order = np.argsort(passed)
        stretches = min(STRETCHES, slabs)
        ends = np.searchsorted(passed[order], np.arange(1, stretches + 1) / stretches)
        within = np.arange(slab_pages, dtype=np.int64)
        written = begin = 0
        for stretch, end in enumerate(ends.tolist()):
            upto = values * (stretch + 1) // stretches
            yield from task.compute(self.page_ns * (upto - values * stretch // stretches))
            pages = (order[begin:end, None] * slab_pages + within).reshape(-1)
            yield from self._listed(task, pages[pages < values], drop=True)
            written = yield from self._write(task, written, upto)
            begin = end

    def _read(self, task: Process, first: int, pages: int | None) -> Generator[Any, Any, None]:
        """Read pages in order of address, by default all from `first` on."""
        pages = self.heap.pages - first if pages is None else pages
        for place, length in self.data.stretches(first, pages):
            yield from task.read(self.data.region, first=place, pages=length, cpu_ns=self.page_ns)

    def _listed(
        self, task: Process, pages: NDArray[np.int64], *, cpu_ns: int = 0, drop: bool = False
    ) -> Generator[Any, Any, None]:
        read = partial(task.read, self.data.region, cpu_ns=cpu_ns, drop=drop)
        for first in range(0, pages.size, CHUNK_PAGES):
            chunk = pages[first : first + CHUNK_PAGES].astype(np.int64)
            yield from read(pattern=Listed(self.data.place(chunk)))

    def _stretches(self, gives: bool) -> list[tuple[int, int]]:
        """Return first page and length of what is read before the next is written."""
        value_pages = self.heap.values.pages
        if not value_pages:
            return []
        if not gives and not self.dump.pages:
            return [(0, value_pages)]
        length = min(CHUNK_PAGES, -(-value_pages // STRETCHES))
        return [
            (first, min(length, value_pages - first)) for first in range(0, value_pages, length)
        ]

    def _write(self, task: Process, written: int, values: int) -> Generator[Any, Any, int]:
        """Write the share of the dump that the first `values` pages of values stand for.

        Returns how much of it is written by now: whole syncs, and at the end all.  From the end of
        the file to its beginning: a file has the size that is asked for first.
        """
        dump = self.dump
        then = dump.pages * values // self.heap.values.pages
        unit = dump.sync_pages or max(1, then - written)
        while written < then and (then - written >= unit or then == dump.pages):
            pages = min(unit, then - written)
            first = dump.pages - written - pages
            yield from task.pwrite(dump.file, pages, first)
            if dump.drops:
                yield from task.fsync(dump.file)
                yield from task.fadvise(dump.file, "dontneed", first, pages)
            written += pages
        return written
