"""For how long tasks reclaim for the machine itself: by what it costs, and against pressure."""

from collections.abc import Generator
from typing import Any

import pytest
from support.machines import flat_prices, run

from sim.base.units import MS, PAGE_BYTES
from sim.engine.groups import GroupSpec
from sim.engine.run import simulate
from sim.engine.verbs.process import Process
from sim.scenario.resolve import resolve

Life = Generator[Any, Any, None]
LOOK_NS, STEAL_NS = 1000, 3000
PRICES = flat_prices(reclaim_page=LOOK_NS, page_stolen=STEAL_NS, cache_fill=200, zero_fill=500)


def reads_then_writes(process: Process) -> Life:
    yield from process.pread("f", 700)
    start = yield from process.mmap(600 * PAGE_BYTES)
    yield from process.write(start)


def stalled(burst: int, limit: int | None = None) -> dict[str, Any]:
    host = {"memory_pages": 1000 if limit is None else 4000, "cpus": 2, "kernel": "6.18"}
    groups = () if limit is None else (GroupSpec("g", None, limit),)
    of = {} if limit is None else {"p": "g"}
    return run(
        {"p": reads_then_writes},
        host=host,
        groups=groups,
        groups_of=of,
        prices=PRICES,
        burst=burst,
    )


@pytest.mark.parametrize("burst", [0, 1, 7])
def test_a_stall_takes_what_reclaim_costs(burst: int) -> None:
    """Faults, in steps of their own, and reads, in the step that reads, make room."""
    document = stalled(burst)
    metrics = document["metrics"]
    looked, stolen = metrics["pages_scanned"], metrics["pages_stolen"]
    assert stolen > 300
    assert metrics["allocation_stalls"] == metrics["direct_reclaims"] > 5
    assert metrics["allocation_stall_ns"] == LOOK_NS * looked + STEAL_NS * stolen
    assert metrics["allocation_stall_ns"] // 1000 == document["psi"]["some"]["total_us"]


@pytest.mark.parametrize("burst", [0, 1])
def test_what_a_full_group_reclaims_is_none(burst: int) -> None:
    """Negative control."""
    metrics = stalled(burst, limit=1000)["metrics"]
    assert metrics["pages_stolen"] > 300
    assert (metrics["allocation_stalls"], metrics["allocation_stall_ns"]) == (0, 0)


def dirty(kernel: str, burst: int | None, horizon: str = "20 s", warmup: int = 0) -> dict[str, Any]:
    """Write pages where most of memory is dirty and must be written first, 20 MiB/s."""
    steps = [
        {"mmap": {"name": "F", "file": "f", "size": "1000 pages", "cold": True}},
        {"write_file": {"file": "f", "pages": 1000}},
        {"mmap": {"name": "A", "size": "900 pages"}},
        {"write": "A"},
    ]
    host = {
        "memory": "8 MiB", "kernel_reserve": "1 MiB", "cpus": 1, "kernel": kernel, "min_free": 0,
        "dirty_ratio": 90, "dirty_background_ratio": 80,
        "disk": {"latency": "2 ms", "bandwidth": "20 MiB/s", "read_ahead": "0 B"},
    }  # fmt: skip
    scenario = {
        "version": 1,
        "host": host,
        "processes": {"p": {"program": "steps", "steps": steps}},
        "run": {"horizon": horizon, "warmup": warmup},
    }
    return simulate(resolve(scenario), seed=1, burst=burst).to_json()


@pytest.mark.parametrize(("kernel", "least_ms"), [("6.18", 20), ("5.10", 90)])
def test_who_sleeps_in_it_is_stalled_meanwhile(kernel: str, least_ms: int) -> None:
    """It reclaims for 2 ms, and sleeps for ticks; before Linux 5.16 for a tenth of a second."""
    document = dirty(kernel, None)
    metrics, work = document["metrics"], document["work"]
    on_cpu_ns = work["reclaim_page"]["ns"] + work["page_stolen"]["ns"]
    assert on_cpu_ns < 3 * MS
    assert metrics["allocation_stall_ns"] > on_cpu_ns + least_ms * MS
    pressure_ns = metrics["psi_memory_some"] * document["simulated_ns"]
    assert metrics["allocation_stall_ns"] == pytest.approx(pressure_ns, rel=1e-6)
    assert dirty(kernel, 1)["metrics"] == metrics


def test_a_sleep_that_the_end_cuts_off_counts_up_to_there() -> None:
    whole = dirty("5.10", None)["metrics"]["allocation_stall_ns"]
    times = [dirty("5.10", None, f"{ms} ms")["metrics"]["allocation_stall_ns"] for ms in (50, 60)]
    assert times[1] - times[0] == 10 * MS
    assert 0 < times[0] < whole
    later = dirty("5.10", None, warmup=50 * MS)["metrics"]["allocation_stall_ns"]
    assert later == whole - times[0]
