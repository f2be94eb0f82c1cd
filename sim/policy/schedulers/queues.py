"""Schedulers that keep one queue: round robin, and first come, first served."""

from collections import deque

from sim.policy.schedulers.protocol import FOREVER_NS, scheduler


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
