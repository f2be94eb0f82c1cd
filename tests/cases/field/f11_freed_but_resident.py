"""jemalloc#2819: many small blocks freed, then the process idles; does the memory go back?"""

from __future__ import annotations

from sim.plugin import KIB, MIB, GlibcMalloc, Heap, JemallocMalloc, program

MODELS = {"glibc": GlibcMalloc, "jemalloc": JemallocMalloc}


@program("idler")
def idler(
    task,
    *,
    total_bytes: int = 512 * MIB,
    block_bytes: int = 8 * KIB,
    idle_ns: int = 30_000_000_000,
    child_bytes: int = 512 * MIB,
    library: str = "jemalloc",
):
    """Fill a heap with blocks, free all, idle, and run a child that needs as much."""
    heap = Heap(task, MODELS[library]())
    blocks = []
    for _ in range(total_bytes // block_bytes):
        block = yield from heap.malloc(block_bytes)
        yield from task.write(block.region)
        blocks.append(block)
    task.mark("filled")
    for block in blocks:
        yield from heap.free(block)
    task.mark("freed")
    yield from task.sleep(idle_ns)
    task.mark("idle")
    child = yield from task.fork(worker, child_bytes)
    yield from task.wait(child)


def worker(task, size):
    region = yield from task.mmap(size)
    yield from task.write(region)
    yield from task.sleep(1_000_000_000)
