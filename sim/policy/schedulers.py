"""In which order runnable tasks get a CPU.

A policy sees process numbers and times, never the machine: it cannot change what it decides about.
There is one run queue for all CPUs; `allowed` says which tasks the CPU in question may run.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

FOREVER_NS: Final = 1 << 62
"""A slice without end."""

Allowed = Callable[[int], bool]


class SchedulerPolicy(Protocol):
    """What a scheduler must do."""

    def __init__(self, quantum_ns: int) -> None:
        """Start with nothing runnable."""

    def enqueue(self, pid: int, now_ns: int) -> None:
        """Take note that `pid` became runnable, or lost its CPU."""

    def pick(self, now_ns: int, allowed: Allowed) -> tuple[int, int] | None:
        """Return and remove the next allowed task, and its slice in ns; None if there is none."""

    def remove(self, pid: int) -> None:
        """Forget `pid`, which is runnable no more."""


SCHEDULERS: Final[dict[str, type[SchedulerPolicy]]] = {}

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

    def __init__(self, quantum_ns: int) -> None:
        self._slice_ns = quantum_ns
        self._ready: deque[int] = deque()

    def enqueue(self, pid: int, now_ns: int) -> None:
        """Append to the tail."""
        self._ready.append(pid)

    def pick(self, now_ns: int, allowed: Allowed) -> tuple[int, int] | None:
        """Take the first that is allowed."""
        for pid in self._ready:
            if allowed(pid):
                self._ready.remove(pid)
                return pid, self._slice_ns
        return None

    def remove(self, pid: int) -> None:
        """Take it out of the queue."""
        self._ready.remove(pid)


@scheduler("round_robin")
class RoundRobin(_Queue):
    """Every runnable task in turn, for at most one quantum (rounded up to the tick)."""


@scheduler("fifo")
class Fifo(_Queue):
    """First come, first served, to the end of its demand."""

    def __init__(self, quantum_ns: int) -> None:
        super().__init__(FOREVER_NS)
