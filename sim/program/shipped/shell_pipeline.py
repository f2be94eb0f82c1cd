"""A shell that runs pipelines: ``sort big | uniq -c | head``, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from sim.base.errors import Refused
from sim.base.units import KIB, MIB, MS, PAGE_BYTES, US, Range, S, in_base_units
from sim.program.declared import Uncertain
from sim.program.offer import program as offered
from sim.program.patterns import Every
from sim.program.shipped.build_storm import SpawnMethod, spawn
from sim.program.steps.grammar import normal_image
from sim.program.steps.meant import said_image

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.program.api import Child, Process

BLOCK_CPU: Final = Uncertain(
    "assumed: half and twice the time",
    times=(0.5, 2),
    measure="user time of a stage over its blocks (/usr/bin/time -v)",
    says="CPU time of a block",
)
STAGE_HEAP: Final = Uncertain(
    "assumed: half and twice the heap",
    times=(0.5, 2),
    measure="maximum resident set of a stage (/usr/bin/time -v)",
)


@offered("shell_pipeline", events={"pipeline": "pipelines"})
def shell_pipeline(
    task: Process,
    *,
    method: SpawnMethod = "fork_exec",
    shell_bytes: Annotated[int, Range(0, None)] = 2 * MIB,
    pipelines: Annotated[int, Range(1, 1_000_000)] = 20,
    stages: Annotated[int, Range(1, 1000)] = 3,
    stream_bytes: Annotated[int, Range(0, None)] = 4 * MIB,
    block_bytes: Annotated[int, Range(PAGE_BYTES, None)] = 64 * KIB,
    block_every_ns: Annotated[int, Range(1, None)] = MS,
    block_cpu_ns: Annotated[int, Range(0, S), BLOCK_CPU] = 100 * US,
    stage_heap_bytes: Annotated[int, Range(0, None), STAGE_HEAP] = MIB,
    think_ns: Annotated[int, Range(0, None)] = 10 * MS,
    image: Annotated[Any, normal_image] = "sort",
) -> Generator[Any, Any, None]:
    """Run pipelines one after the other: fork every stage, let all stream, wait for all.

    Each stage execs, fills its heap, then handles the stream block by block: a block comes
    in every `block_every_ns`, is written into the stage's buffer and costs CPU time.  Stages
    run side by side.

    Not modelled: a pipe that is full or empty holds no stage back, except that a stage
    cannot be ahead of the stream's pace.

    Parameters
    ----------
    method
        How the shell starts a stage: ``fork_exec``, ``vfork_exec`` or ``posix_spawn``.
    shell_bytes
        What the shell has written before the first.
    pipelines, stages
        How many pipelines, of how many stages each.
    stream_bytes, block_bytes
        What goes through each stage, and in which portions (a Linux pipe holds 64 KiB).
    block_every_ns, block_cpu_ns
        The stream's pace, and the CPU time a stage needs a block.
    stage_heap_bytes
        What each stage writes before the stream.
    think_ns
        Pause of the shell after each pipeline.
    image
        What each stage execs: the name of a program that ships (`sort` unless told otherwise;
        `cat`, `ls`, ...), or sizes, as `exec` takes them.

    Notes
    -----
    Records, one number a pipeline: ``pipeline_ns`` (first fork to last exit);
    ``stages_refused`` at the end.
    """
    program = said_image(normal_image(in_base_units(image)))
    if shell_bytes:
        memory = yield from task.mmap(shell_bytes)
        yield from task.write(memory)
    blocks = -(-stream_bytes // block_bytes)
    block_pages = -(-block_bytes // PAGE_BYTES)
    refused = 0
    for _ in range(pipelines):
        started_ns, whole = task.now_ns, True
        task.begin("pipeline")
        children: list[Child] = []
        for _ in range(stages):
            try:
                child = yield from spawn(
                    task, method, program, _stage, stage_heap_bytes, blocks, block_pages,
                    block_every_ns, block_cpu_ns,
                )  # fmt: skip
            except Refused:
                refused += 1
                whole = False
                continue
            children.append(child)
        for child in children:
            exited = yield from task.wait(child)
            whole = whole and exited.status == 0
        task.end("pipeline", failed=not whole)
        task.record("pipeline_ns", task.now_ns - started_ns)
        yield from task.sleep(think_ns)
    task.record("stages_refused", refused)


def _stage(
    task: Process,
    heap_bytes: int,
    blocks: int,
    block_pages: int,
    block_every_ns: int,
    block_cpu_ns: int,
) -> Generator[Any, Any, None]:
    if heap_bytes:
        heap = yield from task.sbrk(heap_bytes)
        yield from task.write(heap)
    if not blocks:
        return
    buffer = yield from task.mmap(block_pages * PAGE_BYTES)
    first_ns = task.now_ns
    for block in range(blocks):
        yield from task.write(
            buffer,
            arrivals=Every(first_ns + block * block_every_ns, block_every_ns),
            per_request=block_pages,
            cpu_ns=block_cpu_ns // block_pages,
        )
