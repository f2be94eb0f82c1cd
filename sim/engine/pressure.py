"""How long tasks were stalled on memory: at least one, and all that were not idle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engine import runqueue

if TYPE_CHECKING:
    from sim.engine.clock import Clock
    from sim.machine.machine import Machine


class Pressure:
    """The account of stalls on memory, from the start of a run."""

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self._machine = machine
        self._clock = clock

    def change(self, more: int) -> None:
        """Let `more` tasks more be stalled from now on, and account for the time up to now."""
        runqueue.stall(self._machine.arrays, self._clock.end_ns, more)

    def so_far_ns(self) -> tuple[int, int]:
        """Return how long at least one task, and how long all, were stalled on memory."""
        self.change(0)
        clock = self._machine.arrays.clock[0]
        return int(clock.some_ns), int(clock.full_ns)
