"""Tasks that wait for the mmap lock of their address space, first come, first served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.machine.layout import NONE

if TYPE_CHECKING:
    from sim.engine.system import System
    from sim.engine.task import Task


class LockQueue:
    """Who waits for which address space; the kernel itself knows who holds its lock."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._waiting: dict[int, list[Task]] = {}

    def refused(self, task: Task, cpu: int) -> None:
        """Block `task`, running on `cpu`, until the lock is free."""
        system = self._system
        space = system.space_of(task)
        holder = system.by_row.get(int(system.machine.arrays.spaces[space].locked_by))
        self._waiting.setdefault(space, []).append(task)
        system.cpus.block(task, cpu, "the mmap lock", holder)

    def look_again(self) -> None:
        """Let those try again whose lock nobody holds any more, whoever gave it back, and how."""
        for space in list(self._waiting):
            if self._system.machine.arrays.spaces[space].locked_by == NONE:
                for task in self._waiting.pop(space):
                    self._system.cpus.unblock(task)

    def withdraw(self, task: Task) -> None:
        """Forget a task that is being killed."""
        for waiting in self._waiting.values():
            if task in waiting:
                waiting.remove(task)
