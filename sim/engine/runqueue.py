"""The run queue: who waits for a CPU, in the policy's order, and for how long."""

from collections.abc import Callable
from functools import partial
from typing import Any

from sim.base.text import shown
from sim.policy.schedulers import FOREVER_NS, SchedulerPolicy
from sim.program.blame import blaming, complaint, is_of_plugin
from sim.stats.level import Level

ANY = -1
"""The queue of tasks that may run on any CPU; others are bound to the CPU of that number."""


class RunQueue:
    """One policy for tasks that may run anywhere, and one per CPU for those bound to it.

    Between the two, a CPU serves the one whose longest waiter has waited longer.
    """

    def __init__(self, policy: Callable[[int], SchedulerPolicy], quantum_ns: int) -> None:
        made = partial(Checked, policy) if is_of_plugin(policy) else policy
        self._make: Callable[[], SchedulerPolicy] = partial(made, quantum_ns)
        self._policies: dict[int, SchedulerPolicy] = {}
        self._since: dict[int, dict[int, int]] = {}
        self.length = Level(0, 0)
        self.enqueued = 0
        self.waited_ns = 0
        self._counted_from_ns = 0

    def enqueue(self, pid: int, pin: int | None, now_ns: int) -> None:
        """Take in a task that became runnable."""
        where = ANY if pin is None else pin
        if where not in self._policies:
            self._policies[where] = self._make()
            self._since[where] = {}
        self._policies[where].enqueue(pid, now_ns)
        self._since[where][pid] = now_ns
        self.length.add(now_ns, 1)
        self.enqueued += 1

    def waits_for(self, cpu: int) -> bool:
        """Whether any task that `cpu` may run is waiting."""
        return bool(self._since.get(ANY)) or bool(self._since.get(cpu))

    def __bool__(self) -> bool:
        return any(self._since.values())

    def pick(self, cpu: int, now_ns: int) -> tuple[int, int, int] | None:
        """Return and remove the next task for `cpu`: pid, slice and how long it waited, in ns."""
        choices = [
            (min(self._since[where].values()), where)
            for where in (ANY, cpu)
            if self._since.get(where)
        ]
        if not choices:
            return None
        where = min(choices)[1]
        picked = self._policies[where].pick(now_ns)
        if picked is None:
            return None
        pid, slice_ns = picked
        since_ns = self._since[where].pop(pid)
        waited_ns = now_ns - since_ns
        self.length.add(now_ns, -1)
        self.waited_ns += now_ns - max(since_ns, self._counted_from_ns)
        return pid, slice_ns, waited_ns

    def restart(self, now_ns: int) -> None:
        """Forget what was counted before `now_ns`; tasks that wait are counted from there."""
        self.length.restart(now_ns)
        self.enqueued = len(self)
        self.waited_ns = 0
        self._counted_from_ns = now_ns

    def little_residual(self, now_ns: int) -> int:
        """Return the integral of the queue's length less the sum of all waits, in task-ns.

        Little's law is an identity in every run once waits under way are counted: it must be 0.
        """
        under_way = [since for queue in self._since.values() for since in queue.values()]
        waits = sum(now_ns - max(since, self._counted_from_ns) for since in under_way)
        return self.length.area(now_ns) - self.waited_ns - waits

    def __len__(self) -> int:
        return sum(len(since) for since in self._since.values())


class Checked:
    """A plug-in's policy, none of whose mistakes is taken for one of ours."""

    def __init__(self, policy: Callable[[int], SchedulerPolicy], quantum_ns: int) -> None:
        self._source = policy
        self._waiting: set[int] = set()
        with blaming(policy):
            self._policy = policy(quantum_ns)

    def enqueue(self, pid: int, now_ns: int) -> None:
        """Hand a task to the policy."""
        self._waiting.add(pid)
        with blaming(self._source):
            self._policy.enqueue(pid, now_ns)

    def pick(self, now_ns: int) -> tuple[int, int] | None:
        """Return what the policy picks, if it can be.

        Raises `ScenarioError` unless it is a task that waits, and a slice of at least 1 ns.
        """
        with blaming(self._source):
            picked: Any = self._policy.pick(now_ns)
        if picked is None:
            return None
        wrong = f"pick returns {shown(picked)}; write `(pid, slice_ns)` or `None`"
        if not isinstance(picked, tuple) or len(picked) != 2:
            raise complaint(self._source, wrong)
        pid, slice_ns = picked
        if not isinstance(pid, int) or not isinstance(slice_ns, int):
            raise complaint(self._source, wrong)
        if pid not in self._waiting:
            raise complaint(self._source, f"pick returns the task {pid}, which does not wait")
        if not 1 <= slice_ns <= FOREVER_NS:
            raise complaint(self._source, f"pick returns a slice of {shown(slice_ns)} ns")
        self._waiting.remove(pid)
        return pid, slice_ns
