"""A task: one simulated process, its program, and the verbs the program calls.

The verbs put an operation into the task's row of the machine and wait until the burst has carried
it out.
"""

from __future__ import annotations

import math
from collections import Counter
from enum import Enum
from functools import partial, wraps
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import simpy

from sim.base.errors import Errno, Refused
from sim.base.text import named, shown
from sim.base.units import PAGE_BYTES, Pid
from sim.engine.foreign import not_an_event
from sim.engine.streams import whole
from sim.engine.threads import ThreadCalls, require_program
from sim.kernel import step as ops
from sim.machine.layout import FORK_ASYNC, NONE
from sim.program.api import Child, Exited, Image
from sim.program.arrivals import ArrivalStream
from sim.program.blame import fault_of_plugin
from sim.program.image import SPAWN_STACK_PAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import numpy as np

    from sim.engine.system import System
    from sim.engine.waits import WaitList
    from sim.program.api import Process

    Verb = Generator[Any, Any, Any]

    def _is_a_process(task: Task) -> Process:
        return task  # mypy sees to it that a task has every verb that programs are promised


class Signal(Enum):
    """Why a task was ended from outside."""

    OOM_KILL = -9
    SEGFAULT = -11
    GROUP_EXIT = 0
    """Its process ends: another task of it has called exit, or its leader is through."""


_DEATHS = {Signal.OOM_KILL: "oom-killed", Signal.SEGFAULT: "segfault"}


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


class Task(ThreadCalls):
    """One simulated process, or one of its threads.  Implements `sim.program.api.Process`."""

    def __init__(
        self,
        system: System,
        name: str,
        program: Callable[[Task], Verb] | None,
        parent: Task | None = None,
        *,
        pin: int | None = None,
        oom_score_adj: int = 0,
        leader: Task | None = None,
        origin: str | None = None,
        source: Callable[..., Any] | None = None,
        daemon: bool = False,
    ) -> None:
        self.system = system
        self.name = named(name)
        self.source = source  # what its program is written as
        if origin is None:
            near = leader or parent
            origin = name if near is None else near.origin
        self.origin: str = origin  # the process of the scenario that it comes from
        self.pid = Pid(system.table.next_pid())
        self.parent = parent
        self.leader = leader or self  # of whose process this is a task
        self.threads: dict[int, Task] = {}  # that have not ended, by pid
        self.n_threads = 0
        self.gone = system.clock.event()  # has ended, as `ended` says
        self.group_faults: Counter[str] = Counter()  # of threads that have ended, since warm-up
        self.faults_before: Counter[str] = Counter()  # its own, up to the end of warm-up
        self.group_cpu_ns = 0
        self.program = program
        self.children: dict[int, Task] = {}  # not yet reaped, by pid, in order of birth
        self._zombies: list[tuple[int, int]] = []  # a heap of those that have ended: birth, pid
        self.birth = 0  # its place in the order of births, from 1 on
        self.n_children = 0
        self.building: Task | None = None  # the child of a fork or vfork under way
        self.born = False
        self.daemon = daemon  # a thread of the kernel: no process, and no run goes on for it
        self.row = system.machine.new_task()
        self.pin = pin
        self.oom_score_adj = oom_score_adj
        self.busy = False  # an operation is under way, its end not yet told
        self.waits_for: str | None = None
        self.holder: Task | None = None
        self.killed: Signal | None = None
        self.ending = False
        self.ended: str | None = None
        self.status = 0
        self.created_ns = system.clock.now_ns
        self.ended_ns: int | None = None
        self.enqueued_ns = 0
        self.records: dict[str, list[float]] = {}
        self.figures: dict[str, Any] | None = None
        self.released = system.clock.event()  # a vfork child lets its parent go
        self.borrowed = False  # a vfork child that uses its parent's address space
        self.queued = False  # waits for a CPU
        self.cpu: int | None = None  # that it has
        self.waits_in: WaitList | None = None
        self.timer: simpy.Event | None = None  # what will wake it by itself
        self.ended_how = "running"
        self._done = system.clock.event()
        self._child_ended: list[simpy.Event] = []
        self._segments: list[int] = []
        t = system.machine.arrays.tasks[self.row]
        t.pin = NONE if pin is None else pin
        t.oom_score_adj = oom_score_adj
        system.table.enter(self)
        self.life: simpy.Process | None = None

    # -- plain facts ----------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """Simulated time."""
        return self.system.clock.now_ns

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the task's random stream for `purpose`, at its start."""
        return self.system.table.rng(self, purpose)

    def faults(self, kind: str) -> int:
        """How many faults of `kind` this task has had."""
        return self.system.figures.fault_count(self, kind)

    def record(self, key: str, value: float) -> None:
        """Append `value` to this program's report under `key`."""
        plain = value.item() if hasattr(value, "item") else value  # NumPy's are no JSON
        if not isinstance(plain, int | float) or not math.isfinite(plain):
            raise ValueError(f"record: {shown(value)} is no finite number")
        self.records.setdefault(named(key), []).append(plain)

    def mark(self, kind: str) -> None:
        """Note an event of this `kind` now, for time series."""
        self.system.figures.mark(named(kind), self.name)

    def offers(self, stream: ArrivalStream, until_ns: int | None = None) -> None:
        """Say when requests arrive for this process; see `sim.program.api.Process.offers`."""
        if not isinstance(stream, ArrivalStream):
            raise TypeError(f"offers: an ArrivalStream says when, not {shown(stream)}")
        if until_ns is not None:
            until_ns = whole("offers", "until_ns", until_ns)
        self.system.evidence.offers(self, stream, until_ns)

    def begin(self, event: str) -> None:
        """Say that an event of this process begins; see `sim.program.api.Process.begin`."""
        self.system.evidence.begin(self, named(event))
        self.mark(f"{event}_start")

    def end(self, event: str) -> None:
        """Say that an event of this process has ended."""
        self.system.evidence.end(self, named(event))
        self.mark(f"{event}_end")

    def child_exited(self, child: Child) -> bool:
        """Whether `child` has ended and waits to be reaped."""
        found = self.leader.children.get(child.pid)
        return found is not None and found.ended is not None

    # -- the interface to the burst -------------------------------------------------------

    def complete(self) -> None:
        """Tell the program that its operation is done."""
        self.busy = False
        self._done.succeed()

    # -- time ---------------------------------------------------------------------------------

    def compute(self, cpu_ns: int) -> Verb:
        """Use the CPU for `cpu_ns`."""
        if whole("compute", "cpu_ns", cpu_ns) > 0:
            yield from self._do("compute", ops.OP_COMPUTE, demand_ns=cpu_ns)

    def sleep(self, duration_ns: int) -> Verb:
        """Be blocked for `duration_ns`."""
        self.timer = self.system.clock.timer(int(duration_ns), background=self.daemon)
        yield from self._wait("a timer", self.timer)
        self.timer = None

    def sleep_until(self, time_ns: int) -> Verb:
        """Be blocked until the absolute time `time_ns`; at once if that is past."""
        if time_ns > self.now_ns:
            yield from self.sleep(time_ns - self.now_ns)

    def _wait(self, what: str, event: simpy.Event, holder: Task | None = None) -> Verb:
        self.waits_for, self.holder = what, holder
        value = yield event
        self.waits_for = self.holder = None
        return value

    # -- processes ------------------------------------------------------------------------------

    def _child(
        self, name: str | None, program: Callable[..., Verb], args: Any, kwargs: Any
    ) -> Task:
        require_program(program)
        leader = self.leader
        leader.n_children += 1
        return Task(
            self.system,
            name or f"{leader.name}/{leader.n_children}",
            lambda task: program(task, *args, **kwargs),
            leader,
            source=program,
            pin=self.pin,
            oom_score_adj=leader.oom_score_adj,
        )

    def _thread(
        self, name: str, program: Callable[[Task], Any], source: Callable[..., Any]
    ) -> Task:
        """Return a thread of this process that is still to be built; `source` is its program."""
        leader = self.leader
        return Task(self.system, name, program, pin=leader.pin, leader=leader, source=source)

    def _build(self, call: str, op: int, child: Task) -> Verb:
        """Have the kernel build a child; should this task be killed meanwhile, `kill` undoes it."""
        self.building = child
        try:
            yield from self._do(call, op, other=child.row)
        except Refused:
            child.discard()
            raise
        finally:
            self.building = None

    def fork(
        self, program: Callable[..., Verb], *args: Any, name: str | None = None, **kwargs: Any
    ) -> Verb:
        """Start a child with a copy of this address space; it runs `program(task, *args)`."""
        child = self._child(name, program, args, kwargs)
        if self.system.machine.host.fork_kind == FORK_ASYNC:
            child.program = partial(_adopt_and_run, lambda task: program(task, *args, **kwargs))
        started_ns = self.now_ns
        self.system.figures.mark("fork_start", self.name)
        try:
            yield from self._build("fork", ops.OP_FORK, child)
        except Refused:
            self.system.figures.count("fork_failures")
            raise
        self.system.figures.count("forks")
        self.system.figures.forked(self.now_ns - started_ns)
        self.system.figures.mark("fork", self.name)
        child.begin_life()
        return Child(child.pid, child.name)

    def vfork(
        self, program: Callable[..., Verb], *args: Any, name: str | None = None, **kwargs: Any
    ) -> Verb:
        """Start a child that borrows this address space; return when it execs or exits."""
        child = self._child(name, program, args, kwargs)
        yield from self._build("vfork", ops.OP_VFORK, child)
        self.system.figures.count("vforks")
        child.borrowed = True
        child.begin_life()
        yield from self._wait(
            f"its vfork child {child.name} to exec or exit", child.released, child
        )
        return Child(child.pid, child.name)

    def posix_spawn(
        self,
        image: str | Image,
        program: Callable[..., Verb],
        *args: Any,
        name: str | None = None,
        **kwargs: Any,
    ) -> Verb:
        """Start a child by vfork that execs `image` at once and then runs `program`.

        As glibc does since 2.24: the child runs on a stack of its own until it execs, which the
        parent maps for it and unmaps when it goes on.
        """
        stack = yield from self.mmap(SPAWN_STACK_PAGES * PAGE_BYTES)

        @wraps(program)
        def spawned(task: Task) -> Verb:
            yield from task.write(stack, first=SPAWN_STACK_PAGES - 1)
            yield from task.exec(image)
            yield from program(task, *args, **kwargs)

        try:
            child = yield from self.vfork(spawned, name=name)
        except Refused:
            yield from self.munmap(stack)
            raise
        yield from self.munmap(stack)
        return child

    def exec(self, image: str | Image) -> Verb:
        """Replace this address space; the program goes on in the new one, without its threads.

        Only the leader may: a thread is refused with EINVAL.  A parent that waits in vfork goes on
        when the new address space is there; then comes what the program touches when it starts.
        """
        if self.leader is not self:
            raise Refused(Errno.EINVAL, "exec")
        self.system.signals.end_threads(self)
        yield from self._await_threads()
        found = self.system.images.find(image)
        yield from self._do(
            "exec",
            ops.OP_EXEC,
            image=found.row,
            count=found.stack_limit_pages,
            stack_pages=found.stack_pages,
        )
        self.system.figures.count("execs")
        self.system.figures.mark("exec", self.name)
        self.let_parent_go()
        if found.touches:
            yield from self._do("start", ops.OP_START)

    def let_parent_go(self) -> None:
        """Give back a borrowed address space: the parent that waits in vfork goes on."""
        if self.borrowed:
            self.borrowed = False
            self.released.succeed()

    def exit(self, status: int = 0) -> Verb:
        """End this process; does not return."""
        raise ProgramExit(status)
        yield

    def wait(self, child: Child | None = None) -> Verb:
        """Wait for `child`, or for any child, and reap it."""
        if child is not None and not isinstance(child, Child):
            raise TypeError(f"wait takes a child as fork returns it, not {shown(child)}")
        leader = self.leader
        while True:
            one = None if child is None else leader.children.get(child.pid)
            if not leader.children or (child is not None and one is None):
                raise Refused(Errno.ECHILD, "wait")
            ended = leader.first_zombie() if child is None else one
            if ended is not None and ended.ended is not None:
                del leader.children[ended.pid]
                yield from self._do("wait", ops.OP_REAP)
                return Exited(ended.pid, ended.status)
            told = self.system.clock.event()
            leader._child_ended.append(told)
            what = f"its child {child.name} to exit" if child else "any of its children to exit"
            yield from self._wait(what, told, one)

    def first_zombie(self) -> Task | None:
        """Return the child that was born first of those that have ended and are not reaped."""
        while self._zombies:
            found = self.children.get(self._zombies[0][1])
            if found is not None:
                return found
            heappop(self._zombies)
        return None

    def child_ended(self, child: Task) -> None:
        """Wake the tasks that wait for a child."""
        heappush(self._zombies, (child.birth, child.pid))
        told, self._child_ended = self._child_ended, []
        for event in told:
            event.succeed()

    # -- from birth to death --------------------------------------------------------------------

    def begin_life(self) -> None:
        """Be born: known by its number, and to its parent, and running its program."""
        self.born = True
        self.system.table.bear(self)
        if self.parent is not None:
            self.parent.children[self.pid] = self
        self.start()

    def group(self) -> Iterator[Task]:
        """Yield the living tasks of this process, the leader first."""
        return (t for t in (self.leader, *self.leader.threads.values()) if t.ended is None)

    def start(self) -> None:
        """Run the program, then exit."""
        self.life = self.system.clock.start(self._live())

    def discard(self) -> None:
        """Undo a child whose fork came to nothing before it had anything."""
        self.system.table.bury(self)

    def begin_image(self, pages: int, stack_pages: int) -> Verb:
        """Give a process that has no parent its first address space."""
        yield from self._do("exec", ops.OP_EXEC, pages=pages, count=stack_pages)

    def _live(self) -> Verb:
        try:
            if self.program is not None:
                yield from self._drive(self._begun(self.program))
            self.ends_with(0, "exit 0")
        except ProgramExit as leave:
            self.leader.ends_with(leave.status, f"exit {leave.status}")
            self.system.signals.end_threads(self)
        except simpy.Interrupt as interrupt:  # before the program had begun
            self._die_of(Signal(interrupt.cause))
        except Killed as killed:
            self._die_of(killed.signal)
        except Refused as refused:
            self.system.evidence.failed(self, refused)
            why = f" ({refused.call}: {refused.why})" if refused.why else ""
            self.leader.ends_with(1, f"failed: {refused.errno.name}{why}")
            self.system.signals.end_threads(self)
        except BaseException as error:
            fault = fault_of_plugin(error, self.source)
            if fault is None:
                raise
            raise fault from error
        if self.killed is None:
            self.system.evidence.left(self)
        self.ending = True
        self.drop_segments()
        if self.leader is self:
            self.system.signals.end_threads(self)
            yield from self._await_threads()
        self.system.figures.take(self)
        while True:
            try:
                yield from self._do("exit", ops.OP_EXIT)
                break
            except simpy.Interrupt:  # a kill that came with the end: it is ending already
                continue
        if self.born and self.leader is self:
            self.system.figures.count("exits")
            self.system.figures.mark("exit", self.name)
        self.let_parent_go()
        self.ended = self.ended_how
        self.ended_ns = self.now_ns
        self.gone.succeed()
        self._be_buried()

    def _be_buried(self) -> None:
        """Leave the machine: init adopts its children, its parent is told."""
        system = self.system
        system.figures.take_cpu_time(self)
        if self.leader is not self:
            self.leader.threads.pop(self.pid, None)
        elif self.born:
            system.table.finished.append(self)
        system.shortage.ended(self)
        system.table.bury(self)
        if self.parent is not None:
            self.parent.child_ended(self)

    def _begun(self, program: Callable[[Task], Verb]) -> Verb:
        """Return a program as it begins to run."""
        verb = program(self)
        if not hasattr(verb, "send"):
            raise TypeError("a program is a generator; enter its verbs with `yield from`")
        return verb

    def ends_with(self, status: int, how: str) -> None:
        """Say how this process ends, for its parent and the report."""
        self.status = status
        self.ended_how = how

    def _die_of(self, signal: Signal) -> None:
        """Say how this task ends by `signal`; when its process does, that has been said."""
        if signal is not Signal.GROUP_EXIT:
            self.ends_with(signal.value, _DEATHS[signal])

    def _drive(self, program: Verb) -> Verb:
        """Run a program; a kill ends it wherever it waits, without its consent."""
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                event = program.throw(error) if error is not None else program.send(value)
            except StopIteration as stop:
                return stop.value
            error = not_an_event(event)
            if error is not None:
                continue
            try:
                value = yield event
            except simpy.Interrupt as interrupt:
                self.waits_for = self.holder = None
                self.system.signals.cancel_timer(self)  # one that it has set since it was killed
                program.close()
                raise Killed(Signal(interrupt.cause)) from None
            except Exception as failure:  # an event of the program's own failed: its business
                error = failure


def _adopt_and_run(program: Callable[[Task], Verb], task: Task) -> Verb:
    """Copy what an Async-fork has left to the child, then run its program."""
    yield from task._do("fork", ops.OP_ADOPT)
    yield from program(task)
