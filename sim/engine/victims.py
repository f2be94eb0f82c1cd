"""Who was killed for lack of memory, and has to be looked after if it does not end by itself.

Two seconds after the kill, by the OOM reaper (`sim.engine.oom_reaper`).  Read in Linux 6.18
`mm/oom_kill.c` (`queue_oom_reaper`).
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from sim.base.units import S
from sim.engine.bell import Bell
from sim.machine.layout import NONE
from sim.machine.rules.limits import R_REAPER_WAITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.clock import Clock
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.machine.machine import Machine

DELAY_NS: Final = 2 * S


class Victims:
    """Those that are `due`, in order, each with whom to tell when it is done.

    `bell` wakes the reaper.
    """

    def __init__(self, machine: Machine, clock: Clock, table: TaskTable) -> None:
        self._machine = machine
        self._clock = clock
        self._table = table
        self.bell = Bell(clock)
        self.due: deque[tuple[Task, Callable[[], None]]] = deque()

    def queue(self, victim: Task, reaped: Callable[[], None]) -> None:
        """Have the reaper look after `victim` in a while; `reaped` is called when it is through."""
        if self._machine.arrays.config[0].rules & R_REAPER_WAITS:
            self._clock.timer(DELAY_NS, partial(self._is_due, victim, reaped), background=True)

    def _is_due(self, victim: Task, reaped: Callable[[], None]) -> None:
        if self.is_there(victim):
            self.due.append((victim, reaped))
            self.bell.ring()

    def is_there(self, victim: Task) -> bool:
        """Whether a victim has not left its address space yet."""
        known = self._table.by_row.get(victim.row) is victim
        return known and int(self._machine.arrays.tasks[victim.row].space) != NONE
