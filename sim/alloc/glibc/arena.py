"""One arena of glibc's malloc: which chunk an allocation gets, what becomes of a freed one.

Read in glibc 2.36 ``malloc/malloc.c`` (`_int_malloc`, `_int_free`, `_int_realloc`,
`malloc_consolidate`).  A chunk is named by the address of its header, 16 bytes before the address
that a program gets; of these 16 bytes the first 8 belong to the chunk before while that is in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.alloc.glibc.bins import LARGE_BYTES, LINKS, UNSORTED, Bins, bin_index
from sim.alloc.glibc.chunk import ALIGNMENT, HEADER_BYTES, SMALLEST_BYTES
from sim.alloc.glibc.tcache import Tcache

if TYPE_CHECKING:
    from sim.alloc.calls import Operation
    from sim.alloc.glibc.owner import Owner

FAST_BYTES: Final = 128
"""The largest chunk that is freed without being joined with its neighbours."""
CONSOLIDATE_BYTES: Final = 65536
"""A free chunk of this size has small ones joined, and the top given back if it is long."""
SORT_AT_MOST: Final = 10_000
"""Chunks that one malloc moves out of the unsorted bin before it looks at the others."""


class Arena:
    """Chunks of one arena.  What the system gives it, and takes back, is the subclass's affair."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.trace = owner.trace
        self.bins = Bins(self.trace)
        self.sizes: dict[int, int] = {}  # of chunks in use, also those kept by a cache
        self.free_before: dict[int, int] = {}  # by the address where a free chunk ends: its start
        self.fast: dict[int, list[int]] = {}
        self.have_fast = False
        self.last_remainder = 0
        self.top = 0
        self.top_bytes = 0
        self.system_bytes = 0

    def copy(self, owner: Owner) -> Arena:
        """Return the same arena, as a forked child has it."""
        other = type(self)(owner)
        other.__dict__.update(self.__dict__)
        other.owner, other.trace = owner, owner.trace
        other.bins = self.bins.copy(owner.trace)
        other.sizes, other.free_before = dict(self.sizes), dict(self.free_before)
        other.fast = {size: list(chunks) for size, chunks in self.fast.items()}
        return other

    # -- what a subclass does ----------------------------------------------------------------

    def grow(self, nb: int) -> Operation[bool]:
        """Make the top long enough for a chunk of `nb` bytes; tell whether it is."""
        raise NotImplementedError

    def give_back(self) -> Operation[None]:
        """Return the end of the top to the system if it is long."""
        raise NotImplementedError

    def note_state(self) -> None:
        """Note that the arena's own variables are written, if they lie in its heap."""

    # -- malloc ------------------------------------------------------------------------------

    def malloc(self, nb: int, tcache: Tcache | None) -> Operation[int]:
        """Return a chunk of `nb` bytes or a little more, 0 if there is no memory."""
        self.note_state()
        chunk = self._take_fast(nb, tcache) or self._take_exact(nb, tcache)
        if chunk:
            return chunk
        if nb >= LARGE_BYTES and self.have_fast:
            self.consolidate()
        while True:
            chunk = self._search(nb, tcache)
            if chunk:
                return chunk
            if self.top_bytes >= nb + SMALLEST_BYTES:
                return self.split_top(nb)
            if not self.have_fast:
                return (yield from self._more(nb))
            self.consolidate()

    def _take_fast(self, nb: int, tcache: Tcache | None) -> int:
        chunks = self.fast.get(nb)
        if not chunks:
            return 0
        chunk = chunks.pop()
        while chunks and tcache is not None and tcache.takes(nb):
            tcache.put(chunks.pop(), nb)
        return chunk

    def _take_exact(self, nb: int, tcache: Tcache | None) -> int:
        if nb >= LARGE_BYTES:
            return 0
        index = bin_index(nb)
        chunk = self.bins.oldest(index)
        if chunk is None:
            return 0
        self._use(chunk)
        while tcache is not None and tcache.takes(nb):
            other = self.bins.oldest(index)
            if other is None:
                break
            self._use(other)
            tcache.put(other, nb)
        return chunk

    def _use(self, chunk: int) -> int:
        """Take a whole chunk out of its bin; return its size in bytes."""
        size_bytes = self.bins.remove(chunk)
        del self.free_before[chunk + size_bytes]
        self.sizes[chunk] = size_bytes
        self.trace.write(chunk + size_bytes + 8)
        return size_bytes

    def _search(self, nb: int, tcache: Tcache | None) -> int:
        """Sort chunks that were freed since last time; return the best of all that are free."""
        chunk = self._sort(nb, tcache)
        if chunk:
            return chunk
        index = bin_index(nb)
        best = self.bins.best_of_bin(index, nb) if nb >= LARGE_BYTES else None
        if best is not None:
            self._split(best, nb)
            return best
        best = self.bins.best_of_larger(index)
        if best is None:
            return 0
        remainder = self._split(best, nb)
        if remainder and nb < LARGE_BYTES:
            self.last_remainder = remainder
        return best

    def _sort(self, nb: int, tcache: Tcache | None) -> int:
        cached = False
        for _ in range(SORT_AT_MOST):
            chunk = self.bins.oldest(UNSORTED)
            if chunk is None:
                break
            size_bytes = self.bins.size(chunk)
            if (
                nb < LARGE_BYTES
                and chunk == self.last_remainder
                and self.bins.is_only_unsorted(chunk)
                and size_bytes > nb + SMALLEST_BYTES
            ):
                self.last_remainder = self._split(chunk, nb)
                return chunk
            if size_bytes != nb:
                self.bins.sort(chunk)
                continue
            self._use(chunk)
            if tcache is None or not tcache.takes(nb):
                return chunk
            tcache.put(chunk, nb)
            cached = True
        if cached and tcache is not None:
            return tcache.get(nb) or 0
        return 0

    def _split(self, chunk: int, nb: int) -> int:
        """Take `nb` bytes of a free chunk, and return what remains, if it can be a chunk."""
        size_bytes = self.bins.size(chunk)
        if size_bytes - nb < SMALLEST_BYTES:
            self._use(chunk)
            return 0
        self.bins.remove(chunk)
        self.sizes[chunk] = nb
        self.trace.write(chunk + 8)
        self._add_free(chunk + nb, size_bytes - nb)
        return chunk + nb

    def _add_free(self, chunk: int, size_bytes: int) -> None:
        """Put a stretch that borders no free one into the unsorted bin."""
        self.bins.add_unsorted(chunk, size_bytes)
        self.free_before[chunk + size_bytes] = chunk
        self.trace.write(chunk + 8)
        self.trace.write(chunk + size_bytes)

    def split_top(self, nb: int) -> int:
        """Return the beginning of the top as a chunk."""
        chunk = self.top
        self.sizes[chunk] = nb
        self.trace.write(chunk + 8)
        self.set_top(chunk + nb, self.top_bytes - nb)
        return chunk

    def set_top(self, chunk: int, size_bytes: int) -> None:
        """Move the top, and write its header."""
        self.top, self.top_bytes = chunk, size_bytes
        self.trace.write(chunk + 8)

    def _more(self, nb: int) -> Operation[int]:
        mapped = yield from self.owner.map_if_large(nb)
        if mapped:
            return mapped
        grown = yield from self.grow(nb)
        if not grown:
            return (yield from self.owner.map_chunk(nb))
        return self.split_top(nb)

    # -- free --------------------------------------------------------------------------------

    def free(self, chunk: int, tcache: Tcache | None) -> Operation[None]:
        """Free a chunk in use: keep it for the next of its size, or join it with its neighbours."""
        size_bytes = self.sizes[chunk]
        if tcache is not None and size_bytes < SMALLEST_BYTES + Tcache.BINS * ALIGNMENT:
            self.trace.read(chunk + LINKS + 8)  # is it here already?
            if tcache.takes(size_bytes):
                tcache.put(chunk, size_bytes)
                return
        self.note_state()
        if size_bytes <= FAST_BYTES:
            self.trace.write(chunk + LINKS)
            self.fast.setdefault(size_bytes, []).append(chunk)
            self.have_fast = True
            return
        if self._join(chunk) >= CONSOLIDATE_BYTES:
            if self.have_fast:
                self.consolidate()
            yield from self.give_back()

    def _join(self, chunk: int) -> int:
        """Make a chunk free, together with free neighbours; return the size of the whole."""
        size_bytes = self.sizes.pop(chunk)
        behind = chunk + size_bytes
        before = self.free_before.pop(chunk, None)
        if before is not None:
            size_bytes += self.bins.remove(before)
            chunk = before
        if behind == self.top:
            size_bytes += self.top_bytes
            self.set_top(chunk, size_bytes)
            return size_bytes
        if behind in self.bins:
            behind_bytes = self.bins.remove(behind)
            del self.free_before[behind + behind_bytes]
            size_bytes += behind_bytes
        else:
            self.trace.write(behind + 8)
        self._add_free(chunk, size_bytes)
        return size_bytes

    def consolidate(self) -> None:
        """Join the small chunks that were freed without it."""
        self.have_fast = False
        self.note_state()
        for size_bytes in sorted(self.fast):
            for chunk in reversed(self.fast.pop(size_bytes)):
                self._join(chunk)

    # -- realloc -----------------------------------------------------------------------------

    def realloc(self, chunk: int, nb: int) -> Operation[int]:
        """Resize a chunk: where it lies, if there is room behind it; else elsewhere."""
        self.note_state()
        old_bytes = size_bytes = self.sizes[chunk]
        behind = chunk + size_bytes
        if size_bytes < nb:
            if behind == self.top and size_bytes + self.top_bytes >= nb + SMALLEST_BYTES:
                self.sizes[chunk] = nb
                self.trace.write(chunk + 8)
                self.set_top(chunk + nb, size_bytes + self.top_bytes - nb)
                return chunk
            if behind in self.bins and size_bytes + self.bins.size(behind) >= nb:
                behind_bytes = self.bins.remove(behind)
                del self.free_before[behind + behind_bytes]
                size_bytes += behind_bytes
            else:
                new = yield from self.malloc(nb, self.owner.current_tcache)
                if new != behind:
                    if new:
                        yield from self._move(chunk, old_bytes, new)
                    return new
                size_bytes += self.sizes.pop(new)
        yield from self._trim_chunk(chunk, size_bytes, nb)
        return chunk

    def _move(self, chunk: int, size_bytes: int, new: int) -> Operation[None]:
        self.trace.read(chunk + HEADER_BYTES, size_bytes - 8)
        self.trace.write(new + HEADER_BYTES, size_bytes - 8)
        yield from self.free(chunk, self.owner.current_tcache)

    def _trim_chunk(self, chunk: int, size_bytes: int, nb: int) -> Operation[None]:
        """Make `size_bytes` from `chunk` on a chunk of `nb`, and free the rest if it can be one."""
        self.trace.write(chunk + 8)
        self.trace.write(chunk + size_bytes + 8)
        if size_bytes - nb < SMALLEST_BYTES:
            self.sizes[chunk] = size_bytes
            return
        self.sizes[chunk] = nb
        self.sizes[chunk + nb] = size_bytes - nb
        self.trace.write(chunk + nb + 8)
        yield from self.free(chunk + nb, self.owner.current_tcache)

    def trimmable(self) -> list[tuple[int, int]]:
        """Return the free chunks of bins that hold a page or more, in the order of malloc_trim."""
        indices = (UNSORTED, *range(bin_index(4096), 127))
        return [(c, self.bins.size(c)) for index in indices for c in self.bins.chunks(index)]
