"""Wherever a run is cut off, the faults of its processes add up to those of the machine."""

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.machines import flat_prices, run
from support.samples import sample

from sim.base.units import PAGE_BYTES
from sim.engine.figures import Figures
from sim.engine.task import Task
from sim.engine.verbs.process import Process

Life = Generator[Any, Any, None]
PRICES = flat_prices(
    zero_fill=1000, cow_copy=2000, exit_base=5_000, fork_base=3_000, frame_free=2_000
)
HOST = {"memory_pages": 2000, "cpus": 2}
BUSY_NS = 150_000
"""Longer than any of the programs here takes."""

sizes = st.lists(st.integers(1, 12), min_size=1, max_size=4)


def fills(task: Process, pages: int) -> Life:
    region = yield from task.mmap(pages * PAGE_BYTES)
    yield from task.write(region)


def threads(task: Process, pages: list[int]) -> Life:
    """Fill pages in a thread for each number of them, and in a child that is forked meanwhile."""
    for n in pages:
        yield from task.thread(fills, n)
    yield from task.fork(fills, 5)
    yield from fills(task, 3)
    yield from task.sleep(len(pages) * 20_000)


def surplus(pages: list[int], horizon_ns: int, warmup_ns: int = 0) -> int:
    """Return how many faults more the processes had than the machine."""
    document = run(
        {"p": lambda task: threads(task, pages), "q": lambda task: threads(task, pages[::-1])},
        host=HOST,
        prices=PRICES,
        horizon_ns=horizon_ns,
        warmup_ns=warmup_ns,
    )
    processes = document["processes"]
    assert all(sum(p["faults"].values()) == p["minor_faults"] for p in processes)
    return sum(p["minor_faults"] for p in processes) - int(document["metrics"]["minor_faults"])


@pytest.mark.stress
@settings(max_examples=sample(30, 2000), deadline=None)
@given(pages=sizes, horizon_ns=st.integers(1, BUSY_NS), warm=st.sampled_from([0, 0, 1, 3]))
def test_faults_of_processes_add_up_to_those_of_the_run(
    pages: list[int], horizon_ns: int, warm: int
) -> None:
    assert surplus(pages, horizon_ns, warm * horizon_ns // 4) == 0


def test_counting_a_thread_before_it_has_ended_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Figures.take

    def too_early(figures: Figures, task: Task) -> None:
        for other in task.group.threads.values():
            task.group.faults += figures._faults_so_far(other)
        take(figures, task)

    monkeypatch.setattr(Figures, "take", too_early)
    found = {surplus([7, 9], horizon_ns) for horizon_ns in range(10_000, 60_000, 10_000)}
    assert max(found) > 0
