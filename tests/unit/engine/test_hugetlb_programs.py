"""Programs with memory of the pool of huge pages: what they get, what a run says of it."""

from typing import Any

import pytest
from support.machines import flat_prices, run

from sim.base.errors import Errno, Refused
from sim.base.units import MIB, PAGE_BYTES
from sim.engine.run import host_spec
from sim.engine.validity import judged
from sim.machine.machine import Machine
from sim.plugin import BUS_ERROR_STATUS
from sim.scenario import resolve
from sim.scenario.hosts import most_huge_pages

HUGE = 2 * MIB


def run_one(program: Any, pool: int, **host: Any) -> dict[str, Any]:
    spec = {"memory_pages": 8192, "cpus": 2, "nr_huge_pages": pool, **host}
    return run({"p": program}, host=spec, check=True)


def test_shared_buffers_are_faulted_in_by_2_mib_and_go_with_the_last() -> None:
    def connection(task: Any, buffers: Any) -> Any:
        yield from task.read(buffers)

    def server(task: Any) -> Any:
        buffers = yield from task.mmap(3 * HUGE, shared=True, hugetlb=True)
        yield from task.write(buffers)
        for _ in range(3):
            yield from task.fork(connection, buffers)
        for _ in range(3):
            yield from task.wait()

    document = run_one(server, 4)
    metrics, host = document["metrics"], document["host"]
    assert (metrics["zero_fills"], metrics["file_maps"], metrics["cow_copies"]) == (3, 9, 0)
    assert [host[f"HugePages_{name}"] for name in ("Total", "Free", "Rsvd")] == [4, 4, 0]
    need = metrics["memory_need_bytes"]
    assert (need["hugetlb"], need["shared_memory"], need["page_cache"]) == (4 * HUGE, 0, 0)
    assert sum(size for part, size in need.items() if part != "total") == need["total"]
    assert all(p["peak_rss_bytes"] < HUGE for p in document["processes"])


def test_memory_without_a_pool_is_told_of_no_pool() -> None:
    def program(task: Any) -> Any:
        yield from task.sleep(1)

    document = run_one(program, 0)
    assert document["metrics"]["memory_need_bytes"]["hugetlb"] == 0
    assert not any(key.startswith("Huge") for key in document["host"])


def test_a_mapping_that_cannot_be_reserved_is_refused() -> None:
    caught = []

    def program(task: Any) -> Any:
        yield from task.mmap(2 * HUGE, hugetlb=True)
        try:
            yield from task.mmap(HUGE, hugetlb=True)
        except Refused as refused:
            caught.append((refused.errno, refused.by))

    document = run_one(program, 2)
    assert caught == [(Errno.ENOMEM, "hugetlb")]
    assert document["evidence"]["refusals"][0]["by"] == "hugetlb"


def test_a_child_without_a_reservation_is_ended_by_sigbus_and_its_parent_hears_of_it() -> None:
    ended = []

    def child(task: Any, memory: Any) -> Any:
        yield from task.write(memory)

    def program(task: Any) -> Any:
        memory = yield from task.mmap(HUGE, hugetlb=True)
        yield from task.write(memory)
        yield from task.fork(child, memory)
        ended.append((yield from task.wait()).status)
        yield from task.write(memory)

    document = run_one(program, 1)
    assert ended == [BUS_ERROR_STATUS]
    assert document["metrics"]["bus_errors"] == 1
    assert document["metrics"]["segfaults"] == 0
    assert [p["ended"] for p in document["processes"]] == ["exit 0", "bus error"]
    assert document["metrics"]["minor_faults"] == 2  # a zero-fill, and a reuse


@pytest.mark.parametrize("call", ["dontneed", "free", "unmap", "grow", "file"])
def test_what_huge_pages_of_the_pool_cannot_do_is_refused(call: str) -> None:
    caught = []

    def program(task: Any) -> Any:
        memory = yield from task.mmap(HUGE + 1, hugetlb=True)
        assert memory.pages == 1024
        yield from task.write(memory)
        try:
            if call == "dontneed":
                yield from task.dontneed(memory)
            elif call == "free":
                yield from task.madvise(memory, "free")
            elif call == "unmap":
                yield from task.munmap(memory, 0, 100)
            elif call == "grow":
                yield from task.mremap(memory, 3 * HUGE)
            else:
                yield from task.mmap(HUGE, hugetlb=True, file="data")
        except Refused as refused:
            caught.append(refused.errno)

    document = run_one(program, 4)
    assert caught == [Errno.EINVAL]
    assert document["metrics"]["zero_fills"] == 2


def test_giving_each_page_back_after_its_access_keeps_huge_pages() -> None:
    def program(task: Any) -> Any:
        memory = yield from task.mmap(HUGE, hugetlb=True)
        yield from task.read(memory, drop=True)

    assert run_one(program, 1)["metrics"]["zero_fills"] == 1


# -- the scenario ---------------------------------------------------------------------------


def resolved(**host: Any) -> dict[str, Any]:
    steps = [{"mmap": {"name": "A", "size": "3 MiB", "hugetlb": True}}, {"write": "A"}]
    return resolve(
        {
            "version": 1,
            "host": {"memory": "64 MiB", "cpus": 1, **host},
            "processes": {"p": {"program": "steps", "steps": steps}},
        }
    )


@pytest.mark.parametrize("memory", ["64 MiB", "100 MiB", "1 GiB"])
def test_as_many_huge_pages_as_are_said_to_fit_do_and_not_one_more(memory: str) -> None:
    most = most_huge_pages(resolved(memory=memory)["host"])
    spec = host_spec(resolved(memory=memory, nr_hugepages=most))
    machine = Machine(spec, prices=flat_prices())
    assert machine.huge_pages()["HugePages_Total"] == most
    assert machine.arrays.zones[0].free - machine.arrays.zones[0].min_pages < 2 * 512


def test_commit_limit_is_of_what_is_no_huge_page() -> None:
    mode = {"overcommit": {"mode": 2, "ratio": 50}}
    without, with_pool = (
        host_spec(resolved(nr_hugepages=n, **mode)).commit_limit_pages for n in (0, 4)
    )
    assert without - with_pool == 4 * 512 // 2


def test_a_host_has_no_pool_unless_it_says_so() -> None:
    assert resolved()["host"]["nr_hugepages"] == 0
    assert host_spec(resolved(nr_hugepages=3)).nr_huge_pages == 3


def test_a_crash_for_want_of_a_huge_page_has_its_own_remedy() -> None:
    def child(task: Any, memory: Any) -> Any:
        yield from task.write(memory)

    def program(task: Any) -> Any:
        memory = yield from task.mmap(HUGE, hugetlb=True)
        yield from task.write(memory)
        yield from task.fork(child, memory)
        yield from task.wait()

    document = run_one(program, 1)
    found = judged(document, resolved())["validity"]
    assert [f["code"] for f in found] == ["crashed"]
    assert "nr_hugepages" in found[0]["remedy"]
    assert document["metrics"]["memory_need_bytes"]["hugetlb"] == PAGE_BYTES * 512


@pytest.mark.parametrize("hugetlb", [False, True])
def test_page_tables_of_connections(hugetlb: bool) -> None:
    """As `experiments/003_page_tables_of_connections`, with 5 connections and 8 MiB."""
    tables, faults = [], []

    def connection(task: Any, buffers: Any) -> Any:
        yield from task.read(buffers)
        yield from task.sleep(1_000_000_000)

    def server(task: Any) -> Any:
        buffers = yield from task.mmap(4 * HUGE, shared=True, hugetlb=hugetlb, start_vpn=512 * 1000)
        yield from task.write(buffers)
        for _ in range(5):
            yield from task.fork(connection, buffers)
        for _ in range(5):
            yield from task.wait()

    document = run_one(server, 4 if hugetlb else 0)
    tables.append(document["metrics"]["memory_need_bytes"]["page_tables"] // PAGE_BYTES)
    faults.append(document["metrics"]["file_maps"])
    leaves = 0 if hugetlb else 4  # of each process, for the buffers; those above are the same
    assert tables == [6 * (4 + 2 + leaves)]
    assert faults == [5 * 4 if hugetlb else 5 * 4 * 512 // 16]
