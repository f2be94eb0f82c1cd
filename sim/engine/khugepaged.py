"""When khugepaged works: every ten seconds, on whatever CPU is free, for some thousand pages.

Figures are the defaults of `/sys/kernel/mm/transparent_hugepage/khugepaged` in Linux 6.18.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import MS
from sim.engine.daemons import start_daemon
from sim.kernel import ops
from sim.kernel.reclaim.khugepaged import NO_BLOCK, REST
from sim.machine.layout.fields import Nothing

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.engine.system import System
    from sim.engine.verbs.process import Process

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

    def scan(khugepaged: Process) -> Generator[Any, Any, None]:
        return _scan(khugepaged, scan_sleep_ns, alloc_sleep_ns)

    task = start_daemon(system, "khugepaged", scan)
    system.machine.arrays.tasks[task.row].scan_space = 0  # before the first address space
    system.machine.arrays.config[0].khugepaged = 1


def _scan(
    khugepaged: Process, scan_sleep_ns: int, alloc_sleep_ns: int
) -> Generator[Any, Any, None]:
    """Scan from time to time; without a block of frames wait once, then give this scan up."""
    machine = khugepaged.system.machine
    while True:
        yield from khugepaged.sleep(scan_sleep_ns)
        machine.arrays.tasks[khugepaged.task.row].scan_left = PAGES_TO_SCAN
        patient = True
        while True:
            found = yield from khugepaged.calls.do("khugepaged", ops.OP_KHUGEPAGED, Nothing())
            if found == REST or (found == NO_BLOCK and not patient):
                break
            if found == NO_BLOCK:
                patient = False
                yield from khugepaged.sleep(alloc_sleep_ns)
