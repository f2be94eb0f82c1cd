"""Tasks that wait for one thing, in the order in which they came."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from sim.engine.task import Wait, nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.engine.cpus import Cpus
    from sim.engine.pressure import Pressure
    from sim.engine.task import Task


class WaitList:
    """Tasks that are off their CPUs until they are woken; each move takes constant time.

    `pressure` accounts for their time, where they wait for memory or for a device.  `withdrawn` is
    called when a task is killed while it waits here: those behind it may be next.
    """

    def __init__(
        self,
        cpus: Cpus,
        *,
        pressure: Pressure | None = None,
        withdrawn: Callable[[], None] | None = None,
    ) -> None:
        self._cpus = cpus
        self._pressure = pressure
        self._withdrawn = withdrawn
        self._tasks: OrderedDict[int, Task] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, task: Task) -> bool:
        return task.pid in self._tasks

    def __iter__(self) -> Iterator[Task]:
        """Yield those that wait now, the first to come first."""
        return iter(list(self._tasks.values()))

    def first(self) -> Task | None:
        """Return who is first in line."""
        return next(iter(self._tasks.values()), None)

    def park(
        self,
        task: Task,
        cpu: int,
        what: str,
        who_has: Callable[[], Task | None] = nobody,
        *,
        first: bool = False,
        stalled: bool = False,
    ) -> None:
        """Take `cpu` from a task until it is woken; `who_has` tells who has what it waits for.

        `stalled` says that it waits for want of memory.
        """
        self._tasks[task.pid] = task
        if first:
            self._tasks.move_to_end(task.pid, last=False)
        task.wait = Wait(what, who_has, partial(self.withdraw, task))
        self._cpus.vacate(cpu)
        if self._pressure is not None:
            self._pressure.begin(task, cpu, stalled=stalled)

    def wake(self, task: Task) -> None:
        """Let a task that waits here go on."""
        self._leave(task)
        self._cpus.make_runnable(task)  # which ends a stall

    def withdraw(self, task: Task) -> None:
        """Forget a task that waits here and is being killed."""
        self._leave(task)
        if self._pressure is not None:
            self._pressure.end(task)
        if self._withdrawn is not None:
            self._withdrawn()

    def _leave(self, task: Task) -> None:
        del self._tasks[task.pid]
        task.wait = None
        if self._pressure is not None:
            self._pressure.wakes(task)
