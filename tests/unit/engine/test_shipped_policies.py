"""Policies that ship: decisions on small queues, and what they come to in a run.

Priorities: the higher first, round robin among equals.  EEVDF: shares by weight, bounded lags.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any

import pytest
from support.machines import flat_prices, run
from support.queues import MS, QUANTUM, Ready

from sim.engine import runqueue
from sim.engine.verbs.process import Process
from sim.machine.layout import NICE_WEIGHTS, NONE

NICES = {"favoured": -5, "plain": 0, "humble": 5}
WEIGHT = {name: NICE_WEIGHTS[nice + 20] for name, nice in NICES.items()}

Life = Generator[Any, Any, None]


# --- priorities -------------------------------------------------------------------------------


def test_the_higher_goes_first_and_equals_in_turn() -> None:
    ready = Ready("priority")
    low = ready.arrive(nice=5)
    one, two = ready.arrive(nice=0), ready.arrive(nice=0)
    assert ready.running(0) == [one]
    assert ready.slice_over(MS) == [two]
    assert ready.slice_over(2 * MS) == [one]
    assert ready.blocks(3 * MS) == [two]
    assert ready.blocks(4 * MS) == [low]


@pytest.mark.parametrize(("nice", "goes_first"), [(-1, True), (0, False), (1, False)])
def test_only_the_higher_preempts(nice: int, goes_first: bool) -> None:
    ready = Ready("priority")
    ready.arrive(nice=0)
    ready.running(0)
    ready.arrive(now_ns=10, nice=nice)
    assert ready.must_go() == goes_first


def test_who_was_preempted_goes_on_before_its_equals_with_the_rest_of_its_slice() -> None:
    ready = Ready("priority")
    one, two = ready.arrive(), ready.arrive()
    assert ready.running(0) == [one]
    urgent = ready.arrive(now_ns=MS, nice=-1)
    ready.use(MS)
    assert ready.slice_over(MS) == [urgent]
    assert ready.blocks(2 * MS) == [one]
    assert int(ready.m.cpus[0].slice_end_ns) == 2 * MS + QUANTUM - MS
    ready.use(QUANTUM - MS)
    assert ready.slice_over(4 * MS) == [two]
    assert int(ready.m.cpus[0].slice_end_ns) == 4 * MS + QUANTUM


@pytest.mark.parametrize("policy", ["priority", "eevdf"])
def test_a_cpu_for_which_nobody_waits_takes_over_one_that_may_move(policy: str) -> None:
    ready = Ready(policy, cpus=2)
    first = ready.arrive(pin=0)
    second = ready.arrive(pin=1)
    bound = ready.arrive(pin=0)
    free = ready.arrive()
    assert ready.running(0) == [first, second]
    runqueue.vacate(ready.m, 1, 0)
    runqueue.look_at(ready.m, 1)
    assert ready.running(MS) == [first, free]
    runqueue.vacate(ready.m, 1, 0)
    runqueue.look_at(ready.m, 1)
    assert ready.running(2 * MS) == [first, NONE], "the other may run on CPU 0 only"
    assert ready.blocks(3 * MS) == [bound, NONE]


@pytest.mark.parametrize("policy", ["priority", "eevdf"])
def test_who_loses_its_cpu_goes_to_one_that_is_idle(policy: str) -> None:
    ready = Ready(policy, cpus=2)
    one = ready.arrive()
    assert ready.running(0) == [one, NONE]
    bound = ready.arrive(now_ns=MS, pin=0)
    assert ready.slice_over(4 * MS) == [bound, one]


# --- EEVDF --------------------------------------------------------------------------------------


def test_the_earliest_deadline_of_those_eligible_goes_first() -> None:
    """New tasks begin at the same virtual time; the heavier one's deadline comes sooner."""
    ready = Ready("eevdf")
    light, heavy = ready.arrive(nice=5), ready.arrive(nice=-5)
    assert ready.running(0) == [heavy]
    ready.use(2 * MS)  # beyond the mean: not eligible, though its deadline is the sooner one
    assert ready.slice_over(2 * MS) == [light]


def test_a_slice_ends_at_the_deadline() -> None:
    """Of a new task after half of one (`PLACE_DEADLINE_INITIAL`), later after one, in ticks."""
    ready = Ready("eevdf")
    one, two = ready.arrive(), ready.arrive()
    assert ready.running(0) == [one]
    assert int(ready.m.cpus[0].slice_end_ns) == 2 * MS  # 1.5 ms
    ready.use(2 * MS)
    assert ready.slice_over(2 * MS) == [two]
    ready.use(2 * MS)
    assert ready.slice_over(4 * MS) == [one]
    assert int(ready.m.cpus[0].slice_end_ns) == 4 * MS + QUANTUM


@pytest.mark.parametrize(
    ("used_ns", "goes_first"),
    [(MS // 2, False), (0, False)],
    ids=["within its request", "at its start"],
)
def test_one_that_runs_alone_is_eligible_to_the_end_of_its_request(
    used_ns: int, goes_first: bool
) -> None:
    """A new task begins at the mean, which is where the one that runs is."""
    ready = Ready("eevdf")
    ready.arrive()
    ready.running(0)
    ready.use(used_ns)
    ready.arrive(now_ns=used_ns, nice=-5)
    assert ready.must_go() == goes_first


def test_a_task_that_slept_with_a_positive_lag_preempts_one_that_is_ahead() -> None:
    ready = Ready("eevdf")
    one, two = ready.arrive(), ready.arrive()
    assert ready.running(0) == [one]
    ready.use(QUANTUM)
    assert ready.slice_over(QUANTUM) == [two]
    ready.use(MS)
    assert ready.blocks(4 * MS) == [one]  # two has had 1 ms, one 3: a lag of 1 ms
    assert ready.m.entities[two].lag == MS
    ready.use(MS // 10)
    ready.wake(two, 4 * MS + MS // 10)
    assert ready.must_go()


def test_a_lag_is_kept_but_for_what_is_beyond_two_slices() -> None:
    ready = Ready("eevdf")
    one, two = ready.arrive(), ready.arrive()
    assert ready.running(0) == [one]
    ready.use(100 * MS)
    assert ready.blocks(100 * MS) == [two]
    assert ready.m.entities[one].lag == -2 * QUANTUM


# --- in a run -----------------------------------------------------------------------------------


def computing(ns: int) -> Callable[[Process], Life]:
    def program(task: Process) -> Life:
        yield from task.compute(ns)

    return program


def played(policy: Any, programs: Mapping[str, Any], **how: Any) -> dict[str, Any]:
    host = {"memory_pages": 2000, "cpus": how.pop("cpus", 1), "hz": 1000}
    how = {"prices": flat_prices(), "quantum_ns": QUANTUM, **how}
    return run(programs, host=host, scheduler=policy, **how)


def cpu_ns(document: dict[str, Any]) -> dict[str, int]:
    return {p["name"]: p["cpu_ns"] for p in document["processes"]}


@pytest.mark.parametrize("until_ns", [100 * MS, 1_000 * MS, 3_333 * MS])
def test_eevdf_shares_a_cpu_by_weight(until_ns: int) -> None:
    """Each has its weight's share at any time within a slice (theorem 1) and a tick."""
    programs = {name: computing(10**12) for name in NICES}
    used = cpu_ns(played("eevdf", programs, nices=NICES, horizon_ns=until_ns))
    for name, weight in WEIGHT.items():
        ideal_ns = until_ns * weight / sum(WEIGHT.values())
        assert abs(used[name] - ideal_ns) <= QUANTUM + MS, name
    assert sum(used.values()) == until_ns
    alike = cpu_ns(played("round_robin", programs, nices=NICES, horizon_ns=until_ns))
    assert max(alike.values()) - min(alike.values()) < 10 * MS, "negative control: no weights"


def test_under_priorities_the_highest_has_it_all() -> None:
    programs = {name: computing(10**12) for name in NICES}
    used = cpu_ns(played("priority", programs, nices=NICES, horizon_ns=100 * MS))
    assert used == {"favoured": 100 * MS, "plain": 0, "humble": 0}


def mixed(task: Process) -> Life:
    data = yield from task.mmap(40 * 4096)
    for _ in range(6):
        yield from task.write(data)
        yield from task.sleep(700_000)
        yield from task.compute(1_300_000)


@pytest.mark.parametrize("policy", ["priority", "eevdf"])
@pytest.mark.parametrize("cpus", [1, 2, 3])
def test_any_length_of_burst_gives_the_same_run(policy: str, cpus: int) -> None:
    programs = {f"p{n}": mixed for n in range(6)}
    nices = {f"p{n}": 3 * n - 7 for n in range(6)}
    pins = {"p1": cpus - 1}
    how: dict[str, Any] = {"cpus": cpus, "nices": nices, "pins": pins, "prices": None}
    longest = played(policy, programs, **how)
    assert longest["ending"] == "idle"
    assert longest["littles_law_residual"] == 0
    for burst in (1, 7):
        assert played(policy, programs, burst=burst, **how) == longest
