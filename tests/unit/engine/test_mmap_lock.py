"""Who waits for the mmap lock while another thread is inside a long call: as measured on Linux."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
from support.machines import flat_prices, run

from sim.base.units import PAGE_BYTES
from sim.engine.verbs.process import Process
from sim.program.api import Region

Life = Generator[Any, Any, None]
Times = dict[str, int]

PRICES = flat_prices(
    **dict.fromkeys(("zero_fill", "zero_page_map", "unmap_pte", "protect_pte"), 1000),
    fork_table=100_000,
    collapse=1_000_000,
    mmap_call=500,
)
PAGES = 2048
BEGIN_NS = 10_000_000
HOST = {"memory_pages": 12_000, "cpus": 4, "thp": 1, "kernel": "6.18"}


def during(
    long: Callable[[Process, Region], Life],
    short: Callable[[Process, Region], Life],
    *,
    filled: bool = True,
    kernel: str = "6.18",
    delay_ns: int = 100_000,
) -> tuple[int, int]:
    """Return how long `short` took that a thread began inside `long`, and what `long` had left."""
    times: Times = {}

    def other(task: Process, small: Region) -> Life:
        yield from task.sleep_until(BEGIN_NS + delay_ns)
        times["asked"] = task.now_ns
        yield from short(task, small)
        times["answered"] = task.now_ns

    def program(task: Process) -> Life:
        region = yield from task.mmap(PAGES * PAGE_BYTES)
        yield from task.madvise(region, "hugepage")
        small = yield from task.mmap(16 * PAGE_BYTES)  # below it: fork comes there first
        yield from task.write(small)
        if filled:
            yield from task.madvise(region, "nohugepage")
            yield from task.write(region)
            yield from task.madvise(region, "hugepage")
        thread = yield from task.thread(other, small)
        yield from task.sleep_until(BEGIN_NS)
        yield from long(task, region)
        times["ended"] = task.now_ns
        yield from task.join(thread)

    document = run({"p": program}, host={**HOST, "kernel": kernel}, prices=PRICES, check=True)
    assert document["ending"] == "idle", document["deadlock"]
    assert times["asked"] < times["ended"], "the long call was too short"
    return times["answered"] - times["asked"], times["ended"] - times["answered"]


def maps(task: Process, _: Region) -> Life:
    yield from task.mmap(PAGE_BYTES)


def gives_back(task: Process, small: Region) -> Life:
    yield from task.dontneed(small, 0, 1)


def fills(task: Process, small: Region) -> Life:
    yield from task.madvise(small, "populate_write", 0, 1)


def unmaps_all(task: Process, region: Region) -> Life:
    yield from task.munmap(region)


def shrinks(task: Process, region: Region) -> Life:
    yield from task.mremap(region, PAGE_BYTES)


def populates(task: Process, region: Region) -> Life:
    yield from task.madvise(region, "nohugepage")
    yield from task.madvise(region, "populate_write")


def locks(task: Process, region: Region) -> Life:
    yield from task.madvise(region, "nohugepage")
    yield from task.mlock(region)


def drops(task: Process, region: Region) -> Life:
    yield from task.dontneed(region)


def frees(task: Process, region: Region) -> Life:
    yield from task.madvise(region, "free")


def protects(task: Process, region: Region) -> Life:
    yield from task.mprotect(region, "r")


def forks(task: Process, region: Region) -> Life:
    yield from task.fork(_nothing)


def collapses(task: Process, region: Region) -> Life:
    yield from task.madvise(region, "collapse")


def _nothing(task: Process) -> Life:
    yield from task.compute(1)


NONE, READING, WRITING = set[Any](), {maps}, {maps, fills}
HOLDS = [
    (unmaps_all, True, READING),
    (shrinks, True, READING),
    (populates, False, READING),
    (locks, False, READING),
    (drops, True, NONE),
    (frees, True, NONE),
    (protects, True, WRITING),
    (forks, True, WRITING | {gives_back}),
]


@pytest.mark.parametrize(("long", "filled", "waiting"), HOLDS)
@pytest.mark.parametrize("short", [maps, fills, gives_back])
def test_who_waits_for_whom(long: Any, filled: bool, waiting: set[Any], short: Any) -> None:
    delay_ns = 720_000 if long is forks else 100_000  # it has come to the small region by then
    took_ns, left_ns = during(long, short, filled=filled, delay_ns=delay_ns)
    if short in waiting:
        assert left_ns <= 0, "it did not wait"
        assert took_ns > 20_000
    else:
        assert left_ns > 0
        assert took_ns < 10_000


@pytest.mark.parametrize("long", [unmaps_all, shrinks])
def test_before_4_20_unmapping_excludes_readers_to_its_end(long: Any) -> None:
    assert during(long, fills, kernel="4.19")[1] <= 0


@pytest.mark.parametrize("long", [drops, frees])
def test_before_6_17_giving_pages_back_is_reading(long: Any) -> None:
    assert during(long, maps, kernel="6.16")[1] <= 0
    assert during(long, gives_back, kernel="6.16")[1] > 0


def test_a_collapse_lets_others_in_between_its_blocks() -> None:
    took_ns, left_ns = during(collapses, maps)
    assert 0 < took_ns < 2_200_000, "it waited for one block, or two"
    assert left_ns > 0


def test_a_range_of_several_areas_is_read() -> None:
    """MADV_DONTNEED over a hole, or over two areas, does not lock one area."""

    def over_two(task: Process, region: Region) -> Life:
        yield from task.mprotect(region, "r", 0, 1)
        yield from task.dontneed(region)

    assert during(over_two, maps)[1] <= 0


def test_who_comes_first_is_served_first_whatever_it_runs_on() -> None:
    served: list[int] = []

    def waiter(task: Process, number: int) -> Life:
        yield from task.sleep_until(BEGIN_NS + 100_000 + 1000 * number)
        yield from task.mmap(PAGE_BYTES)
        served.append(number)

    def program(task: Process) -> Life:
        region = yield from task.mmap(PAGES * PAGE_BYTES)
        threads = []
        for number in range(5):
            thread = yield from task.thread(waiter, number)
            threads.append(thread)
        yield from task.sleep_until(BEGIN_NS)
        yield from task.mlock(region)
        for thread in threads:
            yield from task.join(thread)

    for cpus in (1, 2, 3):
        run({"p": program}, host={**HOST, "cpus": cpus}, prices=PRICES, check=True)
        assert served == [0, 1, 2, 3, 4]
        served.clear()


def test_a_reader_stands_behind_a_writer_that_waits() -> None:
    """Linux's lock serves nobody who comes later first; a fault on a known area needs no turn."""
    ended: Times = {}

    def at(name: str, delay_ns: int, short: Any) -> Any:
        def body(task: Process, small: Region) -> Life:
            yield from task.sleep_until(BEGIN_NS + delay_ns)
            yield from short(task, small)
            ended[name] = task.now_ns

        return body

    def touches(task: Process, small: Region) -> Life:
        yield from task.dontneed(small, 2, 1)
        yield from task.write(small, first=2, pages=1)

    def program(task: Process) -> Life:
        small = yield from task.mmap(16 * PAGE_BYTES)
        yield from task.write(small)
        yield from task.mprotect(small, "none", 15, 1)
        region = yield from task.mmap(PAGES * PAGE_BYTES)
        threads = []
        for name, delay_ns, short in (
            ("writer", 100_000, maps),
            ("reader", 200_000, fills),
            ("fault", 200_000, touches),
        ):
            threads.append((yield from task.thread(at(name, delay_ns, short), small)))
        yield from task.sleep_until(BEGIN_NS)
        yield from task.madvise(region, "populate_write")
        ended["holder"] = task.now_ns
        for thread in threads:
            yield from task.join(thread)

    run({"p": program}, host=HOST, prices=PRICES, check=True)
    assert ended["fault"] < BEGIN_NS + 300_000
    assert ended["holder"] <= ended["writer"] <= ended["reader"]


def test_a_lock_is_given_back_though_the_others_have_gone() -> None:
    """The last other thread ends in the middle of the call; a later one finds the lock free."""

    def brief(task: Process) -> Life:
        yield from task.sleep_until(BEGIN_NS + 200_000)

    def later(task: Process) -> Life:
        yield from task.mmap(PAGE_BYTES)

    def program(task: Process) -> Life:
        region = yield from task.mmap(PAGES * PAGE_BYTES)
        yield from task.write(region)
        yield from task.thread(brief)
        yield from task.sleep_until(BEGIN_NS)
        yield from task.mprotect(region, "r")
        assert task.now_ns > BEGIN_NS + 1_000_000
        second = yield from task.thread(later)
        yield from task.join(second)

    document = run({"p": program}, host=HOST, prices=PRICES, check=True)
    assert document["ending"] == "idle", document["deadlock"]


def test_a_process_that_is_killed_in_the_middle_leaves_nobody_waiting() -> None:
    """The holder and those who wait end together; whoever lives on is another process."""

    def waits(task: Process) -> Life:
        yield from task.sleep_until(BEGIN_NS + 100_000)
        yield from task.mmap(PAGE_BYTES)

    def strays(task: Process, forbidden: Region) -> Life:
        yield from task.sleep_until(BEGIN_NS + 300_000)
        yield from task.write(forbidden)

    def program(task: Process) -> Life:
        forbidden = yield from task.mmap(PAGE_BYTES)
        yield from task.write(forbidden)
        yield from task.mprotect(forbidden, "r")
        region = yield from task.mmap(PAGES * PAGE_BYTES)
        yield from task.thread(waits)
        yield from task.thread(waits)
        yield from task.thread(strays, forbidden)
        yield from task.sleep_until(BEGIN_NS)
        yield from task.mlock(region)

    document = run({"p": program}, host=HOST, prices=PRICES, check=True)
    assert document["ending"] == "idle", document["deadlock"]
    assert document["processes"][0]["ended"] == "segfault"
    assert document["metrics"]["free_pages"]["end"] == document["host"]["free_at_start_pages"]
