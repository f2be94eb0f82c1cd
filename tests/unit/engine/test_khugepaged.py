"""khugepaged: what it collapses and when, and what a run is like with it."""

from collections.abc import Generator
from typing import Any

import pytest
from support.machines import Program, flat_prices, run

from sim.base.units import MIB, MS
from sim.engine.verbs.process import Process
from sim.machine.layout import THP_MADVISE

Life = Generator[Any, Any, None]
PRICES = flat_prices(zero_fill=1000, cow_copy=1000, collapse=100_000)
HUGE = 2 * MIB


def small_pages(
    blocks: int = 1, *, written: int = 3, nap_ns: int = 15 * MS, again: int = 0
) -> Program:
    """Write to pages of each 2 MiB, ask for huge pages, sleep, and write `again` many more."""

    def live(task: Process) -> Life:
        data = yield from task.mmap(blocks * HUGE)
        for block in range(blocks):
            yield from task.write(data, first=block * 512, pages=written)
        yield from task.madvise(data, "hugepage")
        yield from task.sleep(nap_ns)
        if again:
            yield from task.write(data, first=written, pages=again)

    return live


def ran(program: Program, *, every_ns: int = 10 * MS, **how: Any) -> dict[str, Any]:
    host = {"memory_pages": 16384, "cpus": 2, "thp": THP_MADVISE, "kernel": "6.18"}
    host |= how.pop("host", {})
    return run({"p": program}, host=host, prices=PRICES, khugepaged_ns=every_ns, check=True, **how)


def collapses(document: dict[str, Any]) -> int:
    return int(document["work"].get("collapse", {"units": 0})["units"])


def test_after_its_sleep_it_makes_one_huge_page_of_small_ones() -> None:
    document = ran(small_pages(again=500))
    assert collapses(document) == 1
    assert document["metrics"]["zero_fills"] == 3
    assert document["processes"][0]["peak_rss_bytes"] >= HUGE
    assert collapses(ran(small_pages(again=500), every_ns=0)) == 0
    assert collapses(ran(small_pages(nap_ns=5 * MS))) == 0


def test_it_looks_at_8_huge_pages_each_time() -> None:
    assert collapses(ran(small_pages(20))) == 8
    assert collapses(ran(small_pages(20, nap_ns=25 * MS))) == 16
    assert collapses(ran(small_pages(20, nap_ns=60 * MS))) == 20


def test_it_leaves_what_is_mostly_shared() -> None:
    def parent(task: Process) -> Life:
        data = yield from task.mmap(HUGE)
        yield from task.write(data, pages=257)
        yield from task.madvise(data, "hugepage")
        child = yield from task.fork(lambda task: task.sleep(15 * MS))
        yield from task.wait(child)
        yield from task.sleep(10 * MS)

    document = ran(parent)
    assert collapses(document) == 1
    assert document["work"]["unmap_pte"]["units"] >= 257  # only when the child had gone


def test_without_a_block_it_waits_and_goes_on_behind_it() -> None:
    document = ran(small_pages(nap_ns=200 * MS), host={"memory_pages": 300, "overcommit": 1})
    assert collapses(document) == 0
    assert document["processes"][0]["ended"] == "exit 0"
    assert document["work"]["access"]["units"] == 3 + 3 * 512  # at 10, 80, 150 ms


def test_a_run_ends_when_nobody_else_lives() -> None:
    with_it = ran(small_pages(nap_ns=35 * MS), every_ns=20 * MS)
    without = ran(small_pages(nap_ns=35 * MS), every_ns=0)
    assert with_it["ending"] == without["ending"] == "idle"
    assert collapses(with_it) == 1
    assert with_it["simulated_ns"] == pytest.approx(without["simulated_ns"], abs=100_000)
    assert [p["name"] for p in with_it["processes"]] == ["p"]


def test_a_run_that_can_go_no_further_is_a_deadlock_still() -> None:
    def waits_for_ever(task: Process) -> Life:
        yield task.system.env.event()

    document = ran(waits_for_ever)
    assert document["ending"] == "deadlock"
    assert document["simulated_ns"] < 10 * MS


def test_a_fork_meanwhile_waits_for_the_collapse() -> None:
    """The mmap lock is held for as long as the copying takes."""

    def forks(task: Process) -> Life:
        data = yield from task.mmap(HUGE)
        yield from task.write(data, pages=1)
        yield from task.madvise(data, "hugepage")
        yield from task.sleep_until(10 * MS + 50_000)
        child = yield from task.fork(lambda task: task.compute(1000))
        yield from task.wait(child)

    assert collapses(ran(forks)) == 1
    assert ran(forks)["metrics"]["fork_latency_ns"]["max"] >= 49_000
    assert ran(forks, every_ns=0)["metrics"]["fork_latency_ns"]["max"] < 10_000
