"""Which tasks are off their CPUs for want of memory, and how long tasks of each group were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.machine.layout import AVERAGED_S
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
        self._groups: dict[int, int] = {}  # by pid: where a task is stalled

    def begin(self, task: Task) -> None:
        """Let a task, off its CPU, be stalled from now on."""
        group = int(self._machine.process_of(task.row).group)
        self._groups[task.pid] = group
        pressure.record_stalled(self._machine.arrays, group, self._clock.end_ns, 1)

    def end(self, task: Task) -> None:
        """Let a task no longer be stalled, if it was."""
        group = self._groups.pop(task.pid, None)
        if group is not None:
            pressure.record_stalled(self._machine.arrays, group, self._clock.end_ns, -1)

    def so_far_ns(self, group: int) -> tuple[int, int]:
        """Return how long at least one task of a group, and how long all, were stalled."""
        m = self._machine.arrays
        pressure.account(m, group, self._clock.end_ns)
        return int(m.psi[group].some_ns), int(m.psi[group].full_ns)

    def averages(self, group: int) -> list[dict[str, float]]:
        """Return the averages of SOME and of FULL in percent, as of the last 2 s that are over."""
        m = self._machine.arrays
        pressure.account(m, group, self._clock.end_ns)
        rows = m.averages[group].reshape(2, len(AVERAGED_S)).tolist()
        return [
            {
                f"avg{s}": round(n / pressure.FIXED_1, 2)
                for s, n in zip(AVERAGED_S, row, strict=True)
            }
            for row in rows
        ]
