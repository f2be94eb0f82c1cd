"""Small machines to run programs on, without a scenario."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.cost.catalogue import price_array
from sim.engine.build import EngineSpec, Simulation, build_machine
from sim.engine.devices import DISK, DeviceSpec
from sim.engine.verbs.process import Process
from sim.machine.layout import KIND_FILE, KIND_SHMEM, N_QUANTILES, ROOT
from sim.machine.machine import Machine
from sim.machine.spec import HostSpec
from sim.machine.work import KINDS, N_LINES
from sim.policy.schedulers import SCHEDULERS, Scheduler
from sim.scenario.resolve import open_scenario

Program = Callable[[Process], Generator[Any, Any, Any]]


@lru_cache(maxsize=1)
def random_prices() -> NDArray[np.int64]:
    """Return the generic host's prices: heavy-tailed faults and all."""
    return price_array(open_scenario("steps_demo").resolved()["host"]["prices"])


def flat_prices(**ns: int) -> NDArray[np.int64]:
    """Return prices of 0 but for those given, in ns, by the name of a line in lower case."""
    prices = np.zeros((N_LINES, N_QUANTILES), np.int64)
    for name, value in ns.items():
        prices[KINDS[name]] = value * 1000
    return prices


def machine(prices: NDArray[np.int64] | None = None, **host: Any) -> Machine:
    """Return a machine; `host` are fields of `HostSpec`."""
    return build_machine(HostSpec(**host), random_prices() if prices is None else prices)


def run(
    programs: Mapping[str, Program],
    *,
    host: Mapping[str, Any],
    prices: NDArray[np.int64] | None = None,
    scheduler: str | Scheduler = "round_robin",
    quantum_ns: int = 4_000_000,
    burst: int = 0,
    pins: Mapping[str, int] | None = None,
    nices: Mapping[str, int] | None = None,
    groups_of: Mapping[str, str] | None = None,
    khugepaged_ns: int = 0,
    disk: DeviceSpec | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Run programs on a small machine, audit it, and return the result document.

    `groups_of` are the control groups of programs; `how` is the rest of `EngineSpec`.  khugepaged
    scans every `khugepaged_ns`, and waits six times as long for a block; 0: never.  A swap device
    is as fast as the disk.
    """
    if disk is not None or host.get("swap_pages"):
        first = disk or DISK
        second = (replace(first, name="the swap device"),) if host.get("swap_pages") else ()
        how["devices"] = (first, *second)
    spec = EngineSpec(
        scheduler=SCHEDULERS[scheduler] if isinstance(scheduler, str) else scheduler,
        quantum_ns=quantum_ns,
        burst_steps=burst,
        khugepaged=(khugepaged_ns, 6 * khugepaged_ns) if khugepaged_ns else None,
        **how,
    )
    simulation = Simulation(machine(prices, **host), spec)
    for name, program in programs.items():
        pin = (pins or {}).get(name)
        nice = (nices or {}).get(name, 0)
        group = (groups_of or {}).get(name)
        simulation.add(
            name, program, image_pages=2, stack_pages=64, group=group, pin=pin, nice=nice
        )
    document = simulation.run()
    m = simulation.machine.arrays
    document["page_cache_pages_at_end"] = int(m.charged[ROOT, [KIND_FILE, KIND_SHMEM]].sum())
    document["swap_cache_pages_at_end"] = int((m.swap["pfn"] != 0).sum())
    document["percpu_pages_at_end"] = int(m.percpu["count"].sum())
    return document
