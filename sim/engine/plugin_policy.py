"""A plug-in's policy: asked at events, checked in its answers, told what it has methods for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.text import shown
from sim.policy.schedulers import FOREVER_NS, Runnable
from sim.program.blame import blaming, complaint, fault_of_plugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.task import Task
    from sim.policy.schedulers import SchedulerPolicy


class PluginPolicy:
    """One policy object for each run queue; mistakes of theirs are not taken for ours."""

    def __init__(self, policy: Callable[[int], SchedulerPolicy], quantum_ns: int) -> None:
        self._source = policy
        self._quantum_ns = quantum_ns
        self._policies: dict[int, Any] = {}
        self._waiting: dict[int, dict[int, Task]] = {}
        self._running: dict[int, tuple[int, int]] = {}  # by row: pid, and queue it came from
        self._last_cpu: dict[int, int] = {}  # by pid
        self.queue_per_cpu = bool(getattr(policy, "queue_per_cpu", False))
        self.steals = self.queue_per_cpu and hasattr(policy, "steal")
        self.preempts = hasattr(policy, "wakeup_preempt")
        self.sees_tasks = hasattr(policy, "enqueue_task")
        self._hears_of_leaving = hasattr(policy, "dequeue_task")

    def _ask(self, queue: int, method: str, *arguments: Any) -> Any:
        """Call a method of a queue's policy; raise `ScenarioError` for an exception in it."""
        try:
            return getattr(self._policies[queue], method)(*arguments)
        except BaseException as error:
            self._blame(error)
            raise

    def _blame(self, error: BaseException) -> None:
        """Raise `ScenarioError` if an exception came from the plug-in.

        As `blaming` does, which takes longer than most policies.
        """
        fault = fault_of_plugin(error, self._source)
        if fault is not None:
            raise fault from error

    def last_cpu(self, task: Task) -> int | None:
        """Return the CPU that a task ran on last."""
        return self._last_cpu.get(task.pid)

    def runnable(self, task: Task, weight: int, used_ns: int, why: int) -> Runnable:
        """Return what a policy sees of a task."""
        return Runnable(task.pid, weight, used_ns, why, self._last_cpu.get(task.pid))

    def enqueue(self, queue: int, task: Task, seen: Runnable | None, now_ns: int) -> None:
        """Hand a task to the policy of its run queue."""
        if queue not in self._policies:
            with blaming(self._source):
                self._policies[queue] = self._source(self._quantum_ns)
            self._waiting[queue] = {}
        self._waiting[queue][task.pid] = task
        try:
            if seen is None:
                self._policies[queue].enqueue(task.pid, now_ns)
            else:
                self._policies[queue].enqueue_task(seen, now_ns)
        except BaseException as error:
            self._blame(error)
            raise

    def left(self, row: int, used_ns: int) -> None:
        """Tell the policy that a task which ran is runnable no more."""
        pid, queue = self._running.pop(row)
        if self._hears_of_leaving:
            self._ask(queue, "dequeue_task", pid, used_ns)

    def preempted(self, row: int) -> None:
        """Take note that a task runs no more, of which `enqueue` will tell the policy."""
        del self._running[row]

    def goes_before(self, queue: int, waking: Runnable, running: Runnable, now_ns: int) -> bool:
        """Return whether a task that woke goes before one that runs."""
        return bool(self._ask(queue, "wakeup_preempt", waking, running, now_ns))

    def started(self, task: Task, queue: int, cpu: int) -> None:
        """Take note that a task runs."""
        self._running[task.row] = task.pid, queue
        self._last_cpu[task.pid] = cpu

    def steal(self, queue: int) -> tuple[Task, int] | None:
        """Return the task that a queue takes over, and the queue that it is taken from.

        Raises `ScenarioError` unless it waits in another queue and is bound to no CPU.
        """
        movable = {
            other - 1: [pid for pid, task in tasks.items() if task.pin is None]
            for other, tasks in self._waiting.items()
            if tasks and other != queue
        }
        if queue not in self._policies:
            with blaming(self._source):
                self._policies[queue] = self._source(self._quantum_ns)
            self._waiting[queue] = {}
        pid = self._ask(queue, "steal", movable)
        if pid is None:
            return None
        for cpu, pids in movable.items():
            if pid in pids:
                return self._waiting[cpu + 1].pop(pid), cpu + 1
        raise complaint(self._source, f"steal returns the task {shown(pid)}, which cannot be moved")

    def tell_gone(self, pid: int, queue: int, used_ns: int) -> None:
        """Tell the policy of a queue that a task which waited there does so no more."""
        if self._hears_of_leaving:
            self._ask(queue, "dequeue_task", pid, used_ns)

    def pick(self, queue: int, now_ns: int) -> tuple[Task, int] | None:
        """Return what the policy of a run queue picks, if it can be.

        Raises `ScenarioError` unless it is a task that waits, and a slice of at least 1 ns.
        """
        waiting = self._waiting.get(queue)
        if not waiting:
            return None
        try:
            picked: Any = self._policies[queue].pick(now_ns)
        except BaseException as error:
            self._blame(error)
            raise
        if picked is None:
            return None
        if not isinstance(picked, tuple) or [isinstance(p, int) for p in picked] != [True, True]:
            wrong = f"pick returns {shown(picked)}; write `(pid, slice_ns)` or `None`"
            raise complaint(self._source, wrong)
        pid, slice_ns = picked
        if pid not in waiting:
            raise complaint(self._source, f"pick returns the task {pid}, which does not wait")
        if not 1 <= slice_ns <= FOREVER_NS:
            raise complaint(self._source, f"pick returns a slice of {shown(slice_ns)} ns")
        return waiting.pop(pid), slice_ns
