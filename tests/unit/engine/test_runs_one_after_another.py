"""A process that carries out one run after the other does not grow with each."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from sim.engine import build
from sim.engine.run import build_simulation, populate
from sim.program import PROGRAMS
from sim.scenario.resolve import resolve
from sim.script.predict import predict
from sim.script.validity import parse_script

SCENARIO = {
    "version": 1,
    "host": {"memory": "32 MiB", "kernel_reserve": "1 MiB"},
    "processes": {"p": {"program": "steps", "steps": [{"mmap": {"name": "A", "size": "1 MiB"}}]}},
}


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """The collector runs only when it is asked."""
    gc.disable()
    yield
    gc.enable()


def run_once() -> "weakref.ref[object]":
    """Run to the end, and return a reference to the machine that does not keep it."""
    resolved = resolve(SCENARIO)
    simulation = build_simulation(resolved, seed=1)
    populate(simulation, resolved, PROGRAMS)
    simulation.run()
    return weakref.ref(simulation.machine)


@pytest.mark.parametrize(("most_bytes", "is_freed"), [(0, True), (1 << 60, False)])
def test_machines_of_earlier_runs_are_freed_once_they_are_large(
    most_bytes: int, is_freed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "MOST_UNCOLLECTED_BYTES", most_bytes)
    build._built_bytes.clear()
    first = run_once()
    run_once()
    assert (first() is None) == is_freed


def test_scripts_leave_nothing_to_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a large process it takes longer than a hundred of them."""
    monkeypatch.setattr(build, "MOST_UNCOLLECTED_BYTES", 0)
    monkeypatch.setattr(build.gc, "collect", lambda: pytest.fail("went through everything"))
    build._built_bytes.clear()
    for _ in range(3):
        predict(parse_script("P map A 9\nP fork C\nC write A 0 8\n"))
