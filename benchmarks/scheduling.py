"""What is timed between bursts: operations, switches, processes that come and go, idle CPUs.

Each case returns CPU seconds of this process and how many units were done in them.
"""

import resource
from collections.abc import Callable, Generator, Mapping
from time import process_time
from typing import Any, NamedTuple

import simpy

from sim.base.units import MIB, MS, PAGE_BYTES
from sim.engine.build import EngineSpec, Simulation, build_machine
from sim.engine.run import simulate
from sim.engine.verbs.process import Process
from sim.machine.spec import HostSpec
from sim.policy.schedulers import SCHEDULERS, Scheduler
from sim.program.api import Image
from sim.scenario.resolve import open_scenario

Document = dict[str, Any]
Life = Generator[Any, Any, None]
Program = Callable[[Process], Life]


class Cost(NamedTuple):
    """CPU seconds, and units done; of the seconds, those that Linux took to find memory."""

    seconds: float
    units: int
    system_s: float = 0.0


QUANTUM_NS = 4 * MS
IMAGE = Image(PAGE_BYTES, PAGE_BYTES, PAGE_BYTES, 64 * PAGE_BYTES)


class FirstCome:
    """Round robin as a plug-in would write it."""

    def __init__(self, quantum_ns: int) -> None:
        self._quantum_ns = quantum_ns
        self._ready: list[int] = []

    def enqueue(self, pid: int, now_ns: int) -> None:
        self._ready.append(pid)

    def pick(self, now_ns: int) -> tuple[int, int] | None:
        return (self._ready.pop(0), self._quantum_ns) if self._ready else None


def bare_timeout_s(events: int = 100_000) -> float:
    """Return what an event of SimPy costs by itself, the best of three."""

    def process(env: simpy.Environment) -> Generator[Any, Any, None]:
        for _ in range(events):
            yield env.timeout(1)

    found = []
    for _ in range(3):
        env = simpy.Environment()
        env.process(process(env))
        started = process_time()
        env.run()
        found.append(process_time() - started)
    return min(found) / events


def ran(
    programs: Mapping[str, Program],
    *,
    cpus: int = 1,
    pages: int = 4_000,
    scheduler: Scheduler = SCHEDULERS["round_robin"],
    horizon_ns: int | None = None,
    units: int = 0,
) -> tuple[Cost, Document]:
    """Run programs on a machine on which nothing but CPU time takes time."""
    machine = build_machine(HostSpec(memory_pages=pages, cpus=cpus))
    spec = EngineSpec(scheduler=scheduler, quantum_ns=QUANTUM_NS, horizon_ns=horizon_ns)
    simulation = Simulation(machine, spec)
    for name, program in programs.items():
        simulation.add(name, program, image_pages=2, stack_pages=64)
    return timed(simulation.run, units)


def timed(action: Callable[[], Document], units: int) -> tuple[Cost, Document]:
    """Return what `action` costs, and what comes of it."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), process_time()
    done = action()
    seconds, after = process_time() - started, resource.getrusage(resource.RUSAGE_SELF)
    return Cost(seconds, units, after.ru_stime - before.ru_stime), done


def computing(ns: int) -> Program:
    def program(task: Process) -> Life:
        yield from task.compute(ns)

    return program


def breaks(n: int) -> Cost:
    """Move the program break `n` times."""

    def program(task: Process) -> Life:
        for _ in range(n // 2):
            yield from task.sbrk(PAGE_BYTES)
            yield from task.sbrk(-PAGE_BYTES)

    return ran({"breaks": program}, units=n)[0]


def writes(n: int) -> Cost:
    """Write one page `n` times."""

    def program(task: Process) -> Life:
        data = yield from task.mmap(PAGE_BYTES)
        for _ in range(n):
            yield from task.write(data)

    return ran({"writes": program}, units=n)[0]


def switches(n: int, *, cpus: int, scheduler: Scheduler = SCHEDULERS["round_robin"]) -> Cost:
    """Let two tasks a CPU compute until there were about `n` switches."""
    programs = {f"p{number}": computing(3600 * 1000 * MS) for number in range(2 * cpus)}
    horizon_ns = n // cpus * QUANTUM_NS
    cost, document = ran(programs, cpus=cpus, scheduler=scheduler, horizon_ns=horizon_ns)
    return cost._replace(units=document["metrics"]["context_switches"])


def processes(n: int, *, cpus: int, scheduler: Scheduler = SCHEDULERS["round_robin"]) -> Cost:
    """Let `n` processes compute for 100 ms each, all at once."""
    programs = {f"p{number}": computing(100 * MS) for number in range(n)}
    return ran(programs, cpus=cpus, pages=20 * n + 4_000, scheduler=scheduler, units=n)[0]


def forks(n: int) -> Cost:
    """Fork, exec and exit `n` times, one after the other."""

    def child(task: Process) -> Life:
        yield from task.exec(IMAGE)

    def program(task: Process) -> Life:
        for _ in range(n):
            yield from task.fork(child)
            yield from task.wait()

    return ran({"forks": program}, units=n)[0]


def forked_areas(n: int) -> Cost:
    """Fork a process of `n` areas, which do not touch each other."""
    seconds: list[float] = []

    def child(task: Process) -> Life:
        yield from task.compute(1)

    def program(task: Process) -> Life:
        for _ in range(n):
            area = yield from task.mmap(2 * PAGE_BYTES)
            yield from task.munmap(area, 1, 1)
        started = process_time()
        yield from task.fork(child)
        seconds.append(process_time() - started)

    ran({"areas": program}, pages=64 * MIB // PAGE_BYTES)
    return Cost(seconds[0], n)


def naps(n: int, *, cpus: int) -> Cost:
    """Sleep and compute `n` times on a machine of so many CPUs, all but one of them idle."""

    def program(task: Process) -> Life:
        for _ in range(n):
            yield from task.sleep(1_000)
            yield from task.compute(1_000)

    return ran({"naps": program}, cpus=cpus, units=n)[0]


def restarts(n: int) -> Cost:
    """Have the master of `prefork_web` replace about `n` workers that the killer took.

    Each has written its 16 MiB, or most of them, and has the master's 256 MiB mapped.
    """
    settings = ("host.memory=448 MiB", f"processes.web.duration={5.5 * n} ms")
    resolved = open_scenario("prefork_web", settings).resolved()
    cost, result = timed(lambda: simulate(resolved, seed=0).document, n)
    return cost._replace(units=result["metrics"]["forks"])
