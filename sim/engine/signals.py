"""Ending tasks from outside: whatever they wait for is cancelled, and they exit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engine.task import Signal
from sim.kernel import step as ops
from sim.machine.layout import NONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.clock import Clock
    from sim.engine.dispatcher import Dispatcher
    from sim.engine.evidence import Evidence
    from sim.engine.figures import Figures
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.machine.machine import Machine


class Signals:
    """Sends signals to tasks.  Each of `heard` is called for every task that is interrupted."""

    def __init__(
        self,
        machine: Machine,
        clock: Clock,
        table: TaskTable,
        cpus: Dispatcher,
        figures: Figures,
        evidence: Evidence,
    ) -> None:
        self._machine = machine
        self._clock = clock
        self._table = table
        self._cpus = cpus
        self._figures = figures
        self._evidence = evidence
        self.heard: list[Callable[[Task], None]] = []

    def kill(self, task: Task, signal: Signal) -> None:
        """End a process from outside: its waits are cancelled, its pages return as it exits."""
        leader = task.leader
        if leader.killed is not None or leader.ending or leader.life is None:
            return
        name = "oom_kill" if signal is Signal.OOM_KILL else "segfault"
        self._figures.count(f"{name}s")
        self._figures.mark(name, leader.name)
        for member in list(leader.group()):
            self._interrupt(member, signal)

    def end_threads(self, task: Task) -> None:
        """End all other tasks of a task's process."""
        for member in list(task.group()):
            if member is not task:
                self._interrupt(member, Signal.GROUP_EXIT)

    def _interrupt(self, task: Task, signal: Signal) -> None:
        """Have a task exit wherever it is: its waits are cancelled."""
        if task.killed is not None or task.ending or task.life is None:
            return
        self._evidence.cut_off(task)
        task.killed = signal
        t = self._machine.arrays.tasks[task.row]
        t.killed = 1
        t.op = ops.OP_NONE
        task.busy = False
        self._cpus.stop_idling_of(task)
        for hear in self.heard:
            hear(task)
        if task.waits_in is not None:
            task.waits_in.withdraw(task)
        self.cancel_timer(task)
        if task.building is not None:
            self._abandon(task.building)
        task.life.interrupt(signal)

    def cancel_timer(self, task: Task) -> None:
        """Cancel the timer that would have woken a task: the run must not wait for it."""
        if task.timer is not None:
            self._clock.cancel(task.timer)
            task.timer = None

    def _abandon(self, child: Task) -> None:
        """Let a child that was never born give back what fork has given it."""
        t = self._machine.arrays.tasks[child.row]
        if t.space == NONE and t.stack == NONE:
            self._table.bury(child)
            return
        child.program = None
        child.parent = None
        child.killed = Signal.OOM_KILL
        t.killed = 1
        self._table.bear(child)
        child.start()
