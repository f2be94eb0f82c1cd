"""Pressure of groups at work: who is stalled, and for how long, where every price is known."""

from collections.abc import Generator
from typing import Any

import pytest
from support.machines import flat_prices, machine, run

from sim.engine.devices import DeviceSpec
from sim.engine.groups import GroupSpec
from sim.engine.verbs.process import Process
from sim.kernel.files.requests import add_folio, is_thrashing
from sim.machine.layout import F_WORKINGSET, KIND_FILE, NONE
from sim.machine.pool import secure

Life = Generator[Any, Any, None]
GROUPS = (GroupSpec("pod", None, 300), GroupSpec("app", "pod", 100), GroupSpec("other", "pod"))
HOST = {"memory_pages": 4000, "cpus": 2, "kernel": "6.18"}
PRICES = flat_prices(reclaim_page=1000, page_stolen=3000, cache_fill=200)


def shares(document: dict[str, Any], group: str | None = None) -> tuple[float, float]:
    """Return SOME and FULL of a group, or of the machine, in ns."""
    told = document["metrics"] if group is None else document["groups"][group]
    some, full = (told[f"psi_memory_{how}"] for how in ("some", "full"))
    return some * document["simulated_ns"], full * document["simulated_ns"]


def reads(process: Process) -> Life:
    yield from process.pread("f", 600)
    yield from process.sleep(1_000_000)


def spins(process: Process) -> Life:
    yield from process.compute(30_000_000)


@pytest.mark.parametrize("burst", [0, 1])
def test_reclaim_is_a_stall_as_long_as_it_takes(burst: int) -> None:
    document = run(
        {"r": reads}, host=HOST, groups=GROUPS, groups_of={"r": "app"}, prices=PRICES, burst=burst
    )
    work = document["work"]
    spent_ns = work["reclaim_page"]["ns"] + work["page_stolen"]["ns"]
    assert work["page_stolen"]["units"] >= 500
    for group in (None, "pod", "app"):
        assert shares(document, group) == pytest.approx((spent_ns, spent_ns))
    assert shares(document, "other") == (0, 0)
    assert document["metrics"]["pages_stolen"] == document["groups"]["app"]["pages_stolen"] > 0
    assert document["groups"]["other"]["pages_scanned"] == 0


def test_who_runs_in_another_group_is_no_relief() -> None:
    """Each has a CPU: stalls of pod, and of the machine, weigh as much as theirs was in use."""
    document = run(
        {"r": reads, "s": spins},
        host=HOST,
        groups=GROUPS,
        groups_of={"r": "app", "s": "other"},
        prices=PRICES,
    )
    some, full = shares(document, "app")
    assert some == full > 1_000_000
    in_use_ns = {p["name"]: p["cpu_ns"] for p in document["processes"]}
    weight = in_use_ns["r"] / (in_use_ns["r"] + in_use_ns["s"])
    for group in ("pod", None):
        of_all, of_all_full = shares(document, group)
        assert of_all == of_all_full
        assert weight <= of_all / some < 1.1 * weight, "it waited for the disk too"


def test_without_a_limit_nobody_is_stalled() -> None:
    """Negative control."""
    document = run({"r": reads}, host=HOST, groups=GROUPS, groups_of={"r": "other"}, prices=PRICES)
    assert document["groups"]["app"]["pages_scanned"] == 0
    unlimited = run({"r": reads}, host=HOST, prices=PRICES)
    assert shares(unlimited) == (0, 0)
    assert unlimited["metrics"]["pages_stolen"] == unlimited["metrics"]["refaults"] == 0


def test_who_waits_for_the_end_of_a_victim_is_stalled() -> None:
    """It asks after 1 ms; the victim gets to the tick at 4 ms, and its exit takes 0.5 ms.

    That is on a CPU of its own, which is not idle then alone.  The other one is for 6 ms: it works
    there too, and exits.
    """

    def holds(process: Process) -> Life:
        yield from process.write((yield from process.mmap(70 * 4096)))
        yield from process.compute(10_000_000)

    def asks(process: Process) -> Life:
        yield from process.sleep(1_000_000)
        yield from process.write((yield from process.mmap(40 * 4096)))
        yield from process.compute(1_000_000)

    document = run(
        {"h": holds, "a": asks},
        host=HOST,
        groups=GROUPS,
        groups_of={"h": "app", "a": "app"},
        prices=flat_prices(exit_base=500_000),
    )
    assert document["metrics"]["oom_kills"] == 1
    for group in (None, "pod", "app"):
        assert shares(document, group) == pytest.approx((3.5e6 * 3.5 / 9.5,) * 2, rel=1e-3)
    assert shares(document, "other") == (0, 0)


@pytest.mark.parametrize(("limit", "stalls"), [(100, True), (3000, False)])
def test_waits_for_writeback_are_stalls_if_it_is_for_memory(limit: int, stalls: bool) -> None:
    """Who is held up because too much is dirty is not: that is no shortage."""

    def writes(process: Process) -> Life:
        yield from process.pwrite("g", 900)

    document = run(
        {"w": writes},
        host=HOST | {"cgroup": "v1"},
        groups=(GroupSpec("app", None, limit),),
        groups_of={"w": "app"},
        prices=flat_prices(cache_fill=200),
        disk=DeviceSpec(latency_ns=1_000_000),
    )
    assert document["disk"]["writes"] > 0
    some, full = shares(document)
    assert (some > 1_000_000) == stalls
    assert some == full
    told = document["groups"]["app"]
    assert told["psi"] is told["psi_memory_some"] is told["psi_memory_full"] is None, "version 1"
    assert document["simulated_ns"] > 1_000_000, "it waited"


@pytest.mark.parametrize("order", [0, 4])
def test_a_page_that_was_in_use_when_it_went_is_waited_for_as_memory(order: int) -> None:
    host = machine(memory_pages=200, cpus=1)
    m = host.arrays
    file = host.new_file(KIND_FILE, 64)
    assert not is_thrashing(m, file, 0)
    assert secure(m, 0, 0, 30)
    add_folio(m, 0, file, 0, order, 0)
    last = (1 << order) - 1
    assert not is_thrashing(m, file, last)
    m.frames["bits"][m.frames["mapping"] == file] |= F_WORKINGSET
    assert is_thrashing(m, file, last)
    assert not is_thrashing(m, file, NONE), "writes"
