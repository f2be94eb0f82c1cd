"""Which tasks are off their CPUs for want of memory, and how long tasks of each group were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.machine.layout import AVERAGED_S, NONE, PSI_IOWAIT, PSI_MEMSTALL, PSI_NONE, ROOT
from sim.observe import pressure

if TYPE_CHECKING:
    from sim.engine.clock import Clock
    from sim.engine.task import Task
    from sim.machine.machine import Machine


class Pressure:
    """The account of stalls on memory, from the start of a run."""

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self._machine = machine
        self._clock = clock
        self._asleep: dict[int, int] = {}  # by pid: since when it sleeps in direct reclaim
        self._slept_ns = 0

    def begin(self, task: Task, cpu: int, *, stalled: bool) -> None:
        """Let a task, just off `cpu`, be stalled from now on, or only wait for a device."""
        state = PSI_MEMSTALL if stalled else PSI_IOWAIT
        pressure.change_state(self._machine.arrays, task.row, state, cpu, self._clock.now_ns)

    def end(self, task: Task) -> None:
        """Let a task that `begin` was told of sleep, and no more than that."""
        pressure.change_state(self._machine.arrays, task.row, PSI_NONE, NONE, self._clock.now_ns)

    def sleeps(self, task: Task) -> None:
        """Take note that a task sleeps in its reclaim, perhaps for the machine itself."""
        if self._machine.arrays.operations[task.row].over == ROOT:
            self._asleep[task.pid] = self._clock.now_ns

    def wakes(self, task: Task) -> None:
        """Take note that a task that waited, of which `sleeps` may have been told, does no more."""
        since_ns = self._asleep.pop(task.pid, None)
        if since_ns is not None:
            self._slept_ns += self._clock.now_ns - since_ns

    def direct_reclaim_ns(self) -> int:
        """Return for how long tasks were in direct reclaim up to now: on a CPU, or asleep in it."""
        asleep_ns = sum(self._clock.end_ns - since_ns for since_ns in self._asleep.values())
        on_cpu_ns = int(self._machine.arrays.pool[0].allocation_stall_ns)
        return on_cpu_ns + self._slept_ns + asleep_ns

    def so_far_ns(self, group: int) -> tuple[int, int]:
        """Return how long at least one task of a group, and how long all, were stalled.

        As whoever reads `memory.pressure` does, this has the times of all CPUs collected.
        """
        m = self._machine.arrays
        pressure.collect(m, group, self._clock.end_ns)
        return int(m.psi[group].some_ns), int(m.psi[group].full_ns)

    def averages(self, group: int) -> list[dict[str, float]]:
        """Return the averages of SOME and of FULL in percent, as of the last 2 s that are over."""
        m = self._machine.arrays
        rows = m.averages[group].reshape(2, len(AVERAGED_S)).tolist()
        return [
            {
                f"avg{s}": round(n / pressure.FIXED_1, 2)
                for s, n in zip(AVERAGED_S, row, strict=True)
            }
            for row in rows
        ]
