"""Small machines to run programs on, without a scenario."""

from collections.abc import Callable, Generator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.cost.catalogue import price_array
from sim.engine.burst import FOREVER
from sim.engine.disk import DiskSpec
from sim.engine.khugepaged import start_khugepaged
from sim.engine.result import Measurement
from sim.engine.run import warm_up
from sim.engine.system import System
from sim.engine.task import Task
from sim.machine.layout import N_LINES, N_QUANTILES
from sim.machine.machine import HostSpec, Machine
from sim.policy.schedulers import SCHEDULERS
from sim.scenario.resolve import open_scenario

Program = Callable[[Task], Generator[Any, Any, Any]]


@lru_cache(maxsize=1)
def random_prices() -> NDArray[np.int64]:
    """Return the generic host's prices: heavy-tailed faults and all."""
    return price_array(open_scenario("steps_demo").resolved()["host"]["prices"])


def flat_prices(**ns: int) -> NDArray[np.int64]:
    """Return prices of 0 but for those given, in ns, by the name of a line in lower case."""
    from sim.kernel import work

    prices = np.zeros((N_LINES, N_QUANTILES), np.int64)
    for name, value in ns.items():
        prices[getattr(work, name.upper())] = value * 1000
    return prices


def machine(prices: NDArray[np.int64] | None = None, **host: Any) -> Machine:
    """Return a machine; `host` are fields of `HostSpec`."""
    return Machine(HostSpec(**host), prices=random_prices() if prices is None else prices)


def run(
    programs: Mapping[str, Program],
    *,
    host: Mapping[str, Any],
    prices: NDArray[np.int64] | None = None,
    scheduler: str = "round_robin",
    quantum_ns: int = 4_000_000,
    seed: int = 1,
    replication: int = 0,
    burst: int = 0,
    horizon_ns: int | None = None,
    sample_every_ns: int = 0,
    check: bool = False,
    pins: Mapping[str, int] | None = None,
    disk: DiskSpec | None = None,
    khugepaged_ns: int = 0,
    warmup_ns: int = 0,
) -> dict[str, Any]:
    """Run programs on a small machine, audit it, and return the result document.

    khugepaged scans every `khugepaged_ns`, and waits six times as long for a block; 0: never.
    """
    box = machine(prices, **host)
    clock = box.arrays.clock[0]
    clock.sample_every_ns = sample_every_ns or FOREVER
    clock.sample_next_ns = 0 if sample_every_ns else FOREVER
    system = System(
        box,
        scheduler=SCHEDULERS[scheduler],
        quantum_ns=quantum_ns,
        seed=seed,
        replication=replication,
        burst_steps=burst,
        horizon_ns=horizon_ns,
        check=check,
        disk=disk,
    )
    measurement = Measurement(system, {})
    if warmup_ns:
        system.env.process(warm_up(system, measurement, warmup_ns))
    for name, program in programs.items():
        system.born(Task(system, name, _with_image(program), pin=(pins or {}).get(name)))
    if khugepaged_ns:
        start_khugepaged(system, scan_sleep_ns=khugepaged_ns, alloc_sleep_ns=6 * khugepaged_ns)
    system.env.run(until=system.env.process(system.drive()))
    document = measurement.result()
    document["page_cache_pages_at_end"] = int(box.arrays.pool[0].cache)
    box.audit()
    return document


def _with_image(program: Program) -> Program:
    def start(task: Task) -> Generator[Any, Any, None]:
        yield from task.begin_image(2, 64)
        yield from program(task)

    return start
