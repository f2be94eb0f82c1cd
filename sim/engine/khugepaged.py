"""When khugepaged works: every ten seconds, on whatever CPU is free, for some thousand pages.

Figures are the defaults of `/sys/kernel/mm/transparent_hugepage/khugepaged` in Linux 6.18.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sim.base.units import MS
from sim.engine.task import Task
from sim.kernel import step as ops
from sim.kernel.reclaim.khugepaged import NO_BLOCK, REST

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.engine.system import System

SCAN_SLEEP_NS: Final = 10_000 * MS
ALLOC_SLEEP_NS: Final = 60_000 * MS
PAGES_TO_SCAN: Final = 4096


def start_khugepaged(
    system: System,
    *,
    scan_sleep_ns: int = SCAN_SLEEP_NS,
    alloc_sleep_ns: int = ALLOC_SLEEP_NS,
) -> None:
    """Let khugepaged live as long as anybody else does."""
    scan = partial(_scan, scan_sleep_ns=scan_sleep_ns, alloc_sleep_ns=alloc_sleep_ns)
    task = Task(system, "khugepaged", scan, daemon=True)
    system.machine.arrays.tasks[task.row].other = 0  # before the first address space
    system.machine.arrays.config[0].khugepaged = 1
    system.table.bear(task)
    task.start()


def _scan(task: Task, scan_sleep_ns: int, alloc_sleep_ns: int) -> Generator[Any, Any, None]:
    """Scan from time to time; without a block of frames wait once, then give this scan up."""
    while True:
        yield from task.sleep(scan_sleep_ns)
        task.system.machine.arrays.tasks[task.row].count = PAGES_TO_SCAN
        patient = True
        while True:
            found = yield from task._do("khugepaged", ops.OP_KHUGEPAGED)
            if found == REST or (found == NO_BLOCK and not patient):
                break
            if found == NO_BLOCK:
                patient = False
                yield from task.sleep(alloc_sleep_ns)
