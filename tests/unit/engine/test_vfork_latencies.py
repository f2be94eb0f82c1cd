"""How long vfork and posix_spawn hold their caller: by the prices, to the ns."""

from typing import Any

import pytest
from support.machines import flat_prices, run

from sim.base.units import MIB, MS, US
from sim.engine.verbs.process import Process

PRICES = {
    "vfork_base": 40 * US, "exec_base": 180 * US, "exit_base": 30 * US, "mmap_call": US,
    "munmap_call": 2 * US, "zero_fill": 700,
}  # fmt: skip
BORROWED = 40 * US
EXEC = 180 * US + 700
"""exec writes the arguments to a page of the new stack."""
EXIT = 30 * US
AFTER = 9 * 700 + 2 * MS + EXIT
"""What the child does when its program has begun, of which `true` fills 9 pages with zeros."""
OWN_STACK = US + 2 * US + 700
"""Mapped, written by the child, and unmapped again."""


def child(task: Process, before: int, how: str) -> Any:
    if before:
        yield from task.compute(before)
    if how == "exec":
        yield from task.exec("true")
        yield from task.compute(2 * MS)


def vforks(before: int, how: str) -> Any:
    def program(task: Process) -> Any:
        data = yield from task.mmap(MIB)
        yield from task.write(data)
        started_ns = task.now_ns
        yield from task.vfork(child, before, how)
        task.record("held_ns", task.now_ns - started_ns)
        yield from task.wait()

    return program


def spawns(task: Process) -> Any:
    started_ns = task.now_ns
    yield from task.posix_spawn("true", child, 2 * MS, "exit")
    task.record("held_ns", task.now_ns - started_ns)
    yield from task.wait()


def forks(task: Process) -> Any:
    yield from task.fork(child, 9 * MS, "exit")
    yield from task.wait()


def hog(task: Process) -> Any:
    yield from task.compute(200 * MS)


def document_of(program: Any, *, cpus: int = 2, **others: Any) -> dict[str, Any]:
    host = {"memory_pages": 4000, "cpus": cpus}
    document = run({"p": program, **others}, host=host, prices=flat_prices(**PRICES))
    assert document["ending"] == "idle"
    return document


def held(document: dict[str, Any]) -> list[int]:
    return [int(ns) for ns in document["programs"]["p"]["held_ns"]]


@pytest.mark.parametrize(
    ("program", "expected", "cpus"),
    [
        (vforks(0, "exit"), BORROWED + EXIT, 2),
        (vforks(5 * MS, "exit"), BORROWED + 5 * MS + EXIT, 2),
        (vforks(5 * MS, "exit"), BORROWED + 5 * MS + EXIT, 1),
        (vforks(0, "exec"), BORROWED + EXEC, 2),
        (vforks(5 * MS, "exec"), BORROWED + 5 * MS + EXEC, 2),
        (vforks(0, "exec"), BORROWED + EXEC + AFTER, 1),
        (spawns, BORROWED + EXEC + OWN_STACK, 2),
        (spawns, BORROWED + EXEC + OWN_STACK + AFTER, 1),
    ],
)
def test_the_caller_is_held_until_exec_or_exit(program: Any, expected: int, cpus: int) -> None:
    """And until it has a CPU again: the only one is the child's to the end of its slice."""
    document = document_of(program, cpus=cpus)
    vfork = document["metrics"]["vfork_latency_ns"]
    assert held(document) == [expected]
    columns = dict.fromkeys(("mean", "p50", "p90", "p99", "p999", "max"), expected)
    assert vfork == {"count": 1, **columns}
    assert set(document["distributions"]["vfork"]["ns"]) == {expected}
    assert document["metrics"]["fork_latency_ns"]["count"] == 0


def test_it_is_marked_at_its_call_and_at_its_return() -> None:
    document = document_of(spawns)
    marks = {mark["kind"]: mark for mark in document["marks"] if mark["name"] == "p"}
    (took,) = held(document)
    assert marks["vfork"]["t_ns"] - marks["vfork_start"]["t_ns"] == took
    (exec_mark,) = [m for m in document["marks"] if m["kind"] == "exec" and m["name"] != "p"]
    assert marks["vfork_start"]["t_ns"] < exec_mark["t_ns"] < marks["vfork"]["t_ns"]


def test_a_fork_is_none_of_them() -> None:
    """Negative control: fork does not wait for its child, and counts apart."""
    document = document_of(forks)
    assert document["metrics"]["vfork_latency_ns"]["count"] == 0
    assert document["metrics"]["fork_latency_ns"]["max"] < 9 * MS
    assert "vfork" not in document["distributions"]


def test_a_neighbour_on_the_only_cpu_makes_the_child_and_so_its_caller_wait() -> None:
    alone = document_of(vforks(9 * MS, "exit"), cpus=1)
    beside = document_of(vforks(9 * MS, "exit"), cpus=1, hog=hog)
    assert held(beside)[0] > held(alone)[0] + 9 * MS
    assert beside["metrics"]["vfork_latency_ns"]["max"] == held(beside)[0]
