"""Whom EEVDF's tree finds is whom a look at every task that waits finds, ties included."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from support.queues import MS, QUANTUM, Ready

from sim.machine.layout import NONE
from sim.policy.schedulers import eevdf

CPUS = 2


def waiting(m: Any, queue: int) -> Iterator[int]:
    """Yield who waits in a queue, in order of arrival."""
    task = int(m.queues[queue].head)
    while task != NONE:
        yield task
        task = int(m.entities[task].next)


def by_looking(m: Any, queue: int) -> int:
    """Return the first of those with the earliest deadline that have had no more than their share.

    What is compared is not divided: (vruntime - V) <= weighted / load.
    """
    q = m.queues[queue]
    best, earliest = NONE, None
    for task in waiting(m, queue):
        e = m.entities[task]
        sooner = earliest is None or e.deadline < earliest
        if sooner and int(e.vruntime - q.vruntime) * int(q.load) <= int(q.weighted):
            best, earliest = task, int(e.deadline)
    return best


def in_tree(m: Any, task: int) -> Iterator[int]:
    """Yield the tasks of a subtree in order; check what each knows of its own."""
    if task == NONE:
        return
    e = m.entities[task]
    for child in (e.left, e.right):
        assert child == NONE or m.entities[child].above == task
    left, right = (list(in_tree(m, int(child))) for child in (e.left, e.right))
    assert e.min_vruntime == min(m.entities[t].vruntime for t in (*left, task, *right))
    yield from (*left, task, *right)


def depth(m: Any, task: int) -> int:
    if task == NONE:
        return 0
    e = m.entities[task]
    return 1 + max(depth(m, int(e.left)), depth(m, int(e.right)))


def change(rng: random.Random, ready: Ready, asleep: list[int], now_ns: int) -> None:
    """Let a task come, wake, use CPU time, lose its CPU or block; some begin and end alike."""
    what, cpu = rng.random(), rng.randrange(CPUS)
    runs = ready.m.cpus[cpu].task != NONE
    if what < 0.25:
        pin = rng.choice((NONE, NONE, 0, 1))
        ready.arrive(now_ns, nice=rng.choice((0, 0, 0, -5, 7)), pin=pin)
    elif what < 0.5 and asleep:
        ready.wake(asleep.pop(rng.randrange(len(asleep))), now_ns)
    elif what < 0.65 and runs:
        asleep.append(int(ready.m.cpus[cpu].task))
        ready.blocks(now_ns, cpu)
    elif runs:
        ready.use(rng.choice((MS, MS, QUANTUM, 10 * MS, 123_457)), cpu)
        if rng.random() < 0.7:
            ready.slice_over(now_ns, cpu)
    ready.running(now_ns)


@pytest.mark.parametrize("seed", range(12))
def test_the_tree_finds_whom_looking_at_all_that_wait_finds(seed: int) -> None:
    ready = Ready("eevdf", cpus=CPUS)
    m, rng = ready.m, random.Random(seed)
    asleep: list[int] = []
    ties = longest = 0
    for step in range(200):
        change(rng, ready, asleep, step * MS)
        for queue in range(1, 1 + CPUS):
            order, expected = list(waiting(m, queue)), by_looking(m, queue)
            assert eevdf.earliest(m, queue) == expected
            deadlines = [int(m.entities[task].deadline) for task in order]
            by_deadline = sorted(order, key=lambda task: m.entities[task].deadline)
            assert list(in_tree(m, int(m.queues[queue].root))) == by_deadline
            ties += len(deadlines) - len(set(deadlines))
            longest = max(longest, len(order))
    assert ties > 10
    assert longest > 10


def test_tasks_that_come_in_order_make_no_deep_tree() -> None:
    ready = Ready("eevdf")
    for _ in range(2000):
        ready.arrive()
    assert len(list(waiting(ready.m, 1))) == 2000
    assert depth(ready.m, int(ready.m.queues[1].root)) < 40
