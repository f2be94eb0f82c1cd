"""The ladder for times of need: rungs in their order, each for the processes of its scope."""

from collections.abc import Generator
from typing import Any

import pytest
from support.machines import flat_prices, machine

from sim.base.errors import KernelPanicError
from sim.base.units import PAGE_BYTES
from sim.engine.build import EngineSpec, Simulation
from sim.engine.daemons import start_daemon
from sim.engine.rungs import Kill
from sim.engine.shortage import Ladder, MemoryWaits, Rung, Scope
from sim.engine.system import System
from sim.engine.task import Task
from sim.engine.verbs.process import Process

Life = Generator[Any, Any, None]


def simulation(**host: Any) -> Simulation:
    spec = EngineSpec(quantum_ns=4_000_000)
    return Simulation(machine(flat_prices(zero_fill=1000), **host), spec)


class PageDaemon(Rung):
    """Has a thread of the kernel drop a file from the page cache, and who is short wait for it."""

    def __init__(self, system: System, waits: MemoryWaits, file: str) -> None:
        self._clock = system.clock
        self._waits = waits
        self._file = file
        self._wanted = system.clock.event()
        self.scans = 0
        start_daemon(system, "kswapd", self._scan)

    def relieve(self, task: Task, cpu: int) -> bool:
        if self.scans > 0:  # there is nothing more to drop
            return False
        self._waits.park(task, cpu, None)
        if not self._wanted.triggered:
            self._wanted.succeed()
        return True

    def _scan(self, process: Process) -> Life:
        while True:
            yield self._wanted
            self._wanted = self._clock.event()
            yield from process.compute(500)
            yield from process.drop(self._file)
            self.scans += 1
            for task in self._waits.tasks:
                self._waits.tasks.wake(task)


def test_a_page_daemon_that_is_woken_spares_the_killer() -> None:
    def program(task: Process) -> Life:
        yield from task.pread("log", 100)
        data = yield from task.mmap(120 * PAGE_BYTES)
        yield from task.write(data)

    results = []
    for with_daemon in (False, True):
        run = simulation(memory_pages=200, cpus=1)
        if with_daemon:
            rung = PageDaemon(run.system, run.system.memory_waits, "log")
            run.system.shortage.machine.rungs.insert(0, rung)
        run.add("p", program, image_pages=2, stack_pages=64)
        document = run.run()
        results.append((document["metrics"]["oom_kills"], document["ending"]))
        assert [process["name"] for process in document["processes"]] == ["p"]
    assert results == [(1, "idle"), (0, "idle")]
    assert rung.scans == 1
    assert document["evidence"]["memory_waits"] == {"p": 1}
    assert document["metrics"]["psi_memory_some"] > 0


@pytest.mark.parametrize(("group", "victim"), [({"small", "asks"}, "small"), (None, "large")])
def test_the_killer_of_a_group_looks_no_further(group: set[str] | None, victim: str) -> None:
    """The largest of all is spared where the limit is not everybody's."""

    def holding(pages: int) -> Any:
        def program(task: Process) -> Life:
            yield from task.write((yield from task.mmap(pages * PAGE_BYTES)))
            yield from task.sleep(10_000_000)

        return program

    def asks(task: Process) -> Life:
        yield from task.sleep(1_000_000)
        yield from task.write((yield from task.mmap(30 * PAGE_BYTES)))

    run = simulation(memory_pages=240, cpus=1, overcommit=1)
    system = run.system
    has = None if group is None else (lambda task: task.name in group)
    scope = Scope(system.table, 240, has)
    kill = Kill(
        system.machine, system.table, system.signals, system.memory_waits, scope, system.kills
    )
    system.shortage.machine.rungs[:] = [kill]
    for name, program in (("large", holding(120)), ("small", holding(80)), ("asks", asks)):
        run.add(name, program, image_pages=2, stack_pages=64)
    document = run.run()
    killed = [p["name"] for p in document["processes"] if p["ended"] == "oom-killed"]
    assert killed == [victim]


def test_a_ladder_without_a_last_rung_is_a_defect() -> None:
    run = simulation(memory_pages=200, cpus=1)
    task = run.system.table.process("p")
    with pytest.raises(KernelPanicError, match="no rung"):
        Ladder([]).refused(task, 0)
