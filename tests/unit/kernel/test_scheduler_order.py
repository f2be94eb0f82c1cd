"""Schedulers by themselves: enqueue, pick, compare.  No simulator."""

import pytest

from sim.engine.runqueue import RunQueue
from sim.policy.schedulers import FOREVER_NS, SCHEDULERS, scheduler

QUANTUM = 4_000_000


@pytest.mark.parametrize(("kind", "slice_ns"), [("round_robin", QUANTUM), ("fifo", FOREVER_NS)])
def test_who_comes_first_goes_first(kind: str, slice_ns: int) -> None:
    policy = SCHEDULERS[kind](QUANTUM)
    assert policy.pick(0) is None
    for pid in (5, 3, 4):
        policy.enqueue(pid, 0)
    assert [policy.pick(9) for _ in range(4)] == [
        (5, slice_ns),
        (3, slice_ns),
        (4, slice_ns),
        None,
    ]


def test_after_its_slice_a_task_goes_to_the_tail() -> None:
    policy = SCHEDULERS["round_robin"](QUANTUM)
    for pid in (1, 2):
        policy.enqueue(pid, 0)
    order = []
    for now in range(5):
        picked = policy.pick(now)
        assert picked is not None
        order.append(picked[0])
        policy.enqueue(picked[0], now)
    assert order == [1, 2, 1, 2, 1]


def test_a_scheduler_of_ones_own_is_not_among_those_that_ship() -> None:
    @scheduler("mine")
    class Mine:
        pass

    assert Mine.scheduler_name == "mine"
    assert set(SCHEDULERS) == {"fifo", "round_robin"}


def queue() -> RunQueue:
    return RunQueue(SCHEDULERS["fifo"], QUANTUM)


def test_a_bound_task_runs_on_its_cpu_only() -> None:
    ready = queue()
    ready.enqueue(7, 1, 0)
    assert not ready.waits_for(0)
    assert ready.waits_for(1)
    assert ready.pick(0, 5) is None
    assert ready.pick(1, 5) == (7, FOREVER_NS, 5)
    assert not ready


@pytest.mark.parametrize(("bound_since", "free_since", "first"), [(1, 2, 7), (2, 1, 8)])
def test_of_bound_and_free_tasks_the_one_that_has_waited_longest_goes_first(
    bound_since: int, free_since: int, first: int
) -> None:
    ready = queue()
    for since, pid, pin in sorted([(bound_since, 7, 0), (free_since, 8, None)]):
        ready.enqueue(pid, pin, since)
    picked = ready.pick(0, 10)
    assert picked is not None
    assert picked[0] == first


def test_waits_and_lengths_agree() -> None:
    """Little's law is an identity: also with waits under way, and from the end of a warm-up."""
    ready = queue()
    ready.enqueue(1, None, 0)
    ready.enqueue(2, 0, 3)
    assert ready.pick(0, 5) == (1, FOREVER_NS, 5)
    assert ready.little_residual(10) == 0
    ready.restart(20)
    ready.enqueue(3, None, 25)
    assert (len(ready), ready.enqueued) == (2, 2)
    assert ready.pick(0, 30) == (2, FOREVER_NS, 27)
    assert ready.waited_ns == 10  # of 27, what lies behind the warm-up
    assert ready.little_residual(41) == 0
    ready.length.add(41, 1)
    assert ready.little_residual(42) == 1  # negative control: a task too many for 1 ns
