"""Ending tasks from outside: whatever they wait for is cancelled, and they exit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.engine.task import Signal
from sim.kernel import ops
from sim.machine.words import O_OP, O_WORDS, T_KILLED, T_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.cpus import Cpus
    from sim.engine.evidence import Evidence
    from sim.engine.figures import Figures
    from sim.engine.task import Task
    from sim.machine.machine import Machine


_COUNTED: Final = {
    Signal.OOM_KILL: "oom_kill",
    Signal.SEGFAULT: "segfault",
    Signal.BUS_ERROR: "bus_error",
    Signal.EVICTED: "eviction",
}


class Signals:
    """Sends signals to tasks.  Each of `heard` is called for every task that is interrupted."""

    def __init__(
        self,
        machine: Machine,
        cpus: Cpus,
        figures: Figures,
        evidence: Evidence,
    ) -> None:
        self._machine = machine
        self._cpus = cpus
        self._figures = figures
        self._evidence = evidence
        self.heard: list[Callable[[Task], None]] = []

    def kill(self, task: Task, signal: Signal) -> None:
        """End a process from outside: its waits are cancelled, its pages return as it exits."""
        leader = task.leader
        if not leader.may_be_interrupted:
            return
        name = _COUNTED[signal]
        self._figures.count(f"{name}s")
        self._figures.mark(name, leader.name)
        for member in leader.group.tasks():
            self._interrupt(member, signal)

    def end_threads(self, task: Task) -> None:
        """End all other tasks of a task's process."""
        for member in task.group.tasks():
            if member is not task:
                self._interrupt(member, Signal.GROUP_EXIT)

    def _interrupt(self, task: Task, signal: Signal) -> None:
        """Have a task exit wherever it is: its waits are cancelled."""
        if not task.may_be_interrupted or task.life is None:
            return
        self._evidence.cut_off(task)
        task.killed = signal
        words = self._machine.arrays.words
        words.tasks[task.row * T_WORDS + T_KILLED] = 1
        words.operations[task.row * O_WORDS + O_OP] = ops.OP_NONE
        self._cpus.cancel(task)
        for hear in self.heard:
            hear(task)
        self.cancel_wait(task)
        if task.building is not None:
            task.building.undo()
        task.life.interrupt(signal)

    @staticmethod
    def cancel_wait(task: Task) -> None:
        """Call off whatever a task waits for: the run must not go on for it."""
        wait, task.wait = task.wait, None
        if wait is not None and wait.cancel is not None:
            wait.cancel()
