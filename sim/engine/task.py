"""A task: what the engine knows of one simulated process or thread, and nothing that it does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import simpy

    from sim.base.units import Pid


class Signal(Enum):
    """Why a task was ended from outside."""

    OOM_KILL = -9
    SEGFAULT = -11
    BUS_ERROR = -7
    EVICTED = -1009
    """By the kubelet, with SIGKILL."""
    GROUP_EXIT = 0
    """Its process ends: another task of it has called exit, or its leader is through."""


class State(Enum):
    """How far a task has come in its life."""

    NEW = "being built by fork, vfork or clone"
    ALIVE = "running its program"
    UNDONE = "never born: it only gives back what fork had given it"
    EXITING = "through with its program"
    ENDED = "gone, or waiting to be reaped"


def nobody() -> None:
    """Nobody has what a task waits for, or nobody knows who."""


@dataclass(slots=True)
class Wait:
    """What a task waits for, how to learn who has that, and how to call the wait off."""

    what: str
    who_has: Callable[[], Task | None] = nobody
    cancel: Callable[[], None] | None = None

    @property
    def holder(self) -> Task | None:
        """Who has now what the task waits for; looked up only when somebody wants to know."""
        return self.who_has()


@dataclass(slots=True)
class Building:
    """A fork, vfork or clone under way: the child, and how to undo it."""

    child: Task
    undo: Callable[[], None]


@dataclass(slots=True, eq=False)
class Task:
    """One simulated process, or one of its threads; times in ns."""

    pid: Pid
    row: int
    """Its row in the machine's tables."""
    name: str
    origin: str
    """The process of the scenario that it comes from."""
    created_ns: int
    gone: simpy.Event
    """Succeeds when it has ended."""
    parent: Task | None = None
    pin: int | None = None
    daemon: bool = False
    """A thread of the kernel: it is no process, and no run goes on for it."""
    source: Callable[..., Any] | None = None
    """What its program is written as."""
    group: ThreadGroup = field(init=False)
    state: State = State.NEW
    birth: int = 0
    """Its place in the order of births, from 1 on."""
    life: simpy.Process | None = None
    """What runs its program."""
    done: simpy.Event | None = None
    """Succeeds when the operation under way has been carried out."""
    wait: Wait | None = None
    """What it waits for, other than a CPU."""
    killed: Signal | None = None
    building: Building | None = None
    vfork_done: simpy.Event | None = None
    """It uses its parent's address space, and the parent waits for this event."""
    status: int = 0
    ended_how: str = "running"
    ended_ns: int | None = None
    faults_before: Counter[str] = field(default_factory=Counter)
    """Its own, up to the end of warm-up."""
    records: dict[str, list[float]] = field(default_factory=dict)
    figures: dict[str, Any] | None = None

    @property
    def leader(self) -> Task:
        """The first task of its process."""
        return self.group.leader

    @property
    def is_leader(self) -> bool:
        """Whether its process is known by it."""
        return self.group.leader is self

    @property
    def may_be_interrupted(self) -> bool:
        """Whether it runs its program, and nobody has ended it yet."""
        return self.state is State.ALIVE and self.killed is None

    def ends_with(self, status: int, how: str) -> None:
        """Say how it ends, for its parent and the report."""
        self.status = status
        self.ended_how = how

    def let_parent_go(self) -> None:
        """Give back a borrowed address space: the parent that waits in vfork goes on."""
        if self.vfork_done is not None:
            self.vfork_done.succeed()
            self.vfork_done = None


@dataclass(slots=True, eq=False)
class ThreadGroup:
    """What the tasks of one process have in common (Linux `signal_struct`).

    A process is known by its first task, its `leader`; the others are its `threads`.
    """

    leader: Task
    threads: dict[int, Task] = field(default_factory=dict)
    """Those that have not ended, by pid."""
    n_threads: int = 0
    """How many threads it has started."""
    children: dict[int, Task] = field(default_factory=dict)
    """Those that are not reaped, by pid, in order of birth."""
    n_children: int = 0
    """How many children it has begun to make."""
    faults: Counter[str] = field(default_factory=Counter)
    """Those of threads that have ended, since warm-up."""
    cpu_ns: int = 0
    """CPU time of threads that have ended."""
    _zombies: list[tuple[int, int]] = field(default_factory=list)
    _told: list[simpy.Event] = field(default_factory=list)

    def tasks(self) -> Iterator[Task]:
        """Yield the tasks that have not ended, the leader first."""
        if self.leader.state is not State.ENDED:
            yield self.leader
        yield from list(self.threads.values())

    def tell(self, event: simpy.Event) -> None:
        """Let `event` succeed when the next child has ended."""
        self._told.append(event)

    def child_ended(self, child: Task) -> None:
        """Take note that a child waits to be reaped."""
        heappush(self._zombies, (child.birth, child.pid))
        told, self._told = self._told, []
        for event in told:
            event.succeed()

    def zombie(self) -> Task | None:
        """Return the child born first of those that wait to be reaped."""
        while self._zombies:
            found = self.children.get(self._zombies[0][1])
            if found is not None:
                return found
            heappop(self._zombies)
        return None
