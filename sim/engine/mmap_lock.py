"""Tasks that wait for the mmap lock of their address space, first come, first served.

What waits for one area only, a fault or a call on it, stands beside that queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.kernel.lock import may_retry
from sim.kernel.ops import READ_LOCK, WRITE_LOCK
from sim.kernel.step import take_lock, waits_for_lock
from sim.machine.layout import HEED_LOCKS, NONE

if TYPE_CHECKING:
    from sim.engine.system import System
    from sim.engine.task import Task


class LockQueue:
    """Who waits for which address space; the kernel itself knows who holds its lock, and how."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._calls: dict[int, list[Task]] = {}
        self._faults: dict[int, list[Task]] = {}

    def refused(self, task: Task, cpu: int) -> None:
        """Block `task`, running on `cpu`, until it may go on."""
        system = self._system
        space = system.space_of(task)
        queued = waits_for_lock(system.machine.arrays, task.row)
        waiting = self._calls if queued else self._faults
        waiting.setdefault(space, []).append(task)
        self._count(space)
        system.cpus.block(task, cpu, "the mmap lock", self._holder(task, space))

    def _holder(self, task: Task, space: int) -> Task | None:
        """Return a task that holds the lock, or locked areas, of an address space."""
        m = self._system.machine.arrays
        s = m.spaces[space]
        for row in (int(s.locked_by), int(s.areas_of)):
            if row != NONE:
                return self._system.by_row.get(row)
        sharers = self._system.sharers(task)
        return next(
            (t for t in sharers if int(m.tasks[t.row].holds) in (READ_LOCK, WRITE_LOCK)), None
        )

    def _count(self, space: int) -> None:
        """Tell the kernel how many wait; faults look at that from now on, if it is no longer 0."""
        s = self._system.machine.arrays.spaces[space]
        calls = len(self._calls.get(space, ()))
        if calls > 0 and s.lock_waiters == 0:
            s.generation += 1
        s.lock_waiters = calls
        s.fault_waiters = len(self._faults.get(space, ()))

    def look_again(self) -> None:
        """Hand the locks that were given back to those next in line: a call has ended."""
        for space in sorted({*self._calls, *self._faults}):
            self._serve(space)

    def attend(self) -> None:
        """Do so where a call gave a lock back, or shares it from now on, before its end."""
        pool = self._system.machine.arrays.pool[0]
        if pool.heed & HEED_LOCKS:
            pool.heed &= ~HEED_LOCKS
            self.look_again()

    def _serve(self, space: int) -> None:
        """Let those go on who may: calls in their order, whatever waits for one area at once."""
        m = self._system.machine.arrays
        calls = self._calls.get(space, [])
        while calls and take_lock(m, calls[0].row, True):
            self._system.cpus.unblock(calls.pop(0))
            self._count(space)
        faults = self._faults.get(space, [])
        for task in [task for task in faults if may_retry(m, task.row)]:
            faults.remove(task)
            self._system.cpus.unblock(task)
        for waiting in (self._calls, self._faults):
            if not waiting.get(space):
                waiting.pop(space, None)
        self._count(space)

    def withdraw(self, task: Task) -> None:
        """Forget a task that is being killed; who stood behind it may be next."""
        for waiting in (self._calls, self._faults):
            for space, tasks in list(waiting.items()):
                if task in tasks:
                    tasks.remove(task)
                    self._serve(space)
