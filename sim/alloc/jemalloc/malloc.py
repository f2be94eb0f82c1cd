"""jemalloc 5.3's malloc, for one process of one thread.

Read in jemalloc 5.3.0 ``src/jemalloc.c``, ``src/arena.c``, ``src/tcache.c``, ``src/large.c``.
Allocations have no headers: none is touched before the program does.  What the library knows of
them lies elsewhere (`sim.alloc.jemalloc.notes`).
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from sim.alloc.calls import Trace
from sim.alloc.jemalloc.arena import Arena
from sim.alloc.jemalloc.extents import OVERSIZE_BYTES
from sim.alloc.jemalloc.notes import CACHE_BYTES, Notes
from sim.alloc.jemalloc.sizes import CLASSES, SMALL_CLASSES, class_index, slab_bytes
from sim.alloc.jemalloc.slabs import CACHED_CLASSES, Bin, Slab, empty_cache
from sim.base.errors import Errno, Refused
from sim.base.units import KIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.alloc.calls import Operation

GC_BYTES: Final = 64 * KIB
"""Each time so much was allocated, or freed, one class of the cache is looked at."""
CACHE_LINE_BYTES: Final = 64
FOREVER_MS: Final = -1


class JemallocMalloc:
    """The heap of one process.  Addresses are in bytes.

    Parameters
    ----------
    dirty_decay_ms
        How long freed pages are kept: -1 for ever, 0 not at all, else they go along a curve.
    cache_oblivious
        Whether large allocations begin at a random cache line of their first page.

    Attributes
    ----------
    clock
        Returns the time in ns.  Until somebody sets it no time passes, and nothing decays.
    begun
        Whether `begin` was called.
    """

    def __init__(self, *, dirty_decay_ms: int = 10_000, cache_oblivious: bool = True) -> None:
        self._made_with: dict[str, Any] = {
            "dirty_decay_ms": dirty_decay_ms,
            "cache_oblivious": cache_oblivious,
        }
        self.trace = Trace()
        self.clock: Callable[[], int] = _no_time
        self.begun = False
        self._pad = PAGE_BYTES if cache_oblivious else 0
        self._decay_ms = dirty_decay_ms
        self._notes = Notes(self.trace)
        self._arena = Arena(self._notes, self._pad, dirty_decay_ms, self.clock())
        self._huge: Arena | None = None
        self._bins = [Bin() for _ in range(SMALL_CLASSES)]
        self._cache = empty_cache()
        self._slabs: dict[int, Slab] = {}  # by each of their pages
        self._large: dict[int, tuple[Arena, int, int]] = {}  # arena, start of extent, class
        self._random = random.Random(0)
        self._allocated = self._freed = 0
        self._next_gc = 0

    def begin(self) -> Operation[None]:
        """Do what the library does before the program begins."""
        self.begun = True
        yield from self._notes.begin()
        address = yield from self._new_large(CACHE_BYTES)
        self._notes.cache_address = address

    def anew(self) -> JemallocMalloc:
        """Return an empty heap with the parameters that this one began with, as after exec."""
        return type(self)(**self._made_with)

    def fork(self, thread: int = 0) -> JemallocMalloc:
        """Return the heap of a child."""
        _require_first(thread)
        child = JemallocMalloc.__new__(type(self))
        child.__dict__.update(self.__dict__)
        child.trace = Trace()
        child._notes = self._notes.copy(child.trace)
        child._arena = self._arena.copy(child._notes)
        child._huge = None if self._huge is None else self._huge.copy(child._notes)
        arenas = {id(self._arena): child._arena, id(self._huge): child._huge}
        child._large = {
            address: (arenas[id(arena)], start, index)  # type: ignore[misc]
            for address, (arena, start, index) in self._large.items()
        }
        slabs = {id(slab): self._copy_slab(slab, child._arena) for slab in self._slabs.values()}
        child._slabs = {page: slabs[id(slab)] for page, slab in self._slabs.items()}
        child._bins = [
            Bin(
                None if one.current is None else slabs[id(one.current)],
                [(key, slabs[id(slab)]) for key, slab in one.others],
            )
            for one in self._bins
        ]
        child._cache = [cached.copy() for cached in self._cache]
        child._random = random.Random()
        child._random.setstate(self._random.getstate())
        return child

    @staticmethod
    def _copy_slab(slab: Slab, arena: Arena) -> Slab:
        other = Slab(arena.extents.at(slab.extent.address), slab.class_bytes)
        other.free = slab.free
        return other

    # -- the public functions ----------------------------------------------------------------

    def malloc(self, size_bytes: int, *, thread: int = 0) -> Operation[int]:
        """Return the address of `size_bytes` bytes; raises `Refused` (ENOMEM) without memory."""
        _require_first(thread)
        return (yield from self._allocate(size_bytes, zero=False))

    def calloc(self, size_bytes: int, *, thread: int = 0) -> Operation[int]:
        """Return the address of `size_bytes` zeroed bytes."""
        _require_first(thread)
        return (yield from self._allocate(size_bytes, zero=True))

    def realloc(self, address: int, size_bytes: int, *, thread: int = 0) -> Operation[int]:
        """Resize an allocation: in place within its class, or if large and there is room."""
        _require_first(thread)
        if not address:
            return (yield from self._allocate(size_bytes, zero=False))
        old, new = self._class_of(address), class_index(size_bytes)
        if old == new:
            return address
        if old >= SMALL_CLASSES and new >= SMALL_CLASSES:
            done = yield from self._resize_large(address, old, new)
            if done:
                return address
        moved = yield from self._allocate(CLASSES[new], zero=False)
        copied = min(CLASSES[old], CLASSES[new])
        self.trace.read(address, copied)
        self.trace.write(moved, copied)
        yield from self.free(address)
        return moved

    def free(self, address: int, *, thread: int = 0) -> Operation[None]:
        """Free an allocation: into the cache, if its class has one; else its pages are dirty."""
        _require_first(thread)
        if not address:
            return
        index = self._class_of(address)
        if index < CACHED_CLASSES:
            cached = self._cache[index]
            if len(cached.stack) == cached.limit:
                yield from self._flush(index, cached.limit - (cached.limit >> 1))
            cached.stack.append(address)
            self._notes.touch_cache(index, len(cached.stack))
        else:
            yield from self._free_large(address)
        self._freed = yield from self._collect(self._freed + CLASSES[index])

    def trim(self, pad: int = 0, *, thread: int = 0) -> Operation[None]:
        """Empty the cache and give all dirty pages back.

        Not what malloc_trim does, which is nothing to jemalloc, but its mallctl
        ``thread.tcache.flush`` and ``arena.N.purge`` of all arenas.
        """
        del pad
        _require_first(thread)
        for index, cached in enumerate(self._cache):
            yield from self._flush(index, len(cached.stack))
        yield from self._arena.extents.decay()
        if self._huge is not None:
            yield from self._huge.extents.decay()

    def mallopt(self, option: str, value: int) -> Operation[None]:
        """Do what mallopt does to jemalloc: nothing."""
        del option, value
        yield from ()

    def end_thread(self, thread: int) -> Operation[None]:
        """Refuse: this heap has one thread."""
        _require_first(thread)
        yield from ()

    # -- allocating --------------------------------------------------------------------------

    def _allocate(self, size_bytes: int, *, zero: bool) -> Operation[int]:
        index = class_index(size_bytes)
        cached = self._cache[index] if index < CACHED_CLASSES else None
        address = None if cached is None else cached.get()
        if address is not None:
            if zero:
                self.trace.write(address, CLASSES[index])
        elif index >= SMALL_CLASSES:
            address = yield from self._new_large(size_bytes, zero=zero)
        else:
            yield from self._fill(index)
            address = self._cache[index].get()
            if address is None:
                raise Refused(Errno.ENOMEM, "malloc")
            if zero:
                self.trace.write(address, CLASSES[index])
        self._allocated = yield from self._collect(self._allocated + CLASSES[index])
        return address

    def _new_large(self, size_bytes: int, *, zero: bool = False) -> Operation[int]:
        index = class_index(size_bytes)
        arena = self._arena
        if size_bytes >= OVERSIZE_BYTES:
            arena = yield from self._huge_arena()
        extent = yield from arena.allocate(CLASSES[index] + self._pad, zero=zero)
        offset = self._random.randrange(self._pad // CACHE_LINE_BYTES) if self._pad else 0
        address = extent.address + offset * CACHE_LINE_BYTES
        self._large[address] = arena, extent.address, index
        yield from arena.tick(self.clock())
        return address

    def _huge_arena(self) -> Operation[Arena]:
        """Return the arena of allocations from 8 MiB on, which keeps no dirty pages."""
        if self._huge is None:
            yield from self._notes.begin_arena()
            decay_ms = min(self._decay_ms, 0)
            self._huge = Arena(self._notes, self._pad, decay_ms, self.clock())
        return self._huge

    def _fill(self, index: int) -> Operation[None]:
        """Bring places of slabs, the lowest first, into the cache of a class."""
        cached = self._cache[index]
        places: list[int] = []
        wanted = cached.limit >> cached.fill_shift
        while len(places) < wanted:
            slab = self._bins[index].next_slab()
            if slab is None:
                slab = yield from self._new_slab(index)
                self._bins[index].current = slab
            while slab.free and len(places) < wanted:
                places.append(slab.take())
            self._notes.touch_extent(slab.extent)
        cached.stack = places[::-1]
        cached.refilled = True
        self._notes.touch_cache(index, len(places))
        self._notes.touch_bin(index)
        yield from self._arena.tick(self.clock())

    def _new_slab(self, index: int) -> Operation[Slab]:
        extent = yield from self._arena.allocate(slab_bytes(CLASSES[index]), slab=True)
        slab = Slab(extent, CLASSES[index])
        for page in range(extent.address, extent.end, PAGE_BYTES):
            self._slabs[page] = slab
        return slab

    # -- freeing -----------------------------------------------------------------------------

    def _flush(self, index: int, count: int) -> Operation[None]:
        """Take the oldest `count` allocations of a class out of the cache, and free them."""
        cached = self._cache[index]
        given, cached.stack = cached.stack[:count][::-1], cached.stack[count:]
        cached.low_water = min(cached.low_water, len(cached.stack))
        if index >= SMALL_CLASSES:
            for address in given:
                yield from self._free_large(address)
            return
        empty = []
        for address in given:
            slab = self._slabs[address & -PAGE_BYTES]
            self._notes.touch_extent(slab.extent)
            if self._bins[index].give(slab, address):
                empty.append(slab)
        self._notes.touch_bin(index)
        for slab in empty:
            for page in range(slab.extent.address, slab.extent.end, PAGE_BYTES):
                del self._slabs[page]
            yield from self._arena.free(slab.extent)
        yield from self._arena.tick(self.clock(), len(given))

    def _free_large(self, address: int) -> Operation[None]:
        arena, start, _ = self._large.pop(address)
        yield from arena.free(arena.extents.at(start))
        yield from arena.tick(self.clock())

    def _resize_large(self, address: int, old: int, new: int) -> Operation[bool]:
        arena, start, _ = self._large[address]
        extent = arena.extents.at(start)
        size_bytes = CLASSES[new] + self._pad
        if new < old:
            yield from arena.shrink(extent, size_bytes)
        elif not arena.extents.expand(extent, size_bytes - extent.bytes):
            return False
        self._large[address] = arena, start, new
        yield from arena.tick(self.clock())
        return True

    def _collect(self, counted_bytes: int) -> Operation[int]:
        """Every 64 KiB, free three quarters of what one class had too much of; return the count."""
        if counted_bytes < GC_BYTES:
            return counted_bytes
        index = self._next_gc
        cached = self._cache[index]
        if cached.low_water:
            keep = cached.low_water >> 2
            if index < SMALL_CLASSES:
                yield from self._flush(index, cached.low_water - keep)
                if cached.limit >> (cached.fill_shift + 1) >= 1:
                    cached.fill_shift += 1
            else:
                yield from self._flush(index, cached.low_water - keep)
        elif index < SMALL_CLASSES and cached.refilled:
            cached.fill_shift = max(1, cached.fill_shift - 1)
            cached.refilled = False
        cached.low_water = len(cached.stack)
        self._next_gc = (index + 1) % CACHED_CLASSES
        return 0

    def _class_of(self, address: int) -> int:
        if address in self._large:
            return self._large[address][2]
        slab = self._slabs.get(address & -PAGE_BYTES)
        if slab is None:
            raise Refused(Errno.EINVAL, "free")
        return class_index(slab.class_bytes)


def _no_time() -> int:
    return 0


def _require_first(thread: int) -> None:
    if thread:
        raise NotImplementedError("the model of jemalloc has one thread")
