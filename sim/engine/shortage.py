"""What happens when memory is short: Linux's killer, or the textbook's queue.

Both decide about a task whose step was refused; the step changed nothing and will be tried again
whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from sim.engine import burst
from sim.engine.task import Signal, Task
from sim.engine.waits import WaitList
from sim.machine.layout import HEED_QUEUE, NONE
from sim.machine.work import OOM_KILL
from sim.policy.oom import Candidate, choose_victim

if TYPE_CHECKING:
    from sim.engine.dispatcher import Dispatcher
    from sim.engine.evidence import Evidence
    from sim.engine.pressure import Pressure
    from sim.engine.signals import Signals
    from sim.engine.table import TaskTable
    from sim.machine.machine import Machine

NOBODY_TO_KILL: Final = "memory (out of memory, and no process may be killed: Linux would panic)"


class Shortage(Protocol):
    """A policy for times of need."""

    def refused(self, task: Task, cpu: int) -> None:
        """`task`, running on `cpu`, has asked for frames that are not there."""

    def served(self, task: Task) -> None:
        """`task`, which had been refused, has got what it needed."""

    def released(self) -> None:
        """Take note that a frame has become free, or a reference was dropped."""

    def interrupted(self, task: Task) -> None:
        """`task` is being killed, whatever it waits for."""

    def ended(self, task: Task) -> None:
        """`task` has exited."""


class MemoryWaits:
    """The tasks that wait for memory."""

    def __init__(
        self, machine: Machine, cpus: Dispatcher, pressure: Pressure, evidence: Evidence
    ) -> None:
        self._machine = machine
        self._evidence = evidence
        self.tasks = WaitList(cpus, pressure=pressure)

    def park(self, task: Task, cpu: int, holder: Task | None, *, first: bool = False) -> None:
        """Block a task that was refused until somebody wakes it."""
        need = int(self._machine.arrays.tasks[task.row].need)
        free = int(self._machine.arrays.pool[0].free)
        frames = "frame" if need == 1 else "frames"
        what = f"memory: {need} {frames}, with {free} free"
        self.tasks.park(task, cpu, what, holder, first=first)
        self._evidence.waited(task)


class Killer:
    """Linux: the out-of-memory killer picks a victim; who asked tries again once it is gone."""

    def __init__(
        self, machine: Machine, table: TaskTable, signals: Signals, waits: MemoryWaits
    ) -> None:
        self._machine = machine
        self._table = table
        self._signals = signals
        self._waits = waits
        self._dying: set[int] = set()

    def refused(self, task: Task, cpu: int) -> None:
        """Kill somebody, unless somebody is dying already."""
        by_pid = self._table.by_pid
        if self._dying and task.pid not in self._dying:
            self._stall(task, cpu)
            return
        victim = by_pid.get(choose_victim(self._candidates(), self._machine.host.ram_pages) or -1)
        if victim is None:
            self._stall(task, cpu)
            if task.wait is not None:
                task.wait.what = NOBODY_TO_KILL
            return
        burst.charge(self._machine.arrays, cpu, task.row, OOM_KILL)
        for sharer in self._table.sharers(victim):
            unborn = sharer.building
            self._signals.kill(sharer, Signal.OOM_KILL)
            self._dying.add(sharer.pid)
            if unborn is not None and unborn.child.pid in by_pid:
                self._dying.add(unborn.child.pid)
        if task.killed is None:
            self._stall(task, cpu)

    def _stall(self, task: Task, cpu: int) -> None:
        by_pid = self._table.by_pid
        dying = (by_pid[pid] for pid in sorted(self._dying) if pid in by_pid)
        self._waits.park(task, cpu, next(dying, None))

    def _candidates(self) -> list[Candidate]:
        found = []
        for task in self._table.processes():
            if not task.may_be_interrupted:
                continue
            resident, tables = self._table.resident_and_tables(task)
            borrows = task.vfork_done is not None
            adjustment = task.group.oom_score_adj
            found.append(Candidate(task.pid, resident, 0, tables, adjustment, borrows))
        return found

    def served(self, task: Task) -> None:
        """Nobody queues."""

    def released(self) -> None:
        """Nobody queues."""

    def interrupted(self, task: Task) -> None:
        """Nobody is next because one is killed; when it has ended, all are."""

    def ended(self, task: Task) -> None:
        """When the last dying task has ended, retry all stalled tasks."""
        self._dying.discard(task.pid)
        if not self._dying:
            for waiter in self._waits.tasks:
                self._waits.tasks.wake(waiter)


class Queue:
    """The textbook's pool: first come, first served.

    While anyone waits, newcomers queue behind; the head is woken by a freed frame or a dropped
    reference, keeps its place, and tries its whole step again.
    """

    def __init__(self, machine: Machine, table: TaskTable, waits: MemoryWaits) -> None:
        self._machine = machine
        self._table = table
        self._waits = waits
        self._trying: Task | None = None

    def refused(self, task: Task, cpu: int) -> None:
        """Queue `task`, or put it back to the head if it was there."""
        again = task is self._trying
        if again:
            self._trying = None
        self._waits.park(task, cpu, self._holder(task), first=again)
        self._tell()

    def _holder(self, task: Task) -> Task | None:
        """Return who holds most of the memory that `task` waits for."""
        others = [other for other in self._table.living() if other is not task]
        if not others:
            return None
        return max(others, key=lambda other: self._table.resident_and_tables(other)[0])

    def _tell(self) -> None:
        """Tell the burst who waits and who may try."""
        pool = self._machine.arrays.pool[0]
        waits = self._trying is not None or len(self._waits.tasks) > 0
        pool.heed = (pool.heed & ~HEED_QUEUE) | (HEED_QUEUE if waits else 0)
        pool.head = self._trying.row if self._trying is not None else NONE
        pool.released = 0

    def served(self, task: Task) -> None:
        """Take the head off the queue and let the next one try."""
        if task is self._trying:
            self._trying = None
            self._try_next()

    def released(self) -> None:
        """Let the head try again."""
        if self._trying is None:
            self._try_next()

    def _try_next(self) -> None:
        self._trying = self._waits.tasks.first()
        if self._trying is not None:
            self._waits.tasks.wake(self._trying)
        self._tell()

    def interrupted(self, task: Task) -> None:
        """Take a task off the queue that is being killed; its pages may serve the head."""
        if task in self._waits.tasks:
            self._waits.tasks.withdraw(task)
        self.ended(task)

    def ended(self, task: Task) -> None:
        """Forget a task that has ended; its pages may serve the head."""
        if task is self._trying:
            self._trying = None
        self.released()
