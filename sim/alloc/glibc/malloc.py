"""glibc's malloc, as of 2.36, for one process.

Read in ``malloc/malloc.c`` and ``malloc/arena.c``: the public functions, the thresholds and how
they move, and which arena a thread uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.alloc.calls import Dontneed, Mmap, Mremap, Munmap, Trace
from sim.alloc.glibc.chunk import HEADER_BYTES, chunk_bytes
from sim.alloc.glibc.grow import MainArena, ThreadArena, new_tcache, round_up
from sim.alloc.glibc.tcache import Tcache
from sim.base.errors import Errno, Refused
from sim.base.units import KIB, MIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.alloc.calls import Operation
    from sim.alloc.glibc.arena import Arena

MMAP_THRESHOLD_BYTES: Final = 128 * KIB
LARGEST_MMAP_THRESHOLD_BYTES: Final = 32 * MIB
TRIM_THRESHOLD_BYTES: Final = 128 * KIB
TOP_PAD_BYTES: Final = 128 * KIB
MOST_MAPPED: Final = 65536
TCACHE_COUNT: Final = 7
ARENAS_PER_CPU: Final = 8
LEAST_ARENAS: Final = 9
"""So many may come to be before CPUs are counted (``arena_test`` is 8, and the limit is looked at
when there are more)."""
CHUNK_START_BYTES: Final = 48
"""What malloc_trim keeps of a free chunk: its header and links."""

OPTIONS: Final = ("top_pad", "trim_threshold", "mmap_threshold", "mmap_max")
"""What `mallopt` can set, by the names of its constants (M_TOP_PAD, ...)."""


class GlibcMalloc:
    """The heap of one process.  Addresses are in bytes; threads are numbers, the first one is 0.

    Parameters
    ----------
    mmap_threshold, trim_threshold, top_pad
        In bytes.
    mmap_max
        How many allocations may have a mapping of their own.
    dynamic
        Whether freeing a mapped chunk moves the first two.  Any `mallopt` turns that off.
    tcache_count
        How many free chunks of a size a thread keeps.
    cpus
        They limit the number of arenas: eight each.
    arena_max
        How many arenas there may be (``MALLOC_ARENA_MAX``); 0: as many as `cpus` allow.
    """

    begun = True
    clock: Callable[[], int]

    def __init__(
        self,
        *,
        mmap_threshold: int = MMAP_THRESHOLD_BYTES,
        trim_threshold: int = TRIM_THRESHOLD_BYTES,
        top_pad: int = TOP_PAD_BYTES,
        mmap_max: int = MOST_MAPPED,
        dynamic: bool = True,
        tcache_count: int = TCACHE_COUNT,
        cpus: int = 1,
        arena_max: int = 0,
    ) -> None:
        self._made_with: dict[str, Any] = {
            "mmap_threshold": mmap_threshold,
            "trim_threshold": trim_threshold,
            "top_pad": top_pad,
            "mmap_max": mmap_max,
            "dynamic": dynamic,
            "tcache_count": tcache_count,
            "cpus": cpus,
            "arena_max": arena_max,
        }
        self.trace = Trace()
        self.mmap_threshold = mmap_threshold
        self.trim_threshold = trim_threshold
        self.top_pad = top_pad
        self.mmap_max = mmap_max
        self.dynamic = dynamic
        self.tcache_count = tcache_count
        self.most_arenas = arena_max or max(LEAST_ARENAS, ARENAS_PER_CPU * cpus)
        self._mapped: dict[int, int] = {}
        self._main = MainArena(self)
        self._arenas: list[Arena] = [self._main]
        self._arena_of: dict[int, Arena] = {0: self._main}  # by thread
        self._idle: list[ThreadArena] = []
        self._next_arena = 0
        self._tcaches: dict[int, Tcache] = {}
        self._thread = 0

    def begin(self) -> Operation[None]:
        """Do what the library does before the program begins: nothing."""
        yield from ()

    def anew(self) -> GlibcMalloc:
        """Return an empty heap with the parameters that this one began with, as after exec."""
        return type(self)(**self._made_with)

    def fork(self, thread: int = 0) -> GlibcMalloc:
        """Return the heap of a child that `thread` has forked; there it is thread 0."""
        child = GlibcMalloc.__new__(type(self))
        child.__dict__.update(self.__dict__)
        child.trace = Trace()
        child._mapped = dict(self._mapped)
        copies = {id(arena): arena.copy(child) for arena in self._arenas}
        child._arenas = [copies[id(arena)] for arena in self._arenas]
        child._main = copies[id(self._main)]  # type: ignore[assignment]
        child._arena_of = {}
        if thread in self._arena_of:
            child._arena_of[0] = copies[id(self._arena_of[thread])]
        child._idle = [a for a in child._arenas[1:] if a is not child._arena_of.get(0)]  # type: ignore[misc]
        child._tcaches = {}
        if thread in self._tcaches:
            child._tcaches[0] = self._tcaches[thread].copy(child.trace)
        child._thread = 0
        return child

    @property
    def current_tcache(self) -> Tcache | None:
        """The cache of the thread that calls."""
        return self._tcaches.get(self._thread)

    # -- the public functions ----------------------------------------------------------------

    def malloc(self, size_bytes: int, *, thread: int = 0) -> Operation[int]:
        """Return the address of `size_bytes` bytes.

        Raises `Refused` (ENOMEM) if there is no memory, as do the others.
        """
        tcache = yield from self._enter(thread)
        nb = chunk_bytes(size_bytes)
        chunk = tcache.get(nb) if tcache is not None else None
        if chunk is None:
            arena = yield from self._arena(size_bytes)
            chunk = yield from arena.malloc(nb, tcache)
        return _address(chunk, "malloc")

    def calloc(self, size_bytes: int, *, thread: int = 0) -> Operation[int]:
        """Return the address of `size_bytes` zeroed bytes; clears what might not be zero."""
        tcache = yield from self._enter(thread)
        arena = yield from self._arena(size_bytes)
        assert isinstance(arena, MainArena | ThreadArena)
        top, used_bytes = arena.top, arena.used_before()
        chunk = yield from arena.malloc(chunk_bytes(size_bytes), tcache)
        if chunk and chunk not in self._mapped:
            dirty_bytes = arena.sizes[chunk]
            if chunk == top and dirty_bytes > used_bytes:
                dirty_bytes = used_bytes
            self.trace.write(chunk + HEADER_BYTES, dirty_bytes - 8)
        return _address(chunk, "calloc")

    def realloc(self, address: int, size_bytes: int, *, thread: int = 0) -> Operation[int]:
        """Resize an allocation; where it goes elsewhere, its old contents are copied."""
        if not address:
            return (yield from self.malloc(size_bytes, thread=thread))
        if not size_bytes:
            yield from self.free(address, thread=thread)
            return 0
        chunk = address - HEADER_BYTES
        nb = chunk_bytes(size_bytes)
        if chunk in self._mapped:
            self._thread = thread
            return _address((yield from self._remap(chunk, nb, size_bytes)), "realloc")
        yield from self._enter(thread)
        arena = self._owner(chunk)
        return _address((yield from arena.realloc(chunk, nb)), "realloc")

    def free(self, address: int, *, thread: int = 0) -> Operation[None]:
        """Free an allocation.  Freeing a mapped one raises the thresholds to its size."""
        if not address:
            return
        chunk = address - HEADER_BYTES
        if chunk not in self._mapped:
            tcache = yield from self._enter(thread)
            yield from self._owner(chunk).free(chunk, tcache)
            return
        size_bytes = self._mapped.pop(chunk)
        if self.dynamic and self.mmap_threshold <= size_bytes < LARGEST_MMAP_THRESHOLD_BYTES:
            self.mmap_threshold = size_bytes
            self.trim_threshold = 2 * size_bytes
        yield Munmap(chunk, size_bytes)

    def trim(self, pad: int = 0, *, thread: int = 0) -> Operation[None]:
        """Do what malloc_trim does: give back whole pages of free chunks, and the top."""
        self._thread = thread
        for arena in [self._main, *reversed(self._arenas[1:])]:
            arena.consolidate()
            for chunk, size_bytes in arena.trimmable():
                start = round_up(chunk + CHUNK_START_BYTES)
                spare_bytes = (chunk + size_bytes - start) & -PAGE_BYTES
                if size_bytes > PAGE_BYTES - 1 + CHUNK_START_BYTES and spare_bytes > 0:
                    yield Dontneed(start, spare_bytes)
            if arena is self._main:
                yield from self._main.trim(pad)

    def mallopt(self, option: str, value: int) -> Operation[None]:
        """Set one of `OPTIONS`; from then on thresholds do not move by themselves."""
        if option not in OPTIONS:
            raise ValueError(f"mallopt knows {', '.join(OPTIONS)}; got {option!r}")
        self._main.consolidate()
        setattr(self, option, value)
        self.dynamic = False
        yield from ()

    def end_thread(self, thread: int) -> Operation[None]:
        """Do what the end of a thread does: free its cache, and leave its arena to others."""
        self._thread = thread
        tcache = self._tcaches.pop(thread, None)
        if tcache is not None:
            for chunk in [*tcache.clear(), tcache.address - HEADER_BYTES]:
                yield from self._owner(chunk).free(chunk, None)
        arena = self._arena_of.pop(thread, None)
        if isinstance(arena, ThreadArena):
            arena.threads -= 1
            arena.note_state()
            if not arena.threads:
                self._idle.append(arena)

    def extent(self, address: int) -> tuple[int, int]:
        """Return where the chunk of an allocation begins, and its size in bytes."""
        chunk = address - HEADER_BYTES
        return chunk, self._mapped.get(chunk) or self._owner(chunk).sizes[chunk]

    # -- mapped chunks -----------------------------------------------------------------------

    def map_if_large(self, nb: int) -> Operation[int]:
        """Return a chunk with a mapping of its own if `nb` reaches the threshold, else 0."""
        if nb < self.mmap_threshold or len(self._mapped) >= self.mmap_max:
            return 0
        return (yield from self.map_chunk(nb))

    def map_chunk(self, nb: int) -> Operation[int]:
        """Return a chunk with a mapping of its own, 0 if there is no memory."""
        size_bytes = round_up(nb + 8)
        try:
            chunk: int = yield Mmap(size_bytes)
        except Refused:
            return 0
        self._mapped[chunk] = size_bytes
        self.trace.write(chunk, HEADER_BYTES)
        return chunk

    def _remap(self, chunk: int, nb: int, size_bytes: int) -> Operation[int]:
        old_bytes, new_bytes = self._mapped[chunk], round_up(nb + 8)
        if new_bytes == old_bytes:
            return chunk
        try:
            moved: int = yield Mremap(chunk, old_bytes, new_bytes)
        except Refused:
            if old_bytes - 8 >= nb:
                return chunk
            new = yield from self.malloc(size_bytes, thread=self._thread)
            self.trace.read(chunk + HEADER_BYTES, old_bytes - HEADER_BYTES)
            self.trace.write(new, old_bytes - HEADER_BYTES)
            del self._mapped[chunk]
            yield Munmap(chunk, old_bytes)
            return new - HEADER_BYTES
        del self._mapped[chunk]
        self._mapped[moved] = new_bytes
        self.trace.write(moved + 8)
        return moved

    # -- threads -----------------------------------------------------------------------------

    def _enter(self, thread: int) -> Operation[Tcache | None]:
        """Note which thread calls, and return its cache, made at its first call."""
        self._thread = thread
        tcache = self._tcaches.get(thread)
        if tcache is None and self.tcache_count:
            arena = yield from self._arena(Tcache.TABLE_BYTES)
            tcache = yield from new_tcache(self, arena)
            if tcache is not None:
                self._tcaches[thread] = tcache
        return tcache

    def _arena(self, request_bytes: int) -> Operation[Arena]:
        """Return the arena of the thread that calls, a new one at its first call."""
        arena = self._arena_of.get(self._thread)
        if arena is not None:
            return arena
        if self._idle:
            arena = self._idle.pop()
            arena.threads = 1
        elif len(self._arenas) < self.most_arenas:
            arena = ThreadArena(self)
            yield from arena.begin(request_bytes)
            self._arenas.append(arena)
            arena.threads = 1
        else:
            arena = self._arenas[self._next_arena]
            self._next_arena = (self._next_arena or len(self._arenas)) - 1
            if isinstance(arena, ThreadArena):
                arena.threads += 1
        self._arena_of[self._thread] = arena
        return arena

    def _owner(self, chunk: int) -> Arena:
        for arena in self._arenas:
            if chunk in arena.sizes:
                return arena
        raise Refused(Errno.EINVAL, "free")


def _address(chunk: int, call: str) -> int:
    if not chunk:
        raise Refused(Errno.ENOMEM, call)
    return chunk + HEADER_BYTES
