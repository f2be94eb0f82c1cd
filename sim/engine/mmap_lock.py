"""Tasks that wait for the mmap lock of their address space, first come, first served.

What waits for one area only, a fault or a call on it, stands beside that queue.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sim.engine.waits import WaitList
from sim.kernel.lock import may_retry
from sim.kernel.ops import READ_LOCK, WRITE_LOCK
from sim.kernel.step import take_lock, waits_for_lock
from sim.machine.layout import NONE, PENDING_LOCKS
from sim.machine.words import P_PENDING

if TYPE_CHECKING:
    from sim.engine.cpus import Cpus
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.machine.machine import Machine


class LockQueue:
    """Who waits for which address space; the kernel itself knows who holds its lock, and how.

    Calls wait in their order; whatever waits for one area only stands beside them.
    """

    def __init__(self, machine: Machine, table: TaskTable, cpus: Cpus) -> None:
        self._machine = machine
        self._table = table
        self._cpus = cpus
        self._waiting: dict[int, tuple[WaitList, WaitList]] = {}

    def refused(self, task: Task, cpu: int) -> None:
        """Block `task`, running on `cpu`, until it may go on."""
        space = self._table.space_of(task)
        if space not in self._waiting:
            serve = partial(self._serve, space)
            calls, faults = (WaitList(self._cpus, withdrawn=serve) for _ in range(2))
            self._waiting[space] = calls, faults
        calls, faults = self._waiting[space]
        queued = waits_for_lock(self._machine.arrays, task.row)
        waiting = calls if queued else faults
        waiting.park(task, cpu, "the mmap lock", partial(self._holder, task, space))
        self._count(space)

    def _holder(self, task: Task, space: int) -> Task | None:
        """Return a task that holds the lock, or locked areas, of an address space."""
        m = self._machine.arrays
        s = m.spaces[space]
        for row in (int(s.locked_by), int(s.areas_of)):
            if row != NONE:
                return self._table.by_row.get(row)
        sharers = self._table.sharers(task)
        return next(
            (t for t in sharers if int(m.tasks[t.row].holds) in (READ_LOCK, WRITE_LOCK)), None
        )

    def _count(self, space: int) -> None:
        """Tell the kernel how many wait; faults look at that from now on, if it is no longer 0."""
        s = self._machine.arrays.spaces[space]
        calls, faults = self._waiting[space]
        if len(calls) > 0 and s.lock_waiters == 0:
            s.generation += 1
        s.lock_waiters = len(calls)
        s.fault_waiters = len(faults)

    def look_again(self) -> None:
        """Hand the locks that were given back to those next in line: a call has ended."""
        if self._waiting:
            for space in sorted(self._waiting):
                self._serve(space)

    def attend(self) -> None:
        """Do so where a call gave a lock back, or shares it from now on, before its end."""
        self._machine.arrays.words.pool[P_PENDING] &= ~PENDING_LOCKS
        self.look_again()

    def _serve(self, space: int) -> None:
        """Let those go on who may: calls in their order, whatever waits for one area at once."""
        m = self._machine.arrays
        calls, faults = self._waiting[space]
        while (task := calls.first()) is not None and take_lock(m, task.row, True):
            calls.wake(task)
            self._count(space)
        for task in [task for task in faults if may_retry(m, task.row)]:
            faults.wake(task)
        self._count(space)
        if not calls and not faults:
            del self._waiting[space]
