"""A program written in the scenario itself: the kernel's verbs as a list of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from sim.alloc.glibc.malloc import GlibcMalloc
from sim.alloc.models import MODELS
from sim.base.units import Range, in_base_units
from sim.program.api import Mutex
from sim.program.arrivals import poisson
from sim.program.heap import Heap
from sim.program.offer import program
from sim.program.patterns import Every
from sim.program.signature import checked_by
from sim.program.steps.errors import StepsError
from sim.program.steps.grammar import check_steps, normal_steps
from sim.program.steps.meant import allocates_in_thread, said_image, said_pattern

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from sim.alloc.models import Allocator
    from sim.program.api import Child, Process, Region, Thread
    from sim.program.heap import Block

__all__ = ["StepsError", "check_steps", "normal_steps", "steps"]


def _check(arguments: Mapping[str, Any]) -> None:
    if arguments["malloc"] == "glibc":
        return
    if arguments["malloc_arena_max"]:
        raise ValueError("`malloc_arena_max` is glibc's; leave it out, or write `malloc: glibc`")
    if allocates_in_thread(arguments["steps"]):
        raise ValueError("in threads only glibc's malloc is simulated; write `malloc: glibc`")


@program("steps")
@checked_by(_check)
def steps(
    task: Process,
    *,
    steps: Annotated[list[Any], normal_steps],
    malloc: Literal["glibc", "jemalloc"] = "glibc",
    malloc_arena_max: Annotated[int, Range(0, 100_000)] = 0,
) -> Generator[Any, Any, None]:
    """Do what a list of steps says, in order, then exit.

    =============  =====================================================================
    step           arguments
    =============  =====================================================================
    mmap           name, size; file, shared; cold: a new file is on the disk only;
                   hugetlb: huge pages of the pool, see `host.nr_hugepages`;
                   noreserve: nothing is promised for it
    advise         region, advice (as `madvise`); first, pages
    mprotect       region, access (rw, r, none); first, pages
    mremap         region, size: its size from now on
    mlock, munlock region; first, pages
    msync          region; first, pages
    read_file      file, pages; first, direct (O_DIRECT): read()
    write_file     file, pages; first, direct: write()
    fsync          file
    fadvise        file, advice (normal, random, sequential, willneed, dontneed); first, pages
    drop           file, or program (as exec): fsync, and out of the page cache
    munmap         region; first, pages
    sbrk           grow (and name, of the grown part) or shrink
    malloc         name, size; `calloc` likewise
    realloc        block, size
    free           block
    malloc_trim
    dontneed       region; first, pages
    read, write    region; first, pages, pattern, arrivals, span, per_request, cpu, drop
    compute        cpu
    sleep          time
    sleep_until    time, counted from the start of the run
    fork, vfork    steps of the child; name
    posix_spawn    program, or image (as exec); steps, name
    exec           program: the name of one that ships; or text, data, bss, stack: sizes;
                   touched: the share of them that it touches; file: whose text it shares
    wait           child; without it, any child
    thread         steps of the thread; name
    join           thread
    lock, unlock   name: of a lock that the threads of a process share
    exit           status
    repeat         times, steps
    prctl          option (thp_disable), value (0, 1)
    nice           increment
    oom_score_adj  value, of the process itself
    swapoff        all of it back to memory; the process needs `cap_sys_admin`; then `swapon`
    mark           kind
    =============  =====================================================================

    ``pattern`` is ``sequential`` (each page once), ``{uniform: COUNT}``,
    ``{hot_cold: {count:, hot_fraction:, hot_share:}}`` or ``{listed: [PAGE, ...]}``.
    ``arrivals``, counted from the start of the step, is ``{every: DURATION}``,
    ``{poisson: RATE}`` or ``{at: [TIME, ...]}``.  One main argument may stand bare:
    ``{read: A}``, ``{compute: 5 ms}``, ``{exec: ls}``, ``{fork: [...]}``.  A child
    knows its parent's regions, a thread those of its process.  A block that malloc returned is a
    region, of the pages that it lies in, for ``read`` and ``write``.

    Parameters
    ----------
    steps
        The list.
    malloc
        Whose malloc it is.
    malloc_arena_max
        How many arenas glibc's may have (``MALLOC_ARENA_MAX``); 0: eight for each CPU.
    """
    if malloc == "glibc":
        model: Allocator = GlibcMalloc(cpus=task.cpus, arena_max=malloc_arena_max)
    else:
        model = MODELS[malloc]()
    yield from _Runner(task, Heap(task, model)).run(normal_steps(in_base_units(steps)))


class _Runner:
    """One process that does steps: by a method here, else as the process itself does it."""

    def __init__(
        self,
        task: Process,
        heap: Heap,
        regions: Mapping[str, Region] | None = None,
        blocks: Mapping[str, Block] | None = None,
    ) -> None:
        self._task = task
        self._heap = heap
        self._regions = dict(regions or {})
        self._blocks = dict(blocks or {})
        self._mutexes: dict[str, Mutex] = {}
        self._children: dict[str, Child] = {}
        self._threads: dict[str, Thread] = {}
        self._started: dict[str, int] = {}
        self._streams = 0

    def run(self, steps: list[dict[str, dict[str, Any]]]) -> Generator[Any, Any, None]:
        for step in steps:
            for verb, arguments in step.items():
                does = getattr(self, f"_{verb}", None) or getattr(self._task, verb)
                yield from does(**arguments)

    def _mmap(self, name: str, size: int, **how: Any) -> Generator[Any, Any, None]:
        self._regions[name] = yield from self._task.mmap(size, **how)

    def _advise(
        self, region: str, advice: str, first: int, pages: int
    ) -> Generator[Any, Any, None]:
        yield from self._task.madvise(self._regions[region], advice, first, pages)

    def _mprotect(
        self, region: str, access: str, first: int, pages: int
    ) -> Generator[Any, Any, None]:
        yield from self._task.mprotect(self._regions[region], access, first, pages)

    def _mremap(self, region: str, size: int) -> Generator[Any, Any, None]:
        self._regions[region] = yield from self._task.mremap(self._regions[region], size)

    def _mlock(self, region: str, first: int, pages: int) -> Generator[Any, Any, None]:
        yield from self._task.mlock(self._regions[region], first, pages)

    def _munlock(self, region: str, first: int, pages: int) -> Generator[Any, Any, None]:
        yield from self._task.munlock(self._regions[region], first, pages)

    def _msync(self, region: str, first: int, pages: int) -> Generator[Any, Any, None]:
        yield from self._task.msync(self._regions[region], first, pages)

    def _read_file(
        self, file: str, pages: int, first: int, direct: bool = False
    ) -> Generator[Any, Any, None]:
        yield from self._task.pread(file, pages, first, direct=direct)

    def _write_file(
        self, file: str, pages: int, first: int, direct: bool = False
    ) -> Generator[Any, Any, None]:
        yield from self._task.pwrite(file, pages, first, direct=direct)

    def _drop(self, file: str = "", program: str = "") -> Generator[Any, Any, None]:
        yield from self._task.drop(file or f"program:{program}")

    def _munmap(self, region: str, first: int, pages: int) -> Generator[Any, Any, None]:
        yield from self._task.munmap(self._regions[region], first, pages)

    def _sbrk(
        self, name: str | None = None, grow: int = 0, shrink: int = 0
    ) -> Generator[Any, Any, None]:
        grown = yield from self._task.sbrk(grow - shrink)
        if name is not None:
            self._regions[name] = grown

    def _dontneed(self, region: str, first: int, pages: int) -> Generator[Any, Any, None]:
        yield from self._task.dontneed(self._regions[region], first, pages)

    def _read(self, region: str, **how: Any) -> Generator[Any, Any, None]:
        yield from self._task.read(self._regions[region], **self._how(region, **how))

    def _write(self, region: str, **how: Any) -> Generator[Any, Any, None]:
        yield from self._task.write(self._regions[region], **self._how(region, **how))

    def _malloc(self, name: str, size: int) -> Generator[Any, Any, None]:
        self._note_block(name, (yield from self._heap.malloc(size)))

    def _calloc(self, name: str, size: int) -> Generator[Any, Any, None]:
        self._note_block(name, (yield from self._heap.calloc(size)))

    def _realloc(self, block: str, size: int) -> Generator[Any, Any, None]:
        self._note_block(block, (yield from self._heap.realloc(self._blocks[block], size)))

    def _free(self, block: str) -> Generator[Any, Any, None]:
        # Its place stays known: a thread may still touch it, as in a program with that mistake.
        yield from self._heap.free(self._blocks.pop(block))

    def _malloc_trim(self) -> Generator[Any, Any, None]:
        yield from self._heap.trim()

    def _note_block(self, name: str, block: Block) -> None:
        self._blocks[name] = block
        self._regions[name] = block.region

    def _compute(self, cpu: int) -> Generator[Any, Any, None]:
        yield from self._task.compute(cpu)

    def _sleep(self, time: int) -> Generator[Any, Any, None]:
        yield from self._task.sleep(time)

    def _sleep_until(self, time: int) -> Generator[Any, Any, None]:
        yield from self._task.sleep_until(time)

    def _fork(self, steps: list[Any], name: str | None = None) -> Generator[Any, Any, None]:
        def forked() -> Generator[Any, Any, Child]:
            return (
                yield from self._task.fork(
                    _run_child,
                    steps,
                    self._heap.fork(),
                    dict(self._regions),
                    dict(self._blocks),
                    name=self._full_name(name),
                )
            )

        self._note_child(name, (yield from self._heap.alone(forked)))

    def _vfork(self, steps: list[Any], name: str | None = None) -> Generator[Any, Any, None]:
        child = yield from self._task.vfork(
            _run_child,
            steps,
            self._heap.model,  # borrowed, as the memory that it manages
            self._regions,
            self._blocks,
            name=self._full_name(name),
        )
        self._note_child(name, child)

    def _posix_spawn(
        self, image: dict[str, Any], steps: list[Any], name: str | None = None
    ) -> Generator[Any, Any, None]:
        child = yield from self._task.posix_spawn(
            said_image(image),
            _run_child,
            steps,
            self._heap.model.anew(),
            name=self._full_name(name),
        )
        self._note_child(name, child)

    def _exec(self, **image: Any) -> Generator[Any, Any, None]:
        yield from self._task.exec(said_image(image))
        self._regions.clear()
        self._blocks.clear()
        self._heap = Heap(self._task, self._heap.model.anew())

    def _wait(self, child: str | None = None) -> Generator[Any, Any, None]:
        yield from self._task.wait(None if child is None else self._children[child])

    def _thread(self, steps: list[Any], name: str | None = None) -> Generator[Any, Any, None]:
        thread = yield from self._task.thread(
            self._run_thread,
            steps,
            dict(self._regions),
            dict(self._blocks),
            name=self._full_name(name),
        )
        if name is not None:
            self._threads[name] = thread

    def _run_thread(
        self,
        task: Process,
        steps: list[Any],
        regions: dict[str, Region],
        blocks: dict[str, Block],
    ) -> Generator[Any, Any, None]:
        """Do the steps of a thread, which knows what was known when it was started."""
        heap = self._heap.of_thread(task)
        thread = _Runner(task, heap, regions, blocks)
        thread._mutexes = self._mutexes
        yield from thread.run(steps)
        yield from heap.end_thread()

    def _lock(self, name: str) -> Generator[Any, Any, None]:
        yield from self._task.lock(self._mutexes.setdefault(name, Mutex()))

    def _unlock(self, name: str) -> Generator[Any, Any, None]:
        yield from self._task.unlock(self._mutexes.setdefault(name, Mutex()))

    def _join(self, thread: str) -> Generator[Any, Any, None]:
        yield from self._task.join(self._threads[thread])

    def _exit(self, status: int) -> Generator[Any, Any, None]:
        yield from self._task.exit(status)

    def _repeat(self, times: int, steps: list[Any]) -> Generator[Any, Any, None]:
        for _ in range(times):
            yield from self.run(steps)

    def _mark(self, kind: str) -> Generator[Any, Any, None]:
        self._task.mark(kind)
        yield from ()

    def _full_name(self, name: str | None) -> str | None:
        """Return a name no sibling has: a child started again gets a number."""
        if name is None:
            return None
        self._started[name] = self._started.get(name, 0) + 1
        again = f".{self._started[name]}" if self._started[name] > 1 else ""
        return f"{self._task.name}/{name}{again}"

    def _note_child(self, name: str | None, child: Child) -> None:
        if name is not None:
            self._children[name] = child

    def _how(
        self,
        region: str,
        first: int,
        pages: int,
        pattern: str | dict[str, Any],
        span: int,
        per_request: int,
        cpu: int,
        drop: bool,
        arrivals: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        if region in self._blocks:  # which may lie in one page less than the grammar takes it to
            pages = max(0, min(pages, self._regions[region].pages - first))
        chosen, accesses = said_pattern(pattern, pages)
        requests = accesses // per_request
        return {
            "first": first,
            "pages": pages,
            "pattern": chosen,
            "arrivals": None if arrivals is None else self._arrivals(arrivals, requests),
            "span": span,
            "per_request": per_request,
            "cpu_ns": cpu,
            "drop": drop,
        }

    def _arrivals(self, said: dict[str, Any], requests: int) -> NDArray[np.int64] | Every:
        now_ns = self._task.now_ns
        if "every" in said:
            return Every(now_ns, said["every"])
        if "at" in said:
            return now_ns + np.array(said["at"], dtype=np.int64)
        self._streams += 1
        chunks = poisson(self._task.rng(f"arrivals {self._streams}"), said["poisson"], now_ns)
        times: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        while sum(chunk.size for chunk in times) < requests:
            times.append(next(chunks))
        return np.concatenate(times)[:requests]


def _run_child(
    task: Process,
    steps: list[Any],
    model: Allocator,
    regions: Mapping[str, Region] | None = None,
    blocks: Mapping[str, Block] | None = None,
) -> Generator[Any, Any, None]:
    yield from _Runner(task, Heap(task, model), regions, blocks).run(steps)
