"""Laws of what protects a group, and of what slows one down."""

from collections.abc import Generator
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.machines import flat_prices, run
from support.samples import sample

from sim.engine.groups import GroupSpec
from sim.engine.verbs.process import Process
from sim.machine.layout import FOREVER

Life = Generator[Any, Any, None]


def kept_and_scanned(
    kept: int, others: int, room: int, spec: dict[str, int], *, of_machine: bool, kernel: str
) -> tuple[int, int, int]:
    """Return pages left, scanned in a group that read `kept` pages, and stolen beside it.

    Beside it another reads `others`: in a group with both, which has `room` for more; or on a
    machine that has no more than that.  Little of it is under way from the device at a time.
    """

    def keeps(process: Process) -> Life:
        yield from process.pread("kept", kept)
        yield from process.sleep(50_000_000)

    def reads(process: Process) -> Life:
        yield from process.sleep(10_000_000)
        for _ in range(2):
            yield from process.pread("other", others)

    size = kept + room + 100
    document = run(
        {"k": keeps, "r": reads},
        host={
            "memory_pages": size + 150 if of_machine else 6000,
            "cpus": 2,
            "kernel": kernel,
            "largest_read_pages": 32,
        },
        groups=(
            GroupSpec("pod", max_pages=FOREVER if of_machine else size, **spec),
            GroupSpec("kept", "pod", **spec),
            GroupSpec("other", "pod"),
        ),
        groups_of={"k": "kept", "r": "other"},
        prices=flat_prices(cache_fill=200, reclaim_page=300),
    )
    found = document["groups"]
    left = found["kept"]["file_bytes"] // 4096
    return left, found["kept"]["pages_scanned"], found["other"]["pages_stolen"]


sizes = {
    "kept": st.integers(40, 300),
    "room": st.integers(200, 400),
    "more": st.integers(1, 600),
    "of_machine": st.booleans(),
    "kernel": st.sampled_from(["4.19", "5.15", "6.12", "6.18"]),
}


@settings(max_examples=sample(15, 1_000))
@given(**sizes, key=st.sampled_from(["low_pages", "min_pages"]))
@example(kept=300, room=200, more=600, of_machine=False, kernel="6.12", key="low_pages")
@example(kept=300, room=200, more=600, of_machine=True, kernel="6.18", key="min_pages")
def test_no_page_of_a_protected_group_is_scanned_while_there_are_others(
    kept: int, room: int, more: int, of_machine: bool, kernel: str, key: str
) -> None:
    left, scanned, _ = kept_and_scanned(
        kept, room + more, room, {key: kept + 100}, of_machine=of_machine, kernel=kernel
    )
    assert (left, scanned) == (kept, 0)


def test_the_law_can_fail() -> None:
    """Negative control: unprotected, the same group is scanned; and something was to be had."""
    how = {"of_machine": False, "kernel": "6.12"}
    left, scanned, stolen = kept_and_scanned(300, 800, 200, {}, **how)
    assert scanned > 0 < stolen
    assert left < 300
    *_, stolen = kept_and_scanned(300, 800, 200, {"low_pages": 400}, **how)
    assert stolen > 0


def slept(high: int, pages: int, hz: int) -> tuple[int, int, int]:
    """Return how often, and for how long, a process slept that wrote `pages`; and `high` events."""

    def grows(process: Process) -> Life:
        yield from process.write((yield from process.mmap(pages * 4096)))

    document = run(
        {"p": grows},
        host={"memory_pages": 4000, "hz": hz, "kernel": "6.12"},
        groups=(GroupSpec("pod", high_pages=high),),
        groups_of={"p": "pod"},
        prices=flat_prices(),
    )
    pod = document["groups"]["pod"]
    return pod["high_sleeps"], pod["high_slept_ns"], pod["events"]["high"]


@settings(max_examples=sample(15, 1_000))
@given(
    high=st.integers(1, 1500),
    more=st.integers(1, 500),
    pages=st.integers(64, 1500),
    hz=st.sampled_from([100, 250, 300, 1000]),
)
@example(high=900, more=64, pages=1200, hz=250)
def test_more_memory_high_never_brings_more_sleep(
    high: int, more: int, pages: int, hz: int
) -> None:
    assert all(
        less <= as_much
        for less, as_much in zip(slept(high + more, pages, hz), slept(high, pages, hz), strict=True)
    )


def test_the_sleeps_compared_are_some() -> None:
    assert slept(900, 1200, 250)[0] > slept(964, 1200, 250)[0] > 0
