"""Pressure by group is the time that a count moment by moment finds, on every CPU."""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.machines import machine
from support.samples import sample

from sim.machine.layout import (
    FOREVER,
    NONE,
    PSI_IOWAIT,
    PSI_MEMSTALL,
    PSI_NONE,
    PSI_ONCPU,
    PSI_RUNNABLE,
    ROOT,
)
from sim.observe.pressure import change_state, collect, record_reclaim, record_times
from sim.observe.series import keep_up

CPUS = 3
PARENTS = (NONE, 0, 1, 1, 0)
"""Groups by row: 1 and 4 in the machine, 2 and 3 in 1."""
TASKS = 6
US = 1_000
"""A moment, in ns."""


@dataclass
class World:
    """A machine whose CPUs take steps by hand, and who was in which state at each moment.

    Times are moments.  `seen` has, for each of them and each task that does not sleep, its state
    and its CPU.
    """

    groups: list[int]
    m: Any = field(init=False)
    now: int = 0
    states: dict[int, tuple[int, int]] = field(default_factory=dict)
    steps: dict[int, tuple[int, int]] = field(default_factory=dict)
    seen: list[dict[int, tuple[str, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        host = machine(memory_pages=64, cpus=CPUS)
        for parent in PARENTS[1:]:
            host.new_group(parent)
        self.keep = host
        self.m = host.arrays
        self.m.clock[0].sample_next_ns = FOREVER
        for task, group in enumerate(self.groups):
            self.m.tasks[task].process = task
            self.m.processes[task].group = group

    def pass_by(self, moments: int) -> None:
        """Let time go by, and note who is in which state."""
        for _ in range(moments):
            self.seen.append({t: (self.name(t), cpu) for t, (_, cpu) in self.states.items()})
            self.now += 1

    def name(self, task: int) -> str:
        """Return what a task is doing, which is not asleep."""
        state, cpu = self.states[task]
        if state != PSI_ONCPU:
            return {PSI_RUNNABLE: "queued", PSI_MEMSTALL: "stalled", PSI_IOWAIT: "waits"}[state]
        until, ends = self.steps.get(cpu, (0, 0))
        return "makes room" if self.now < until else "runs" if self.now < ends else "idles"

    def set(self, task: int, state: int, cpu: int) -> None:
        """Put a task into a state on a CPU."""
        change_state(self.m, task, state, cpu, self.now * US)
        self.states.pop(task, None)
        if state != PSI_NONE:
            self.states[task] = state, cpu

    def act(self, what: int, task: int, cpu: int, moments: int, room: int) -> None:
        """Let a task that has a CPU take a step, or get another state, if it can."""
        state, at = self.states.get(task, (PSI_NONE, cpu))
        if self.now < self.steps.get(at, (0, 0))[1] and state == PSI_ONCPU:
            return
        if what == PSI_ONCPU and state == PSI_ONCPU:
            c = self.m.cpus[at]
            c.next_ns = self.now * US
            record_reclaim(self.m, at, min(room, moments) * US)
            c.next_ns = (self.now + moments) * US
            c.busy_ns += moments * US
            self.steps[at] = self.now + min(room, moments), self.now + moments
        elif what == PSI_ONCPU:
            if (PSI_ONCPU, cpu) not in self.states.values():
                self.set(task, PSI_ONCPU, cpu)
        else:
            self.set(task, what, at)

    def counted(self, group: int, cpu: int) -> tuple[int, int, int]:
        """Return SOME, FULL and the time in use of a group on a CPU, by Linux's rule."""

        def within(task: int) -> bool:
            at = self.groups[task]
            while at not in (group, NONE):
                at = PARENTS[at]
            return at == group

        some = full = nonidle = 0
        for moment in self.seen:
            found = [what for task, (what, at) in moment.items() if at == cpu and within(task)]
            stalled = found.count("stalled") + found.count("makes room")
            works = found.count("runs") + found.count("queued")
            some += stalled > 0
            full += stalled > 0 and (works == 0 or "makes room" in found)
            nonidle += any(what != "idles" for what in found)
        return some, full, nonidle

    def told(self, group: int, cpu: int) -> tuple[int, ...]:
        """Return what the account says of the same."""
        record_times(self.m, group, cpu, self.now * US)
        p = self.m.psi_cpus[group * CPUS + cpu]
        return tuple(int(ns) // US for ns in (p.some_ns, p.full_ns, p.nonidle_ns))

    def totals(self, group: int) -> tuple[int, int]:
        """Return the sums of a group in ns, once times of CPUs are collected."""
        collect(self.m, group, self.now * US)
        return int(self.m.psi[group].some_ns), int(self.m.psi[group].full_ns)


def play(groups: list[int], events: list[tuple[int, ...]]) -> World:
    world = World(groups)
    for passed, *what in events:
        world.pass_by(passed)
        world.act(*what)
    world.pass_by(7)
    return world


STATES = (PSI_ONCPU, PSI_ONCPU, PSI_ONCPU, PSI_NONE, PSI_RUNNABLE, PSI_MEMSTALL, PSI_IOWAIT)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.sampled_from(STATES),
        st.integers(0, TASKS - 1),
        st.integers(0, CPUS - 1),
        st.integers(0, 15),
        st.sampled_from([0, 0, 4, 99]),
    ),
    max_size=40,
)
GROUPS = st.lists(st.integers(0, len(PARENTS) - 1), min_size=TASKS, max_size=TASKS)


@settings(max_examples=sample(100, 5_000), deadline=None)
@given(groups=GROUPS, events=EVENTS)
def test_the_account_is_what_is_counted_moment_by_moment(
    groups: list[int], events: list[tuple[int, ...]]
) -> None:
    world = play(groups, events)
    for group in range(len(PARENTS)):
        counted = [world.counted(group, cpu) for cpu in range(CPUS)]
        assert [world.told(group, cpu) for cpu in range(CPUS)] == counted
        some, full = world.totals(group)
        weights = sum(nonidle for _, _, nonidle in counted)
        by_weight = [sum(row[n] * US * row[2] for row in counted) for n in (0, 1)]
        assert [some, full] == [n // max(1, weights) for n in by_weight]
        assert 0 <= full <= some <= world.now * US
        assert (some, full) == world.totals(group), "to look again adds nothing"


@settings(max_examples=sample(50, 1_000), deadline=None)
@given(groups=GROUPS, events=EVENTS, looks=st.lists(st.integers(0, 40), max_size=10))
def test_who_looks_adds_up_the_parts(
    groups: list[int], events: list[tuple[int, ...]], looks: list[int]
) -> None:
    """Each look collects: the total is the sum of what the parts come to by themselves."""
    world = World(groups)
    before = [(0, 0)] * len(PARENTS)
    for number, (passed, *what) in enumerate(events):
        world.pass_by(passed)
        if number in looks:
            for group in range(len(PARENTS)):
                now = world.totals(group)
                parts = [world.counted(group, cpu) for cpu in range(CPUS)]
                weights = sum(nonidle for _, _, nonidle in parts)
                more = [sum(row[n] * US * row[2] for row in parts) for n in (0, 1)]
                expected = [
                    a + b // max(1, weights) for a, b in zip(before[group], more, strict=True)
                ]
                assert list(now) == expected
                before[group] = now
            world.seen.clear()
        world.act(*what)


def test_the_count_can_differ() -> None:
    """Negative control: a state that is not told is missed."""
    world = play([0] * TASKS, [(0, PSI_MEMSTALL, 0, 0, 0, 0)])
    world.states[1] = PSI_MEMSTALL, 1
    world.pass_by(1)
    assert world.told(ROOT, 1) != world.counted(ROOT, 1)


@pytest.mark.parametrize(("stalled_s", "percent"), [(0, 0), (2, 99), (1, 49), (0.01, 0)])
def test_averages_are_exponential(stalled_s: float, percent: int) -> None:
    """After n periods an average is 1 - exp(-2 n / T) of the whole percents of one."""
    world = World([2] * TASKS)
    period_ns = int(world.m.clock[0].psi_period_ns)
    assert period_ns == 2_004_000_000, "2 s and a tick"
    periods = 40
    for period in range(periods):
        if stalled_s:
            change_state(world.m, 0, PSI_MEMSTALL, 0, period_ns * period)
            until_ns = period_ns * period + round(stalled_s * 1e9)
            change_state(world.m, 0, PSI_NONE, 0, until_ns)
        keep_up(world.m, period_ns * (period + 1))
    for group in (ROOT, 1, 2, 3):
        for at, seconds in enumerate((10, 60, 300)):
            expected = percent * (1 - math.exp(-2 * periods / seconds)) if group != 3 else 0
            for which in (at, at + 3):  # nobody runs
                found = int(world.m.averages[group, which]) / 2048
                assert found == pytest.approx(expected, rel=0.03, abs=0.1)  # as Linux rounds
    keep_up(world.m, 1000 * period_ns)
    assert not world.m.averages[ROOT].any(), "all is forgotten"


@pytest.mark.parametrize(
    ("what", "some", "full"),
    [
        # stalled for 10, alone
        ([(0, PSI_MEMSTALL, 0, 0, 0, 0), (10, PSI_NONE, 0, 0, 0, 0)], 10, 10),
        # another CPU is in use all of the 10: both count the same
        (
            [
                *[(0, PSI_ONCPU, 1, 1, 10, 0)] * 2,
                *[(0, PSI_MEMSTALL, 0, 0, 0, 0), (10, PSI_NONE, 0, 0, 0, 0)],
            ],
            5,
            5,
        ),
        # another runs on the same CPU for 4 of them
        (
            [
                *[(0, PSI_ONCPU, 1, 0, 4, 0)] * 2,
                *[(0, PSI_MEMSTALL, 0, 0, 0, 0), (10, PSI_NONE, 0, 0, 0, 0)],
            ],
            10,
            6,
        ),
        # makes room for 4, then runs for 3
        ([*[(0, PSI_ONCPU, 0, 0, 7, 4)] * 2], 4, 4),
        # makes room for 6, loses its CPU for another 6 to one that works
        (
            [
                *[(0, PSI_ONCPU, 0, 0, 6, 6)] * 2,
                *[(6, PSI_MEMSTALL, 0, 0, 0, 0)],
                *[(0, PSI_ONCPU, 1, 0, 6, 0)] * 2,
                *[(6, PSI_NONE, 1, 0, 0, 0), (0, PSI_NONE, 0, 0, 0, 0)],
            ],
            12,
            6,
        ),
    ],
)
def test_closed_forms(what: list[tuple[int, ...]], some: int, full: int) -> None:
    assert play([0] * TASKS, what).totals(ROOT) == (some * US, full * US)
