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
    from collections.abc import Callable, Generator

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
    threads: dict[int, Task]
    ended: str | None
    gone: simpy.Event
    n_threads: int
    if TYPE_CHECKING:

        def _thread(
            self, name: str, program: Callable[[Task], Any], source: Callable[..., Any]
        ) -> Task: ...
        def _build(self, call: str, op: int, child: Task) -> Verb: ...
        def _wait(self, what: str, event: simpy.Event, holder: Task | None = None) -> Verb: ...

    def thread(
        self, program: Callable[..., Verb], *args: Any, name: str | None = None, **kwargs: Any
    ) -> Verb:
        """Start a thread of this process; see `sim.program.api.Process.thread`."""
        require_program(program)
        leader = self.leader
        leader.n_threads += 1
        started = self._thread(
            name or f"{leader.name}#{leader.n_threads}",
            lambda task: program(task, *args, **kwargs),
            program,
        )
        yield from self._build("clone", ops.OP_VFORK, started)
        leader.threads[started.pid] = started
        started.begin_life()
        return Thread(started.pid, started.name)

    def join(self, thread: Thread) -> Verb:
        """Wait until `thread` of this process has ended."""
        if not isinstance(thread, Thread):
            raise TypeError(f"join takes a thread as `thread` returns it, not {shown(thread)}")
        other = self.leader.threads.get(thread.pid)
        if other is not None:
            yield from self._wait(f"its thread {other.name} to end", other.gone, other)

    def _await_threads(self) -> Verb:
        """Wait until this leader is the only task of its process."""
        for other in list(self.threads.values()):
            if other.ended is None:
                yield other.gone
