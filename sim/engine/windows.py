"""What CPUs and tasks did while requests arrived and queued: from their first access on.

Whether requests waited for want of CPU time is a matter of that time alone: a server may start
late, and the run go on long after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sim.engine.clock import Clock
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.machine.machine import Machine


class Windows:
    """When processes of the scenario began to serve, and what was used of CPUs by then."""

    def __init__(self, machine: Machine, clock: Clock, table: TaskTable) -> None:
        self._machine = machine
        self._clock = clock
        self._table = table
        self._opened: dict[str, tuple[int, list[int]]] = {}  # by origin
        self._serving: set[str] = set()
        self._tasks: dict[int, tuple[int, int]] = {}  # by pid

    def open(self, task: Task, *, offered: bool = False) -> None:
        """Begin the window of a task, and of its process of the scenario, unless it is open.

        What was only offered begins anew with the first access.
        """
        if task.pid in self._tasks and (offered or task.origin in self._serving):
            return
        if task.origin not in self._serving and not (offered and task.origin in self._opened):
            self._opened[task.origin] = self._clock.now_ns, self._busy_ns()
        if not offered:
            self._serving.add(task.origin)
        self._tasks[task.pid] = self._clock.now_ns, self._table.cpu_ns_of(task)

    def until_now(self, task: Task) -> tuple[tuple[int, int], tuple[int, ...]]:
        """Return the window up to now, in ns, and the CPU time in use in it, by CPU, in ns."""
        from_ns, before = self._opened[task.origin]
        used = (now - then for now, then in zip(self._busy_ns(), before, strict=True))
        return (from_ns, self._clock.end_ns), tuple(used)

    def share(self, task: Task) -> float:
        """Return the share of its window for which a task was on a CPU."""
        from_ns, before_ns = self._tasks[task.pid]
        used_ns = self._table.cpu_ns_of(task) - before_ns
        return min(1.0, used_ns / max(1, self._clock.end_ns - from_ns))

    def _busy_ns(self) -> list[int]:
        """Return CPU time used up to now, by CPU; steps under way count up to now only."""
        cpus: Any = np.asarray(self._machine.arrays.cpus)
        ahead = np.maximum(0, cpus["next_ns"] - self._clock.end_ns)
        busy: list[int] = (cpus["busy_ns"] - np.where(cpus["idle_from_ns"] < 0, ahead, 0)).tolist()
        return busy
