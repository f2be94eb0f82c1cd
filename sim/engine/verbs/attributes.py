"""Verbs about what the kernel knows of a process: none of them takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.base.errors import Errno, Refused
from sim.engine.streams import whole

if TYPE_CHECKING:
    from sim.engine.verbs.calls import Calls, Verb
    from sim.machine.machine import Machine

MOST_ADJ: Final = 1000
LEAST_NICE: Final = -20
NICE_RANGE: Final = 39


class Attributes:
    """What a task says of its own process."""

    def __init__(self, calls: Calls, machine: Machine) -> None:
        self._task = calls.task
        self._machine = machine

    def prctl(self, option: str, value: int) -> Verb:
        """Change an attribute; see `sim.program.api.Process.prctl`."""
        if option != "thp_disable":
            raise Refused(Errno.EINVAL, "prctl", f"there is no option {option!r}")
        m = self._machine.arrays
        space = int(m.tasks[self._task.row].space)
        m.spaces[space].thp_disabled = whole("prctl", "value", value, 0, 1)
        yield from ()

    def nice(self, increment: int) -> Verb:
        """Add to the nice value of the process, within its bounds; see `Process.nice`."""
        increment = whole("nice", "increment", increment, -NICE_RANGE, NICE_RANGE)
        nice = int(self._machine.process_of(self._task.row).nice) + increment
        nice = max(LEAST_NICE, min(LEAST_NICE + NICE_RANGE, nice))
        self._machine.set_nice(self._task.row, nice)
        yield from ()
        return nice

    def oom_score_adj(self, value: int) -> Verb:
        """Change by how much the killer prefers it; see `Process.oom_score_adj`."""
        process = self._machine.process_of(self._task.row)
        process.oom_score_adj = whole("oom_score_adj", "value", value, -MOST_ADJ, MOST_ADJ)
        yield from ()
