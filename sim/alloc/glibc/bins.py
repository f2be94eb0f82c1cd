"""glibc's bins: free chunks in rings, by size.

Read in glibc 2.36 ``malloc/malloc.c``.  The links of a ring lie in the free chunks themselves, so
putting a chunk into a bin or taking it out writes to its neighbours: after a fork, that copies
their pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sim.alloc.calls import Trace

UNSORTED: Final = 1
"""The bin of chunks that were freed, or split off, and have not been looked at since."""
BINS: Final = 127
"""Bins are numbered 1 to 126."""
LARGE_BYTES: Final = 1024
"""The smallest chunk that shares its bin with chunks of other sizes."""

LINKS: Final = 16
"""Where a free chunk keeps its two links, in bytes from its start."""
SIZE_LINKS: Final = 32
"""Where a large free chunk keeps its links to chunks of other sizes."""


def bin_index(size_bytes: int) -> int:
    """Return the bin of a free chunk.

    >>> [bin_index(n) for n in (32, 1008, 1024, 4096, 131_072, 40_000_000)]
    [2, 63, 64, 99, 123, 126]
    """
    if size_bytes < LARGE_BYTES:
        return size_bytes >> 4
    for shift, last, base in ((6, 48, 48), (9, 20, 91), (12, 10, 110), (15, 4, 119), (18, 2, 124)):
        if size_bytes >> shift <= last:
            return base + (size_bytes >> shift)
    return 126


class Bins:
    """The bins of one arena.  A bin's own ends in the rings are numbers below 0."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._next = {-index: -index for index in range(1, BINS)}
        self._previous = dict(self._next)
        self._size: dict[int, int] = {}
        self._smaller: dict[int, int] = {}  # among the first chunks of each size in a large bin
        self._larger: dict[int, int] = {}
        self._used = 0  # bit n: bin n may have chunks

    def copy(self, trace: Trace) -> Bins:
        """Return the same bins, as a forked child has them."""
        other = Bins(trace)
        other._next, other._previous = dict(self._next), dict(self._previous)
        other._size, other._used = dict(self._size), self._used
        other._smaller, other._larger = dict(self._smaller), dict(self._larger)
        return other

    def __contains__(self, chunk: int) -> bool:
        return chunk in self._size

    def size(self, chunk: int) -> int:
        """Return the bytes of a chunk in a bin."""
        return self._size[chunk]

    def oldest(self, index: int) -> int | None:
        """Return the last chunk of a ring, if any: the next to be taken."""
        chunk = self._previous[-index]
        return chunk if chunk > 0 else None

    def is_only_unsorted(self, chunk: int) -> bool:
        """Whether `chunk` is alone in the unsorted bin."""
        return self._previous[-UNSORTED] == chunk == self._next[-UNSORTED]

    def chunks(self, index: int) -> list[int]:
        """Return the chunks of a bin, last to first."""
        found = []
        chunk = self._previous[-index]
        while chunk > 0:
            found.append(chunk)
            chunk = self._previous[chunk]
        return found

    def add_unsorted(self, chunk: int, size_bytes: int) -> None:
        """Put a chunk first into the unsorted bin."""
        self._link(chunk, size_bytes, self._next[-UNSORTED])
        if size_bytes >= LARGE_BYTES:
            self._trace.write(chunk + SIZE_LINKS, 16)

    def remove(self, chunk: int) -> int:
        """Take a chunk out of whatever bin it is in; return its size in bytes."""
        behind, before = self._next.pop(chunk), self._previous.pop(chunk)
        self._set_previous(behind, before)
        self._set_next(before, behind)
        size_bytes = self._size.pop(chunk)
        if chunk in self._smaller:
            self._remove_first_of_size(chunk, behind)
        return size_bytes

    def sort(self, chunk: int) -> None:
        """Move the last chunk of the unsorted bin to the bin of its size."""
        size_bytes = self._size[chunk]
        before = self._previous[chunk]
        self._set_previous(-UNSORTED, before)
        self._set_next(before, -UNSORTED)
        index = bin_index(size_bytes)
        behind = self._next[-index]
        if size_bytes >= LARGE_BYTES:
            behind = self._place(chunk, size_bytes, index)
        self._link(chunk, size_bytes, behind)
        self._used |= 1 << index

    def best_of_bin(self, index: int, size_bytes: int) -> int | None:
        """Return the smallest chunk of a large bin that has `size_bytes`; not a first of its size.

        Unless it is the only one.
        """
        chunk = self._next[-index]
        if chunk < 0 or self._size[chunk] < size_bytes:
            return None
        chunk = self._larger[chunk]
        while self._size[chunk] < size_bytes:
            chunk = self._larger[chunk]
        behind = self._next[chunk]
        return behind if behind > 0 and self._size[behind] == self._size[chunk] else chunk

    def best_of_larger(self, index: int) -> int | None:
        """Return the last chunk of the first bin after `index` that has any."""
        while True:
            higher = self._used >> (index + 1)
            if higher == 0:
                return None
            index += (higher & -higher).bit_length()
            chunk = self._previous[-index]
            if chunk > 0:
                return chunk
            self._used &= ~(1 << index)

    def _link(self, chunk: int, size_bytes: int, behind: int) -> None:
        """Put a chunk into a ring, before `behind`."""
        before = self._previous[behind]
        self._size[chunk] = size_bytes
        self._next[chunk], self._previous[chunk] = behind, before
        self._trace.write(chunk + LINKS, 16)
        self._set_previous(behind, chunk)
        self._set_next(before, chunk)

    def _set_next(self, chunk: int, other: int) -> None:
        self._next[chunk] = other
        if chunk > 0:
            self._trace.write(chunk + LINKS)

    def _set_previous(self, chunk: int, other: int) -> None:
        self._previous[chunk] = other
        if chunk > 0:
            self._trace.write(chunk + LINKS + 8)

    def _place(self, chunk: int, size_bytes: int, index: int) -> int:
        """Return what a chunk comes before in a large bin; sizes decrease along the ring."""
        first = self._next[-index]
        if first < 0:
            self._smaller[chunk] = self._larger[chunk] = chunk
            self._trace.write(chunk + SIZE_LINKS, 16)
            return first
        last = self._previous[-index]
        if size_bytes < self._size[last]:
            self._link_size(chunk, first)
            return -index
        place = first
        while size_bytes < self._size[place]:
            place = self._smaller[place]
        if size_bytes == self._size[place]:
            return self._next[place]
        self._link_size(chunk, place)
        return place

    def _link_size(self, chunk: int, smaller: int) -> None:
        larger = self._larger[smaller]
        self._smaller[chunk], self._larger[chunk] = smaller, larger
        self._larger[smaller] = self._smaller[larger] = chunk
        self._trace.write(chunk + SIZE_LINKS, 16)
        self._trace.write(smaller + SIZE_LINKS + 8)
        self._trace.write(larger + SIZE_LINKS)

    def _remove_first_of_size(self, chunk: int, behind: int) -> None:
        """Have the next chunk of the same size, if any, take over the links to other sizes."""
        smaller, larger = self._smaller.pop(chunk), self._larger.pop(chunk)
        if behind > 0 and behind not in self._smaller:
            alone = smaller == chunk
            self._smaller[behind] = behind if alone else smaller
            self._larger[behind] = behind if alone else larger
            self._trace.write(behind + SIZE_LINKS, 16)
            if alone:
                return
            self._larger[smaller] = self._smaller[larger] = behind
        elif smaller != chunk:
            self._larger[smaller], self._smaller[larger] = larger, smaller
        self._trace.write(smaller + SIZE_LINKS + 8)
        self._trace.write(larger + SIZE_LINKS)
