"""What happens when memory is short: a ladder, whose rungs are tried in order.

A task whose step was refused comes to the ladder of the scope that has no memory left.  The step
changed nothing and will be tried again whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.base.errors import KernelPanicError
from sim.engine.waits import WaitList
from sim.machine.layout import ROOT
from sim.machine.words import O_NEED, O_OVER, O_WORDS, P_FREE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sim.engine.cpus import Cpus
    from sim.engine.evidence import Evidence
    from sim.engine.pressure import Pressure
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.machine.machine import Machine


class Scope:
    """The processes that share a limit on memory of `pages`: all of a machine, or some of them.

    `group` is the control group whose limit it is.
    """

    def __init__(
        self,
        table: TaskTable,
        pages: int,
        has: Callable[[Task], bool] | None = None,
        group: int = ROOT,
    ) -> None:
        self._table = table
        self._has = has
        self.pages = pages
        self.group = group

    def processes(self) -> Iterator[Task]:
        """Yield the leaders of its living processes, in order of birth."""
        found = self._table.processes()
        return found if self._has is None else filter(self._has, found)


class MemoryWaits:
    """The tasks of one scope that wait for memory, first come first served."""

    def __init__(
        self, machine: Machine, cpus: Cpus, pressure: Pressure, evidence: Evidence
    ) -> None:
        self._words = machine.arrays.words
        self._kept_back = int(machine.arrays.zones["min_pages"].sum())
        self._evidence = evidence
        self.tasks = WaitList(cpus, pressure=pressure)

    def park(
        self,
        task: Task,
        cpu: int,
        who_has: Callable[[], Task | None],
        *,
        first: bool = False,
        what: str | None = None,
    ) -> None:
        """Block a task that was refused until somebody wakes it."""
        if what is None:
            operation = task.row * O_WORDS
            need = self._words.operations[operation + O_NEED]
            frames = "frame" if need == 1 else "frames"
            if self._words.operations[operation + O_OVER] != ROOT:
                what = f"memory of its control group: {need} {frames}"
            else:
                what = f"memory: {need} {frames}, with {self._words.pool[P_FREE]} free"
                if self._kept_back:
                    what += f" and {self._kept_back} kept back (min watermark)"
        self.tasks.park(task, cpu, what, who_has, first=first, stalled=True)
        self._evidence.waited(task)


class Rung:
    """Something that may help a task that is short of memory; it hears what happens meanwhile."""

    def relieve(self, task: Task, cpu: int) -> bool:
        """Do what helps `task`, running on `cpu`; False if the next rung must.

        If it is still on its CPU after that, it tries its step again at once.
        """
        raise NotImplementedError

    def served(self, task: Task) -> None:
        """Take note that `task`, which had been refused, has got what it needed."""

    def released(self) -> None:
        """Take note that a frame has become free, or a reference was dropped."""

    def interrupted(self, task: Task) -> None:
        """Take note that `task` is being killed, whatever it waits for."""

    def ended(self, task: Task) -> None:
        """Take note that `task` has exited."""


class Ladder:
    """What is tried for tasks of one scope that are short of memory, rung by rung."""

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self.rungs = list(rungs)

    def refused(self, task: Task, cpu: int) -> None:
        """Help `task`, running on `cpu`, which has asked for frames that are not there.

        Raises `KernelPanicError` if no rung sees to it: the last one must, always.
        """
        if not any(rung.relieve(task, cpu) for rung in self.rungs):
            raise KernelPanicError("no rung of the ladder helps", task.name)

    def served(self, task: Task) -> None:
        """Tell all rungs that a task has got what it needed."""
        for rung in self.rungs:
            rung.served(task)

    def released(self) -> None:
        """Tell all rungs that a frame has become free, or a reference was dropped."""
        for rung in self.rungs:
            rung.released()

    def interrupted(self, task: Task) -> None:
        """Tell all rungs that a task is being killed."""
        for rung in self.rungs:
            rung.interrupted(task)

    def ended(self, task: Task) -> None:
        """Tell all rungs that a task has exited."""
        for rung in self.rungs:
            rung.ended(task)


class Ladders:
    """The ladders of a machine and of those of its groups that have a limit, by row of the group.

    A task comes to that of the group whose limit was in its way.
    """

    def __init__(self, machine: Machine, ladders: Mapping[int, Ladder]) -> None:
        self._words = machine.arrays.words
        self._ladders = dict(ladders)

    @property
    def machine(self) -> Ladder:
        """The ladder where the machine itself has no memory left."""
        return self._ladders[ROOT]

    def refused(self, task: Task, cpu: int) -> None:
        """Help `task`, running on `cpu`, whose step was refused for want of memory."""
        over = self._words.operations[task.row * O_WORDS + O_OVER]
        self._ladders[over].refused(task, cpu)
        if over != ROOT:
            self.machine.served(task)  # it is not the machine's memory that it is short of now

    def served(self, task: Task) -> None:
        """Tell all ladders that a task has got what it needed."""
        for ladder in self._ladders.values():
            ladder.served(task)

    def released(self) -> None:
        """Tell all ladders that a frame has become free, or a reference was dropped."""
        for ladder in self._ladders.values():
            ladder.released()

    def interrupted(self, task: Task) -> None:
        """Tell all ladders that a task is being killed."""
        for ladder in self._ladders.values():
            ladder.interrupted(task)

    def ended(self, task: Task) -> None:
        """Tell all ladders that a task has exited."""
        for ladder in self._ladders.values():
            ladder.ended(task)
