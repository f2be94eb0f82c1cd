"""A run that can go no further says who waits for what, and who holds it."""

from collections.abc import Generator
from typing import Any

import pytest
from support.machines import Program, flat_prices, run

from sim.base.units import PAGE_BYTES
from sim.engine.verbs.process import Process

Life = Generator[Any, Any, None]
PRICES = flat_prices(zero_fill=1000, fork_base=1000, exec_base=1000)
OWN = 5 + 4
"""Frames of a new process: four page tables and a page of its stack; its kernel stack."""


def taking(*pages: int, nap_ns: int = 0) -> Program:
    """Take pages, a mapping after the other, with a nap in between."""

    def take(task: Process) -> Life:
        for number in pages:
            yield from task.write((yield from task.mmap(number * PAGE_BYTES)))
            yield from task.sleep(nap_ns)

    return take


def ending(programs: dict[str, Program], pages: int, **host: Any) -> dict[str, Any]:
    """Run on a machine with `pages` frames beside one of the kernel's."""
    host = {"memory_pages": pages + 1, "cpus": 2, "queueing": True, "overcommit": 1, **host}
    return run(programs, host=host, prices=PRICES, check=True)


def test_two_who_hold_what_the_other_wants() -> None:
    document = ending({"a": taking(20, 20), "b": taking(20, 20)}, 2 * (OWN + 1) + 45)
    assert document["ending"] == "deadlock"
    assert document["deadlock"] == (
        "a waits for memory: 1 frame, with 0 free (held by b); "
        "b waits for memory: 1 frame, with 0 free (held by a)"
    )
    assert document["metrics"]["oom_kills"] == 0
    assert {p["ended"] for p in document["processes"]} == {"running"}


def test_with_a_frame_more_each_there_is_none() -> None:
    """Negative control: the same two, one after the other or on a larger machine."""
    assert (
        ending({"a": taking(20, 20), "b": taking(20, 20)}, 2 * (OWN + 1) + 80)["ending"] == "idle"
    )
    document = ending(
        {"a": taking(20, 20), "b": taking(20, 20)}, 2 * (OWN + 1) + 45, queueing=False
    )
    assert document["ending"] == "idle"
    assert document["metrics"]["oom_kills"] == 1


def test_who_waits_for_a_child_that_waits_for_memory() -> None:
    def parent(task: Process) -> Life:
        yield from task.write((yield from task.mmap(30 * PAGE_BYTES)))
        child = yield from task.fork(taking(30))
        yield from task.wait(child)

    document = ending({"p": parent}, 2 * OWN + 2 + 45)
    assert document["ending"] == "deadlock"
    assert document["deadlock"] == (
        "p waits for its child p/1 to exit (held by p/1); "
        "p/1 waits for memory: 1 frame, with 0 free (held by p)"
    )


def test_who_waits_for_any_child() -> None:
    def parent(task: Process) -> Life:
        yield from task.fork(taking(60))
        yield from task.wait()

    document = ending({"p": parent}, 2 * OWN + 45)
    assert document["deadlock"].startswith("p waits for any of its children to exit; p/1 waits for")


def test_who_has_lent_its_memory() -> None:
    def parent(task: Process) -> Life:
        yield from task.vfork(taking(60))

    document = ending({"p": parent}, OWN + 45)
    assert document["deadlock"] == (
        "p waits for its vfork child p/1 to exec or exit (held by p/1); "
        "p/1 waits for memory: 1 frame, with 0 free (held by p)"
    )


def test_who_waits_for_an_event_of_its_own() -> None:
    def program(task: Process) -> Life:
        yield task.system.env.event()

    assert ending({"p": program}, 100)["deadlock"] == "p waits for an event of its program"


def test_a_fork_that_cannot_have_all_its_frames() -> None:
    def parent(task: Process) -> Life:
        yield from task.write((yield from task.mmap(600 * PAGE_BYTES)))
        yield from task.fork(taking(1))

    document = ending({"p": parent}, OWN + 2 + 600 + 9)
    assert document["deadlock"] == "p waits for memory: 10 frames, with 9 free"
    assert ending({"p": parent}, OWN + 2 + 600 + 10 + 2)["ending"] == "idle"


def test_what_is_kept_back_is_told_beside_what_is_free() -> None:
    document = ending({"p": taking(20, 20)}, OWN + 1 + 30 + 7, min_free_pages=7)
    said = "p waits for memory: 1 frame, with 7 free and 7 kept back (min watermark)"
    assert document["deadlock"] == said


def test_nobody_may_be_killed() -> None:
    document = ending({"p": taking(60), "q": taking(60)}, 2 * OWN + 40, queueing=False)
    assert document["ending"] == "idle"

    def immortal(task: Process) -> Life:
        task.system.machine.process_of(task.task.row).oom_score_adj = -1000
        yield from taking(60)(task)

    document = ending({"p": immortal, "q": immortal}, 2 * OWN + 40, queueing=False)
    assert document["ending"] == "deadlock"
    whine = "waits for memory (out of memory, and no process may be killed: Linux would panic)"
    assert document["deadlock"] == f"p {whine}; q {whine}"


@pytest.mark.parametrize("horizon_ns", [None, 10_000_000_000])
def test_a_deadlock_is_one_with_and_without_a_horizon(horizon_ns: int | None) -> None:
    document = run(
        {"p": taking(60)},
        host={"memory_pages": 40, "cpus": 1, "queueing": True, "overcommit": 1},
        prices=PRICES,
        horizon_ns=horizon_ns,
        sample_every_ns=1_000,
    )
    assert document["ending"] == "deadlock"
    assert document["simulated_ns"] < 1_000_000


def test_what_comes_to_an_end_by_itself_is_no_deadlock() -> None:
    document = ending({"p": taking(3), "z": taking(1, nap_ns=50_000)}, 100)
    assert (document["ending"], document["deadlock"]) == ("idle", None)
    assert document["simulated_ns"] == 50_000 + 1000 + 1000
