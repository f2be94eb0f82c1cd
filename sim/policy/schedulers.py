"""In which order runnable tasks get a CPU.

A policy sees process numbers and times, never the machine: it cannot change what it decides about.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

FOREVER_NS: Final = 1 << 62
"""A slice without end."""


class SchedulerPolicy(Protocol):
    """What a scheduler must do.  Tasks bound to a CPU have an instance of their own, per CPU."""

    def __init__(self, quantum_ns: int) -> None:
        """Start with nothing runnable."""

    def enqueue(self, pid: int, now_ns: int) -> None:
        """Take note that `pid` became runnable, or lost its CPU at the end of its slice."""

    def pick(self, now_ns: int) -> tuple[int, int] | None:
        """Return and remove the next task, and its slice in ns; None if there is none."""


SCHEDULERS: Final[dict[str, Callable[[int], SchedulerPolicy]]] = {}
"""The schedulers that ship with cowpool, by name."""

_S = TypeVar("_S", bound=type[Any])


def scheduler(name: str) -> Callable[[_S], _S]:
    """Offer a class as the scheduler `name`."""

    def offer(policy: _S) -> _S:
        policy.scheduler_name = name
        if policy.__module__ == __name__:
            SCHEDULERS[name] = policy
        return policy

    return offer


class _Queue:
    """Tasks in order of arrival."""

    def __init__(self, slice_ns: int) -> None:
        self._slice_ns = slice_ns
        self._ready: deque[int] = deque()

    def enqueue(self, pid: int, now_ns: int) -> None:
        """Append to the tail."""
        self._ready.append(pid)

    def pick(self, now_ns: int) -> tuple[int, int] | None:
        """Take the head."""
        return (self._ready.popleft(), self._slice_ns) if self._ready else None


@scheduler("round_robin")
class RoundRobin(_Queue):
    """Every runnable task in turn, for at most one quantum (rounded up to the tick)."""

    def __init__(self, quantum_ns: int) -> None:
        super().__init__(quantum_ns)


@scheduler("fifo")
class Fifo(_Queue):
    """First come, first served, until it blocks."""

    def __init__(self, quantum_ns: int) -> None:
        super().__init__(FOREVER_NS)
