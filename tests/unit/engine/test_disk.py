"""Waiting for the disk: who waits, who is killed, what goes on without them."""

from collections.abc import Generator
from typing import Any

import pytest
from support.machines import flat_prices, machine, run

from sim.base.errors import Refused
from sim.base.units import PAGE_BYTES
from sim.engine import devices
from sim.engine.build import EngineSpec, Simulation
from sim.engine.devices import DISK, DeviceSpec
from sim.engine.verbs.process import Process
from sim.program.api import Region

SLOW = DeviceSpec(latency_ns=1_000_000, bandwidth_bytes_per_s=1e9, queue_depth=1)
PAGE_NS = 4096
ONE_NS = 1_000_000 + PAGE_NS
HOST = {"memory_pages": 400, "cpus": 2, "kernel": "6.18", "read_ahead_pages": 0}
Steps = Generator[Any, Any, None]


def outcome(programs: dict[str, Any], **how: Any) -> dict[str, Any]:
    host = {**HOST, **how.pop("host", {})}
    return run(programs, host=host, prices=flat_prices(), disk=SLOW, check=True, **how)


def ended(document: dict[str, Any]) -> dict[str, str]:
    return {process["name"]: process["ended"] for process in document["processes"]}


def reads(document: dict[str, Any]) -> tuple[int, int]:
    """Return how many requests read how many pages."""
    return document["disk"]["reads"], document["disk"]["pages_read"]


def test_a_task_that_is_killed_waits_for_no_page():
    """Its page is read nevertheless, and stays in the page cache."""

    def waits(task: Process) -> Steps:
        data = yield from task.mmap(8 * PAGE_BYTES, file="data", cold=True)
        yield from task.read(data)

    def greedy(task: Process) -> Steps:
        hoard = yield from task.mmap(500 * PAGE_BYTES)
        yield from task.sleep(ONE_NS // 2)
        yield from task.write(hoard)

    def big(task: Process) -> Steps:
        hoard = yield from task.mmap(300 * PAGE_BYTES)
        yield from task.write(hoard)
        yield from waits(task)

    document = outcome({"big": big, "greedy": greedy}, host={"overcommit": 1})
    assert ended(document)["big"] == "oom-killed"
    assert document["metrics"]["major_faults"] == 1
    assert document["page_cache_pages_at_end"] == 1
    assert reads(document) == (1, 1)


def test_the_horizon_may_come_first():
    def reader(task: Process) -> Steps:
        data = yield from task.mmap(8 * PAGE_BYTES, file="data", cold=True)
        yield from task.read(data)

    document = outcome({"p": reader}, horizon_ns=2 * ONE_NS + 5)
    assert document["ending"] == "horizon"
    assert document["disk"]["pages_read"] == 2
    assert document["metrics"]["major_faults"] == 3


def test_a_thread_goes_on_while_another_waits():
    def idles(task: Process) -> Steps:
        yield from task.compute(ONE_NS)
        task.mark("computed")

    def reader(task: Process) -> Steps:
        data = yield from task.mmap(2 * PAGE_BYTES, file="data", cold=True)
        other = yield from task.thread(idles)
        yield from task.read(data)
        task.mark("read")
        yield from task.join(other)

    document = outcome({"p": reader}, host={"cpus": 1})
    marks = {mark["kind"]: mark["t_ns"] for mark in document["marks"]}
    assert marks["computed"] <= 2 * ONE_NS
    assert document["processes"][0]["major_faults"] == 2


def test_read_by_a_call_waits_and_has_no_fault():
    def reader(task: Process) -> Steps:
        yield from task.pread("data", 4)
        task.record("done_ns", task.now_ns)
        yield from task.pread("data", 4)
        task.record("done_ns", task.now_ns)

    document = outcome({"p": reader}, host={"read_ahead_pages": 32})
    first, second = document["programs"]["p"]["done_ns"]
    assert first == second
    assert document["metrics"]["major_faults"] == 0
    assert document["disk"]["pages_read"] == 4


def test_a_request_that_is_too_large_is_cut():
    def reader(task: Process) -> Steps:
        yield from task.pread("data", 40)

    host = {"read_ahead_pages": 64, "largest_read_pages": 16}
    document = outcome({"p": reader}, host=host)
    assert reads(document) == (3, 40)


def test_a_dropped_file_is_cold_again():
    def reader(task: Process) -> Steps:
        data = yield from task.mmap(6 * PAGE_BYTES, file="data")
        yield from task.read(data)
        yield from task.dontneed(data)
        yield from task.drop("data")
        yield from task.read(data)

    document = outcome({"p": reader})
    assert document["metrics"]["major_faults"] == 6
    assert document["metrics"]["minor_faults"] == 1


@pytest.mark.parametrize(("file", "advice"), [("nobody", "random"), ("data", "nonsense")])
def test_advice_that_cannot_be_is_refused(file: str, advice: str):
    seen = []

    def asks(task: Process) -> Steps:
        yield from task.mmap(PAGE_BYTES, file="data")
        try:
            yield from task.fadvise(file, advice)
        except Refused as refused:
            seen.append(refused.errno.name)

    outcome({"p": asks})
    assert seen == ["EINVAL"]


def test_a_request_counts_its_wait_for_the_disk():
    from sim.program.patterns import Every

    def serves(task: Process) -> Steps:
        data = yield from task.mmap(4 * PAGE_BYTES, file="data", cold=True)
        yield from task.read(data, arrivals=Every(0, 10 * ONE_NS))

    document = outcome({"p": serves})
    latency = document["metrics"]["request_latency_ns"]
    assert latency["count"] == 4
    assert latency["mean"] == pytest.approx(ONE_NS, rel=0.01)


@pytest.mark.parametrize("dirty", [0, 1, 7, 40])
def test_fsync_waits_until_all_is_written(dirty: int):
    """A request each 32 pages, one after the other: pages that lie in a row go together."""

    def program(task: Process) -> Steps:
        yield from task.pwrite("data", 40)
        yield from task.fsync("data")
        task.record("done_ns", task.now_ns)
        if dirty:
            yield from task.pwrite("data", dirty)
        yield from task.fsync("data")
        task.record("done_ns", task.now_ns)
        yield from task.fsync("data")
        task.record("done_ns", task.now_ns)

    document = outcome({"p": program})
    first, second, third = document["programs"]["p"]["done_ns"]
    requests = -(-dirty // 32)
    assert first == 2 * 1_000_000 + 40 * PAGE_NS
    assert second - first == requests * 1_000_000 + dirty * PAGE_NS
    assert third == second
    assert document["disk"]["pages_written"] == 40 + dirty


def test_msync_waits_for_what_it_has_written():
    def program(task: Process) -> Steps:
        shared = yield from task.mmap(20 * PAGE_BYTES, file="data", shared=True)
        yield from task.write(shared)
        yield from task.msync(shared, 0, 10)
        task.record("done_ns", task.now_ns)
        yield from task.msync(shared)
        task.record("done_ns", task.now_ns)
        yield from task.write(shared, first=3, pages=1)
        yield from task.drop("data")
        task.record("done_ns", task.now_ns)

    document = outcome({"p": program})
    each = [1_000_000 + pages * PAGE_NS for pages in (10, 10, 1)]
    assert document["programs"]["p"]["done_ns"] == [sum(each[: n + 1]) for n in range(3)]
    assert document["disk"]["pages_written"] == 21
    assert document["metrics"]["spurious_faults"] == 1


def test_a_program_that_was_dropped_is_read_when_it_runs():
    def execs(task: Process) -> Steps:
        yield from task.exec("true")

    def cold(task: Process) -> Steps:
        yield from task.drop("program:true")
        yield from execs(task)

    def again(task: Process) -> Steps:
        yield from task.sleep(10**9)
        yield from execs(task)

    host = {"memory_pages": 3000, "read_ahead_pages": 32}
    warm = outcome({"p": execs}, host=host)
    document = outcome({"p": cold, "again": again}, host=host)
    first, second = document["processes"]
    assert warm["metrics"]["major_faults"] == second["major_faults"] == 0
    assert first["major_faults"] > 0
    faults = [p["minor_faults"] + p["major_faults"] for p in (first, second)]
    assert faults[1] == warm["processes"][0]["minor_faults"]
    assert faults[0] >= faults[1]
    assert 0 < reads(document)[1] < document["page_cache_pages_at_end"]  # its libraries are warm


def test_two_devices_serve_side_by_side() -> None:
    """What lies on a device of its own waits for nobody else's transfers, and counts for it."""

    def reading(task: Process) -> Steps:
        def other(task: Process) -> Steps:
            yield from task.pread("far", 4)

        yield from task.thread(other)
        yield from task.pread("near", 4)

    def took_ns(place_far: int) -> tuple[int, int, int]:
        slow = DeviceSpec(latency_ns=1_000, bandwidth_bytes_per_s=1e7, name="the far disk")
        near = DeviceSpec(latency_ns=1_000, bandwidth_bytes_per_s=1e7)
        spec = EngineSpec(devices=(near, slow))
        run = Simulation(machine(flat_prices(), memory_pages=2000, cpus=2), spec)
        run.system.files.place("far", place_far)
        run.add("p", reading, image_pages=2, stack_pages=64)
        document = run.run()
        devices = run.system.devices
        return document["simulated_ns"], document["disk"]["reads"], devices[1].reads

    alone_ns, reads, _ = took_ns(1)
    shared_ns, all_reads, none = took_ns(0)
    assert (reads, all_reads, none) == (1, 2, 0)
    transfer_ns = 4 * PAGE_BYTES * 100  # 10 MB/s are 100 ns a byte
    assert shared_ns - alone_ns == transfer_ns


def test_who_waits_for_a_page_says_from_which_device() -> None:
    def waiting(task: Process) -> Steps:
        yield from task.pread("far", 4)

    never = DeviceSpec(latency_ns=10**12, name="the far disk")
    spec = EngineSpec(devices=(DISK, never), horizon_ns=10**9)
    run = Simulation(machine(flat_prices(), memory_pages=2000, cpus=1), spec)
    run.system.files.place("far", 1)
    run.add("p", waiting, image_pages=2, stack_pages=64)
    run.run()
    waits = [task.wait for task in run.system.table.living()]
    assert [wait and wait.what for wait in waits] == ["a page from the far disk"]


def read_pages(task: Process, pages: list[int], done: list[int]) -> Steps:
    """Read each page of a file that is not cached in a thread of its own; note who is through."""

    def one(thread: Process, data: Region, page: int) -> Steps:
        yield from thread.read(data, first=page, pages=1)
        done.append(page)

    data = yield from task.mmap((max(pages) + 1) * PAGE_BYTES, file="data", cold=True)
    threads = {}
    for page in pages:
        threads[page] = yield from task.thread(one, data, page)
    for thread in threads.values():
        yield from task.join(thread)


@pytest.mark.parametrize("readers", [5, 40])
def test_a_page_that_comes_concerns_only_those_who_wait_for_it(
    monkeypatch: pytest.MonkeyPatch, readers: int
) -> None:
    looked: list[int] = []
    done: list[int] = []
    is_under_way = devices.is_under_way

    def look(m: Any, file: int, page: int) -> bool:
        looked.append(page)
        return is_under_way(m, file, page)

    monkeypatch.setattr(devices, "is_under_way", look)
    host = {"memory_pages": 2000}
    document = outcome({"p": lambda task: read_pages(task, list(range(readers)), done)}, host=host)
    assert document["metrics"]["major_faults"] == readers
    assert sorted(looked) == sorted(done) == list(range(readers))


def test_who_waits_for_pages_of_one_request_goes_on_in_the_order_of_coming() -> None:
    done: list[int] = []
    pages = [5, 2, 7, 3, 6]
    host = {"memory_pages": 2000, "cpus": 1, "read_ahead_pages": 16}
    document = outcome({"p": lambda task: read_pages(task, pages, done)}, host=host)
    assert reads(document) == (1, 8)
    assert done == pages
