"""A thread's own free chunks (glibc 2.36 ``malloc/malloc.c``, `tcache_put`, `tcache_get`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.alloc.glibc.bins import LINKS
from sim.alloc.glibc.chunk import ALIGNMENT, SMALLEST_BYTES

if TYPE_CHECKING:
    from sim.alloc.calls import Trace


class Tcache:
    """A thread's own free chunks: up to `limit` of each size up to 1,040 bytes.

    Its table is an allocation in the heap like any other, at `address`.
    """

    BINS: Final = 64
    TABLE_BYTES: Final = 640

    def __init__(self, trace: Trace, address: int, limit: int) -> None:
        self._trace = trace
        self.address = address
        self.limit = limit
        self._chunks: list[list[int]] = [[] for _ in range(self.BINS)]

    def copy(self, trace: Trace) -> Tcache:
        """Return the same cache, as a forked child has it."""
        other = Tcache(trace, self.address, self.limit)
        other._chunks = [list(chunks) for chunks in self._chunks]
        return other

    def takes(self, size_bytes: int) -> bool:
        """Whether a freed chunk of this size would stay here."""
        index = self._index(size_bytes)
        return index < self.BINS and len(self._chunks[index]) < self.limit

    def put(self, chunk: int, size_bytes: int) -> None:
        """Keep a chunk."""
        index = self._index(size_bytes)
        self._trace.write(chunk + LINKS, 16)
        self._note(index)
        self._chunks[index].append(chunk)

    def get(self, size_bytes: int) -> int | None:
        """Return the chunk of this size that was put last, if any."""
        index = self._index(size_bytes)
        if index >= self.BINS or not self._chunks[index]:
            return None
        chunk = self._chunks[index].pop()
        self._note(index)
        self._trace.write(chunk + LINKS + 8)
        return chunk

    def clear(self) -> list[int]:
        """Give up all chunks, in the order in which an ending thread frees them."""
        chunks = [chunk for chunks in self._chunks for chunk in reversed(chunks)]
        self._chunks = [[] for _ in range(self.BINS)]
        return chunks

    @staticmethod
    def _index(size_bytes: int) -> int:
        return (size_bytes - SMALLEST_BYTES) // ALIGNMENT

    def _note(self, index: int) -> None:
        self._trace.write(self.address + 2 * index, 2)
        self._trace.write(self.address + 2 * self.BINS + 8 * index)
