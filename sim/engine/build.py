"""The one place where a machine with an engine is put together: for runs, tests and benchmarks."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from sim.base.garbage import set_aside
from sim.base.rng import stream
from sim.engine.bell import Bell
from sim.engine.clock import Clock
from sim.engine.cpus import Cpus
from sim.engine.devices import DISK, Devices, DeviceSpec
from sim.engine.driver import Driver
from sim.engine.eviction import Eviction, start_kubelet
from sim.engine.evidence import Evidence
from sim.engine.figures import Figures
from sim.engine.files import FileNames
from sim.engine.flusher import start_flusher
from sim.engine.groups import GroupNames, GroupSpec
from sim.engine.images import Shelf
from sim.engine.khugepaged import ALLOC_SLEEP_NS, SCAN_SLEEP_NS, start_khugepaged
from sim.engine.kills import KillLog
from sim.engine.kswapd import start_kswapd
from sim.engine.lists import ListStore
from sim.engine.lives import Lives
from sim.engine.mmap_lock import LockQueue
from sim.engine.oom_reaper import start_oom_reaper
from sim.engine.pressure import Pressure
from sim.engine.result import Measurement
from sim.engine.rungs import Kill, Queue
from sim.engine.shortage import Ladder, Ladders, MemoryWaits, Rung, Scope
from sim.engine.signals import Signals
from sim.engine.system import System
from sim.engine.table import TaskTable
from sim.engine.throttle import Throttle
from sim.engine.verbs.process import Process
from sim.engine.victims import Victims
from sim.machine.groups import is_within
from sim.machine.layout import COLUMNS, FOREVER, N_QUANTILES, ROOT
from sim.machine.machine import Machine
from sim.machine.words import PROCESS_GROUP
from sim.machine.work import N_LINES
from sim.policy.schedulers import SCHEDULERS, Scheduler
from sim.program.blame import blaming

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    import numpy as np
    import simpy
    from numpy.typing import NDArray

    from sim.engine.task import Task
    from sim.machine.spec import HostSpec

    Life = Generator[simpy.Event, Any, None]

FIRST_IMAGE_PAGES: Final = 16
"""Data and bss of the image a process starts from: nothing to speak of."""
STACK_PAGES: Final = 2048
"""RLIMIT_STACK, 8 MiB."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """How a machine is run; times in ns.

    `scheduler` is a policy that ships, or makes one from the quantum.  `burst_steps` is the most
    steps of a burst, 0 for no limit; it changes nothing but the speed.  `horizon_ns` None: no end.
    `sample_every_ns` 0 takes no time series.  `check` audits the machine at every event.
    `devices` are what files are on, the disk first.  `khugepaged` is how long it sleeps between
    scans, and after finding no block; None: never runs.  `groups` are control groups, parents
    before those in them; `eviction` is when the kubelet ends some of them.  `stages` are shares of
    each kind of fault's time.
    """

    scheduler: Scheduler = SCHEDULERS["round_robin"]
    quantum_ns: int = 4_000_000
    seed: int = 1
    replication: int = 0
    burst_steps: int = 0
    horizon_ns: int | None = None
    warmup_ns: int = 0
    sample_every_ns: int = 0
    check: bool = False
    devices: tuple[DeviceSpec, ...] = (DISK,)
    khugepaged: tuple[int, int] | None = None
    groups: tuple[GroupSpec, ...] = ()
    eviction: Eviction | None = None
    stages: Mapping[str, Mapping[str, float]] | None = None


KHUGEPAGED: Final = (SCAN_SLEEP_NS, ALLOC_SLEEP_NS)
"""How long khugepaged sleeps in Linux."""
MOST_UNCOLLECTED_BYTES: Final = 256 << 20
"""Memory of machines after which the collector is asked for those of earlier runs."""


def build_machine(host: HostSpec, prices: NDArray[np.int64] | None = None) -> Machine:
    """Return a machine; without prices, nothing on it takes time."""
    import numpy as np

    if prices is None:
        prices = np.zeros((N_LINES, N_QUANTILES), np.int64)
    _collect_earlier()
    machine = Machine(host, prices=prices)
    _built_bytes[machine] = sum(getattr(machine.arrays, name).nbytes for name in COLUMNS)
    return machine


_built_bytes: Final[WeakKeyDictionary[Machine, int]] = WeakKeyDictionary()
"""Of the machines that are still there, many of them only because their parts refer to one another.

Those of scripts are not: they go as soon as nobody has them.
"""


def _collect_earlier() -> None:
    """Free the machines of earlier runs once they are large.

    What was frozen is old ever after: the collector hardly comes to it by itself, and a process
    that carries out one run after the other would grow with each.  To collect after each run would
    take longer than a short one.
    """
    if sum(_built_bytes.values()) > MOST_UNCOLLECTED_BYTES:
        gc.collect()
        _built_bytes.clear()  # who is still there is in use


def build_system(machine: Machine, spec: EngineSpec) -> System:
    """Put the parts of an engine together, each with those it needs."""
    clock = Clock()
    table = TaskTable(machine, clock, spec.seed, spec.replication)
    cpus = Cpus(machine, clock, table, spec.scheduler, spec.quantum_ns)
    pressure = Pressure(machine, clock)
    figures = Figures(machine, clock, table)
    evidence = Evidence(machine, clock, table)
    signals = Signals(machine, cpus, figures, evidence)
    line = partial(MemoryWaits, machine, cpus, pressure, evidence)
    waits = line()
    names = GroupNames(machine, spec.groups)
    log = KillLog(machine, clock, table, names, evidence.held)

    victims = Victims(machine, clock, table)

    def killer(scope: Scope, waits: MemoryWaits) -> Rung:
        return Kill(machine, table, signals, waits, scope, log, victims)

    if machine.host.queueing:
        last: Rung = Queue(machine, table, waits)
    else:
        last = killer(Scope(table, machine.host.ram_pages), waits)
    of_groups = {
        row: Ladder([killer(group_scope(table, machine, row), line())])
        for row in names.rows.values()
    }
    shortage = Ladders(machine, {ROOT: Ladder([last]), **of_groups})
    signals.heard.append(shortage.interrupted)
    luck_of = partial(stream, spec.seed, spec.replication, "device")
    devices = Devices(machine, clock, cpus, pressure, spec.devices, shortage.released, luck_of)
    throttle = Throttle(machine, clock, cpus, pressure)
    kswapd, flusher = Bell(clock), Bell(clock)
    driver = Driver(
        machine, clock, table, cpus, devices, LockQueue(machine, table, cpus), shortage, throttle,
        kswapd, flusher, signals, evidence, burst_steps=spec.burst_steps,
        horizon_ns=spec.horizon_ns, check=spec.check,
    )  # fmt: skip
    lives = Lives(machine, clock, table, figures, evidence, signals, shortage)
    files = FileNames(machine)
    return System(
        machine, clock, table, cpus, pressure, figures, evidence, signals, waits, shortage, names,
        log, victims, kswapd, flusher, devices, throttle, ListStore(machine), files,
        Shelf(machine, files.row), lives, driver,
    )  # fmt: skip


def group_scope(table: TaskTable, machine: Machine, group: int) -> Scope:
    """Return the processes in a control group, or in one that is nested in it."""
    m = machine.arrays

    def has(task: Task) -> bool:
        return is_within(m, machine.attribute(task.row, PROCESS_GROUP), group)

    return Scope(table, int(m.groups[group].limit), has, group)


class Simulation:
    """A machine, the engine that runs it, and what is measured of it."""

    def __init__(self, machine: Machine, spec: EngineSpec) -> None:
        sampling = machine.arrays.clock[0]
        sampling.sample_every_ns = spec.sample_every_ns or FOREVER
        sampling.sample_next_ns = 0 if spec.sample_every_ns else FOREVER
        self.machine = machine
        self.system = build_system(machine, spec)
        self.system.kswapd_bell.first = partial(start_kswapd, self.system)
        self.system.victims.bell.first = partial(start_oom_reaper, self.system)
        self.system.flusher_bell.first = partial(start_flusher, self.system)
        if spec.eviction is not None:
            start_kubelet(self.system, spec.eviction)
        self._khugepaged = spec.khugepaged
        self._measurement = Measurement(self.system, spec.stages or {})
        if spec.warmup_ns > 0:
            self.system.clock.start(self._warm_up(spec.warmup_ns))

    def _warm_up(self, warmup_ns: int) -> Life:
        """Forget what was measured, at the end of the warm-up."""
        yield self.system.clock.timer(warmup_ns)
        self._measurement.restart()

    def add(
        self,
        name: str,
        program: Callable[[Process], Life],
        *,
        start_ns: int = 0,
        image_pages: int = FIRST_IMAGE_PAGES,
        stack_pages: int = STACK_PAGES,
        group: str | None = None,
        **how: Any,
    ) -> None:
        """Let init start `program` at its time, in an address space of its own.

        `group` is the control group it is in; `how` says more of it, as
        `sim.engine.table.TaskTable.process` takes it.
        """
        process = Process(self.system.table.process(name, **how), self.system)
        if group is not None:
            row = self.system.groups.rows[group]
            self.machine.put_into_group(process.task.row, row)

        def run() -> Life:
            yield from process.sleep_until(start_ns)
            yield from process.begin_image(image_pages, stack_pages)
            yield from program(process)

        self.system.lives.begin(process.calls, run)

    def run(self) -> dict[str, Any]:
        """Run to the end, and return the document of what came of it, without a judgement.

        Raises `ScenarioError` for a mistake of a plug-in, and `KernelPanicError` if the books do
        not balance.
        """
        if self._khugepaged is not None:
            scan_ns, alloc_ns = self._khugepaged
            start_khugepaged(self.system, scan_sleep_ns=scan_ns, alloc_sleep_ns=alloc_ns)
        with set_aside(), blaming():
            self.system.driver.run()
        document = self._measurement.result()
        self.machine.audit()
        return document
