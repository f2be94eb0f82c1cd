"""Programs with shared memory, files, huge pages and mprotect, on small machines."""

from typing import Any

import pytest
from support.machines import run

from sim.base.errors import Errno, Refused
from sim.base.units import PAGE_BYTES
from sim.machine.layout import THP_ALWAYS, THP_MADVISE

ROOMY = {"memory_pages": 4000, "cpus": 1}
ALIGNED_VPN = 512 * 1000


def run_one(program: Any, **host: Any) -> dict[str, Any]:
    return run({"p": program}, host={**ROOMY, **host}, check=True)


def nothing(task: Any) -> Any:
    yield from task.sleep(1)


def test_shared_memory_is_one_page_for_all_and_goes_with_the_last():
    def child(task, region):
        yield from task.write(region, pages=10)

    def program(task):
        shared = yield from task.mmap(20 * PAGE_BYTES, shared=True)
        yield from task.write(shared, pages=5)
        yield from task.fork(child, shared)
        yield from task.wait()
        yield from task.write(shared, first=5, pages=5)

    document = run_one(program)
    metrics = document["metrics"]
    assert metrics["zero_fills"] == 10
    assert metrics["file_maps"] == 5 + 5  # the child maps the parent's, the parent the child's
    assert metrics["cow_copies"] == 0
    assert metrics["memory_need_bytes"]["shared_memory"] == 10 * PAGE_BYTES
    assert metrics["memory_need_bytes"]["page_cache"] == 0
    assert metrics["free_pages"]["end"] == document["host"]["free_at_start_pages"]


def test_a_read_of_a_file_maps_its_window_and_a_private_write_copies():
    def program(task):
        file = yield from task.mmap(64 * PAGE_BYTES, file="data", start_vpn=ALIGNED_VPN)
        yield from task.read(file, pages=32)
        yield from task.write(file, pages=4)

    document = run_one(program)
    assert document["metrics"]["file_maps"] == 2
    assert document["metrics"]["cow_copies"] == 4
    assert document["work"]["file_map_around"]["units"] == 30
    assert document["work"]["cache_fill"]["units"] == 64


def test_a_file_stays_in_the_page_cache():
    def program(task):
        file = yield from task.mmap(64 * PAGE_BYTES, file="data", shared=True)
        yield from task.write(file, pages=3)

    document = run({"p": program, "q": program}, host=ROOMY, check=True)
    assert document["work"]["cache_fill"]["units"] == 64
    assert document["series"]["page_cache_pages"] == []
    free = document["metrics"]["free_pages"]["end"]
    assert free == document["host"]["free_at_start_pages"] - 64


def test_writing_against_permissions_is_a_segfault():
    def program(task):
        region = yield from task.mmap(8 * PAGE_BYTES)
        yield from task.write(region)
        yield from task.mprotect(region, "r", 2, 2)
        yield from task.read(region)
        yield from task.mprotect(region, "rw", 2, 2)
        yield from task.write(region)
        yield from task.mprotect(region, "none")
        yield from task.read(region)

    document = run_one(program)
    assert document["metrics"]["segfaults"] == 1
    assert document["metrics"]["minor_faults"] == 8


@pytest.mark.parametrize(("advice", "faults"), [("dontfork", 0), ("wipeonfork", 8), (None, 0)])
def test_advice_decides_what_a_child_finds(advice, faults):
    def child(task, region):
        yield from task.read(region)

    def program(task):
        region = yield from task.mmap(8 * PAGE_BYTES)
        yield from task.write(region)
        if advice is not None:
            yield from task.madvise(region, advice)
        yield from task.fork(child, region)
        yield from task.wait()

    document = run_one(program)
    assert document["metrics"]["zero_page_maps"] == faults
    assert document["metrics"]["segfaults"] == (advice == "dontfork")


def test_calls_with_nonsense_are_refused():
    refused = []

    def program(task):
        region = yield from task.mmap(8 * PAGE_BYTES, shared=True)
        calls = [
            lambda: task.mprotect(region, "x"),
            lambda: task.madvise(region, "please"),
            lambda: task.madvise(region, "wipeonfork"),
            lambda: task.mprotect(region, "r", 4, 5),
            lambda: task.mmap(0, shared=True),
        ]
        for call in calls:
            with pytest.raises(Refused) as caught:
                yield from call()
            refused.append(caught.value.errno)

    run_one(program)
    assert refused == [Errno.EINVAL] * 5


def huge(task, pages=512):
    region = yield from task.mmap(pages * PAGE_BYTES, start_vpn=ALIGNED_VPN)
    yield from task.madvise(region, "hugepage")
    return region


def test_one_write_takes_a_huge_page_where_there_is_a_block():
    def program(task):
        region = yield from huge(task)
        yield from task.write(region, pages=10)

    document = run_one(program, thp=THP_MADVISE)
    assert document["work"]["huge_zero_fill"]["units"] == 1
    assert document["metrics"]["minor_faults"] == 1
    assert document["metrics"]["memory_need_bytes"]["data"] >= 512 * PAGE_BYTES


def test_a_machine_of_pieces_has_no_huge_page():
    def program(task):
        region = yield from huge(task)
        yield from task.write(region, pages=10)

    pieces = {"memory_pages": 1000, "kernel_pages": 513, "overcommit": 1}
    document = run_one(program, **pieces, thp=THP_MADVISE)
    assert "huge_zero_fill" not in document["work"]
    assert document["metrics"]["zero_fills"] == 10


def test_a_huge_page_is_split_when_a_child_writes():
    def child(task, region):
        yield from task.write(region, pages=3)

    def program(task):
        region = yield from huge(task)
        yield from task.write(region)
        yield from task.fork(child, region)
        yield from task.wait()
        yield from task.write(region)

    document = run_one(program, thp=THP_MADVISE)
    work = document["work"]
    assert work["fork_huge"]["units"] == 1
    assert work["huge_split"]["units"] == 1
    assert document["metrics"]["cow_copies"] == 3
    assert document["metrics"]["cow_reuses"] == 1  # the parent's, whole
    assert document["metrics"]["free_pages"]["end"] == document["host"]["free_at_start_pages"]


def test_where_huge_pages_are_always_on_nobody_need_ask():
    def program(task):
        region = yield from task.mmap(600 * PAGE_BYTES, start_vpn=ALIGNED_VPN)
        yield from task.write(region)

    assert run_one(program, thp=THP_ALWAYS)["metrics"]["zero_fills"] == 1 + 88
    assert run_one(program)["metrics"]["zero_fills"] == 600


def test_a_part_given_back_splits_a_huge_page():
    def program(task):
        region = yield from huge(task)
        yield from task.write(region)
        yield from task.dontneed(region, 100, 50)
        yield from task.write(region)

    document = run_one(program, thp=THP_MADVISE)
    assert document["metrics"]["zero_fills"] == 1 + 50
    assert document["work"]["huge_split"]["units"] == 1
