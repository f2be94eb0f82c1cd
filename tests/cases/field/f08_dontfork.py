"""node#48523: a heap marked MADV_DONTFORK, then fork + exec."""

from __future__ import annotations

from sim.plugin import MIB, program


@program("spawner")
def spawner(
    task,
    *,
    heap_bytes: int = 600 * MIB,
    other_bytes: int = 40 * MIB,
    dontfork: bool = False,
    spawns: int = 100,
):
    """Write a heap, perhaps keep it from children, and start `spawns` programs by fork and exec."""
    heap = yield from task.mmap(heap_bytes)
    yield from task.write(heap)
    other = yield from task.mmap(other_bytes)
    yield from task.write(other)
    if dontfork:
        yield from task.madvise(heap, "dontfork")
    for _ in range(spawns):
        start = task.now_ns
        child = yield from task.fork(tiny)
        task.record("fork_ns", task.now_ns - start)
        yield from task.wait(child)
        task.record("cycle_ns", task.now_ns - start)


def tiny(task):
    yield from task.exec("true")
