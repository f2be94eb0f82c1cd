"""Reading cold files, against closed forms: with no prices but the device's, its time is all."""

from collections.abc import Generator
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from support.machines import flat_prices, run

from sim.base.units import PAGE_BYTES
from sim.engine.devices import DeviceSpec
from sim.engine.verbs.process import Process
from sim.machine.layout import SWAP_SOLID
from sim.program.patterns import Listed

pytestmark = pytest.mark.truth

LATENCY_NS = 100_000
PAGE_NS = 4096  # at 1e9 bytes/s
WINDOW = 32
PAGES = 512
HOST = {"memory_pages": 3000, "cpus": 4, "kernel": "6.18"}
Program = Any


def reader(name: str, *, advice: str = "normal", step: int = 1) -> Program:
    """Return a program that reads a cold file of its own, every `step`-th page."""

    def program(task: Process) -> Generator[Any, Any, None]:
        data = yield from task.mmap(PAGES * PAGE_BYTES, file=name, cold=True)
        if advice != "normal":
            yield from task.madvise(data, advice)
        wanted = np.arange(0, PAGES, step, dtype=np.int64) * 7919 % PAGES
        how = {"pattern": Listed(wanted)} if advice == "random" else {}
        yield from task.read(data, **how)
        task.record("done_ns", task.now_ns)

    return program


def outcome(
    programs: dict[str, Program], *, depth: int = 32, ahead: int = WINDOW, **how: Any
) -> dict[str, Any]:
    disk = DeviceSpec(LATENCY_NS, 1e9, depth)
    host = {**HOST, "read_ahead_pages": ahead, "kernel": how.pop("kernel", "6.18")}
    return run(programs, host=host, prices=flat_prices(), disk=disk, **how)


def reads(document: dict[str, Any]) -> tuple[int, int]:
    """Return how many requests read how many pages."""
    return document["disk"]["reads"], document["disk"]["pages_read"]


def done_ns(document: dict[str, Any], name: str = "p") -> int:
    return int(document["programs"][name]["done_ns"][0])


def test_random_reads_take_a_latency_and_a_page_each():
    document = outcome({"p": reader("data", advice="random")})
    assert document["metrics"]["major_faults"] == PAGES
    assert document["metrics"]["minor_faults"] == 0
    assert done_ns(document) == PAGES * (LATENCY_NS + PAGE_NS)
    assert reads(document) == (PAGES, PAGES)
    latency = document["metrics"]["fault_latency_ns"]
    assert latency["count"] == PAGES
    assert latency["mean"] == pytest.approx(LATENCY_NS + PAGE_NS, rel=0.01)
    assert document["processes"][0]["major_faults"] == PAGES


def test_reads_in_sequence_take_two_latencies_and_their_bytes():
    """A reader that takes no time comes to the marker of each window while that is under way.

    So two windows are asked for at a time: the latency hides behind the one before.
    """
    document = outcome({"p": reader("data")})
    assert document["metrics"]["major_faults"] == 1
    assert document["disk"]["pages_read"] == PAGES
    windows = PAGES // WINDOW
    assert document["disk"]["reads"] == windows
    assert WINDOW * PAGE_NS > LATENCY_NS
    assert done_ns(document) == 2 * LATENCY_NS + windows * WINDOW * PAGE_NS


def test_a_reader_that_takes_its_time_never_waits_again():
    """Read-ahead is done while the reader works: only the first window is waited for."""
    window_ns = LATENCY_NS + WINDOW * PAGE_NS

    def program(task: Process) -> Generator[Any, Any, None]:
        data = yield from task.mmap(PAGES * PAGE_BYTES, file="data", cold=True)
        yield from task.read(data, cpu_ns=window_ns // 8)
        task.record("done_ns", task.now_ns)

    document = outcome({"p": program})
    assert done_ns(document) == window_ns + PAGES * (window_ns // 8)


def test_without_read_ahead_every_page_is_waited_for():
    """Negative control: the windows above are what makes the difference."""
    document = outcome({"p": reader("data")}, ahead=0)
    assert document["metrics"]["major_faults"] == PAGES
    assert done_ns(document) == PAGES * (LATENCY_NS + PAGE_NS)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_readers_share_places_and_the_way_to_memory(depth: int):
    """Four at once take four times as long if one is served at a time, hardly longer if all are."""
    programs = {f"p{n}": reader(f"data{n}", advice="random") for n in range(4)}
    document = outcome(programs, depth=depth)
    last = max(done_ns(document, name) for name in programs)
    if depth == 1:
        assert last == 4 * PAGES * (LATENCY_NS + PAGE_NS)
    alone = PAGES * (LATENCY_NS + PAGE_NS)
    assert last == pytest.approx(4 / depth * alone, rel=0.07)
    assert document["metrics"]["major_faults"] == 4 * PAGES


def test_two_readers_of_one_file_wait_for_the_same_reads():
    programs = {"p": reader("data", advice="random"), "q": reader("data", advice="random")}
    document = outcome(programs)
    assert document["disk"]["pages_read"] == PAGES
    assert document["metrics"]["major_faults"] == PAGES
    assert document["metrics"]["minor_faults"] == PAGES
    assert done_ns(document, "p") == done_ns(document, "q") == PAGES * (LATENCY_NS + PAGE_NS)


def two_threads(*, write: bool, shared: bool) -> Program:
    """Return a program of which two threads use the pages of a cold file in the same order."""

    def program(task: Process) -> Generator[Any, Any, None]:
        data = yield from task.mmap(PAGES * PAGE_BYTES, file="data", shared=shared, cold=True)
        yield from task.madvise(data, "random")
        wanted = Listed(np.arange(0, PAGES, dtype=np.int64) * 7919 % PAGES)

        def uses(task: Process) -> Generator[Any, Any, None]:
            if write:
                yield from task.write(data, pattern=wanted)
            else:
                yield from task.read(data, pattern=wanted)

        other = yield from task.thread(uses)
        yield from uses(task)
        yield from task.join(other)

    return program


@pytest.mark.parametrize(("write", "shared"), [(False, True), (True, True), (True, False)])
def test_of_threads_that_wait_for_a_page_each_has_a_fault(write: bool, shared: bool):
    """The second finds the page mapped when it looks again; that was a fault all the same."""
    document = outcome({"p": two_threads(write=write, shared=shared)})
    assert document["disk"]["pages_read"] == PAGES
    assert document["metrics"]["major_faults"] == PAGES
    assert document["metrics"]["minor_faults"] == PAGES
    document = outcome({"p": two_threads(write=write, shared=shared)}, kernel="6.1")
    assert document["metrics"]["major_faults"] == 2 * PAGES
    assert document["metrics"]["minor_faults"] == 0


def test_before_6_7_those_who_waited_count_as_major():
    programs = {"p": reader("data", advice="random"), "q": reader("data", advice="random")}
    document = outcome(programs, kernel="6.1")
    assert document["metrics"]["major_faults"] == 2 * PAGES
    assert document["metrics"]["minor_faults"] == 0


def test_a_cpu_is_free_while_its_task_waits_for_the_disk():
    def busy(task: Process) -> Generator[Any, Any, None]:
        yield from task.compute(PAGES * LATENCY_NS // 2)
        task.record("done_ns", task.now_ns)

    programs = {"p": reader("data", advice="random"), "busy": busy}
    document = outcome(programs, pins={"p": 0, "busy": 0})
    alone = PAGES * (LATENCY_NS + PAGE_NS)
    assert document["metrics"]["cpu_busy_fraction"] * 4 * document["simulated_ns"] == pytest.approx(
        PAGES * LATENCY_NS // 2, rel=0.01
    )
    assert alone <= done_ns(document) < alone + PAGES * LATENCY_NS


SD_NS = 60_000


def waits_ns(sd_ns: int, *, requests: int = 1, n: int = 1500, seed: int = 1) -> Any:
    """Return how long each of `n` reads takes, of so many requests that are served at once."""

    def program(task: Process) -> Generator[Any, Any, None]:
        for number in range(n):
            began_ns = task.now_ns
            yield from task.pread(f"data {number}", requests)
            task.record("took_ns", task.now_ns - began_ns)

    disk = DeviceSpec(LATENCY_NS, 1e15, 32, latency_sd_ns=sd_ns)
    host = {**HOST, "memory_pages": 40_000, "read_ahead_pages": 32, "largest_read_pages": 1}
    document = run({"p": program}, host=host, prices=flat_prices(), disk=disk, seed=seed)
    assert reads(document) == (n * requests, n * requests)
    return np.array(document["programs"]["p"]["took_ns"])


def test_drawn_latencies_are_lognormal_with_that_mean_and_deviation():
    took = np.log(waits_ns(SD_NS))
    variance = np.log1p((SD_NS / LATENCY_NS) ** 2)
    n = len(took)
    assert took.mean() == pytest.approx(
        np.log(LATENCY_NS) - variance / 2, abs=4 * np.sqrt(variance / n)
    )
    assert took.var(ddof=1) == pytest.approx(variance, rel=4 * np.sqrt(2 / n))
    after = took[1:] - took.mean(), took[:-1] - took.mean()
    assert abs(np.mean(after[0] * after[1]) / variance) < 4 / np.sqrt(n), "independent"


def test_a_read_of_several_requests_waits_for_the_slowest():
    """The mean of the largest of four: the integral of 1 - F(x)**4, by its quantiles."""
    took = waits_ns(SD_NS, requests=4, n=800)
    u = ((np.arange(200_000) + 0.5) / 200_000) ** 0.25
    variance = np.log1p((SD_NS / LATENCY_NS) ** 2)
    normal = NormalDist(np.log(LATENCY_NS) - variance / 2, np.sqrt(variance))
    slowest = np.exp([normal.inv_cdf(float(each)) for each in u])
    error = 4 * slowest.std() / np.sqrt(len(took))
    assert took.mean() == pytest.approx(slowest.mean(), abs=error)
    assert slowest.mean() - error > 1.4 * LATENCY_NS, "one that does not vary would be seen"
    assert set(waits_ns(0, requests=4, n=5)) == {LATENCY_NS}


def test_draws_are_those_of_the_replication():
    assert (waits_ns(SD_NS, n=20) == waits_ns(SD_NS, n=20)).all()
    assert (waits_ns(SD_NS, n=20) != waits_ns(SD_NS, n=20, seed=2)).all()


@pytest.mark.parametrize("memory_pages", [6_000, 12_000])
@pytest.mark.parametrize("swap_pages", [0, 4_000])
def test_a_file_larger_than_memory_is_read_in_whole_windows(memory_pages: int, swap_pages: int):
    """Clean pages make room for what is read ahead, one after the other: no window is given up."""
    pages = 2 * memory_pages

    def program(task: Process) -> Generator[Any, Any, None]:
        yield from task.pread("data", pages)
        task.record("done_ns", task.now_ns)

    disk = DeviceSpec(LATENCY_NS, 1e9, 32)
    host = {**HOST, "memory_pages": memory_pages, "swap_pages": swap_pages, "swap_kind": SWAP_SOLID}
    host |= {"read_ahead_pages": WINDOW, "largest_read_pages": 320}
    document = run({"p": program}, host=host, prices=flat_prices(), disk=disk)
    requests, read = reads(document)
    assert read == pages
    assert requests < 1.1 * pages / 320 + 20
    assert done_ns(document) < 1.5 * pages * PAGE_NS
    assert document["metrics"]["pages_stolen"] > memory_pages / 2
    assert document["metrics"]["oom_kills"] == 0
