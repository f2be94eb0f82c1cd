"""What happens when memory is short: Linux's killer, or the textbook's queue.

Both decide about a task whose step was refused; the step changed nothing and will be tried again
whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sim.engine.task import Signal, Task
from sim.kernel.work import OOM_KILL
from sim.machine.layout import HEED_QUEUE
from sim.policy.oom import Candidate, choose_victim

if TYPE_CHECKING:
    from sim.engine.system import System


class Shortage(Protocol):
    """A policy for times of need."""

    def refused(self, task: Task, cpu: int) -> None:
        """`task`, running on `cpu`, has asked for frames that are not there."""

    def served(self, task: Task) -> None:
        """`task`, which had been refused, has got what it needed."""

    def released(self) -> None:
        """Take note that a frame has become free, or a reference was dropped."""

    def withdraw(self, task: Task) -> None:
        """`task` is being killed: it waits no more."""

    def ended(self, task: Task) -> None:
        """`task` has exited."""


class Killer:
    """Linux: the out-of-memory killer picks a victim; who asked tries again once it is gone."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._dying: set[int] = set()
        self._stalled: list[Task] = []

    def refused(self, task: Task, cpu: int) -> None:
        """Kill somebody, unless somebody is dying already."""
        system = self._system
        if self._dying and task.pid not in self._dying:
            self._stall(task, cpu)
            return
        victim = system.by_pid.get(
            choose_victim(self._candidates(), system.machine.host.ram_pages) or -1
        )
        if victim is None:
            self._stall(task, cpu)
            task.waits_for = (
                "memory (out of memory, and no process may be killed: Linux would panic)"
            )
            return
        system.charge(task, cpu, OOM_KILL)
        for sharer in system.sharers(victim):
            unborn = sharer.building
            system.kill(sharer, Signal.OOM_KILL)
            self._dying.add(sharer.pid)
            if unborn is not None and unborn.pid in system.by_pid:
                self._dying.add(unborn.pid)
        if task.killed is None:
            self._stall(task, cpu)

    def _stall(self, task: Task, cpu: int) -> None:
        system = self._system
        dying = [system.by_pid[pid] for pid in sorted(self._dying) if pid in system.by_pid]
        self._stalled.append(task)
        system.cpus.stall(task, cpu, dying[0] if dying else None)

    def _candidates(self) -> list[Candidate]:
        found = []
        for task in self._system.living():
            if task.leader is not task or task.ending or task.killed is not None:
                continue
            resident, tables = self._system.resident_and_tables(task)
            found.append(
                Candidate(task.pid, resident, 0, tables, task.oom_score_adj, task.borrowed)
            )
        return found

    def served(self, task: Task) -> None:
        """Nobody queues."""

    def released(self) -> None:
        """Nobody queues."""

    def withdraw(self, task: Task) -> None:
        """Forget a task that was stalled and is being killed."""
        if task in self._stalled:
            self._stalled.remove(task)

    def ended(self, task: Task) -> None:
        """When the last dying task has ended, retry all stalled tasks."""
        self._dying.discard(task.pid)
        if not self._dying:
            stalled, self._stalled = self._stalled, []
            for waiter in stalled:
                self._system.cpus.resume(waiter)


class Queue:
    """The textbook's pool: first come, first served.

    While anyone waits, newcomers queue behind; the head is woken by a freed frame or a dropped
    reference, keeps its place, and tries its whole step again.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._waiting: list[Task] = []
        self._trying: Task | None = None

    def refused(self, task: Task, cpu: int) -> None:
        """Queue `task`, or put it back to the head if it was there."""
        if task is self._trying:
            self._trying = None
        else:
            self._waiting.append(task)
        self._tell()
        self._system.cpus.stall(task, cpu, self._holder(task))

    def _holder(self, task: Task) -> Task | None:
        """Return who holds most of the memory that `task` waits for."""
        others = [other for other in self._system.living() if other is not task]
        if not others:
            return None
        return max(others, key=lambda other: self._system.resident_and_tables(other)[0])

    def _tell(self) -> None:
        """Tell the burst who waits and who may try."""
        pool = self._system.machine.arrays.pool[0]
        pool.heed = (pool.heed & ~HEED_QUEUE) | (HEED_QUEUE if self._waiting else 0)
        pool.head = self._trying.row if self._trying is not None else -1
        pool.released = 0

    def served(self, task: Task) -> None:
        """Take the head off the queue and let the next one try."""
        if task is self._trying:
            self._waiting.remove(task)
            self._trying = None
            self._try_next()

    def released(self) -> None:
        """Let the head try again."""
        if self._trying is None:
            self._try_next()

    def _try_next(self) -> None:
        if self._waiting:
            self._trying = self._waiting[0]
            self._system.cpus.resume(self._trying)
        self._tell()

    def ended(self, task: Task) -> None:
        """Forget a task that has ended; its pages may serve the head."""
        if task in self._waiting:
            self._waiting.remove(task)
        if task is self._trying:
            self._trying = None
        self.released()

    def withdraw(self, task: Task) -> None:
        """Take a task off the queue that is being killed."""
        self.ended(task)
