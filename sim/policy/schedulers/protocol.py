"""Policies by number, what a plug-in's must do, and how it is offered by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

FOREVER_NS: Final = 1 << 62
"""A slice without end."""

# --- policies by number ---------------------------------------------------------------------
PLUGIN: Final = 0
"""A class in Python."""
ROUND_ROBIN: Final = 1
"""Every runnable task in turn, for at most one quantum (rounded up to the tick)."""
FIFO: Final = 2
"""First come, first served, until it blocks."""

SCHEDULERS: Final[dict[str, int]] = {
    "round_robin": ROUND_ROBIN,
    "fifo": FIFO,
    "priority": 3,
    "eevdf": 4,
}
"""The schedulers that ship with cowpool, by name, which is that of the module of each here."""

# --- why a task is enqueued -------------------------------------------------------------------
WOKE: Final = 0
"""It had been blocked, or has just been born."""
PREEMPTED: Final = 1
"""Its CPU was taken from it: a task that woke goes first; to a plug-in also `YIELDED`."""
YIELDED: Final = 2
"""Its slice was over, or it was moved to another queue; plug-ins are told `PREEMPTED`."""


@dataclass(frozen=True, slots=True)
class Runnable:
    """A task as a policy sees it."""

    pid: int
    weight: int
    """Its share of a CPU; 1024 is nice 0."""
    used_ns: int
    """CPU time it has used so far, the step under way included."""
    why: int
    """Why it was enqueued last: `WOKE` or `PREEMPTED`."""
    cpu: int | None
    """The CPU it ran on last."""


class SchedulerPolicy(Protocol):
    """What a plug-in's scheduler must do.  Each run queue has an instance of its own.

    One queue is for tasks that may run on any CPU; each CPU that tasks are bound to has its own.
    """

    def __init__(self, quantum_ns: int) -> None:
        """Start with nothing runnable."""

    def enqueue(self, pid: int, now_ns: int) -> None:
        """Take note that `pid` became runnable, or lost its CPU at the end of its slice."""

    def pick(self, now_ns: int) -> tuple[int, int] | None:
        """Return and remove the next task, and its slice in ns; None if there is none."""


class FullPolicy(SchedulerPolicy, Protocol):
    """What a plug-in's scheduler may do besides, each by itself: it is asked for what it has."""

    queue_per_cpu: bool
    """Whether tasks that are bound to no CPU wait in the queue of one nevertheless.

    That is the lowest free CPU, else the one the task ran on last, else CPU 0.
    """

    def enqueue_task(self, task: Runnable, now_ns: int) -> None:
        """Do what `enqueue` does, which is not called then."""

    def dequeue_task(self, pid: int, used_ns: int) -> None:
        """Take note that a task of this queue has left: it ran and blocked, ended, or was stolen.

        `used_ns` is the CPU time it has used so far.
        """

    def wakeup_preempt(self, waking: Runnable, running: Runnable, now_ns: int) -> bool:
        """Return whether a task that woke goes before one that runs, from its next step on.

        The one that runs has the CPU that the other ran on last, or is bound to; nobody is asked
        while a CPU is free.
        """

    def steal(self, waiting: Mapping[int, Sequence[int]]) -> int | None:
        """Return the pid of a task to take over from another CPU's queue, or None.

        Asked with `queue_per_cpu` when a CPU becomes free for which nobody waits; `waiting` are
        the tasks that may be moved, by CPU.
        """


Scheduler = int | Callable[[int], SchedulerPolicy]
"""A policy that ships, by its number, or a plug-in's."""

_S = TypeVar("_S", bound=type[Any])


def scheduler(name: str) -> Callable[[_S], _S]:
    """Offer a class as the scheduler `name`."""

    def offer(policy: _S) -> _S:
        policy.scheduler_name = name
        return policy

    return offer
