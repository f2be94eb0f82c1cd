"""Verbs about processes and threads: fork and its kin, exec, exit, wait and join."""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from sim.base.errors import Errno, Refused
from sim.base.text import shown
from sim.base.units import PAGE_BYTES
from sim.engine.lives import ProgramExit, await_threads
from sim.engine.task import Building
from sim.kernel import ops
from sim.machine.layout import FORK_ASYNC
from sim.machine.layout.fields import Child as ChildRow
from sim.machine.layout.fields import Demand, Exec, Nothing
from sim.machine.layout.fields import Image as ImageRow
from sim.observe.histogram import FORK, VFORK
from sim.program.api import Child, Exited, Image, Mutex, Thread
from sim.program.image import SPAWN_STACK_PAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.clock import Clock
    from sim.engine.figures import Figures
    from sim.engine.images import Shelf
    from sim.engine.lives import Lives
    from sim.engine.signals import Signals
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.engine.verbs.calls import Calls, Verb
    from sim.engine.verbs.memory import Memory
    from sim.machine.machine import Machine


class Family:
    """What a task does with other tasks.

    `handle` makes, of a new task, its calls and what its program sees of the kernel.
    """

    def __init__(
        self,
        calls: Calls,
        memory: Memory,
        machine: Machine,
        clock: Clock,
        table: TaskTable,
        figures: Figures,
        signals: Signals,
        lives: Lives,
        images: Shelf,
        handle: Callable[[Task], tuple[Calls, Any]],
    ) -> None:
        self._calls = calls
        self._task = calls.task
        self._memory = memory
        self._machine = machine
        self._clock = clock
        self._table = table
        self._figures = figures
        self._signals = signals
        self._lives = lives
        self._images = images
        self._handle = handle

    # -- processes ------------------------------------------------------------------------------

    def fork(
        self, program: Callable[..., Verb], *args: Any, name: str | None = None, **kwargs: Any
    ) -> Verb:
        """Start a child with a copy of this address space; it runs `program(task, *args)`."""
        calls, run = self._child(name, program, args, kwargs)
        if self._machine.host.fork_kind == FORK_ASYNC:
            run = partial(_adopt_and_run, calls, run)
        started_ns = self._clock.now_ns
        self._figures.mark("fork_start", self._task.name)
        try:
            yield from self._build("fork", ops.OP_FORK, calls)
        except Refused:
            self._figures.count("fork_failures")
            raise
        self._figures.count("forks")
        self._figures.held(FORK, started_ns)
        self._figures.mark("fork", self._task.name)
        self._lives.begin(calls, run)
        return Child(calls.task.pid, calls.task.name)

    def vfork(
        self, program: Callable[..., Verb], *args: Any, name: str | None = None, **kwargs: Any
    ) -> Verb:
        """Start a child that borrows this address space; return when it execs or exits."""
        child = yield from self._held(self._vfork(name, program, args, kwargs))
        return child

    def _vfork(
        self, name: str | None, program: Callable[..., Verb], args: Any, kwargs: Any
    ) -> Verb:
        calls, run = self._child(name, program, args, kwargs)
        child = calls.task
        yield from self._build("vfork", ops.OP_VFORK, calls)
        self._figures.count("vforks")
        done = child.vfork_done = self._clock.event()
        self._lives.begin(calls, run)
        yield from self._calls.wait(f"its vfork child {child.name} to exec or exit", done, child)
        yield from self._calls.do(
            "vfork", ops.OP_COMPUTE, Demand(demand_ns=0)
        )  # it returns on a CPU
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
        child = yield from self._held(self._spawn(image, name, program, args, kwargs))
        return child

    def _spawn(
        self,
        image: str | Image,
        name: str | None,
        program: Callable[..., Verb],
        args: Any,
        kwargs: Any,
    ) -> Verb:
        stack = yield from self._memory.mmap(SPAWN_STACK_PAGES * PAGE_BYTES)

        @wraps(program)
        def spawned(task: Any) -> Verb:
            yield from task.write(stack, first=SPAWN_STACK_PAGES - 1)
            yield from task.exec(image)
            yield from program(task, *args, **kwargs)

        try:
            child = yield from self._vfork(name, spawned, (), {})
        except Refused:
            yield from self._memory.munmap(stack)
            raise
        yield from self._memory.munmap(stack)
        return child

    def _held(self, call: Verb) -> Verb:
        """Carry out a call that starts a child by vfork; count how long it keeps its caller."""
        started_ns = self._clock.now_ns
        self._figures.mark("vfork_start", self._task.name)
        child = yield from call
        self._figures.held(VFORK, started_ns)
        self._figures.mark("vfork", self._task.name)
        return child

    def exec(self, image: str | Image) -> Verb:
        """Replace this address space; the program goes on in the new one, without its threads.

        Only the leader may: a thread is refused with EINVAL.  A parent that waits in vfork goes on
        when the new address space is there; then comes what the program touches when it starts.
        """
        if not self._task.is_leader:
            raise Refused(Errno.EINVAL, "exec")
        self._signals.end_threads(self._task)
        yield from await_threads(self._task)
        found = self._images.find(image)
        yield from self._calls.do(
            "exec",
            ops.OP_EXEC,
            Exec(
                image=found.row,
                stack_limit=found.stack_limit_pages,
                stack_pages=found.stack_pages,
            ),
        )
        self._figures.count("execs")
        self._figures.mark("exec", self._task.name)
        self._task.let_parent_go()
        if found.touches:
            yield from self._calls.do("start", ops.OP_START, ImageRow(image=found.row))

    def begin_image(self, pages: int, stack_pages: int) -> Verb:
        """Give a process that has no parent its first address space."""
        fields = Exec(image_pages=pages, stack_limit=stack_pages)
        yield from self._calls.do("exec", ops.OP_EXEC, fields)

    def exit(self, status: int = 0) -> Verb:
        """End this process; does not return."""
        raise ProgramExit(status)
        yield

    def wait(self, child: Child | None = None) -> Verb:
        """Wait for `child`, or for any child, and reap it."""
        if child is not None and not isinstance(child, Child):
            raise TypeError(f"wait takes a child as fork returns it, not {shown(child)}")
        group = self._task.group
        what = f"its child {child.name} to exit" if child else "any of its children to exit"
        while True:
            one = None if child is None else group.children.get(child.pid)
            if one is None and (child is not None or not group.children):
                raise Refused(Errno.ECHILD, "wait")
            ended = group.zombie() if child is None else one
            if ended is not None and ended.ended_ns is not None:
                del group.children[ended.pid]
                yield from self._calls.do("wait", ops.OP_REAP, Nothing())
                return Exited(ended.pid, ended.status)
            told = self._clock.event()
            group.tell(told)
            yield from self._calls.wait(what, told, one)

    def child_exited(self, child: Child) -> bool:
        """Whether `child` has ended and waits to be reaped."""
        found = self._task.group.children.get(child.pid)
        return found is not None and found.ended_ns is not None

    # -- threads --------------------------------------------------------------------------------

    def thread(
        self, program: Callable[..., Verb], *args: Any, name: str | None = None, **kwargs: Any
    ) -> Verb:
        """Start a thread of this process; see `sim.program.api.Process.thread`."""
        _require_program(program)
        group = self._task.group
        group.n_threads += 1
        name = name or f"{group.leader.name}#{group.n_threads}"
        thread = self._table.thread(group, name, source=program)
        calls, process = self._handle(thread)
        yield from self._build("clone", ops.OP_VFORK, calls)
        group.threads[thread.pid] = thread
        self._lives.begin(calls, partial(program, process, *args, **kwargs))
        return Thread(thread.pid, thread.name)

    def join(self, thread: Thread) -> Verb:
        """Wait until `thread` of this process has ended."""
        if not isinstance(thread, Thread):
            raise TypeError(f"join takes a thread as `thread` returns it, not {shown(thread)}")
        other = self._task.group.threads.get(thread.pid)
        if other is not None:
            yield from self._calls.wait(f"its thread {other.name} to end", other.gone, other)

    def lock(self, mutex: Mutex) -> Verb:
        """Take a lock that threads of this process share; see `sim.program.api.Process.lock`."""
        if not isinstance(mutex, Mutex):
            raise TypeError(f"lock takes a Mutex, not {shown(mutex)}")
        if mutex.owner is None:
            mutex.owner = self._task
            return
        turn = self._clock.event()
        mutex.waiting.append((self._task, turn))
        yield from self._calls.wait("a lock", turn, mutex.owner)

    def unlock(self, mutex: Mutex) -> Verb:
        """Give a lock back to who has waited longest, if anybody has."""
        if mutex.owner is not self._task:
            raise Refused(Errno.EINVAL, "unlock", "another thread has it, or nobody")
        mutex.owner = None
        if mutex.waiting:
            mutex.owner, turn = mutex.waiting.pop(0)
            turn.succeed()
        yield from ()

    # -- how tasks are built --------------------------------------------------------------------

    def _child(
        self, name: str | None, program: Callable[..., Verb], args: Any, kwargs: Any
    ) -> tuple[Calls, Callable[[], Verb]]:
        """Return the calls of a child that is still to be built, and its program."""
        _require_program(program)
        group = self._task.group
        group.n_children += 1
        child = self._table.process(
            name or f"{group.leader.name}/{group.n_children}",
            parent=group.leader,
            pin=self._task.pin,
            source=program,
        )
        calls, process = self._handle(child)
        return calls, partial(program, process, *args, **kwargs)

    def _build(self, call: str, op: ops.Op[ChildRow], child: Calls) -> Verb:
        """Have the kernel build a child; should this task be killed meanwhile, that is undone."""
        self._task.building = Building(child.task, partial(self._lives.undo, child))
        try:
            yield from self._calls.do(call, op, ChildRow(child=child.task.row))
        except Refused:
            self._table.bury(child.task)
            raise
        finally:
            self._task.building = None


def _require_program(program: object) -> None:
    """Raise `TypeError` unless a program can be called."""
    if not callable(program):
        raise TypeError(f"a program is a generator function, not {shown(program)}")


def _adopt_and_run(calls: Calls, run: Callable[[], Verb]) -> Verb:
    """Copy what an Async-fork has left to the child, then run its program."""
    yield from calls.do("fork", ops.OP_ASYNC_COPY, Nothing())
    yield from run()
