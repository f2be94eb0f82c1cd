"""A scheduler that favours whoever became runnable last."""

from __future__ import annotations

from sim.plugin import scheduler


@scheduler("last_come")
class LastCome:
    """Last come, first served, for one quantum: short work is quick, long work may starve."""

    def __init__(self, quantum_ns):
        self._quantum_ns = quantum_ns
        self._ready = []

    def enqueue(self, pid, now_ns):
        """Put `pid` on top."""
        self._ready.append(pid)

    def pick(self, now_ns):
        """Take the top one and its slice, or nothing."""
        return (self._ready.pop(), self._quantum_ns) if self._ready else None
