"""Processes whose heaps grow and shrink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from sim.base.errors import Refused
from sim.base.units import MIB, MINUTE, MS, PAGE_BYTES, Range
from sim.program.declared import Uncertain, without_files
from sim.program.heap import Block, Heap
from sim.program.offer import program
from sim.program.patterns import Uniform

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.program.api import Child, Process, Region

GrowthMethod = Literal["sbrk", "mmap", "malloc"]

TOUCHED: Final = Uncertain(
    "assumed: a heap of which half is never touched, and one that is written to the end",
    low=0.5,
    high=1.0,
    measure="VmRSS over VmSize of the heap (Rss over Size of [heap] in /proc/PID/smaps)",
)
STEP_CPU: Final = Uncertain(
    "assumed: half and twice the time",
    times=(0.5, 2),
    measure="user time between two steps (perf stat, or ru_utime)",
    says="CPU time of a step",
)


@without_files()
@program("heap_growth", events={"cycle": "cycles"})
def heap_growth(
    task: Process,
    *,
    processes: Annotated[int, Range(1, 10_000)] = 4,
    method: GrowthMethod = "sbrk",
    step_bytes: Annotated[int, Range(PAGE_BYTES, None)] = 8 * MIB,
    steps: Annotated[int, Range(1, 1_000_000)] = 8,
    cycles: Annotated[int, Range(1, 1_000_000)] = 3,
    touched_fraction: Annotated[float, Range(0.0, 1.0), TOUCHED] = 1.0,
    rewrites: Annotated[int, Range(0, 1_000_000_000)] = 0,
    step_cpu_ns: Annotated[int, Range(0, 60 * MINUTE), STEP_CPU] = 5 * MS,
    hold_ns: Annotated[int, Range(0, None)] = 50 * MS,
    stagger_ns: Annotated[int, Range(0, None)] = 20 * MS,
) -> Generator[Any, Any, None]:
    """Grow a heap step by step, hold it, give it all back; again and again, in each process.

    Growing takes no frame: a step only makes addresses valid.  Frames are taken when pages
    are first touched (zero-fill), and come back when the heap shrinks.

    Parameters
    ----------
    processes
        How many do this: the first forks the others, `stagger_ns` apart.
    method
        ``sbrk`` moves the program break; ``mmap`` maps an area a step; ``malloc`` leaves to glibc
        which of the two is done, and when.
    step_bytes, steps
        How much a step adds, and how many steps make a cycle.
    cycles
        How often the heap grows and shrinks.
    touched_fraction
        Share of a step's pages that are written, from its start on.
    rewrites
        Writes to touched pages after each step, drawn uniformly from that step's.
    step_cpu_ns
        CPU time after each step.
    hold_ns
        How long the full heap is kept idle.
    stagger_ns
        How long after one another the processes start.
    stagger_ns
        How long after one another the processes start.

    Notes
    -----
    Records: ``step_ns``, one number a step (growing, touching and rewriting);
    ``steps_refused`` when a process ends.
    """
    children: list[Child] = []
    growth = _Growth(
        method, step_bytes, steps, cycles, touched_fraction, rewrites, step_cpu_ns, hold_ns
    )
    for _ in range(processes - 1):
        child = yield from task.fork(growth.run)
        children.append(child)
        yield from task.sleep(stagger_ns)
    yield from growth.run(task)
    for child in children:
        yield from task.wait(child)


@dataclass(frozen=True, slots=True)
class _Growth:
    """What each process does."""

    method: GrowthMethod
    step_bytes: int
    steps: int
    cycles: int
    touched_fraction: float
    rewrites: int
    step_cpu_ns: int
    hold_ns: int

    def run(self, task: Process) -> Generator[Any, Any, None]:
        refused = 0
        heap = Heap(task)
        for _ in range(self.cycles):
            task.begin("cycle")
            grown: list[Region | Block] = []
            for _ in range(self.steps):
                before_ns = task.now_ns
                try:
                    found = yield from self._grow(task, heap)
                except Refused:
                    refused += 1
                    break
                region = found.region if isinstance(found, Block) else found
                yield from self._touch(task, region)
                task.record("step_ns", task.now_ns - before_ns)
                grown.append(found)
                if self.step_cpu_ns:
                    yield from task.compute(self.step_cpu_ns)
            yield from task.sleep(self.hold_ns)
            yield from self._shrink(task, heap, grown)
            task.end("cycle", failed=len(grown) < self.steps)
        task.record("steps_refused", refused)

    def _grow(self, task: Process, heap: Heap) -> Generator[Any, Any, Region | Block]:
        if self.method == "malloc":
            return (yield from heap.malloc(self.step_bytes))
        if self.method == "sbrk":
            return (yield from task.sbrk(self.step_bytes))
        return (yield from task.mmap(self.step_bytes))

    def _touch(self, task: Process, region: Region) -> Generator[Any, Any, None]:
        touched = int(region.pages * self.touched_fraction)
        if touched:
            yield from task.write(region, pages=touched)
            if self.rewrites:
                yield from task.write(region, pages=touched, pattern=Uniform(self.rewrites))

    def _shrink(
        self, task: Process, heap: Heap, grown: list[Region | Block]
    ) -> Generator[Any, Any, None]:
        if self.method == "sbrk" and grown:
            yield from task.sbrk(-self.step_bytes * len(grown))
        elif self.method != "sbrk":
            for found in grown:
                if isinstance(found, Block):
                    yield from heap.free(found)
                else:
                    yield from task.munmap(found)
