"""The last rungs of the ladder: Linux's killer, and the textbook's queue."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from sim.engine import burst
from sim.engine.endings import NOBODY_IN_GROUP
from sim.engine.shortage import MemoryWaits, Rung, Scope
from sim.engine.task import Signal, Task
from sim.kernel import ops
from sim.kernel.calls.swapoff import fail_swapoff
from sim.kernel.reclaim.memcg import count_tries
from sim.machine.groups import count_event, is_within
from sim.machine.layout import (
    EV_OOM,
    EV_OOM_GROUP_KILL,
    EV_OOM_KILL,
    NONE,
    PENDING_QUEUE,
    PENDING_ROOM,
    ROOT,
)
from sim.machine.rules.cgroup import V1_NO_OOM_GROUP
from sim.machine.rules.limits import R_VICTIM_ITSELF
from sim.machine.words import PROCESS_GROUP, PROCESS_OOM_SCORE_ADJ
from sim.machine.work import OOM_KILL
from sim.policy.oom import (
    NEVER,
    Candidate,
    badness_pages,
    child_in_place_of,
    choose_victim,
)

if TYPE_CHECKING:
    from sim.base.units import Pid
    from sim.engine.kills import KillLog
    from sim.engine.signals import Signals
    from sim.engine.table import TaskTable
    from sim.engine.victims import Victims
    from sim.machine.machine import Machine

NOBODY_TO_KILL: Final = "memory (out of memory, and no process may be killed: Linux would panic)"


class Kill(Rung):
    """The out-of-memory killer picks a victim; who asked tries again once it is gone."""

    def __init__(
        self,
        machine: Machine,
        table: TaskTable,
        signals: Signals,
        waits: MemoryWaits,
        scope: Scope,
        log: KillLog,
        victims: Victims,
    ) -> None:
        self._machine = machine
        self._table = table
        self._signals = signals
        self._waits = waits
        self._scope = scope
        self._log = log
        self._victims = victims
        self._dying: set[Pid] = set()
        self._stuck: list[Task] = []

    def relieve(self, task: Task, cpu: int) -> bool:
        """Kill somebody, unless somebody is dying already; wait until they have ended."""
        if self._dying and task.pid not in self._dying:
            self._stall(task, cpu)
            return True
        m = self._machine.arrays
        scope = self._scope
        count_event(m, scope.group, EV_OOM, 1)
        candidates = self._candidates()
        worst = choose_victim(candidates, scope.pages)
        if worst is None:
            self._give_up(task, cpu)
            return True
        pid = worst
        if not m.config[0].rules & R_VICTIM_ITSELF:
            pid = child_in_place_of(worst, candidates, scope.pages)
        burst.charge(m, cpu, task.row, int(OOM_KILL))  # a plain one, which Numba knows at once
        victim = self._table.by_pid[pid]
        together = self._killed_together(victim)
        (candidate,) = (candidate for candidate in candidates if candidate.pid == pid)
        badness = badness_pages(candidate, scope.pages)
        parent = None if pid == worst else self._table.by_pid[worst]
        self._log.note(victim, scope, task, badness, together, in_place_of=parent)
        self._kill(victim)
        if together is not None:
            self._kill_all(together, victim, task)
        if task.killed is None:
            self._stall(task, cpu)
        elif scope.group != ROOT and together is None:
            count_tries(m, scope.group)  # others who die with it leave it room at once
        return True

    def _give_up(self, task: Task, cpu: int) -> None:
        """Stop a task for which nobody may be killed.

        Linux panics where the machine has no memory.  In a group a fault goes on trying: here when
        something was freed, so that there may be room.  swapoff fails.
        """
        if self._scope.group == ROOT:
            self._stall(task, cpu, NOBODY_TO_KILL)
            return
        m = self._machine.arrays
        if m.operations[task.row].op == ops.OP_SWAPOFF:
            fail_swapoff(m, task.row)
            return
        self._stall(task, cpu, NOBODY_IN_GROUP)
        self._stuck.append(task)
        pool = self._machine.arrays.pool[0]
        if not pool.pending & PENDING_ROOM:
            pool.pending |= PENDING_ROOM
            pool.room_heard = pool.released

    def served(self, task: Task) -> None:
        """Look whether that step has released something as well."""
        pool = self._machine.arrays.pool[0]
        if pool.released > pool.room_heard:
            self.released()

    def released(self) -> None:
        """Let those try again for whom nobody in the group could be killed."""
        if self._stuck:
            stuck, self._stuck = self._stuck, []
            self._machine.arrays.pool[0].pending &= ~PENDING_ROOM
            for task in stuck:
                if task in self._waits.tasks:
                    self._waits.tasks.wake(task)

    def _killed_together(self, victim: Task) -> int | None:
        """Return the outermost group with `oom_group` that holds the victim, within the scope."""
        m = self._machine.arrays
        if m.config[0].cgroup & V1_NO_OOM_GROUP:
            return None
        group = self._machine.attribute(victim.row, PROCESS_GROUP)
        found = None
        while group != NONE:
            if m.groups[group].oom_group:
                found = group
            if group == self._scope.group:
                break
            group = int(m.groups[group].parent)
        return found

    def _kill_all(self, group: int, victim: Task, asked: Task) -> None:
        """Kill all processes of a group but those that are never killed.

        Linux counts the victim once more (`oom_kill_memcg_member`).
        """
        m = self._machine.arrays
        count_event(m, group, EV_OOM_GROUP_KILL, 1)
        attribute = self._machine.attribute
        count_event(m, attribute(victim.row, PROCESS_GROUP), EV_OOM_KILL, 1)
        for process in list(self._table.processes()):
            of = attribute(process.row, PROCESS_GROUP)
            if process.killed is None and is_within(m, of, group):
                if attribute(process.row, PROCESS_OOM_SCORE_ADJ) == NEVER:
                    continue
                self._log.note(process, self._scope, asked, None, group)
                self._kill(process)

    def _kill(self, victim: Task) -> None:
        """Kill all who use the victim's memory; what they are building is dying with them."""
        group = self._machine.attribute(victim.row, PROCESS_GROUP)
        count_event(self._machine.arrays, group, EV_OOM_KILL, 1)
        dying: set[Pid] = set()
        for sharer in self._table.sharers(victim):
            building = sharer.building
            self._signals.kill(sharer, Signal.OOM_KILL)
            dying.add(sharer.pid)
            if building is not None and building.child.pid in self._table.by_pid:
                dying.add(building.child.pid)
        self._dying |= dying
        self._victims.queue(victim, partial(self._forget, dying))

    def _forget(self, pids: set[Pid]) -> None:
        """Wait no longer for those: they have ended, or have nothing any more that may be taken."""
        self._dying -= pids
        if not self._dying:
            for waiter in self._waits.tasks:
                self._waits.tasks.wake(waiter)

    def _stall(self, task: Task, cpu: int, what: str | None = None) -> None:
        self._waits.park(task, cpu, self._first_to_die, what=what)

    def _first_to_die(self) -> Task | None:
        by_pid = self._table.by_pid
        return next((by_pid[pid] for pid in sorted(self._dying) if pid in by_pid), None)

    def _candidates(self) -> list[Candidate]:
        tasks = [task for task in self._scope.processes() if task.may_be_interrupted]
        resident, swapped, tables = self._table.memory_of(tasks)
        emptier = self._table.by_row.get(int(self._machine.arrays.swap_area[0].off) - 1)
        return [
            Candidate(
                task.pid,
                resident[n],
                swapped[n],
                tables[n],
                self._machine.attribute(task.row, PROCESS_OOM_SCORE_ADJ),
                task.vfork_done is not None,
                None if task.parent is None else task.parent.leader.pid,
                emptier is not None and task is emptier.leader,
            )
            for n, task in enumerate(tasks)
        ]

    def ended(self, task: Task) -> None:
        """When the last dying task has ended, retry all stalled tasks."""
        self._forget({task.pid})


class Queue(Rung):
    """The textbook's pool: first come, first served.

    While anyone waits, newcomers queue behind; the head is woken by a freed frame or a dropped
    reference, keeps its place, and tries its whole step again.
    """

    def __init__(self, machine: Machine, table: TaskTable, waits: MemoryWaits) -> None:
        self._machine = machine
        self._table = table
        self._waits = waits
        self._trying: Task | None = None

    def relieve(self, task: Task, cpu: int) -> bool:
        """Queue `task`, or put it back to the head if it was there."""
        again = task is self._trying
        if again:
            self._trying = None
        if again or not self._waits.tasks:
            self._has_tried()
        self._waits.park(task, cpu, partial(self._holder, task), first=again)
        self._tell()
        return True

    def _has_tried(self) -> None:
        """Take note that the head, or who is the head now, knows what there is."""
        pool = self._machine.arrays.pool[0]
        pool.head_heard = pool.released

    def _holder(self, task: Task) -> Task | None:
        """Return who holds most of the memory that `task` waits for."""
        others = [other for other in self._table.living() if other is not task]
        resident, _, _ = self._table.memory_of(others)
        return others[resident.index(max(resident))] if others else None

    def _tell(self) -> None:
        """Tell the burst who waits and who may try."""
        pool = self._machine.arrays.pool[0]
        waits = self._trying is not None or len(self._waits.tasks) > 0
        pool.pending = (pool.pending & ~PENDING_QUEUE) | (PENDING_QUEUE if waits else 0)
        pool.head = self._trying.row if self._trying is not None else NONE

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
        self._has_tried()
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
