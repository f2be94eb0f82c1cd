"""The sleeps of tasks that reclaim in vain, or whose control group is above `memory.high`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from sim.engine.task import Wait
from sim.engine.waits import WaitList
from sim.kernel.reclaim.high import timer_expiry
from sim.machine.layout import NONE

if TYPE_CHECKING:
    import simpy

    from sim.engine.clock import Clock
    from sim.engine.cpus import Cpus
    from sim.engine.pressure import Pressure
    from sim.engine.task import Task
    from sim.machine.machine import Machine

WHAT: Final = "the end of its sleep: its control group is above memory_high"
IN_VAIN: Final = "the end of its sleep: nothing could be reclaimed"


class Throttle:
    """Tasks that sleep, stalled on memory, until a tick comes, or they are killed."""

    def __init__(self, machine: Machine, clock: Clock, cpus: Cpus, pressure: Pressure) -> None:
        self._machine = machine
        self._clock = clock
        self._pressure = pressure
        self._asleep = WaitList(cpus, pressure=pressure)
        self._since: dict[int, tuple[int, int]] = {}  # by pid: the group, and since when
        self._slept: dict[int, tuple[int, int]] = {}  # by group: how often, and for how long

    def sleep(self, task: Task, cpu: int) -> None:
        """Let `task`, on `cpu`, sleep for as many jiffies as it owes."""
        m = self._machine.arrays
        t = m.tasks[task.row]
        self._since[task.pid] = int(m.spaces[int(t.space)].group), self._clock.now_ns
        self._sleep(task, cpu, int(t.high_sleep), WHAT)
        t.high_sleep = NONE

    def nap(self, task: Task, cpu: int) -> None:
        """Let `task`, on `cpu`, sleep before it looks again for memory that it can reclaim."""
        o = self._machine.arrays.operations[task.row]
        self._sleep(task, cpu, int(o.naps), IN_VAIN)
        self._pressure.sleeps(task)
        o.naps = 0

    def _sleep(self, task: Task, cpu: int, jiffies: int, what: str) -> None:
        now_ns, tick_ns = self._clock.now_ns, int(self._machine.arrays.clock[0].tick_ns)
        until_ns = timer_expiry(now_ns // tick_ns, jiffies) * tick_ns
        timer = self._clock.timer(until_ns - now_ns, partial(self._wake, task))
        self._asleep.park(task, cpu, what, stalled=True)
        task.wait = Wait(what, cancel=partial(self._interrupt, task, timer))

    def slept(self, group: int) -> tuple[int, int]:
        """Return how often tasks of a group alone have slept, and for how many ns, up to now."""
        times, ns = self._slept.get(group, (0, 0))
        for of, since_ns in self._since.values():
            if of == group:
                times += 1
                ns += self._clock.end_ns - since_ns
        return times, ns

    def _wake(self, task: Task) -> None:
        self._end(task)
        self._asleep.wake(task)

    def _interrupt(self, task: Task, timer: simpy.Event) -> None:
        self._clock.cancel(timer)
        self._end(task)
        self._asleep.withdraw(task)

    def _end(self, task: Task) -> None:
        if task.pid not in self._since:
            return  # it was a nap
        group, since_ns = self._since.pop(task.pid)
        times, ns = self._slept.get(group, (0, 0))
        self._slept[group] = times + 1, ns + self._clock.now_ns - since_ns
