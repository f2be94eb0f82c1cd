"""O_DIRECT: what passes the page cache by, how long it takes, and what it leaves there."""

from collections.abc import Generator
from typing import Any

import pytest
from support.kernel import DONE, Kernel
from support.machines import flat_prices, run

from sim.base.units import MS, PAGE_BYTES
from sim.engine.devices import DeviceSpec
from sim.engine.verbs.process import Process
from sim.kernel import ops
from sim.kernel.work import UNDER_WAY
from sim.machine.cached import find_page, has_page
from sim.machine.layout import KIND_FILE

Life = Generator[Any, Any, None]
DISK = DeviceSpec(latency_ns=100_000, bandwidth_bytes_per_s=PAGE_BYTES * 1e6, queue_depth=8)
"""A page takes a microsecond on its way, after 100."""
LARGEST = 256


def timed(*lives: Any, **host: Any) -> dict[str, Any]:
    programs = {f"p{number}": life for number, life in enumerate(lives)}
    plan = {"memory_pages": 4000, "cpus": 2, "largest_read_pages": LARGEST, **host}
    return run(programs, host=plan, prices=flat_prices(), disk=DISK, check=True)


@pytest.mark.parametrize("write", [False, True])
def test_it_takes_what_the_device_takes_and_no_memory(write: bool) -> None:
    took: list[int] = []

    def life(task: Process) -> Life:
        before = task.now_ns
        yield from (task.pwrite if write else task.pread)("f", 1024, direct=True)
        took.append(task.now_ns - before)

    document = timed(life)
    # Four requests of 256 pages are there at once, and share the way.
    assert took == [100_000 + 1024 * 1000]
    assert document["metrics"]["memory_need_bytes"]["page_cache"] == 0
    kind = "written" if write else "read"
    assert document["disk"][f"pages_{kind}"] == 1024
    assert document["disk"]["writes" if write else "reads"] == 1024 // LARGEST


def test_two_transfers_of_a_file_end_each_when_its_own_pages_are_there() -> None:
    ended: dict[str, int] = {}

    def short(task: Process) -> Life:
        yield from task.pread("f", 1, first=1999, direct=True)
        ended["short"] = task.now_ns

    def long(task: Process) -> Life:
        yield from task.sleep(50_000)
        yield from task.pread("f", 2000, direct=True)
        ended["long"] = task.now_ns

    timed(short, long)
    assert 101_000 <= ended["short"] < 110_000
    assert ended["long"] >= 150_000 + 2000 * 1000


def test_who_is_killed_meanwhile_leaves_a_transfer_that_nobody_hears_of() -> None:
    def greedy(task: Process) -> Life:
        yield from task.sleep(MS // 2)
        yield from task.write((yield from task.mmap(3000 * PAGE_BYTES)))

    def victim(task: Process) -> Life:
        yield from task.write((yield from task.mmap(2000 * PAGE_BYTES)))
        yield from task.pread("f", 20_000, direct=True)

    document = timed(victim, greedy, memory_pages=4000, overcommit=1)
    ends = {each["name"]: each["ended"] for each in document["processes"]}
    assert sorted(ends.values()) == ["exit 0", "oom-killed"]
    assert document["ending"] == "idle"
    assert document["disk"]["pages_read"] == 20_000


@pytest.mark.parametrize("burst", [1, 3, 0])
def test_the_length_of_bursts_does_not_show(burst: int) -> None:
    def life(task: Process) -> Life:
        yield from task.pwrite("f", 300)
        yield from task.pread("f", 200, first=50, direct=True)
        yield from task.pwrite("f", 100, first=150, direct=True)
        yield from task.pread("f", 300)

    plan = {"memory_pages": 4000, "cpus": 2}
    long, short = (
        run({"p": life, "q": life}, host=plan, prices=flat_prices(), disk=DISK, burst=each)
        for each in (0, burst)
    )
    assert long == short


# -- what is in the page cache already -----------------------------------------------------------


def call(k: Kernel, row: int, op: ops.Op, file: int, first: int, pages: int) -> None:
    k.begin(row, op, file=file, file_page=first, pages=pages)
    while (status := k.go_on(row)) == UNDER_WAY:
        pass
    assert status == DONE
    k.machine.audit()


def cached(k: Kernel, file: int, pages: int) -> list[int]:
    return [page for page in range(pages) if has_page(k.arrays, file, page)]


def test_a_large_folio_goes_whole() -> None:
    k = Kernel(kernel="6.18", memory_pages=3000, cpus=1)
    row = k.process()
    file = k.machine.new_file(KIND_FILE, 1024, known=True, cold=True)
    for first in range(0, 1024, 16):
        call(k, row, ops.OP_FILE_READ, file, first, 16)
    assert int(k.arrays.frames[find_page(k.arrays, file, 301)].order) == 5
    call(k, row, ops.OP_DIRECT_WRITE, file, 301, 2)
    assert sorted(set(range(1024)) - set(cached(k, file, 1024))) == list(range(288, 320))


def test_what_is_dirty_is_written_first_and_stays_for_a_read() -> None:
    k = Kernel(kernel="6.18", memory_pages=3000, cpus=1)
    row = k.process()
    file = k.machine.new_file(KIND_FILE, 100, known=True, cold=True)
    call(k, row, ops.OP_FILE_WRITE, file, 10, 20)
    assert int(k.arrays.files[file].dirty) == 20
    call(k, row, ops.OP_DIRECT_READ, file, 15, 50)
    assert int(k.arrays.files[file].dirty) == 5
    assert cached(k, file, 100) == list(range(10, 30))
    call(k, row, ops.OP_DIRECT_WRITE, file, 12, 5)
    assert int(k.arrays.files[file].dirty) == 2
    assert cached(k, file, 100) == [10, 11, *range(17, 30)]
