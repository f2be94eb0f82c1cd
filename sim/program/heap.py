"""A heap for programs: a model of malloc, carried out by a process of the simulator.

A program with a heap, and a child that has it too::

    def program(task):
        heap = Heap(task)
        block = yield from heap.malloc(100 * KIB)
        yield from task.write(block.region)
        child = yield from task.fork(saver, heap.model.fork(), block)
        yield from task.wait(child)

    def saver(task, model, block):
        heap = Heap(task, model)
        yield from heap.free(block)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from sim.alloc.calls import Brk, Dontneed, Mmap, Mremap, Munmap, Protect
from sim.alloc.glibc.malloc import GlibcMalloc
from sim.base.errors import Refused
from sim.base.units import PAGE_BYTES, Vpn
from sim.program.api import Mutex, Region

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.alloc.calls import Call, Operation
    from sim.alloc.models import Allocator
    from sim.program.api import Process, Verb


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Block:
    """An allocation: where it begins, and the bytes that were asked for."""

    address: int
    size_bytes: int

    @property
    def region(self) -> Region:
        """The pages that it lies in; it may share the first and the last with others."""
        return _region(self.address, self.size_bytes)


@dataclass(slots=True)
class _Shared:
    """What threads of a process share besides the model: the lock, and how many have allocated."""

    mutex: Mutex = field(default_factory=Mutex)
    shared: bool = False
    threads: int = 0


class Heap:
    """The heap of a process.  A child's is a `Heap` too, made from `model.fork()`.

    Take that fork where the process forks: it is what the heap looks like at that moment.

    Threads share it: each has a `Heap` of its own, made by `of_thread`, and they take turns.

    Parameters
    ----------
    task
        Whose memory it is.
    model
        Of which library; glibc's by default.
    """

    def __init__(self, task: Process, model: Allocator | None = None) -> None:
        self.model = GlibcMalloc(cpus=task.cpus) if model is None else model
        self.model.clock = lambda: task.now_ns
        self._task = task
        self._thread: int | None = 0
        self._shared = _Shared()

    def of_thread(self, task: Process) -> Heap:
        """Return the same heap as another thread of the process uses it; once for each thread."""
        other = Heap(task, self.model)
        other._shared = self._shared
        other._shared.shared = True
        other._thread = None
        return other

    def end_thread(self) -> Verb[None]:
        """Do what the end of a thread does: free what it kept, leave its arena to others."""
        if self._thread is not None:
            yield from self._run(self.model.end_thread(self._thread))

    def fork(self) -> Allocator:
        """Return the heap as a child has it that is forked now; see `alone`."""
        return self.model.fork(self._thread or 0)

    def alone(self, work: Callable[[], Verb[_T]]) -> Verb[_T]:
        """Do work while no other thread is in malloc, as the library itself does a fork."""
        if not self._shared.shared:
            return (yield from work())
        yield from self._task.lock(self._shared.mutex)
        try:
            result = yield from work()
        except Refused:
            yield from self._task.unlock(self._shared.mutex)
            raise
        yield from self._task.unlock(self._shared.mutex)
        return result

    def malloc(self, size_bytes: int) -> Verb[Block]:
        """Allocate; raises `Refused` (ENOMEM) as `Process.mmap` does, and so do the others."""
        address = yield from self._run(self.model.malloc(size_bytes, thread=self._number()))
        return Block(address, size_bytes)

    def calloc(self, size_bytes: int) -> Verb[Block]:
        """Allocate zeroed memory."""
        address = yield from self._run(self.model.calloc(size_bytes, thread=self._number()))
        return Block(address, size_bytes)

    def realloc(self, block: Block, size_bytes: int) -> Verb[Block]:
        """Resize an allocation; `block` must not be used any more."""
        work = self.model.realloc(block.address, size_bytes, thread=self._number())
        address = yield from self._run(work)
        return Block(address, size_bytes)

    def free(self, block: Block) -> Verb[None]:
        """Free an allocation."""
        yield from self._run(self.model.free(block.address, thread=self._number()))

    def trim(self) -> Verb[None]:
        """Give free memory back to the system (malloc_trim)."""
        yield from self._run(self.model.trim(thread=self._number()))

    def _number(self) -> int:
        """Return what the model calls this thread, which it meets when it first allocates."""
        if self._thread is None:
            self._shared.threads += 1
            self._thread = self._shared.threads
        return self._thread

    def _run(self, work: Operation[Any]) -> Verb[Any]:
        return (yield from self.alone(lambda: self._begun(work)))

    def _begun(self, work: Operation[Any]) -> Verb[Any]:
        if not self.model.begun:
            yield from self._drive(self.model.begin())
        return (yield from self._drive(work))

    def _drive(self, work: Operation[Any]) -> Verb[Any]:
        result: Any = None
        refused: Refused | None = None
        while True:
            try:
                call = work.throw(refused) if refused is not None else work.send(result)
            except StopIteration as stop:
                yield from self._touch()
                return stop.value
            yield from self._touch()
            result = refused = None
            try:
                result = yield from self._carry_out(call)
            except Refused as error:
                refused = error

    def _touch(self) -> Verb[None]:
        for first, pages, write in self.model.trace.take():
            access = self._task.write if write else self._task.read
            yield from access(Region(Vpn(first), pages))

    def _carry_out(self, call: Call) -> Verb[int]:
        task = self._task
        match call:
            case Brk(delta):
                grown = yield from task.sbrk(delta)
                return int(grown.start_vpn) * PAGE_BYTES
            case Mmap(size, reserved, alignment):
                found = yield from self._map(size, reserved, alignment)
                return int(found.start_vpn) * PAGE_BYTES
            case Munmap(start, size):
                yield from task.munmap(_region(start, size))
            case Mremap(start, old, new):
                moved = yield from task.mremap(_region(start, old), new)
                return int(moved.start_vpn) * PAGE_BYTES
            case Protect(start, size):
                yield from task.mprotect(_region(start, size), "rw")
            case Dontneed(start, size):
                yield from task.dontneed(_region(start, size))
        return 0

    def _map(self, size: int, reserved: bool, alignment: int) -> Verb[Region]:
        """Map, if need be too much, and unmap what lies before and behind the aligned part."""
        task = self._task
        pages, unit = size // PAGE_BYTES, alignment // PAGE_BYTES
        found = yield from task.mmap(size if unit == 1 else size + alignment)
        skip = -int(found.start_vpn) % unit
        if found.pages > pages:
            yield from task.munmap(found, 0, skip)
            yield from task.munmap(found, skip + pages)
            found = Region(Vpn(found.start_vpn + skip), pages)
        if reserved:
            yield from task.mprotect(found, "none")
        return found


def _region(address: int, size_bytes: int) -> Region:
    first = address // PAGE_BYTES
    return Region(Vpn(first), (address + size_bytes - 1) // PAGE_BYTES + 1 - first)
