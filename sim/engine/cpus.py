"""Who has which CPU and who waits for one, as Python sees it; the burst itself hands CPUs out.

Only a plug-in's policy decides here, at events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sim.base.text import shown
from sim.engine import runqueue, timers
from sim.machine.layout import FOREVER, NONE
from sim.machine.turns import FREE, set_key
from sim.machine.words import (
    C_TASK,
    C_WORDS,
    E_BUSY,
    E_QUEUE,
    E_TIMER,
    E_WORDS,
    K_RUNNABLE,
    S_RUNNING,
    S_TIMERS,
    T_CPU,
    T_WORDS,
)
from sim.policy.schedulers import FOREVER_NS, PLUGIN, WOKE, Scheduler, SchedulerPolicy
from sim.program.blame import blaming, complaint, fault_of_plugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.clock import Clock
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.machine.machine import Machine


class Cpus:
    """The CPUs of a machine, its run queues, and a plug-in's policy if there is one."""

    def __init__(
        self,
        machine: Machine,
        clock: Clock,
        table: TaskTable,
        scheduler: Scheduler,
        quantum_ns: int,
    ) -> None:
        self._m = machine.arrays
        self._words = machine.arrays.words
        self._clock = clock
        self._by_row = table.by_row
        self._plugin: Plugin | None = None
        sched = self._m.sched[0]
        sched.quantum_ns = quantum_ns
        if isinstance(scheduler, int):
            sched.policy = scheduler
        else:
            sched.policy = PLUGIN
            self._plugin = Plugin(scheduler, quantum_ns)
        self._declined: list[int] = []

    # -- operations ------------------------------------------------------------------------

    def submit(self, task: Task) -> None:
        """Take in a task's next operation; it needs a CPU unless it has one."""
        words, row = self._words, task.row
        entity = row * E_WORDS
        words.entities[entity + E_BUSY] = 1
        if words.tasks[row * T_WORDS + T_CPU] == NONE and words.entities[entity + E_QUEUE] == NONE:
            self.make_runnable(task)

    def cancel(self, task: Task) -> None:
        """Cancel what a task is doing: its operation, or the wait for its next arrival."""
        words, row = self._words, task.row
        words.entities[row * E_WORDS + E_BUSY] = 0
        if words.entities[row * E_WORDS + E_TIMER] != NONE:
            timers.drop_timer(self._m, row)
        cpu = words.tasks[row * T_WORDS + T_CPU]
        if cpu != NONE:
            runqueue.stop_idling(self._m, cpu, self._clock.now_ns)
            runqueue.look_at(self._m, cpu)

    def make_runnable(self, task: Task, why: int = WOKE) -> None:
        """Put a task into its run queue."""
        now_ns = self._clock.now_ns
        runqueue.enqueue(self._m, task.row, why, now_ns)
        if self._plugin is not None:
            self._plugin.enqueue(_row_of(task.pin), task, now_ns)

    def vacate(self, cpu: int) -> None:
        """Take the CPU from its task, if it has one."""
        runqueue.vacate(self._m, cpu)

    # -- what can be asked -------------------------------------------------------------------

    def task_on(self, cpu: int) -> Task:
        """Return the task that has a CPU."""
        return self._by_row[self._words.cpus[cpu * C_WORDS + C_TASK]]

    def at_rest(self) -> bool:
        """Whether no task has a CPU, waits for one, or waits for its next arrival."""
        words = self._words
        if words.sched[S_TIMERS] != 0 or words.clock[K_RUNNABLE] != 0:
            return False
        if words.sched[S_RUNNING] != 0:
            runqueue.hand_out(self._m, self._clock.now_ns)  # tasks that are done leave their CPUs
        return words.sched[S_RUNNING] == 0

    def is_queued(self, task: Task) -> bool:
        """Whether a task waits for a CPU."""
        return self._words.entities[task.row * E_WORDS + E_QUEUE] != NONE

    def is_busy(self, task: Task) -> bool:
        """Whether an operation of a task is under way, or its end not yet told."""
        return self._words.entities[task.row * E_WORDS + E_BUSY] == 1

    def awaits_arrival(self, task: Task) -> bool:
        """Whether a task has given way until its next arrival."""
        return self._words.entities[task.row * E_WORDS + E_TIMER] != NONE

    # -- arrivals ------------------------------------------------------------------------------

    def next_arrival(self) -> tuple[int, int, int]:
        """Return whose arrival comes next, when, and its number among SimPy's events."""
        return timers.next_timer(self._m) if self._words.sched[S_TIMERS] else (NONE, FOREVER, 0)

    def arrive(self, row: int) -> None:
        """Let a task go on whose arrival has come."""
        timers.drop_timer(self._m, row)
        self.make_runnable(self._by_row[row])

    # -- a plug-in's policy ----------------------------------------------------------------------

    def preempt(self, cpu: int) -> None:
        """Take a CPU from its task, whose slice is over."""
        task, now_ns = self.task_on(cpu), self._clock.now_ns
        runqueue.preempt(self._m, cpu, now_ns)
        if self._plugin is not None:
            self._plugin.enqueue(_row_of(task.pin), task, now_ns)
        self.ask_again()

    def pick(self, cpu: int) -> None:
        """Have a plug-in's policy give a free CPU to a task that still has something to do.

        If it picks none, the CPU stays free until something happens.
        """
        m, plugin, now_ns = self._m, self._plugin, self._clock.now_ns
        assert plugin is not None
        while True:
            picked = plugin.pick(runqueue.queue_for(m, cpu), now_ns)
            if picked is None:
                break
            task, slice_ns = picked
            if self.is_busy(task):
                runqueue.switch_to(m, cpu, task.row, now_ns, slice_ns)
                return
            runqueue.dequeue(m, task.row, now_ns)
        set_key(m, FREE, cpu, FOREVER)
        self._declined.append(cpu)

    def ask_again(self) -> None:
        """Have CPUs for which nobody was picked looked at again: something has happened."""
        if not self._declined:
            return
        for cpu in self._declined:
            if self._words.cpus[cpu * C_WORDS + C_TASK] == NONE:
                set_key(self._m, FREE, cpu, 0)
                runqueue.look_at(self._m, cpu)
        self._declined.clear()

    # -- what is counted ---------------------------------------------------------------------

    def sample(self) -> None:
        """Write the samples that are due before a level changes outside the burst."""
        if int(self._m.clock[0].sample_next_ns) <= self._clock.now_ns:
            runqueue.bring_up_to(self._m, self._clock.now_ns)

    def restart(self, now_ns: int) -> None:
        """Forget what was counted before `now_ns`; tasks that wait are counted from there."""
        sched = self._m.sched[0]
        sched.counted_from_ns = now_ns
        sched.counted_from = sched.enqueued = self._m.clock[0].runnable
        sched.area_low = sched.area_high = sched.waited_low = sched.waited_high = 0

    def little_residual(self, now_ns: int) -> int:
        """Return the integral of the number of tasks that wait less the sum of waits, in task-ns.

        Little's law is an identity in every run once waits under way are counted: it must be 0.
        """
        m, sched = self._m, self._m.sched[0]
        from_ns = int(sched.counted_from_ns)
        area = _wide(sched.area_low, sched.area_high)
        area += int(m.clock[0].runnable) * now_ns - int(sched.counted_from) * from_ns
        under_way = 0
        for queue in np.flatnonzero(m.queues.length):
            row = int(m.queues[queue].head)
            while row != NONE:
                under_way += now_ns - max(int(m.entities[row].since_ns), from_ns)
                row = int(m.entities[row].next)
        return area - _wide(sched.waited_low, sched.waited_high) - under_way


def _row_of(pin: int | None) -> int:
    """Return the run queue of a task."""
    return 0 if pin is None else pin + 1


def _wide(low: Any, high: Any) -> int:
    return (int(high) << 61) + int(low)


class Plugin:
    """A plug-in's policy, one for each run queue; its mistakes are not taken for ours."""

    def __init__(self, policy: Callable[[int], SchedulerPolicy], quantum_ns: int) -> None:
        self._source = policy
        self._quantum_ns = quantum_ns
        self._policies: dict[int, SchedulerPolicy] = {}
        self._waiting: dict[int, dict[int, Task]] = {}

    def enqueue(self, queue: int, task: Task, now_ns: int) -> None:
        """Hand a task to the policy of its run queue."""
        if queue not in self._policies:
            with blaming(self._source):
                self._policies[queue] = self._source(self._quantum_ns)
            self._waiting[queue] = {}
        self._waiting[queue][task.pid] = task
        try:
            self._policies[queue].enqueue(task.pid, now_ns)
        except BaseException as error:  # `blaming` costs more than most policies
            fault = fault_of_plugin(error, self._source)
            if fault is None:
                raise
            raise fault from error

    def pick(self, queue: int, now_ns: int) -> tuple[Task, int] | None:
        """Return what the policy of a run queue picks, if it can be.

        Raises `ScenarioError` unless it is a task that waits, and a slice of at least 1 ns.
        """
        waiting = self._waiting.get(queue)
        if not waiting:
            return None
        try:
            picked: Any = self._policies[queue].pick(now_ns)
        except BaseException as error:  # `blaming` costs more than most policies
            fault = fault_of_plugin(error, self._source)
            if fault is None:
                raise
            raise fault from error
        if picked is None:
            return None
        wrong = f"pick returns {shown(picked)}; write `(pid, slice_ns)` or `None`"
        if not isinstance(picked, tuple) or len(picked) != 2:
            raise complaint(self._source, wrong)
        pid, slice_ns = picked
        if not isinstance(pid, int) or not isinstance(slice_ns, int):
            raise complaint(self._source, wrong)
        if pid not in waiting:
            raise complaint(self._source, f"pick returns the task {pid}, which does not wait")
        if not 1 <= slice_ns <= FOREVER_NS:
            raise complaint(self._source, f"pick returns a slice of {shown(slice_ns)} ns")
        return waiting.pop(pid), slice_ns
