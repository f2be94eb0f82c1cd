"""Which task has which CPU, and which wait for one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sim.engine import burst
from sim.engine.task import Wait
from sim.machine.layout import NONE

if TYPE_CHECKING:
    from sim.engine.clock import Clock
    from sim.engine.runqueue import RunQueue
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.machine.machine import Machine


class Dispatcher:
    """Gives CPUs to tasks, and takes them."""

    def __init__(self, machine: Machine, clock: Clock, table: TaskTable, queue: RunQueue) -> None:
        self._machine = machine
        self._clock = clock
        self._table = table
        self.queue = queue
        self.running: list[Task | None] = [None] * machine.host.cpus

    def submit(self, task: Task) -> None:
        """Take in a task's next operation; it needs a CPU unless it has one."""
        task.busy = True
        if task.cpu is None and not task.queued:
            self.make_runnable(task)

    def make_runnable(self, task: Task) -> None:
        """Put a task into the run queue."""
        self.sample()
        task.queued = True
        self.queue.enqueue(task.pid, task.pin, self._clock.now_ns)
        self._machine.arrays.clock[0].runnable += 1

    def sample(self) -> None:
        """Write the samples that are due before a level changes outside the burst."""
        m = self._machine.arrays
        if int(m.clock[0].sample_next_ns) <= self._clock.now_ns:
            burst.bring_up_to(m, self._clock.now_ns)

    def vacate(self, cpu: int) -> None:
        """Take the CPU from its task, if it has one."""
        task = self.running[cpu]
        if task is None:
            return
        self.running[cpu] = None
        task.cpu = None
        self._machine.arrays.cpus[cpu].task = NONE
        self._machine.arrays.tasks[task.row].cpu = NONE

    def preempt(self, task: Task, cpu: int) -> None:
        """Take `cpu` from its task, which goes to the end of the queue."""
        self.vacate(cpu)
        self.make_runnable(task)

    def stop_idling_of(self, task: Task) -> None:
        """Let the CPU of a task go on now, if it has one that stands still."""
        if task.cpu is not None:
            self._stop_idling(task.cpu)

    def _dispatch(self, cpu: int) -> None:
        """Give a CPU to the next task in line that still has something to do."""
        m = self._machine.arrays
        while picked := self.queue.pick(cpu, self._clock.now_ns):
            pid, slice_ns, waited_ns = picked
            task = self._table.by_pid[pid]
            task.queued = False
            self.sample()
            m.clock[0].runnable -= 1
            if not task.busy:  # its call was cancelled while it queued, and it waits for others
                continue
            self.running[cpu] = task
            task.cpu = cpu
            burst.switch_to(m, cpu, task.row, self._clock.now_ns, waited_ns, slice_ns)
            return

    def at_rest(self) -> bool:
        """Whether no task has a CPU or waits for one."""
        return not any(self.running) and not self.queue

    def settle(self) -> None:
        """Take CPUs from tasks that have nothing to do, and give them to those that wait."""
        cpus = self._machine.arrays.cpus
        for cpu, task in enumerate(self.running):
            if task is not None and not task.busy:
                self.vacate(cpu)
        if self.queue:
            for cpu, task in enumerate(self.running):
                if not self.queue.waits_for(cpu):
                    continue
                if task is not None and self._idles(cpu):
                    self.give_way(task, cpu)
                if self.running[cpu] is None:
                    self._dispatch(cpu)
        for cpu, task in enumerate(self.running):
            if task is not None:
                c = cpus[cpu]
                contended = self.queue.waits_for(cpu)
                if contended and c.contended == 0 and c.slice_end_ns < self._clock.now_ns:
                    tick = int(self._machine.arrays.clock[0].tick_ns)
                    c.slice_end_ns = -(-self._clock.now_ns // tick) * tick
                c.contended = int(contended)

    def _idles(self, cpu: int) -> bool:
        """Whether the task on `cpu` waits there for its next arrival."""
        c = self._machine.arrays.cpus[cpu]
        return bool(c.idle_from_ns != NONE and c.next_ns > self._clock.now_ns)

    def _stop_idling(self, cpu: int) -> None:
        """Let the CPU go on now if it stands still until an arrival."""
        c = self._machine.arrays.cpus[cpu]
        if self._idles(cpu):
            c.next_ns = self._clock.now_ns
        c.idle_from_ns = NONE

    def give_way(self, task: Task, cpu: int) -> None:
        """Block a paced task until its next arrival, since another could use its CPU."""
        due_ns = burst.next_arrival_ns(self._machine.arrays, task.row)
        self._stop_idling(cpu)
        self.vacate(cpu)
        delay_ns = max(0, due_ns - self._clock.now_ns)
        timer = self._clock.timer(delay_ns, partial(self._arrived, task))
        task.wait = Wait("its next arrival", cancel=partial(self._clock.cancel, timer))

    def _arrived(self, task: Task) -> None:
        task.wait = None
        self.make_runnable(task)
