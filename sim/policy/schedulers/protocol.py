"""Policies by number, what a plug-in's must do, and how it is offered by name."""

from collections.abc import Callable
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

SCHEDULERS: Final[dict[str, int]] = {"round_robin": ROUND_ROBIN, "fifo": FIFO}
"""The schedulers that ship with cowpool, by name."""

# --- why a task is enqueued -------------------------------------------------------------------
WOKE: Final = 0
"""It had been blocked, or has just been born."""
PREEMPTED: Final = 1
"""Its CPU was taken from it: its slice was over, or a task that woke goes first."""


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


Scheduler = int | Callable[[int], SchedulerPolicy]
"""A policy that ships, by its number, or a plug-in's."""

_S = TypeVar("_S", bound=type[Any])


def scheduler(name: str) -> Callable[[_S], _S]:
    """Offer a class as the scheduler `name`."""

    def offer(policy: _S) -> _S:
        policy.scheduler_name = name
        return policy

    return offer
