"""A large parent that starts thousands of short children: a build, a test runner, a shell-out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from sim.base.errors import Refused
from sim.base.units import GIB, MIB, MINUTE, MS, PAGE_BYTES, Range, in_base_units
from sim.program.declared import Uncertain
from sim.program.offer import program as offered
from sim.program.patterns import Uniform
from sim.program.steps.grammar import normal_image
from sim.program.steps.meant import said_image

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.program.api import Child, Image, Process

SpawnMethod = Literal["fork_exec", "vfork_exec", "posix_spawn"]

PARENT_WRITES: Final = Uncertain(
    "assumed: a parent that does a quarter, and four times, as much between two starts",
    times=(0.25, 4),
    measure="minor faults of the parent a start (perf stat -e minor-faults)",
)
JOB_HEAP: Final = Uncertain(
    "assumed: half and twice the heap",
    times=(0.5, 2),
    measure="maximum resident set of a job (/usr/bin/time -v)",
)
JOB_CPU: Final = Uncertain(
    "assumed: half and twice the time",
    times=(0.5, 2),
    measure="user time of a job (/usr/bin/time -v)",
    says="CPU time of a job",
)


@offered("build_storm", events={"job": "jobs"})
def build_storm(
    task: Process,
    *,
    method: SpawnMethod = "fork_exec",
    parent_bytes: Annotated[int, Range(0, None)] = GIB,
    jobs: Annotated[int, Range(1, 10_000_000)] = 1000,
    concurrency: Annotated[int, Range(1, 100_000)] = 4,
    parent_writes: Annotated[int, Range(0, 1_000_000), PARENT_WRITES] = 64,
    job_heap_bytes: Annotated[int, Range(0, None), JOB_HEAP] = 8 * MIB,
    job_cpu_ns: Annotated[int, Range(0, 60 * MINUTE), JOB_CPU] = 20 * MS,
    image: Annotated[Any, normal_image] = "cc1",
) -> Generator[Any, Any, None]:
    """Start `jobs` children that exec, work and exit, at most `concurrency` at a time.

    What starting costs depends on the parent's size with ``fork_exec`` (its page tables are
    copied for a child that throws them away) and not with the other two
    (rtomayko/posix-spawn: 5.8 s to 35 s per 500 spawns between 50 and 500 MB, against 0.8 to
    1.1 s).  After each start the parent writes pages at random; while a child that has not
    yet exec'd shares them they are copied, afterwards they are taken back (reuse).

    Parameters
    ----------
    method
        ``fork_exec``, ``vfork_exec`` or ``posix_spawn``.
    parent_bytes
        What the parent has written before it starts the first.
    jobs, concurrency
        How many children, and how many at a time.
    parent_writes
        Pages the parent writes after each start, drawn uniformly with replacement.
    job_heap_bytes, job_cpu_ns
        What each child writes when its program has started, and its CPU time besides its faults.
    image
        What each child execs: the name of a program that ships (a C compiler, `cc1`, unless told
        otherwise; `gcc`, its driver; `sh`; ...), or sizes, as `exec` takes them.

    Notes
    -----
    Records: ``spawn_ns``, one number a start (until the parent goes on);
    ``spawns_refused`` and ``jobs_killed`` at the end.
    """
    program = said_image(normal_image(in_base_units(image)))
    memory = yield from task.mmap(max(parent_bytes, PAGE_BYTES))
    if parent_bytes:
        yield from task.write(memory)
    running = killed = refused = 0
    for _ in range(jobs):
        while running >= concurrency:
            exited = yield from task.wait()
            task.end("job", failed=exited.status != 0)
            killed += exited.status != 0
            running -= 1
        before_ns = task.now_ns
        task.begin("job")
        try:
            yield from spawn(task, method, program, _job, job_heap_bytes, job_cpu_ns)
        except Refused:
            refused += 1
            task.end("job", failed=True)
            continue
        task.record("spawn_ns", task.now_ns - before_ns)
        running += 1
        if parent_writes and parent_bytes:
            yield from task.write(memory, pattern=Uniform(parent_writes))
    for _ in range(running):
        exited = yield from task.wait()
        task.end("job", failed=exited.status != 0)
        killed += exited.status != 0
    task.record("spawns_refused", refused)
    task.record("jobs_killed", killed)


def spawn(
    task: Process, method: SpawnMethod, image: str | Image, program: Any, *args: Any
) -> Generator[Any, Any, Child]:
    """Start a child that execs `image` and then runs ``program(child, *args)``."""
    if method == "posix_spawn":
        child = yield from task.posix_spawn(image, program, *args)
    elif method == "vfork_exec":
        child = yield from task.vfork(_exec_and_run, image, program, *args)
    else:
        child = yield from task.fork(_exec_and_run, image, program, *args)
    return child


def _exec_and_run(
    task: Process, image: str | Image, program: Any, *args: Any
) -> Generator[Any, Any, None]:
    yield from task.exec(image)
    yield from program(task, *args)


def _job(task: Process, heap_bytes: int, cpu_ns: int) -> Generator[Any, Any, None]:
    if heap_bytes:
        heap = yield from task.sbrk(heap_bytes)
        yield from task.write(heap)
    if cpu_ns:
        yield from task.compute(cpu_ns)
