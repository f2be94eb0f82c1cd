"""Who waits where there is swap: for the device, in a full group; in line, under `memory: wait`."""

import json
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from support.machines import flat_prices, machine, run

from sim.base.units import PAGE_BYTES
from sim.engine.build import EngineSpec, Simulation
from sim.engine.devices import DeviceSpec
from sim.engine.groups import GroupSpec
from sim.engine.run import simulate
from sim.engine.verbs.process import Process
from sim.kernel.reclaim.pageout import NR_REQUESTS
from sim.machine.layout import SWAP_SOLID
from sim.policy.schedulers import SCHEDULERS
from sim.program.patterns import Listed
from sim.scenario.resolve import resolve

SLOW = DeviceSpec(latency_ns=1_000_000, bandwidth_bytes_per_s=1e9, queue_depth=1)
LOOKS = 20_000
"""At one moment nobody looks so often, but who ought to wait."""
Steps = Generator[Any, Any, None]


def test_a_full_group_waits_for_a_device_that_others_keep_busy() -> None:
    """None of its own pages are being written; looking costs nothing, so it would do it forever.

    In the end it may be killed, as on Linux: attempts at pages that are being written are in vain.
    """
    begins_ns = 500_000
    seen: dict[str, int] = {}

    def hog(task: Process) -> Steps:
        data = yield from task.mmap(3000 * PAGE_BYTES)
        yield from task.write(data)

    def limited(task: Process) -> Steps:
        yield from task.sleep(begins_ns)
        m = simulation.machine.arrays
        seen["writing"] = int(m.files[int(m.swap_area[0].file)].writing)
        data = yield from task.mmap(150 * PAGE_BYTES)
        yield from task.write(data)

    spec = EngineSpec(
        scheduler=SCHEDULERS["round_robin"],
        quantum_ns=4_000_000,
        groups=(GroupSpec("pod", None, 100),),
        devices=(SLOW, SLOW),
    )
    host = {"memory_pages": 2000, "cpus": 2, "swap_pages": 4000, "swap_kind": SWAP_SOLID}
    simulation = Simulation(machine(flat_prices(), **host), spec)
    simulation.add("hog", hog, pin=0)
    simulation.add("limited", limited, pin=1, group="pod")
    at = [0, 0]

    def look(now_ns: int) -> None:
        at[:] = [now_ns, at[1] + 1 if at[0] == now_ns else 0]
        assert at[1] < LOOKS, "it looks again and again, and time stands still"

    simulation.system.driver.tell = look
    document = simulation.run()
    assert seen["writing"] >= NR_REQUESTS, "the device takes no more"
    assert document["groups"]["pod"]["events"]["max"] > 0
    assert document["processes"][-1]["ended_ns"] > begins_ns + SLOW.latency_ns
    assert document["ending"] == "idle"


def in_line(size: str, replacement: str = "linux", device: str = "ssd") -> dict[str, Any]:
    """Return a resolved scenario of three processes, each with 2,700 pages of the 5,600 there are.

    All have 1,700 of them before anybody wants more.
    """
    steps = [
        {"mmap": {"name": "A", "size": "6800 KiB"}},
        {"write": "A"},
        {"sleep": "1 s"},
        {"mmap": {"name": "B", "size": "4000 KiB"}},
        {"write": "B"},
        {"read": {"region": "A", "pages": 1700, "pattern": {"uniform": 1700}}},
    ]
    host = {"memory": "24 MiB", "kernel_reserve": "2 MiB", "cpus": 2}
    if size != "0":
        host["swap"] = {"size": size, "device": device}
    return resolve(
        {
            "version": 1,
            "host": host,
            "policy": {"memory": "wait", "replacement": replacement},
            "processes": {"p": {"program": "steps", "steps": steps, "copies": 3}},
            "run": {"horizon": "60 s"},
        }
    )


def told(resolved: dict[str, Any], **how: Any) -> dict[str, Any]:
    return simulate(resolved, seed=1, **how).to_json()


@pytest.mark.parametrize("device", ["ssd", "zram"])
@pytest.mark.parametrize("replacement", ["linux", "fifo", "clock", "lru", "mglru_like", "random"])
def test_in_line_for_memory_pages_are_swapped_before_anybody_waits(
    replacement: str, device: str
) -> None:
    document = told(in_line("32 MiB", replacement, device))
    assert document["ending"] == "idle"
    assert [process["ended"] for process in document["processes"]] == ["exit 0"] * 3
    assert document["metrics"]["pages_swapped_out"] > 1000
    assert document["evidence"]["memory_waits"] == {}


@pytest.mark.parametrize("replacement", ["linux", "fifo", "random"])
def test_once_swap_is_full_they_wait_for_each_other_as_without(replacement: str) -> None:
    runs = [told(in_line("4 MiB", replacement), burst=n, check=n == 1) for n in (0, 1, 7)]
    assert json.dumps(runs[0]) == json.dumps(runs[1]) == json.dumps(runs[2])
    assert runs[0]["swap"]["peak_bytes"] == 4 << 20
    for document in (runs[0], told(in_line("0", replacement))):
        assert document["ending"] == "deadlock"
        assert document["evidence"]["memory_waits"] != {}
        assert document["deadlock"].count("waits for memory") == 3
        assert document["metrics"]["oom_kills"] == 0


@pytest.mark.parametrize("write", [False, True])
def test_of_threads_that_wait_for_a_swapped_page_each_has_a_fault(write: bool) -> None:
    """The second finds the page mapped when it looks again; that was a fault all the same."""
    pages, resident = 400, 250
    wanted = Listed(np.arange(0, pages - resident, dtype=np.int64))

    def program(task: Process) -> Steps:
        data = yield from task.mmap(pages * PAGE_BYTES)
        yield from task.write(data)
        yield from task.sleep(10**9)

        def uses(task: Process) -> Steps:
            if write:
                yield from task.write(data, pattern=wanted)
            else:
                yield from task.read(data, pattern=wanted)

        other = yield from task.thread(uses)
        yield from uses(task)
        yield from task.join(other)

    host = {"memory_pages": 2000, "cpus": 2, "swap_pages": 1000, "swap_kind": SWAP_SOLID}
    document = run(
        {"p": program},
        host={**host, "page_cluster": 0},
        prices=flat_prices(),
        groups=(GroupSpec("pod", None, resident + 50),),
        groups_of={"p": "pod"},
    )
    metrics = document["metrics"]
    assert metrics["pages_swapped_in"] == metrics["major_faults"] == pages - resident
    assert metrics["minor_faults"] == pages + metrics["major_faults"]
