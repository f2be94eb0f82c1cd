"""Verbs about what the kernel knows of a process: none of them takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.base.errors import Errno, Refused
from sim.engine.streams import whole

if TYPE_CHECKING:
    from sim.engine.verbs.calls import Calls, Verb
    from sim.machine.machine import Machine

MOST_ADJ = 1000


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

    def oom_score_adj(self, value: int) -> Verb:
        """Change by how much the killer prefers it; see `Process.oom_score_adj`."""
        process = self._machine.process_of(self._task.row)
        process.oom_score_adj = whole("oom_score_adj", "value", value, -MOST_ADJ, MOST_ADJ)
        yield from ()
