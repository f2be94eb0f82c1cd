"""Twenty more of the kinds of `cases/machine`, with what is right by the manual or by counting.

Areas that touch, warm-up with threads and kills, counters, what children inherit, patterns at their
edges, locks and stalls.  Every run is audited at every event.
"""

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest
from support.machines import flat_prices, run

from sim.base.units import PAGE_BYTES
from sim.engine.verbs.process import Process
from sim.program.patterns import Every, HotCold, Listed

Life = Generator[Any, Any, None]
Case = Callable[[Process], Life]
CASES: list[tuple[Case, dict[str, Any], dict[str, Any]]] = []
"""Each a program, what its run is like, and what it comes to."""


def case(right: dict[str, Any], **how: Any) -> Callable[[Case], Case]:
    def take(program: Case) -> Case:
        CASES.append((program, how, right))
        return program

    return take


def pages(count: int) -> int:
    return count * PAGE_BYTES


# -- areas -----------------------------------------------------------------------------------------


@case({"zero_fills": 7, "ended": "segfault"})
def a_hole_in_the_middle(task: Process) -> Life:
    region = yield from task.mmap(pages(10))
    yield from task.munmap(region, first=4, pages=2)
    yield from task.write(region, first=0, pages=4)
    yield from task.write(region, first=6, pages=3)
    yield from task.write(region, first=4, pages=1)


@case({"zero_fills": 16, "ended": "exit 0", "seen": [16, 16]})
def what_was_written_moves_along(task: Process) -> Life:
    first = yield from task.mmap(pages(16))
    yield from task.mmap(pages(16))
    yield from task.write(first)
    task.record("seen", task.faults("zero_fill"))
    moved = yield from task.mremap(first, pages(64))
    yield from task.read(moved, pages=16)
    task.record("seen", task.faults("zero_fill"))


@case({"zero_fills": 20, "ended": "segfault"})
def a_region_that_shrank_ends_where_it_ends(task: Process) -> Life:
    region = yield from task.mmap(pages(20))
    yield from task.write(region)
    yield from task.mremap(region, pages(5))
    yield from task.read(region, pages=5)
    yield from task.read(region, first=5, pages=1)


@case({"zero_fills": 8, "ended": "segfault"})
def a_wall_between_two_that_touch(task: Process) -> Life:
    region = yield from task.mmap(pages(12))
    yield from task.mprotect(region, "r", first=4, pages=4)
    yield from task.write(region, first=0, pages=4)
    yield from task.write(region, first=8, pages=4)
    yield from task.write(region, first=4, pages=1)


@case({"zero_fills": 12, "ended": "exit 0"})
def the_heap_comes_back_empty(task: Process) -> Life:
    heap = yield from task.sbrk(pages(6))
    yield from task.write(heap)
    yield from task.sbrk(-pages(6))
    heap = yield from task.sbrk(pages(6))
    yield from task.write(heap)


@case({"zero_fills": 300, "ended": "exit 0", "free": True})
def three_hundred_areas_go_at_once(task: Process) -> Life:
    for _ in range(300):
        region = yield from task.mmap(pages(2))
        yield from task.mprotect(region, "r", first=1, pages=1)
        yield from task.write(region, pages=1)


# -- warm-up, threads, counters --------------------------------------------------------------------


@case({"zero_fills": 5, "forks": 0, "ended": "exit 0"}, warmup_ns=1_000_000)
def a_child_of_the_warm_up_is_not_counted(task: Process) -> Life:
    def child(own: Process) -> Life:
        yield from own.write((yield from own.mmap(pages(50))))

    yield from task.wait((yield from task.fork(child)))
    yield from task.sleep_until(2_000_000)
    yield from task.write((yield from task.mmap(pages(5))))


@case({"oom_kills": 0, "zero_fills": 1, "ended": "exit 0"}, warmup_ns=50_000_000,
      host={"memory_pages": 300, "overcommit": 1})  # fmt: skip
def a_kill_of_the_warm_up_is_not_counted(task: Process) -> Life:
    def greedy(own: Process) -> Life:
        yield from own.write((yield from own.mmap(pages(1000))))

    yield from task.wait((yield from task.fork(greedy)))
    yield from task.sleep_until(60_000_000)
    yield from task.write((yield from task.mmap(pages(1))))


@case({"ended": "exit 0", "seen": [0, 3, 0]})
def a_child_counts_its_own_faults(task: Process) -> Life:
    def child(own: Process) -> Life:
        task.record("seen", own.faults("zero_fill"))
        yield from own.write((yield from own.mmap(pages(3))))
        task.record("seen", own.faults("zero_fill"))

    yield from task.wait((yield from task.fork(child)))
    task.record("seen", task.faults("zero_fill"))


@case({"ended": "exit 0", "zero_fills": 40, "minor_faults": 40, "seen": [0]})
def threads_are_one_process_and_each_knows_its_own_faults(task: Process) -> Life:
    region = yield from task.mmap(pages(40))
    threads = []
    for number in range(4):

        def body(own: Process, first: int = 10 * number) -> Life:
            yield from own.write(region, first=first, pages=10)

        threads.append((yield from task.thread(body)))
    for thread in threads:
        yield from task.join(thread)
    task.record("seen", task.faults("zero_fill"))


@case({"ended": "exit 0", "forks": 1, "exits": 2})
def of_threads_a_child_has_the_one_that_forked(task: Process) -> Life:
    def child(own: Process) -> Life:
        yield from own.compute(1_000)

    def forks(own: Process) -> Life:
        yield from own.wait((yield from own.fork(child)))

    def idles(own: Process) -> Life:
        yield from own.sleep(5_000_000)

    other = yield from task.thread(idles)
    yield from task.join((yield from task.thread(forks)))
    yield from task.join(other)


@case({"ended": "exit 0", "vforks": 1, "seen": [1]})
def vfork_holds_the_thread_that_called(task: Process) -> Life:
    def child(own: Process) -> Life:
        yield from own.sleep(3_000_000)

    def works(own: Process) -> Life:
        yield from own.compute(100_000)
        task.record("seen", float(own.now_ns < 2_000_000))

    thread = yield from task.thread(works)
    yield from task.vfork(child)
    yield from task.join(thread)


# -- what is inherited -----------------------------------------------------------------------------


@case({"ended": "exit 0", "oom_kills": 1, "seen": [1]}, host={"overcommit": 1})
def a_score_given_later_is_not_the_child_s(task: Process) -> Life:
    """The child has the score of its birth; it is killed although it is smaller."""

    def child(own: Process) -> Life:
        yield from own.write((yield from own.mmap(pages(1200))))
        yield from own.sleep(1_000_000_000)

    yield from task.oom_score_adj(1000)
    born = yield from task.fork(child)
    yield from task.oom_score_adj(0)
    yield from task.sleep(5_000_000)
    yield from task.write((yield from task.mmap(pages(2900))))
    task.record("seen", float(task.child_exited(born)))


@case({"ended": "exit 0", "cow_copies": 0, "zero_fills": 13})
def what_is_not_to_be_forked_is_not_there(task: Process) -> Life:
    def child(own: Process) -> Life:
        yield from own.write((yield from own.mmap(pages(5))))

    region = yield from task.mmap(pages(8))
    yield from task.write(region)
    yield from task.madvise(region, "dontfork")
    born = yield from task.fork(child)
    yield from task.write(region)
    yield from task.wait(born)


# -- patterns --------------------------------------------------------------------------------------


@case({"zero_fills": 2, "ended": "exit 0"})
def a_page_that_is_listed_twice(task: Process) -> Life:
    region = yield from task.mmap(pages(4))
    yield from task.write(region, pattern=Listed(np.array([3, 3, 0, 3])))


@case({"zero_fills": 0, "ended": "exit 0"})
def a_list_of_nothing(task: Process) -> Life:
    region = yield from task.mmap(pages(4))
    yield from task.write(region, pattern=Listed(np.array([], dtype=np.int64)))


@case({"zero_fills": 1, "ended": "exit 0"})
def a_region_of_one_page_is_all_hot(task: Process) -> Life:
    region = yield from task.mmap(pages(1))
    yield from task.write(region, pattern=HotCold(50, 0.5, 0.5))


@case({"zero_fills": 1, "ended": "exit 0", "at_least_ns": 4_000_000})
def arrivals_that_are_late_are_served_at_once(task: Process) -> Life:
    region = yield from task.mmap(pages(1))
    yield from task.sleep(4_000_000)
    yield from task.write(region, arrivals=Every(1_000, 20))


# -- waiting ---------------------------------------------------------------------------------------


@case({"psi_memory_some": 0.0, "psi_memory_full": 0.0, "major_faults": 64, "ended": "exit 0"},
      host={"read_ahead_pages": 0})  # fmt: skip
def a_cold_read_is_no_want_of_memory(task: Process) -> Life:
    data = yield from task.mmap(pages(64), file="data", cold=True)
    yield from task.read(data)


@case({"major_faults": 1, "minor_faults": 1, "ended": "exit 0"}, host={"read_ahead_pages": 0})
def two_processes_wait_for_one_page(task: Process) -> Life:
    """Who came second did not ask the device: a minor fault."""
    data = yield from task.mmap(pages(1), file="data", cold=True)

    def reads(own: Process) -> Life:
        yield from own.read(data)

    first = yield from task.fork(reads)
    second = yield from task.fork(reads)
    yield from task.wait(first)
    yield from task.wait(second)


@pytest.mark.parametrize("burst", [0, 1])
@pytest.mark.parametrize(("program", "how", "right"), CASES, ids=[c[0].__name__ for c in CASES])
def test_it_comes_to_what_is_right(
    program: Case, how: dict[str, Any], right: dict[str, Any], burst: int
) -> None:
    host = {"memory_pages": 4000, "cpus": 2, "kernel": "6.12", **how.get("host", {})}
    options = {key: value for key, value in how.items() if key != "host"}
    prices = flat_prices(access=100, zero_fill=900, cow_copy=1900)
    document = run({"p": program}, host=host, prices=prices, check=True, burst=burst, **options)
    found = dict(document["metrics"])
    found["ended"] = next(p["ended"] for p in document["processes"] if p["name"] == "p")
    found["seen"] = document["programs"].get("p", {}).get("seen")
    found["free"] = (
        found["free_pages"]["end"] + document["page_cache_pages_at_end"]
        == (document["host"]["free_at_start_pages"])
    )
    found["at_least_ns"] = min(document["simulated_ns"], right.get("at_least_ns", 0))
    assert {key: found[key] for key in right} == right


def test_there_are_twenty() -> None:
    assert len(CASES) == 20
