"""From birth to death: running the program of a task, and its exit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import simpy

from sim.base.errors import Refused
from sim.engine.foreign import not_an_event
from sim.engine.task import Signal, State
from sim.kernel import ops
from sim.machine.layout import NONE
from sim.machine.layout.fields import Nothing
from sim.program.blame import fault_of_plugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.clock import Clock
    from sim.engine.evidence import Evidence
    from sim.engine.figures import Figures
    from sim.engine.shortage import Ladders
    from sim.engine.signals import Signals
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.engine.verbs.calls import Calls, Verb
    from sim.machine.machine import Machine

_DEATHS: Final = {
    Signal.OOM_KILL: "oom-killed",
    Signal.SEGFAULT: "segfault",
    Signal.BUS_ERROR: "bus error",
    Signal.EVICTED: "evicted",
}


class ProgramExit(BaseException):
    """Leaves a program that called exit; no ``except Exception`` of its own stops it."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(status)
        self.status = status


class Killed(BaseException):
    """Leaves a program whose task was ended from outside."""

    def __init__(self, signal: Signal) -> None:
        super().__init__(signal)
        self.signal = signal


class Lives:
    """Lets tasks live; each runs its program, a generator, and then exits."""

    def __init__(
        self,
        machine: Machine,
        clock: Clock,
        table: TaskTable,
        figures: Figures,
        evidence: Evidence,
        signals: Signals,
        shortage: Ladders,
    ) -> None:
        self._machine = machine
        self._clock = clock
        self._table = table
        self._figures = figures
        self._evidence = evidence
        self._signals = signals
        self._shortage = shortage

    def begin(self, calls: Calls, program: Callable[[], Verb]) -> None:
        """Let a task be born: known by its number and to its parent, and running its program."""
        task = calls.task
        task.state = State.ALIVE
        self._table.bear(task)
        if task.parent is not None and task.is_leader:
            task.parent.group.children[task.pid] = task
        task.life = self._clock.start(self._live(calls, program))

    def undo(self, calls: Calls) -> None:
        """Let a child that was never born give back what fork has given it."""
        child = calls.task
        t = self._machine.arrays.tasks[child.row]
        if t.space == NONE and t.stack == NONE:
            self._table.bury(child)
            return
        child.state = State.UNDONE
        child.parent = None
        child.killed = Signal.OOM_KILL
        t.killed = 1
        self._table.bear(child)
        child.life = self._clock.start(self._live(calls, None))

    def _live(self, calls: Calls, program: Callable[[], Verb] | None) -> Verb:
        task = calls.task
        if program is not None:
            yield from self._run(calls, program)
        else:
            task.ends_with(0, "exit 0")
        if task.killed is None:
            self._evidence.left(task)
        born = task.state is State.ALIVE
        if born:
            task.state = State.EXITING
        calls.drop_segments()
        if task.is_leader:
            self._signals.end_threads(task)
            yield from await_threads(task)
            self._figures.take(task)
        while True:
            try:
                yield from calls.do("exit", ops.OP_EXIT, Nothing())
                break
            except simpy.Interrupt:  # a kill that came with the end: it is ending already
                continue
        if born and task.is_leader:
            self._figures.count("exits")
            self._figures.mark("exit", task.name)
        task.let_parent_go()
        self._bury(task, born)

    def _run(self, calls: Calls, program: Callable[[], Verb]) -> Verb:
        """Run a program to its end, and say how the task or its process ends."""
        task = calls.task
        try:
            yield from self._drive(calls, _begun(program))
            task.ends_with(0, "exit 0")
        except ProgramExit as leave:
            self._leave(task, leave.status, f"exit {leave.status}")
        except simpy.Interrupt as interrupt:  # before the program had begun
            _die_of(task, Signal(interrupt.cause))
        except Killed as killed:
            _die_of(task, killed.signal)
        except Refused as refused:
            self._evidence.failed(task, refused)
            why = f" ({refused.call}: {refused.why})" if refused.why else ""
            self._leave(task, 1, f"failed: {refused.errno.name}{why}")
        except GeneratorExit:
            raise
        except BaseException as error:
            fault = fault_of_plugin(error, task.source)
            if fault is None:
                raise
            raise fault from error

    def _leave(self, task: Task, status: int, how: str) -> None:
        """Let the process of a task end, with all its threads."""
        task.leader.ends_with(status, how)
        self._signals.end_threads(task)

    def _drive(self, calls: Calls, program: Verb) -> Verb:
        """Run a program; a kill ends it wherever it waits, without its consent."""
        task = calls.task
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                event = program.throw(error) if error is not None else program.send(value)
            except StopIteration as stop:
                return stop.value
            except GeneratorExit as leave:  # raised by the program: nobody closes it here
                raise RuntimeError("GeneratorExit") from leave
            error = None if type(event) is simpy.Event else not_an_event(event)
            if error is not None:
                continue
            try:
                value = yield event
            except simpy.Interrupt as interrupt:
                self._signals.cancel_wait(task)  # one that it began since it was killed
                program.close()
                raise Killed(Signal(interrupt.cause)) from None
            except Exception as failure:  # an event of the program's own failed: its business
                error = failure

    def _bury(self, task: Task, born: bool) -> None:
        """Let a task leave the machine: init adopts its children, its parent is told."""
        task.state = State.ENDED
        task.ended_ns = self._clock.now_ns
        task.gone.succeed()
        self._figures.ended(task)
        if born and task.is_leader:
            self._table.finished.append(task)
        self._shortage.ended(task)
        self._table.bury(task)
        if task.parent is not None:
            task.parent.group.child_ended(task)


def await_threads(leader: Task) -> Verb:
    """Wait until a leader is the only task of its process."""
    for other in list(leader.group.threads.values()):
        if other.state is not State.ENDED:
            yield other.gone


def _begun(program: Callable[[], Verb]) -> Verb:
    """Return a program as it begins to run."""
    verb = program()
    if not hasattr(verb, "send"):
        raise TypeError("a program is a generator; enter its verbs with `yield from`")
    return verb


def _die_of(task: Task, signal: Signal) -> None:
    """Say how a task ends by `signal`; when its process does, that has been said."""
    if signal is not Signal.GROUP_EXIT:
        sent = Signal.OOM_KILL if signal is Signal.EVICTED else signal
        task.ends_with(sent.value, _DEATHS[signal])
