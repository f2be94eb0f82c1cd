"""The parts of one simulated machine, as they are put together by `sim.engine.build`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import simpy

    from sim.engine.bell import Bell
    from sim.engine.clock import Clock
    from sim.engine.cpus import Cpus
    from sim.engine.devices import Devices
    from sim.engine.driver import Driver
    from sim.engine.evidence import Evidence
    from sim.engine.figures import Figures
    from sim.engine.files import FileNames
    from sim.engine.groups import GroupNames
    from sim.engine.images import Shelf
    from sim.engine.kills import KillLog
    from sim.engine.lists import ListStore
    from sim.engine.lives import Lives
    from sim.engine.pressure import Pressure
    from sim.engine.shortage import Ladders, MemoryWaits
    from sim.engine.signals import Signals
    from sim.engine.table import TaskTable
    from sim.engine.throttle import Throttle
    from sim.engine.victims import Victims
    from sim.machine.machine import Machine


@dataclass(frozen=True, slots=True)
class System:
    """What verbs work with; each part does one thing and knows only those it needs."""

    machine: Machine
    clock: Clock
    table: TaskTable
    cpus: Cpus
    pressure: Pressure
    figures: Figures
    evidence: Evidence
    signals: Signals
    memory_waits: MemoryWaits
    shortage: Ladders
    groups: GroupNames
    kills: KillLog
    victims: Victims
    kswapd_bell: Bell
    flusher_bell: Bell
    devices: Devices
    throttle: Throttle
    lists: ListStore
    files: FileNames
    images: Shelf
    lives: Lives
    driver: Driver

    @property
    def env(self) -> simpy.Environment:
        """The SimPy environment, in which a program may make events of its own."""
        return self.clock.env
