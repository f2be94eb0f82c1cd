"""Run queues by themselves: who comes first, what is counted.  No program runs."""

from typing import Any

import pytest
from support.machines import machine

from sim.engine import runqueue
from sim.engine.clock import Clock
from sim.engine.cpus import Cpus
from sim.engine.table import TaskTable
from sim.machine.layout import FOREVER, NONE
from sim.machine.turns import STEPS, set_key
from sim.machine.words import E_BUSY, E_WORDS
from sim.policy.schedulers import FIFO, ROUND_ROBIN, SCHEDULERS, WOKE, scheduler

QUANTUM = 4_000_000


class Queues:
    """Tasks on a machine of two CPUs, none of which does anything."""

    def __init__(self, policy: int = FIFO, cpus: int = 2) -> None:
        box = machine(memory_pages=100, cpus=cpus)
        clock = Clock()
        self.m = box.arrays
        self.m.clock[0].sample_next_ns = FOREVER
        self.cpus = Cpus(box, clock, TaskTable(box, clock, 1, 0), policy, QUANTUM)
        self._box = box

    def arrive(self, now_ns: int, pin: int = NONE) -> int:
        """Enqueue a new task, which has something to do; return its row."""
        row = self._box.new_task()
        self.m.tasks[row].pin = pin
        self.m.words.entities[row * E_WORDS + E_BUSY] = 1
        runqueue.enqueue(self.m, row, WOKE, now_ns)
        return row

    def hand_out(self, now_ns: int) -> list[int]:
        """Hand CPUs out; return who has which."""
        assert runqueue.hand_out(self.m, now_ns) == NONE
        return [int(c.task) for c in self.m.cpus]


@pytest.mark.parametrize(
    ("policy", "ends_ns"), [(ROUND_ROBIN, QUANTUM), (FIFO, FOREVER)], ids=["round_robin", "fifo"]
)
def test_who_comes_first_goes_first(policy: int, ends_ns: int) -> None:
    ready = Queues(policy, cpus=1)
    rows = [ready.arrive(0) for _ in range(3)]
    order = []
    for _ in rows:
        order += ready.hand_out(0)
        assert int(ready.m.cpus[0].slice_end_ns) == ends_ns
        runqueue.vacate(ready.m, 0, 0)
    assert order == rows
    assert ready.hand_out(0) == [NONE]


def test_after_its_slice_a_task_goes_to_the_tail() -> None:
    ready = Queues(ROUND_ROBIN, cpus=1)
    one, two = ready.arrive(0), ready.arrive(0)
    order = []
    for now_ns in range(5):
        order += ready.hand_out(now_ns)
        runqueue.preempt(ready.m, 0, now_ns)
    assert order == [one, two, one, two, one]


def test_a_free_cpu_is_given_the_lowest_number_first() -> None:
    ready = Queues(cpus=5)
    rows = [ready.arrive(0) for _ in range(3)]
    assert ready.hand_out(0) == [*rows, NONE, NONE]
    runqueue.vacate(ready.m, 1, 0)
    late = ready.arrive(7)
    assert ready.hand_out(7) == [rows[0], late, rows[2], NONE, NONE]


def test_a_cpu_whose_task_is_done_is_given_away() -> None:
    ready = Queues(cpus=1)
    done, next_one = ready.arrive(0), ready.arrive(0)
    assert ready.hand_out(0) == [done]
    ready.m.entities[done].busy = 0
    assert ready.hand_out(5) == [done], "nobody has said so"
    runqueue.look_at(ready.m, 0)
    assert ready.hand_out(5) == [next_one]


def test_a_task_that_was_cancelled_in_the_queue_gets_no_cpu() -> None:
    ready = Queues(cpus=1)
    cancelled, other = ready.arrive(0), ready.arrive(0)
    ready.m.entities[cancelled].busy = 0
    assert ready.hand_out(3) == [other]
    assert ready.cpus.little_residual(9) == 0


def test_a_bound_task_runs_on_its_cpu_only() -> None:
    ready = Queues()
    bound = ready.arrive(0, pin=1)
    assert ready.hand_out(5) == [NONE, bound]
    second = ready.arrive(6, pin=1)
    assert ready.hand_out(6) == [NONE, bound]
    runqueue.vacate(ready.m, 1, 0)
    assert ready.hand_out(7) == [NONE, second]


@pytest.mark.parametrize(("bound_since", "free_since"), [(1, 2), (2, 1), (1, 1)])
def test_of_bound_and_free_tasks_the_one_that_has_waited_longest_goes_first(
    bound_since: int, free_since: int
) -> None:
    ready = Queues(cpus=1)
    since: dict[str, Any] = {"bound": (bound_since, 0), "free": (free_since, NONE)}
    rows = {who: ready.arrive(*since[who]) for who in sorted(since, key=lambda w: since[w][0])}
    first = "bound" if bound_since < free_since else "free"
    assert ready.hand_out(10) == [rows[first]]


def test_contention_that_begins_after_a_slice_has_ended_ends_it_at_the_next_tick() -> None:
    ready = Queues(ROUND_ROBIN, cpus=1)  # ticks of 4 ms
    ready.arrive(0)
    ready.hand_out(0)
    ready.arrive(9_000_000)
    assert turn_ends_ns(ready) == 12_000_000
    ready.arrive(9_500_000, pin=0)  # behind who has been waiting: no new contention
    assert turn_ends_ns(ready) == 12_000_000


def turn_ends_ns(ready: Queues) -> int:
    return int(getattr(runqueue.turn_ends_ns, "py_func", runqueue.turn_ends_ns)(ready.m, 0))


def test_waits_and_lengths_agree() -> None:
    """Little's law is an identity: also with waits under way, and from the end of a warm-up."""
    ready = Queues(cpus=1)
    ready.arrive(0)
    second = ready.arrive(3, pin=0)
    ready.hand_out(5)
    assert ready.cpus.little_residual(10) == 0
    ready.cpus.restart(20)
    ready.arrive(25)
    runqueue.vacate(ready.m, 0, 0)
    assert ready.hand_out(30) == [second]
    sched = ready.m.sched[0]
    assert (int(ready.m.clock[0].runnable), int(sched.enqueued)) == (1, 2)
    assert int(sched.waited_low) == 10  # of 27, what lies behind the warm-up
    assert ready.cpus.little_residual(41) == 0
    sched.area_low += 1
    assert ready.cpus.little_residual(42) == 1  # negative control: a task too many for 1 ns


def test_the_tournament_finds_the_lowest_of_the_smallest() -> None:
    """For every pair of keys on seven CPUs: the winner, and the time of the others."""
    from sim.machine import turns

    ready = Queues(cpus=7)
    m = ready.m
    first = getattr(turns.first_cpu, "py_func", turns.first_cpu)
    others = getattr(turns.others_key, "py_func", turns.others_key)
    assert first(m, STEPS) == NONE
    keys: dict[int, int] = {}
    for cpu, key in [(5, 9), (2, 9), (6, 3), (0, 9), (6, FOREVER), (1, 4), (1, 12), (3, 9)]:
        set_key(m, STEPS, cpu, key)
        keys = {c: k for c, k in {**keys, cpu: key}.items() if k < FOREVER}
        winner = min(keys, key=lambda c: (keys[c], c))
        assert first(m, STEPS) == winner
        rest = [keys[c] + (c > winner) for c in keys if c != winner]
        assert others(m, STEPS, winner) == min([*rest, FOREVER])


def test_a_scheduler_of_ones_own_is_not_among_those_that_ship() -> None:
    @scheduler("mine")
    class Mine:
        pass

    assert Mine.scheduler_name == "mine"
    assert "mine" not in SCHEDULERS
