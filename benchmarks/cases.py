"""What is timed: programs on machines of the size that operators have."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

import numpy as np

from sim.base.units import GIB, MIB, PAGE_BYTES, S
from sim.engine.build import Simulation
from sim.engine.run import build_simulation
from sim.engine.verbs.process import Process
from sim.program.patterns import Every, Listed, Uniform
from sim.scenario.resolve import open_scenario

FAMILY_BYTES = 4 * GIB
GROUP = "box"
FILES = 16


@dataclass
class Timed:
    """How long one part of a program took on this host's clock, and what it did."""

    seconds: float = 0.0
    faults: int = 0

    @property
    def per_second(self) -> float:
        """Faults a second."""
        return self.faults / self.seconds


def system_of(
    memory_bytes: int, cpus: int, group_bytes: int | None = None, swap: str | None = None
) -> Simulation:
    """Return a machine with the generic host's heavy-tailed prices, and nothing on it.

    It has a control group with a limit of `group_bytes`, and swap on such a device, as large as its
    memory, if that is said.
    """
    source = open_scenario("steps_demo")
    how = {"host.memory": f"{memory_bytes} B", "host.cpus": cpus, "run.horizon": "3600 s"}
    if group_bytes is not None:
        how[f"groups.{GROUP}.memory_max"] = f"{group_bytes} B"
    if swap is not None:
        how |= {"host.swap.size": f"{memory_bytes} B", "host.swap.device": swap}
    return build_simulation(source.resolved(how), seed=1)


def play(simulation: Simulation, program: Callable[[Process], Generator[Any, Any, Any]]) -> None:
    """Run one program to its end."""
    simulation.add("bench", program, image_pages=2, stack_pages=64)
    simulation.run()


def zero_fill(simulation: Simulation) -> Timed:
    """Write 4 GiB in sequence for the first time."""
    timed = Timed()

    def program(task: Process) -> Generator[Any, Any, None]:
        data = yield from task.mmap(FAMILY_BYTES)
        started = perf_counter()
        yield from task.write(data)
        timed.seconds = perf_counter() - started
        timed.faults = task.faults("zero_fill")

    play(simulation, program)
    return timed


def random_copies(simulation: Simulation) -> Timed:
    """Fork a process of 4 GiB and write every page of it once, in random order."""
    timed = Timed()
    pages = FAMILY_BYTES // PAGE_BYTES
    order = np.random.default_rng(1).permutation(pages).astype(np.int64)

    def program(task: Process) -> Generator[Any, Any, None]:
        data = yield from task.mmap(FAMILY_BYTES)
        yield from task.write(data)
        yield from task.fork(_sleeper)
        started = perf_counter()
        yield from task.write(data, pattern=Listed(order))
        timed.seconds = perf_counter() - started
        timed.faults = task.faults("cow_copy")

    play(simulation, program)
    return timed


def _sleeper(task: Process) -> Generator[Any, Any, None]:
    yield from task.sleep(3000 * S)


def two_of_a_family(simulation: Simulation) -> Timed:
    """Parent and child of a fork write their shared 4 GiB in random order, each on its own CPU."""
    timed = Timed()
    pages = FAMILY_BYTES // PAGE_BYTES
    orders = [np.random.default_rng(n).permutation(pages).astype(np.int64) for n in range(2)]

    def child(task: Process, data: Any) -> Generator[Any, Any, None]:
        yield from task.write(data, pattern=Listed(orders[1]))
        timed.faults += task.faults("cow_copy") + task.faults("cow_reuse")

    def program(task: Process) -> Generator[Any, Any, None]:
        data = yield from task.mmap(FAMILY_BYTES)
        yield from task.write(data)
        yield from task.fork(child, data)
        started = perf_counter()
        yield from task.write(data, pattern=Listed(orders[0]))
        yield from task.wait()
        timed.seconds = perf_counter() - started
        timed.faults += task.faults("cow_copy") + task.faults("cow_reuse")

    play(simulation, program)
    return timed


def two_fill(simulation: Simulation) -> Timed:
    """Parent and child of a fork each fill 2 GiB of their own, each on its own CPU."""
    timed = Timed()

    def fill(task: Process) -> Generator[Any, Any, None]:
        data = yield from task.mmap(FAMILY_BYTES // 2)
        yield from task.write(data)
        timed.faults += task.faults("zero_fill")

    def program(task: Process) -> Generator[Any, Any, None]:
        yield from task.fork(fill)
        started = perf_counter()
        yield from fill(task)
        yield from task.wait()
        timed.seconds = perf_counter() - started

    play(simulation, program)
    return timed


def fork_4_gib(simulation: Simulation) -> Timed:
    """Fork a process of 4 GiB; counts entries copied."""
    timed = Timed()

    def program(task: Process) -> Generator[Any, Any, None]:
        data = yield from task.mmap(FAMILY_BYTES)
        yield from task.write(data)
        started = perf_counter()
        yield from task.fork(_sleeper)
        timed.seconds = perf_counter() - started
        timed.faults = data.pages

    play(simulation, program)
    return timed


def big_fork(simulation: Simulation) -> Timed:
    """Fill 64 GiB, fork, and write a tenth of it in random order: the whole of it is timed."""
    timed = Timed()
    started = perf_counter()

    def program(task: Process) -> Generator[Any, Any, None]:
        data = yield from task.mmap(64 * GIB)
        yield from task.write(data)
        yield from task.fork(_sleeper)
        yield from task.write(data, pattern=Uniform(data.pages // 10))
        timed.faults = task.faults("zero_fill") + task.faults("cow_copy")

    play(simulation, program)
    timed.seconds = perf_counter() - started
    return timed


def paced(simulation: Simulation) -> Timed:
    """Serve three million writes that arrive over 60 simulated seconds."""
    timed = Timed()

    def program(task: Process) -> Generator[Any, Any, None]:
        data = yield from task.mmap(FAMILY_BYTES)
        started = perf_counter()
        yield from task.write(data, pattern=Uniform(3_000_000), arrivals=Every(task.now_ns, 20_000))
        timed.seconds = perf_counter() - started
        timed.faults = task.faults("zero_fill")

    play(simulation, program)
    return timed


def at_the_watermark(simulation: Simulation) -> Timed:
    """Fill 3 GiB of a machine of 4 GiB whose memory is full of files that were read.

    Each frame has to be reclaimed: by kswapd on the second CPU, or by the task itself.
    """
    timed = Timed()

    def program(task: Process) -> Generator[Any, Any, None]:
        yield from task.pread("old", FAMILY_BYTES // PAGE_BYTES)
        data = yield from task.mmap(3 * GIB)
        started = process_time()
        yield from task.write(data)
        timed.seconds = process_time() - started
        timed.faults = task.faults("zero_fill")

    play(simulation, program)
    return timed


def swapping(simulation: Simulation) -> Timed:
    """Fill a quarter more than all memory: for each page beyond it another is swapped out."""
    timed = Timed()
    pages = int(simulation.machine.host.memory_pages) * 5 // 4

    def program(task: Process) -> Generator[Any, Any, None]:
        data = yield from task.mmap(pages * PAGE_BYTES)
        started = process_time()
        yield from task.write(data)
        timed.seconds = process_time() - started
        timed.faults = task.faults("zero_fill")

    play(simulation, program)
    return timed


def fill_with_swap(simulation: Simulation) -> Timed:
    """Write as much as a machine has, then a quarter as much again, at the watermark.

    What is timed is that quarter alone: each frame has to be swapped out first, and zram takes one
    for two.
    """
    timed = Timed()
    pages = int(simulation.machine.host.memory_pages)

    def program(task: Process) -> Generator[Any, Any, None]:
        data = yield from task.mmap(pages * PAGE_BYTES)
        yield from task.write(data)
        more = yield from task.mmap(pages // 4 * PAGE_BYTES)
        before = task.faults("zero_fill")
        started = process_time()
        yield from task.write(more)
        timed.seconds = process_time() - started
        timed.faults = task.faults("zero_fill") - before

    play(simulation, program)
    return timed


def streaming(simulation: Simulation) -> Timed:
    """Read 16 files of 4 GiB once each, 1 MiB a call; counts pages."""
    timed = Timed()
    call_pages, file_pages = MIB // PAGE_BYTES, FAMILY_BYTES // PAGE_BYTES

    def program(task: Process) -> Generator[Any, Any, None]:
        started = process_time()
        for number in range(FILES):
            yield from task.pread(f"file{number}", 1, file_pages - 1)  # which makes it
            for first in range(0, file_pages, call_pages):
                yield from task.pread(f"file{number}", call_pages, first)
        timed.seconds = process_time() - started
        timed.faults = FILES * file_pages

    simulation.add("bench", program, image_pages=2, stack_pages=64, group=GROUP)
    simulation.run()
    return timed
