"""Who has which CPU and who waits for one, as Python sees it; the burst itself hands CPUs out.

Only a plug-in's policy decides here, at events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sim.engine import queues, runqueue, timers
from sim.engine.plugin_policy import PluginPolicy
from sim.machine.layout import FOREVER, NONE
from sim.machine.turns import FREE, set_key
from sim.machine.words import (
    C_SLICE_END_NS,
    C_TASK,
    C_WORDS,
    E_BUSY,
    E_DUE_NS,
    E_DUE_NUMBER,
    E_HOME,
    E_QUEUE,
    E_TIMER,
    E_WEIGHT,
    E_WORDS,
    K_RUNNABLE,
    S_LEFT,
    S_RUNNING,
    S_TIMERS,
    T_CPU,
    T_CPU_NS,
    T_WORDS,
)
from sim.policy.schedulers import PLUGIN, PREEMPTED, WOKE, Runnable, Scheduler
from sim.policy.schedulers.shipped import QUEUES_PER_CPU

if TYPE_CHECKING:
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
        self._plugin: PluginPolicy | None = None
        sched = self._m.sched[0]
        sched.quantum_ns = quantum_ns
        if isinstance(scheduler, int):
            sched.policy = scheduler
            sched.queue_per_cpu = sched.steals = int(scheduler in QUEUES_PER_CPU)
        else:
            sched.policy = PLUGIN
            self._plugin = PluginPolicy(scheduler, quantum_ns)
            sched.steals = int(self._plugin.steals)
        self.declined: list[int] = []

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

    def make_runnable(self, task: Task) -> None:
        """Put a task that woke into its run queue."""
        if self._plugin is None:
            runqueue.enqueue(self._m, task.row, WOKE, self._clock.now_ns)
        else:
            self._wake(task, self._plugin)

    def vacate(self, cpu: int) -> None:
        """Take the CPU from its task, if it has one."""
        runqueue.vacate(self._m, cpu, self._clock.now_ns)

    def let_go(self) -> None:
        """Have tasks that are done leave their CPUs, unless somebody else is to get them."""
        if self._nobody_comes() and self._words.sched[S_RUNNING] != 0:
            runqueue.hand_out(self._m, self._clock.now_ns)

    # -- what can be asked -------------------------------------------------------------------

    def task_on(self, cpu: int) -> Task:
        """Return the task that has a CPU."""
        return self._by_row[self._words.cpus[cpu * C_WORDS + C_TASK]]

    def at_rest(self) -> bool:
        """Whether no task has a CPU, waits for one, or waits for its next arrival."""
        return self._nobody_comes() and self._words.sched[S_RUNNING] == 0

    def _nobody_comes(self) -> bool:
        """Whether no task waits for a CPU, or for its next arrival."""
        return self._words.sched[S_TIMERS] == 0 and self._words.clock[K_RUNNABLE] == 0

    def is_busy(self, task: Task) -> bool:
        """Whether an operation of a task is under way, or its end not yet told."""
        return self._words.entities[task.row * E_WORDS + E_BUSY] == 1

    # -- arrivals ------------------------------------------------------------------------------

    def next_arrival(self) -> tuple[int, int, int]:
        """Return whose arrival comes next, when, and its number among SimPy's events."""
        words = self._words
        if words.sched[S_TIMERS] == 0:
            return NONE, FOREVER, 0
        row = words.timers[0]
        entity = row * E_WORDS
        return row, words.entities[entity + E_DUE_NS], words.entities[entity + E_DUE_NUMBER]

    def arrive(self, row: int) -> None:
        """Let a task go on whose arrival has come."""
        timers.drop_timer(self._m, row)
        self.make_runnable(self._by_row[row])

    # -- a plug-in's policy ----------------------------------------------------------------------

    def _wake(self, task: Task, plugin: PluginPolicy) -> None:
        self._tell_who_left(plugin)
        now_ns = self._clock.now_ns
        free = queues.free_cpu(self._m)
        cpu = task.pin if task.pin is not None else plugin.last_cpu(task)
        if plugin.queue_per_cpu and task.pin is None:
            cpu = free if free != NONE else cpu or 0
            set_key(self._m, FREE, cpu, FOREVER)  # it is for this task
            self._words.entities[task.row * E_WORDS + E_HOME] = cpu
        queue = self._enqueue(task, WOKE, plugin)
        if plugin.preempts and cpu is not None and free == NONE:
            running = self._words.cpus[cpu * C_WORDS + C_TASK]
            if running != NONE and self.is_busy(self._by_row[running]):
                waking = self._seen(task, WOKE, plugin)
                other = self._seen(self._by_row[running], PREEMPTED, plugin)
                if plugin.goes_before(queue, waking, other, now_ns):
                    self._words.cpus[cpu * C_WORDS + C_SLICE_END_NS] = now_ns

    def _enqueue(self, task: Task, why: int, plugin: PluginPolicy) -> int:
        """Put a task into its run queue, or tell the policy that it is there; return the queue."""
        now_ns = self._clock.now_ns
        if why == WOKE:
            runqueue.enqueue(self._m, task.row, WOKE, now_ns)
        queue = self._words.entities[task.row * E_WORDS + E_QUEUE]
        seen = self._seen(task, why, plugin) if plugin.sees_tasks else None
        plugin.enqueue(queue, task, seen, now_ns)
        return queue

    def _seen(self, task: Task, why: int, plugin: PluginPolicy) -> Runnable:
        """Return what a policy sees of a task."""
        used_ns = self._words.tasks[task.row * T_WORDS + T_CPU_NS]
        weight = self._words.entities[task.row * E_WORDS + E_WEIGHT]
        return plugin.runnable(task, weight, used_ns, why)

    def _tell_who_left(self, plugin: PluginPolicy) -> None:
        """Tell the policy which tasks have left their CPUs since it was asked last."""
        for told in range(self._words.sched[S_LEFT]):
            row, used_ns = self._m.left[told].tolist()
            plugin.left(row, used_ns)
        self._words.sched[S_LEFT] = 0

    def preempt(self, cpu: int) -> None:
        """Take a CPU from its task, whose slice is over, and have the policy pick another."""
        plugin, task = self._plugin, self.task_on(cpu)
        assert plugin is not None
        if self._words.sched[S_LEFT]:
            self._tell_who_left(plugin)
        if self.declined:
            self.ask_again()
        cpu = runqueue.rotate_plugin(self._m, cpu, self._clock.now_ns)
        plugin.preempted(task.row)
        self._enqueue(task, PREEMPTED, plugin)
        if cpu != NONE:
            self.pick(cpu)

    def pick(self, cpu: int) -> None:
        """Have a plug-in's policy give a free CPU to a task that still has something to do.

        If it picks none, the CPU stays free until something happens.
        """
        m, plugin, now_ns = self._m, self._plugin, self._clock.now_ns
        assert plugin is not None
        if self._words.sched[S_LEFT]:
            self._tell_who_left(plugin)
        while True:
            queue = runqueue.queue_for(m, cpu)
            if plugin.steals and m.queues[0].length + m.queues[cpu + 1].length == 0:
                queue = cpu + 1
                if not self._steal(cpu, plugin):
                    break
            picked = plugin.pick(queue, now_ns)
            if picked is None:
                break
            task, slice_ns = picked
            if self.is_busy(task):
                runqueue.switch_to(m, cpu, task.row, now_ns, slice_ns)
                plugin.started(task, queue, cpu)
                return
            runqueue.dequeue(m, task.row, now_ns)  # its call was cancelled while it queued
            plugin.tell_gone(task.pid, queue, self._words.tasks[task.row * T_WORDS + T_CPU_NS])
        set_key(m, FREE, cpu, FOREVER)
        self.declined.append(cpu)

    def _steal(self, cpu: int, plugin: PluginPolicy) -> bool:
        """Have a CPU for which nobody waits take over a task of another's queue, if it wants to."""
        stolen = plugin.steal(cpu + 1)
        if stolen is None:
            return False
        task, queue = stolen
        plugin.tell_gone(task.pid, queue, self._words.tasks[task.row * T_WORDS + T_CPU_NS])
        runqueue.migrate(self._m, task.row, cpu, self._clock.now_ns)
        self._enqueue(task, PREEMPTED, plugin)
        return True

    def ask_again(self) -> None:
        """Have CPUs for which nobody was picked looked at again: something has happened."""
        for cpu in self.declined:
            if self._words.cpus[cpu * C_WORDS + C_TASK] == NONE:
                set_key(self._m, FREE, cpu, 0)
                runqueue.look_at(self._m, cpu)
        self.declined.clear()

    # -- what is counted ---------------------------------------------------------------------

    def sample(self) -> None:
        """Write the samples that are due before a level changes outside the burst."""
        if int(self._m.clock[0].due_ns) <= self._clock.now_ns:
            queues.bring_up_to(self._m, self._clock.now_ns)

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


def _wide(low: Any, high: Any) -> int:
    return (int(high) << 61) + int(low)
