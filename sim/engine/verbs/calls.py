"""Operations of one task: put into its row of the machine, and carried out by the burst."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from simpy import Event

from sim.base.errors import Errno, Refused
from sim.engine.evidence import REFUSED_BY
from sim.engine.streams import MOST, whole
from sim.engine.task import Wait
from sim.kernel.ops import F, Op, begin
from sim.kernel.work import E2BIG, EAGAIN, EFAULT, EINVAL, ENOMEM
from sim.machine.words import O_ERRNO, O_REFUSED_BY, O_RESULT, O_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

    from sim.engine.clock import Clock
    from sim.engine.cpus import Cpus
    from sim.engine.evidence import Evidence
    from sim.engine.figures import Figures
    from sim.engine.lists import ListStore
    from sim.engine.task import Task
    from sim.machine.machine import Machine

    Verb: TypeAlias = Generator[Any, Any, Any]

ERRNO: Final = {
    E2BIG: Errno.E2BIG,
    ENOMEM: Errno.ENOMEM,
    EAGAIN: Errno.EAGAIN,
    EFAULT: Errno.EFAULT,
    EINVAL: Errno.EINVAL,
}

LEAST: Final = -MOST


class Calls:
    """How one task calls the kernel, and waits."""

    def __init__(
        self,
        task: Task,
        machine: Machine,
        clock: Clock,
        cpus: Cpus,
        figures: Figures,
        evidence: Evidence,
        lists: ListStore,
    ) -> None:
        self.task = task
        self.clock = clock
        self.lists = lists
        self._m = machine.arrays
        self._env = clock.env
        self._cpus = cpus
        self._figures = figures
        self._evidence = evidence
        self._segments: list[int] = []

    def do(self, call: str, op: Op[F], fields: F) -> Verb:
        """Have the burst carry out one operation; return its result or raise `Refused`."""
        given: Any = fields
        for name, value in given.items():
            if type(value) is not int or not LEAST <= value <= MOST:
                given[name] = whole(call, name, value, LEAST)
        return self.carry_out(call, op, given, [])

    def carry_out(self, call: str, op: Op[F], fields: F, segments: list[int]) -> Verb:
        """Do that with checked fields; `segments` hold page numbers and arrivals of a stream."""
        task = self.task
        begin(self._m, task.row, op, fields)
        self._segments = segments
        task.done = done = Event(self._env)
        self._figures.counters["operations"] += 1
        if "arrivals" in fields:
            self._evidence.serves(task)
        self._cpus.submit(task)
        yield done
        words, row = self._m.words.operations, task.row * O_WORDS
        errno = words[row + O_ERRNO]
        if errno != 0:
            refused = Refused(ERRNO[errno], call, by=REFUSED_BY[words[row + O_REFUSED_BY]])
            self._evidence.refused(task, refused)
            raise refused
        if "arrivals" in fields:
            self._evidence.requested(task)
        if segments:
            self.drop_segments()
        return words[row + O_RESULT]

    def drop_segments(self) -> None:
        """Give back the page numbers and arrival times of the stream that has ended."""
        for start in self._segments:
            self.lists.free(start)
        self._segments = []

    def wait(
        self,
        what: str,
        event: simpy.Event,
        holder: Task | None = None,
        cancel: Callable[[], None] | None = None,
    ) -> Verb:
        """Wait for an event, and return its value."""
        self.task.wait = Wait(what, lambda: holder, cancel)
        value = yield event
        self.task.wait = None
        return value
