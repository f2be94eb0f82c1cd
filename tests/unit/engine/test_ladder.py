"""The ladder for times of need: rungs in their order, each for the processes of its scope."""

from collections.abc import Generator
from typing import Any

import pytest
from support.machines import flat_prices, machine

from sim.base.errors import KernelPanicError
from sim.base.units import PAGE_BYTES
from sim.engine.build import EngineSpec, Simulation
from sim.engine.rungs import Kill
from sim.engine.shortage import Ladder, MemoryWaits, Rung, Scope
from sim.engine.system import System
from sim.engine.task import Task
from sim.engine.verbs.process import Process

Life = Generator[Any, Any, None]


def simulation(**host: Any) -> Simulation:
    spec = EngineSpec(quantum_ns=4_000_000)
    return Simulation(machine(flat_prices(zero_fill=1000), **host), spec)


class Balloon(Rung):
    """Has a process give its memory back, and who is short wait for its end."""

    def __init__(self, system: System, waits: MemoryWaits) -> None:
        self._waits = waits
        self.asked = system.clock.event()

    def relieve(self, task: Task, cpu: int) -> bool:
        if self.asked.triggered:  # there is nothing more to give
            return False
        self._waits.park(task, cpu, None)
        self.asked.succeed()
        return True

    def ended(self, task: Task) -> None:
        for waiter in self._waits.tasks:
            self._waits.tasks.wake(waiter)


def test_a_rung_that_helps_spares_the_killer() -> None:
    def program(task: Process) -> Life:
        yield from task.sleep(1_000_000)
        data = yield from task.mmap(120 * PAGE_BYTES)
        yield from task.write(data)

    results = []
    for with_balloon in (False, True):
        run = simulation(memory_pages=200, cpus=1, overcommit=1)
        balloon = Balloon(run.system, run.system.memory_waits)
        if with_balloon:
            run.system.shortage.machine.rungs.insert(0, balloon)

        def cache(task: Process, asked: Any = balloon.asked) -> Life:
            yield from task.write((yield from task.mmap(100 * PAGE_BYTES)))
            yield task.system.clock.timer(9_000_000) | asked
            yield from task.compute(500)

        run.add("cache", cache, image_pages=2, stack_pages=64)
        run.add("p", program, image_pages=2, stack_pages=64)
        document = run.run()
        results.append((document["metrics"]["oom_kills"], document["ending"]))
    assert results == [(1, "idle"), (0, "idle")]
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
        system.machine,
        system.table,
        system.signals,
        system.memory_waits,
        scope,
        system.kills,
        system.victims,
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
