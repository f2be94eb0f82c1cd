"""Threads: tasks of one process, which share its address space and end with it.

A process is known by its first task, its *leader*; the others are its threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.text import shown
from sim.engine.calls import MemoryCalls
from sim.kernel import step as ops
from sim.program.api import Thread

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import simpy

    from sim.engine.task import Task

    Verb = Generator[Any, Any, Any]


def require_program(program: object) -> None:
    """Raise `TypeError` unless a program can be called."""
    if not callable(program):
        raise TypeError(f"a program is a generator function, not {shown(program)}")


class ThreadCalls(MemoryCalls):
    """The part of `sim.engine.task.Task` that starts threads and waits for them."""

    name: str
    leader: Task
    threads: list[Task]
    ended: str | None
    gone: simpy.Event
    n_threads: int
    if TYPE_CHECKING:

        def _build(self, call: str, op: int, child: Task) -> Verb: ...
        def _wait(self, what: str, event: simpy.Event, holder: Task | None = None) -> Verb: ...

    def thread(
        self, program: Callable[..., Verb], *args: Any, name: str | None = None, **kwargs: Any
    ) -> Verb:
        """Start a thread of this process; see `sim.program.api.Process.thread`."""
        require_program(program)
        leader = self.leader
        leader.n_threads += 1
        started = self.system.new_thread(
            leader,
            name or f"{leader.name}#{leader.n_threads}",
            lambda task: program(task, *args, **kwargs),
            program,
        )
        yield from self._build("clone", ops.OP_VFORK, started)
        leader.threads.append(started)
        self.system.born(started)
        return Thread(started.pid, started.name)

    def join(self, thread: Thread) -> Verb:
        """Wait until `thread` of this process has ended."""
        if not isinstance(thread, Thread):
            raise TypeError(f"join takes a thread as `thread` returns it, not {shown(thread)}")
        for other in self.leader.threads:
            if other.pid == thread.pid:
                yield from self._wait(f"its thread {other.name} to end", other.gone, other)

    def group(self) -> Iterator[Task]:
        """Yield the living tasks of this process, the leader first."""
        return (t for t in (self.leader, *self.leader.threads) if t.ended is None)

    def _await_threads(self) -> Verb:
        """Wait until this leader is the only task of its process."""
        for other in list(self.threads):
            if other.ended is None:
                yield other.gone
