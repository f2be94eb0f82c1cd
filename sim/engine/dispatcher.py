"""Which task has which CPU, which wait for one, and which are blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.errors import KernelPanicError
from sim.engine import burst
from sim.machine.layout import NONE

if TYPE_CHECKING:
    from sim.engine.runqueue import RunQueue
    from sim.engine.system import System
    from sim.engine.task import Task


class Dispatcher:
    """Gives CPUs to tasks, and takes them; keeps account of those stalled on memory."""

    def __init__(self, system: System, queue: RunQueue) -> None:
        self._system = system
        self.queue = queue
        self.running: list[Task | None] = [None] * system.machine.host.cpus
        self._stalled = 0
        self._stalled_some_ns = 0
        self._stall_changed_ns = 0

    def submit(self, task: Task) -> None:
        """Take in a task's next operation; it needs a CPU unless it has one."""
        task.busy = True
        if task not in self.running and not task.queued:
            self.make_runnable(task)

    def make_runnable(self, task: Task) -> None:
        """Put a task into the run queue."""
        self.sample()
        task.queued = True
        self.queue.enqueue(task.pid, task.pin, self._system.now_ns)
        self._system.machine.arrays.clock[0].runnable += 1

    def sample(self) -> None:
        """Write the samples that are due before a level changes outside the burst."""
        m = self._system.machine.arrays
        if int(m.clock[0].sample_next_ns) <= self._system.now_ns:
            burst.bring_up_to(m, self._system.now_ns)

    def stall(self, task: Task, cpu: int, holder: Task | None) -> None:
        """Block a task that waits for memory."""
        need = int(self._system.machine.arrays.tasks[task.row].need)
        free = int(self._system.machine.arrays.pool[0].free)
        frames = "frame" if need == 1 else "frames"
        task.waits_for = f"memory: {need} {frames}, with {free} free"
        task.holder = holder
        self.vacate(cpu)
        self._change_stalled(1)
        task.stalled = True
        self._system.evidence.waited(task)

    def unstall(self, task: Task) -> None:
        """Take note that a task waits for memory no more."""
        if task.stalled:
            task.stalled = False
            self._change_stalled(-1)

    def block(self, task: Task, cpu: int, what: str, holder: Task | None) -> None:
        """Take the CPU from a task that waits for something other than memory."""
        task.waits_for, task.holder = what, holder
        self.vacate(cpu)

    def unblock(self, task: Task) -> None:
        """Let a task go on that was blocked."""
        task.waits_for = task.holder = None
        self.make_runnable(task)

    def resume(self, task: Task) -> None:
        """Let a task that waits for memory try again."""
        self.unstall(task)
        task.waits_for = task.holder = None
        self.make_runnable(task)

    def stalled_now(self) -> tuple[int, int]:
        """Return how long at least one task, and how long all, were stalled on memory, in ns."""
        self._change_stalled(0)
        return self._stalled_some_ns, int(self._system.machine.arrays.clock[0].full_ns)

    def _change_stalled(self, more: int) -> None:
        """Let `more` tasks more be stalled from now on, and account for the time up to now."""
        now_ns = self._system.end_ns()
        if self._stalled > 0:
            self._stalled_some_ns += now_ns - self._stall_changed_ns
        self._stall_changed_ns = now_ns
        burst.stall(self._system.machine.arrays, now_ns, more)
        self._stalled += more

    def vacate(self, cpu: int) -> None:
        """Take the CPU from its task, if it has one."""
        task = self.running[cpu]
        if task is None:
            return
        self.running[cpu] = None
        self._system.machine.arrays.cpus[cpu].task = NONE
        self._system.machine.arrays.tasks[task.row].cpu = NONE

    def preempt(self, cpu: int) -> None:
        """Take the CPU from its task, which goes to the end of the queue."""
        task = self.running[cpu]
        if task is not None:
            self.vacate(cpu)
            self.make_runnable(task)

    def stop_idling_of(self, task: Task) -> None:
        """Let the CPU of a task go on now, if it has one that stands still."""
        if task in self.running:
            self._stop_idling(self.running.index(task))

    def _dispatch(self, cpu: int) -> None:
        """Give a CPU to the next task in line that still has something to do."""
        m = self._system.machine.arrays
        while picked := self.queue.pick(cpu, self._system.now_ns):
            pid, slice_ns, waited_ns = picked
            task = self._system.by_pid[pid]
            task.queued = False
            self.sample()
            m.clock[0].runnable -= 1
            if not task.busy:  # its call was cancelled while it queued, and it waits for others
                continue
            self.running[cpu] = task
            burst.switch_to(m, cpu, task.row, self._system.now_ns, waited_ns, slice_ns)
            return

    def at_rest(self) -> bool:
        """Whether no task has a CPU or waits for one."""
        return not any(self.running) and not self.queue

    def settle(self) -> None:
        """Take CPUs from tasks that have nothing to do, and give them to those that wait."""
        cpus = self._system.machine.arrays.cpus
        for cpu, task in enumerate(self.running):
            if task is not None and not task.busy:
                self.vacate(cpu)
        if self.queue:
            for cpu, task in enumerate(self.running):
                if not self.queue.waits_for(cpu):
                    continue
                if task is not None and self._idles(cpu):
                    self.give_way(cpu)
                if self.running[cpu] is None:
                    self._dispatch(cpu)
        for cpu, task in enumerate(self.running):
            if task is not None:
                c = cpus[cpu]
                contended = self.queue.waits_for(cpu)
                if contended and c.contended == 0 and c.slice_end_ns < self._system.now_ns:
                    tick = int(self._system.machine.arrays.clock[0].tick_ns)
                    c.slice_end_ns = -(-self._system.now_ns // tick) * tick
                c.contended = int(contended)

    def _idles(self, cpu: int) -> bool:
        """Whether the task on `cpu` waits there for its next arrival."""
        c = self._system.machine.arrays.cpus[cpu]
        return bool(c.idle_from_ns != NONE and c.next_ns > self._system.now_ns)

    def _stop_idling(self, cpu: int) -> None:
        """Let the CPU go on now if it stands still until an arrival."""
        c = self._system.machine.arrays.cpus[cpu]
        if self._idles(cpu):
            c.next_ns = self._system.now_ns
        c.idle_from_ns = NONE

    def give_way(self, cpu: int) -> None:
        """Block a paced task until its next arrival, since another could use its CPU."""
        task = self.running[cpu]
        if task is None:
            raise KernelPanicError("a CPU without a task gives way", str(cpu))
        due_ns = burst.next_arrival_ns(self._system.machine.arrays, task.row)
        self._stop_idling(cpu)
        self.vacate(cpu)
        self._system.env.process(self._wake_at(task, due_ns))

    def _wake_at(self, task: Task, due_ns: int) -> Any:
        serial = task.wakes = task.wakes + 1
        task.waits_for = "its next arrival"
        task.timer = self._system.env.timeout(max(0, due_ns - self._system.now_ns))
        yield task.timer
        if task.killed is None and serial == task.wakes:
            task.waits_for = task.timer = None
            self.make_runnable(task)
