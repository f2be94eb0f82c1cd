"""Pressure as the running kernel tells it, where every CPU is busy, and as it is predicted.

With a spinner on every CPU all weigh the same, so what one task is stalled is told as that over the
number of CPUs.  A spinner on its own CPU has it lose that CPU in the middle of reclaim: that is
SOME, and not FULL, which counts the time in which it reclaims on the CPU itself.
"""

from collections.abc import Generator
from typing import Any

import pytest
from support.machines import flat_prices, run

from sim.engine.devices import DeviceSpec
from sim.engine.groups import GroupSpec
from sim.engine.verbs.process import Process
from sim.host.claims.memory_stalls import Reclaim, reclaims
from sim.host.claims.stalls import cases, stalls
from sim.host.kernel import HostError

HALF = (0.40, 0.60)
"""FULL / SOME with one spinner on the CPU of who reclaims: each has half of it."""


@pytest.mark.truth
@pytest.mark.kernel
def test_pressure_is_reclaim_over_the_cpus() -> None:
    try:
        told = stalls()
    except HostError as error:
        pytest.skip(str(error))
    for case in cases(told):
        assert case.held, (case, told)
    assert told["full_us"] < HALF[1] * told["some_us"], "a stall without a CPU is not FULL"
    swapped = told | {"on_cpu_us": told["reclaim_us"]}
    assert [case.held for case in cases(swapped)] == [True, False], "negative control"


@pytest.mark.parametrize(
    ("change", "held"),
    [
        pytest.param({}, [True, True], id="as-traced"),
        pytest.param({"some_us": 1_550_000}, [False, True], id="some-too-high"),
        pytest.param({"full_us": 290_000}, [True, False], id="full-too-low"),
        pytest.param({"full_us": 5_000, "on_cpu_us": 10_000}, [True, False], id="too-little"),
    ],
)
def test_some_and_full_are_held_to_two_percent(change: dict[str, int], held: list[bool]) -> None:
    told = {"cpus": 2, "some_us": 1_510_000, "full_us": 301_000}
    told |= {"reclaim_us": 3_000_000, "on_cpu_us": 600_000} | change
    assert [case.held for case in cases(told)] == held
    assert all(case.quiet for case in cases(told))


BEGIN = "python-7 [001] ..... {}: mm_vmscan_memcg_reclaim_begin: order=0"
END = "python-7 [001] ..... {}: mm_vmscan_memcg_reclaim_end: nr_reclaimed=33"
SWITCH = "{}-{} [001] d..2. {}: sched_switch: prev_comm={} prev_pid={} ==> next_comm={} next_pid={}"
RUN = "python-7 [001] d.h.. {}: sched_stat_runtime: comm=python pid=7 runtime={} [ns]"


def switch(at: str, off: int, on: int) -> str:
    return SWITCH.format(f"task/{off}", off, at, f"task/{off}", off, f"task/{on}", on)


@pytest.mark.parametrize(
    ("arrival", "unseen"),
    [
        pytest.param([switch("1.000300", 9, 7)], 0, id="seen"),
        pytest.param([RUN.format("1.000350", 50_000)], 1, id="told-in-reclaim"),
        pytest.param([], 1, id="told-after-reclaim"),
    ],
)
def test_who_comes_to_a_cpu_unseen_is_told_by_how_long_it_ran(
    arrival: list[str], unseen: int
) -> None:
    """Task 9 is in no trace where it leaves, so that who comes next comes unseen."""
    lines = [
        BEGIN.format("1.000000"),
        switch("1.000100", 7, 8),
        switch("1.000200", 8, 9),
        *arrival,
        END.format("1.000400"),
        RUN.format("1.000450", 100_000 if arrival else 150_000),
    ]
    told = reclaims("\n".join(lines))[7]
    assert told.stalled_us == pytest.approx(400)
    assert told.on_cpu_us == pytest.approx(200)
    assert told.unseen == unseen


def test_leaving_a_cpu_in_reclaim_would_be_missed_without_a_trace_of_it() -> None:
    """Negative control: what the reading of the trace is for."""
    lines = [BEGIN.format("1.000000"), END.format("1.000400")]
    assert reclaims("\n".join(lines))[7] == Reclaim(
        stalled_us=pytest.approx(400), on_cpu_us=pytest.approx(400)
    )


@pytest.mark.truth
def test_the_same_is_predicted() -> None:
    """What the kernel is asked above: a reader in a full group, a spinner on each of two CPUs."""

    def reads(process: Process) -> Generator[Any, Any, None]:
        yield from process.pread("f", 100_000)

    def spins(process: Process) -> Generator[Any, Any, None]:
        yield from process.compute(1_500_000_000)

    def spins_on(process: Process) -> Generator[Any, Any, None]:
        yield from process.compute(1_920_000_000)  # about as long as the other CPU is in use

    document = run(
        {"s": spins, "t": spins_on, "r": reads},
        host={"memory_pages": 16_000, "cpus": 2, "kernel": "6.18", "cgroup": "v1"},
        groups=(GroupSpec("g", None, 4096),),
        groups_of={"r": "g"},
        pins={"s": 0, "t": 1, "r": 0},
        prices=flat_prices(reclaim_page=1000, page_stolen=3000, cache_fill=200),
        disk=DeviceSpec(latency_ns=1, bandwidth_bytes_per_s=1e13),
    )
    reader = next(p for p in document["processes"] if p["name"] == "r")
    assert reader["ended_ns"] < document["simulated_ns"] == pytest.approx(1.9e9, rel=0.2)
    work = document["work"]
    reclaim_ns = work["reclaim_page"]["ns"] + work["page_stolen"]["ns"]
    some, full = (document["psi"][how]["total_us"] * 1000 for how in ("some", "full"))
    assert 2 * full / reclaim_ns == pytest.approx(1, abs=0.02)
    assert HALF[0] < full / some < HALF[1]
