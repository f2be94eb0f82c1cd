"""How long tasks were stalled on memory: at least one, and all that were not idle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engine import burst

if TYPE_CHECKING:
    from sim.engine.clock import Clock
    from sim.machine.machine import Machine


class Pressure:
    """The account of stalls on memory, from the start of a run."""

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self._machine = machine
        self._clock = clock
        self._stalled = 0
        self._some_ns = 0
        self._changed_ns = 0

    def change(self, more: int) -> None:
        """Let `more` tasks more be stalled from now on, and account for the time up to now."""
        now_ns = self._clock.end_ns
        if self._stalled > 0:
            self._some_ns += now_ns - self._changed_ns
        self._changed_ns = now_ns
        burst.stall(self._machine.arrays, now_ns, more)
        self._stalled += more

    def so_far_ns(self) -> tuple[int, int]:
        """Return how long at least one task, and how long all, were stalled on memory."""
        self.change(0)
        return self._some_ns, int(self._machine.arrays.clock[0].full_ns)
