"""The end of warm-up cuts every count of faults, whoever had them, and no program notices."""

from collections.abc import Generator
from typing import Any

from support.machines import flat_prices, run

from sim.base.units import PAGE_BYTES
from sim.engine.verbs.process import Process
from sim.program.api import Region

Life = Generator[Any, Any, None]
PRICES = flat_prices(zero_fill=1000, cow_copy=2000)
CUT_NS = 1_000_000
HOST = {"memory_pages": 2000, "cpus": 2}


def faults(programs: dict[str, Any]) -> dict[str, int]:
    """Return the minor faults of each process, and of the run, from the end of warm-up on."""
    document = run(programs, host=HOST, prices=PRICES, check=True, warmup_ns=CUT_NS)
    found = {p["name"]: p["minor_faults"] for p in document["processes"]}
    assert sum(found.values()) == document["metrics"]["minor_faults"]
    assert all(sum(p["faults"].values()) == p["minor_faults"] for p in document["processes"])
    return found


def fills(task: Process, pages: int, from_ns: int = 0) -> Life:
    yield from task.sleep_until(from_ns)
    region = yield from task.mmap(pages * PAGE_BYTES)
    yield from task.write(region)


def test_a_process_that_ended_before_had_none() -> None:
    found = faults({"early": lambda t: fills(t, 30), "late": lambda t: fills(t, 20, 2 * CUT_NS)})
    assert found == {"early": 0, "late": 20}


def test_a_thread_that_lives_through_it_counts_from_there() -> None:
    def program(task: Process) -> Life:
        def both(thread: Process) -> Life:
            yield from fills(thread, 30)
            before = thread.faults("zero_fill")
            yield from fills(thread, 7, 2 * CUT_NS)
            assert (before, thread.faults("zero_fill")) == (30, 37)

        thread = yield from task.thread(both)
        yield from task.join(thread)
        assert task.faults("zero_fill") == 0

    assert faults({"p": program}) == {"p": 7}


def test_children_of_threads_are_cut_like_all_others() -> None:
    def program(task: Process) -> Life:
        def forks(thread: Process, region: Region) -> Life:
            child = yield from thread.fork(copies, region)
            yield from thread.wait(child)

        def copies(child: Process, region: Region) -> Life:
            yield from child.write(region, pages=10)
            yield from child.sleep_until(2 * CUT_NS)
            yield from child.write(region, first=10, pages=5)

        region = yield from task.mmap(40 * PAGE_BYTES)
        yield from task.write(region)
        thread = yield from task.thread(forks, region)
        yield from task.join(thread)
        yield from task.write(region, first=20, pages=3)

    assert faults({"p": program}) == {"p": 3, "p/1": 5}


def test_a_process_that_is_killed_keeps_what_it_had_since() -> None:
    def program(task: Process) -> Life:
        yield from fills(task, 30)
        yield from fills(task, 9, 2 * CUT_NS)
        yield from task.write(Region(99, 1))

    assert faults({"p": program}) == {"p": 9}
