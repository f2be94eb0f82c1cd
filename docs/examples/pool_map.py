"""A pool of workers (multiprocessing.Pool) that only read a large table, and yet copy it."""

from __future__ import annotations

from typing import Annotated

from sim.plugin import MIB, MS, HotCold, Range, program


@program("pool_map")
def pool_map(
    task,
    *,
    table_bytes: Annotated[int, Range(4096, None)] = 64 * MIB,
    workers: Annotated[int, Range(1, 1000)] = 4,
    rows_per_worker: Annotated[int, Range(0, None)] = 20_000,
    row_cpu_ns: int = 1000,
    counted_fraction: Annotated[float, Range(0.001, 1.0)] = 0.2,
):
    """Load a table, fork workers that each read rows of it, and wait for them.

    A worker changes nothing, but Python counts references: reading a row writes to the page of
    its header.  Headers are the first `counted_fraction` of the table.
    """
    table = yield from task.mmap(table_bytes)
    yield from task.write(table)
    children = []
    for _ in range(workers):
        child = yield from task.fork(
            read_rows, table, rows_per_worker, row_cpu_ns, counted_fraction
        )
        children.append(child)
    for child in children:
        yield from task.wait(child)
    task.record("workers", workers)


def read_rows(task, table, rows, row_cpu_ns, counted_fraction):
    """Write to the headers of `rows` rows, drawn with replacement."""
    headers = HotCold(rows, hot_fraction=counted_fraction, hot_share=1.0)
    yield from task.write(table, pattern=headers, cpu_ns=row_cpu_ns)
    task.record("copies", task.faults("cow_copy"))
    yield from task.sleep(10 * MS)
