"""Where glibc's arenas get memory from: the program break, or heaps of 64 MiB for other threads.

Read in glibc 2.36 ``malloc/malloc.c`` (`sysmalloc`, `systrim`) and ``malloc/arena.c`` (`new_heap`,
`grow_heap`, `shrink_heap`, `heap_trim`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.alloc.calls import Brk, Dontneed, Mmap, Munmap, Protect
from sim.alloc.glibc.arena import Arena
from sim.alloc.glibc.chunk import ALIGNMENT, HEADER_BYTES, SMALLEST_BYTES
from sim.alloc.glibc.tcache import Tcache
from sim.base.errors import Refused
from sim.base.units import KIB, MIB, PAGE_BYTES

if TYPE_CHECKING:
    from sim.alloc.calls import Operation
    from sim.alloc.glibc.owner import Owner

HEAP_BYTES: Final = 64 * MIB
"""What a heap reserves, and its alignment."""
SMALLEST_HEAP_BYTES: Final = 32 * KIB
HEAP_HEADER_BYTES: Final = 48
ARENA_BYTES: Final = 2200
FIRST_CHUNK: Final = 2256
"""Where chunks begin in an arena's first heap: behind the headers of both, aligned."""


def round_up(size_bytes: int, unit: int = PAGE_BYTES) -> int:
    """Return the next multiple of a unit, a power of two."""
    return (size_bytes + unit - 1) & -unit


class MainArena(Arena):
    """The first thread's arena: between where the program break was and where it is."""

    start = 0
    """Where the break was at first."""

    def grow(self, nb: int) -> Operation[bool]:
        """Move the break up by the request and the pad, less what the top has."""
        size_bytes = round_up(nb + self.owner.top_pad + SMALLEST_BYTES - self.top_bytes)
        try:
            before = yield Brk(size_bytes)
        except Refused:
            return False
        if not self.start:
            self.start = self.top = before
        if before != self.top + self.top_bytes:
            raise NotImplementedError("somebody else moved the program break")
        self.system_bytes += size_bytes
        self.set_top(self.top, self.top_bytes + size_bytes)
        return True

    def give_back(self) -> Operation[None]:
        """Move the break down to leave the pad, if the top has reached the trim threshold."""
        if self.top_bytes >= self.owner.trim_threshold:
            yield from self.trim(self.owner.top_pad)

    def trim(self, pad: int) -> Operation[bool]:
        """Move the break down by whole pages, to leave `pad` and a smallest chunk."""
        spare_bytes = self.top_bytes - SMALLEST_BYTES - 1
        if spare_bytes <= pad:
            return False
        extra_bytes = (spare_bytes - pad) & -PAGE_BYTES
        if not extra_bytes:
            return False
        yield Brk(-extra_bytes)
        self.system_bytes -= extra_bytes
        self.set_top(self.top, self.top_bytes - extra_bytes)
        return True

    def used_before(self) -> int:
        """Return how many bytes from the top on may hold old data: calloc clears these."""
        return self.top_bytes  # what comes after it will be fresh from the kernel (MORECORE_CLEARS)


@dataclass(slots=True)
class _Heap:
    address: int
    bytes: int
    writable_bytes: int


class ThreadArena(Arena):
    """An arena for other threads: heaps, each a piece of 64 MiB that becomes writable as needed.

    Its variables lie at the beginning of the first heap, behind the heap's own header.
    """

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self.heaps: list[_Heap] = []
        self.threads = 0

    def copy(self, owner: Owner) -> Arena:
        """Return the same arena, as a forked child has it."""
        other = super().copy(owner)
        assert isinstance(other, ThreadArena)
        other.heaps = [_Heap(h.address, h.bytes, h.writable_bytes) for h in self.heaps]
        return other

    @property
    def address(self) -> int:
        """Where its variables lie."""
        return self.heaps[0].address + HEAP_HEADER_BYTES

    def note_state(self) -> None:
        """Note that its variables are written: its lock, at least."""
        self.trace.write(self.address)

    def begin(self, request_bytes: int) -> Operation[None]:
        """Make the first heap, large enough for a request if a heap can be."""
        wanted = HEAP_HEADER_BYTES + ARENA_BYTES + ALIGNMENT
        done = yield from self._new_heap(request_bytes + wanted)
        if not done:
            done = yield from self._new_heap(wanted)
        if not done:
            raise NotImplementedError("no memory for an arena")
        heap = self.heaps[0]
        self.trace.write(heap.address, HEAP_HEADER_BYTES + ARENA_BYTES)
        self.system_bytes = heap.bytes
        self.set_top(heap.address + FIRST_CHUNK, heap.bytes - FIRST_CHUNK)

    def grow(self, nb: int) -> Operation[bool]:
        """Lengthen the last heap, or begin another."""
        heap = self.heaps[-1]
        before = heap.bytes
        grown = yield from self._grow_heap(heap, SMALLEST_BYTES + nb - self.top_bytes)
        if grown:
            self.system_bytes += heap.bytes - before
            self.set_top(self.top, heap.address + heap.bytes - self.top)
            return True
        done = yield from self._new_heap(nb + SMALLEST_BYTES + HEAP_HEADER_BYTES)
        if not done:
            return False
        new = self.heaps[-1]
        self.system_bytes += new.bytes
        old_top, old_bytes = self.top, self.top_bytes
        self.set_top(new.address + HEAP_HEADER_BYTES, new.bytes - HEAP_HEADER_BYTES)
        yield from self._close(old_top, old_bytes)
        return True

    def _close(self, top: int, size_bytes: int) -> Operation[None]:
        """End a heap that is full with a fence, and free what was its top."""
        rest = (size_bytes - SMALLEST_BYTES) & -ALIGNMENT
        self.trace.write(top + rest + HEADER_BYTES + 8)
        self.sizes[top + rest + HEADER_BYTES] = 0
        if rest >= SMALLEST_BYTES:
            self.sizes[top + rest] = HEADER_BYTES
            self.trace.write(top + rest + 8, 16)
            self.sizes[top] = rest
            self.trace.write(top + 8)
            yield from self.free(top, self.owner.current_tcache)
        else:
            self.sizes[top] = rest + HEADER_BYTES
            self.trace.write(top + 8)
            self.trace.write(top + rest + HEADER_BYTES)

    def _new_heap(self, size_bytes: int) -> Operation[bool]:
        pad = self.owner.top_pad
        if size_bytes + pad < SMALLEST_HEAP_BYTES:
            size_bytes = SMALLEST_HEAP_BYTES
        elif size_bytes + pad <= HEAP_BYTES:
            size_bytes += pad
        elif size_bytes > HEAP_BYTES:
            return False
        else:
            size_bytes = HEAP_BYTES
        size_bytes = round_up(size_bytes)
        try:
            address = yield Mmap(HEAP_BYTES, reserved=True, alignment=HEAP_BYTES)
            yield Protect(address, size_bytes)
        except Refused:
            return False
        self.heaps.append(_Heap(address, size_bytes, size_bytes))
        self.trace.write(address, HEAP_HEADER_BYTES)
        return True

    def _grow_heap(self, heap: _Heap, more_bytes: int) -> Operation[bool]:
        if more_bytes <= 0:
            return False
        wanted = heap.bytes + round_up(more_bytes)
        if wanted > HEAP_BYTES:
            return False
        if wanted > heap.writable_bytes:
            try:
                yield Protect(heap.address + heap.writable_bytes, wanted - heap.writable_bytes)
            except Refused:
                return False
            heap.writable_bytes = wanted
        heap.bytes = wanted
        self.trace.write(heap.address)
        return True

    def give_back(self) -> Operation[None]:
        """Unmap heaps that are empty, and give back the frames of a long top."""
        pad = self.owner.top_pad
        while len(self.heaps) > 1 and self.top == self.heaps[-1].address + HEAP_HEADER_BYTES:
            previous = self.heaps[-2]
            fence = (previous.address + previous.bytes - HEADER_BYTES) & -ALIGNMENT
            if not (yield from self._drop_heap(fence, pad)):
                break
        if self.top_bytes < self.owner.trim_threshold:
            return
        spare_bytes = self.top_bytes - SMALLEST_BYTES - 1
        extra_bytes = (spare_bytes - pad) & -PAGE_BYTES if spare_bytes > pad else 0
        if not extra_bytes:
            return
        heap = self.heaps[-1]
        heap.bytes -= extra_bytes
        yield Dontneed(heap.address + heap.bytes, extra_bytes)
        self.trace.write(heap.address)
        self.system_bytes -= extra_bytes
        self.set_top(self.top, self.top_bytes - extra_bytes)

    def _drop_heap(self, fence: int, pad: int) -> Operation[bool]:
        """Unmap the last heap, unless the one before would be left with too little."""
        heap, previous = self.heaps[-1], self.heaps[-2]
        last = next(
            chunk for chunk in (fence - HEADER_BYTES, fence - SMALLEST_BYTES) if chunk in self.sizes
        )
        end = previous.address + previous.bytes
        free_before = self.free_before.get(last)
        start = last if free_before is None else free_before
        if end - start + HEAP_BYTES - previous.bytes < pad + SMALLEST_BYTES + PAGE_BYTES:
            return False
        self.system_bytes -= heap.bytes
        yield Munmap(heap.address, HEAP_BYTES)
        self.heaps.pop()
        del self.sizes[fence], self.sizes[last]
        if free_before is not None:
            del self.free_before[last]
            self.bins.remove(free_before)
        self.set_top(start, end - start)
        return True

    def used_before(self) -> int:
        """Return how many bytes from the top on may hold old data: calloc clears these."""
        heap = self.heaps[-1]
        return max(self.top_bytes, heap.address + heap.writable_bytes - self.top)


def new_tcache(owner: Owner, arena: Arena) -> Operation[Tcache | None]:
    """Return a thread's cache, its table allocated in the thread's arena and cleared."""
    chunk = yield from arena.malloc(Tcache.TABLE_BYTES + HEADER_BYTES, None)
    if not chunk:
        return None
    owner.trace.write(chunk + HEADER_BYTES, Tcache.TABLE_BYTES)
    return Tcache(owner.trace, chunk + HEADER_BYTES, owner.tcache_count)
