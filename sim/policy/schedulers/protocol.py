"""What a scheduler must do, and those that are offered by name."""

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
        if policy.__module__.startswith(f"{__package__}."):
            SCHEDULERS[name] = policy
        return policy

    return offer
