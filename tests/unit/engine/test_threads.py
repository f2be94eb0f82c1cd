"""Threads share an address space and its mmap lock, and end with their process."""

from collections.abc import Generator
from typing import Any

import pytest
from support.machines import Program, flat_prices, run

from sim.base.errors import Refused
from sim.base.units import PAGE_BYTES
from sim.engine.verbs.process import Process
from sim.program.api import Image, Region
from sim.program.patterns import Every

Life = Generator[Any, Any, None]

PRICES = flat_prices(
    zero_fill=1000, cow_copy=2000, cow_reuse=1000, fork_table=100_000, mmap_call=500
)
HOST = {"memory_pages": 8000, "cpus": 3}
PAGES = 4 * 512


def run_one(program: Program, **how: Any) -> dict[str, Any]:
    return run({"p": program}, host={**HOST, **how}, prices=PRICES, check=True)


def toucher(task: Process, region: Region) -> Life:
    yield from task.write(region)


def test_a_page_is_filled_once_whoever_touches_it_first() -> None:
    def program(task: Process) -> Life:
        region = yield from task.mmap(10 * PAGE_BYTES)
        one = yield from task.thread(toucher, region)
        two = yield from task.thread(toucher, region)
        yield from task.join(one)
        yield from task.join(two)
        yield from task.write(region)

    document = run_one(program)
    assert document["metrics"]["zero_fills"] == 10
    (process,) = document["processes"]
    assert process["minor_faults"] == 10
    assert process["rss_bytes"] == 11 * PAGE_BYTES
    assert document["metrics"]["exits"] == 1
    assert document["ending"] == "idle"


def late_writer(task: Process, region: Region, from_ns: int, ends: list[int]) -> Life:
    yield from task.sleep_until(from_ns)
    yield from task.write(region, pages=1)
    ends.append(task.now_ns)


@pytest.mark.parametrize("kernel", ["6.4", "6.3"])
def test_a_fault_during_a_fork_waits_for_its_end(kernel: str) -> None:
    ends: list[int] = []
    forked: list[int] = []

    def program(task: Process) -> Life:
        region = yield from task.mmap(PAGES * PAGE_BYTES)
        yield from task.write(region)
        start = task.now_ns + 10_000
        writer = yield from task.thread(late_writer, region, start + 150_000, ends)
        yield from task.sleep_until(start)
        yield from task.fork(sleeper, 1000)
        forked.append(task.now_ns)
        yield from task.join(writer)

    run_one(program, kernel=kernel)
    assert ends[0] > forked[0] > 500_000
    assert ends[0] < forked[0] + 10_000


@pytest.mark.parametrize(
    ("kernel", "written", "waits"),
    [("6.4", True, False), ("6.4", False, True), ("6.3", True, True)],
)
def test_an_area_that_fork_has_not_come_to_is_free(kernel: str, written: bool, waits: bool) -> None:
    """Since Linux 6.4, unless it gets its family now.

    Areas are copied in order of address, so the one mapped first is last.
    """
    ends: list[int] = []
    forked: list[int] = []

    def program(task: Process) -> Life:
        last = yield from task.mmap(2 * PAGE_BYTES)
        if written:
            yield from task.write(Region(last.start_vpn + 1, 1))
        yield from task.madvise(last, "dontfork")  # or it would be one area with the next
        region = yield from task.mmap(PAGES * PAGE_BYTES)
        yield from task.write(region)
        start = task.now_ns + 10_000
        writer = yield from task.thread(late_writer, last, start + 150_000, ends)
        yield from task.sleep_until(start)
        yield from task.fork(sleeper, 1000)
        forked.append(task.now_ns)
        yield from task.join(writer)

    run_one(program, kernel=kernel)
    assert (ends[0] > forked[0]) == waits


def test_reading_what_is_mapped_waits_for_nobody() -> None:
    latest: list[int] = []

    def reader(task: Process, region: Region) -> Life:
        yield from task.read(region, pages=PAGES, arrivals=Every(task.now_ns, 100), cpu_ns=50)
        latest.append(task.now_ns)

    def program(task: Process) -> Life:
        region = yield from task.mmap(PAGES * PAGE_BYTES)
        yield from task.write(region)
        thread = yield from task.thread(reader, region)
        yield from task.fork(sleeper, 1000)
        assert latest, "the reader was through before fork was"
        yield from task.join(thread)

    document = run_one(program)
    assert document["metrics"]["request_latency_ns"]["max"] < 1000


def test_a_call_that_changes_areas_waits_for_the_lock() -> None:
    mapped: list[int] = []
    forked: list[int] = []

    def mapper(task: Process) -> Life:
        yield from task.sleep(100_000)
        yield from task.mmap(PAGE_BYTES)
        mapped.append(task.now_ns)

    def program(task: Process) -> Life:
        region = yield from task.mmap(PAGES * PAGE_BYTES)
        yield from task.write(region)
        thread = yield from task.thread(mapper)
        yield from task.fork(sleeper, 1000)
        forked.append(task.now_ns)
        yield from task.join(thread)

    run_one(program)
    assert mapped == [forked[0] + 500]


def sleeper(task: Process, ns: int) -> Life:
    yield from task.sleep(ns)


def exits_with(task: Process, status: int) -> Life:
    yield from task.sleep(1000)
    yield from task.exit(status)


def strays(task: Process) -> Life:
    yield from task.sleep(1000)
    yield from task.write(Region(99, 1))


@pytest.mark.parametrize(
    ("thread", "arguments", "leader_sleeps_ns", "how", "ended_ns"),
    [
        (sleeper, (10**9,), 5000, "exit 0", 5000),  # the process ends with its leader
        (exits_with, (7,), 10**9, "exit 7", 1000),  # exit ends the process, whoever calls it
        (strays, (), 10**9, "segfault", 1000),  # and so does a signal
    ],
)
def test_a_process_ends_whole(
    thread: Any, arguments: tuple[int, ...], leader_sleeps_ns: int, how: str, ended_ns: int
) -> None:
    def program(task: Process) -> Life:
        yield from task.thread(sleeper, 10**9)
        yield from task.thread(thread, *arguments)
        yield from task.sleep(leader_sleeps_ns)

    document = run_one(program)
    (process,) = document["processes"]
    assert (process["ended"], process["ended_ns"]) == (how, ended_ns)
    assert document["ending"] == "idle"
    assert document["metrics"]["segfaults"] == (how == "segfault")


def test_the_killer_takes_a_process_with_all_its_threads() -> None:
    def hog(task: Process, region: Region) -> Life:
        yield from task.write(region)

    def program(task: Process) -> Life:
        region = yield from task.mmap(400 * PAGE_BYTES)
        for _ in range(3):
            yield from task.thread(hog, region)
        yield from task.sleep(10**9)

    document = run_one(program, memory_pages=200, overcommit=1)
    (process,) = document["processes"]
    assert process["ended"] == "oom-killed"
    assert document["metrics"]["oom_kills"] == 1
    assert process["minor_faults"] > 100


def test_a_child_forked_by_a_thread_is_its_process_s() -> None:
    def forker(task: Process) -> Life:
        yield from task.fork(sleeper, 1000)

    def program(task: Process) -> Life:
        yield from task.join((yield from task.thread(forker)))
        exited = yield from task.wait()
        task.record("status", exited.status)

    document = run_one(program)
    assert document["programs"]["p"] == {"status": [0]}
    assert [p["name"] for p in document["processes"]] == ["p", "p/1"]


def test_exec_ends_the_other_threads_and_is_the_leaders_alone() -> None:
    image = Image(PAGE_BYTES, 0, 0, 64 * PAGE_BYTES)

    def execs(task: Process) -> Life:
        with pytest.raises(Refused):
            yield from task.exec(image)

    def program(task: Process) -> Life:
        yield from task.join((yield from task.thread(execs)))
        yield from task.thread(sleeper, 10**9)
        yield from task.exec(image)
        yield from task.sleep(1000)

    document = run_one(program)
    assert document["metrics"]["execs"] == 1
    assert document["simulated_ns"] < 10**6


def test_threads_run_at_once_on_cpus_of_their_own() -> None:
    def computing(task: Process) -> Life:
        yield from task.compute(10_000_000)

    def program(task: Process) -> Life:
        one = yield from task.thread(computing)
        two = yield from task.thread(computing)
        yield from task.compute(10_000_000)
        yield from task.join(one)
        yield from task.join(two)

    document = run_one(program)
    assert document["simulated_ns"] < 20_000_000
    (process,) = document["processes"]
    assert process["cpu_ns"] >= 30_000_000


@pytest.mark.parametrize("burst", [1, 7])
def test_a_leader_that_waits_for_its_threads_gets_no_cpu(burst: int) -> None:
    """It was queued for a CPU when a thread called exit; then it has nothing to do with one."""

    def thread(task: Process) -> Life:
        yield from task.compute(100_000)
        yield from task.exit(0)

    def program(task: Process) -> Life:
        yield from task.thread(sleeper, 10**9)
        yield from task.thread(thread)
        yield from task.compute(10_000_000)

    def outcome(steps: int) -> dict[str, Any]:
        other = {"q": lambda task: task.compute(30_000_000)}
        host = {**HOST, "cpus": 1}
        return run({"p": program, **other}, host=host, prices=PRICES, burst=steps, quantum_ns=10**6)

    assert outcome(burst) == outcome(0)


def test_a_lock_whose_holder_is_killed_is_free() -> None:
    """Its process dies of a signal within munmap; a vfork child, another process, waits for it."""
    prices = flat_prices(zero_fill=1000, unmap_pte=1000, mmap_call=500)

    def holder(task: Process, region: Region) -> Life:
        yield from task.munmap(region)

    def borrower(task: Process) -> Life:
        yield from task.mmap(PAGE_BYTES)

    def lender(task: Process) -> Life:
        yield from task.sleep(10_000)
        yield from task.vfork(borrower, name="borrower")

    def program(task: Process) -> Life:
        region = yield from task.mmap(PAGES * PAGE_BYTES)
        yield from task.write(region)
        yield from task.thread(holder, region)
        yield from task.thread(lender)
        yield from task.sleep(100_000)
        yield from strays(task)

    document = run({"p": program}, host=HOST, prices=prices, check=True)
    assert document["ending"] == "idle"
    ended = {process["name"]: process["ended"] for process in document["processes"]}
    assert ended == {"p": "segfault", "borrower": "exit 0"}
