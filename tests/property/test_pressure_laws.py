"""Pressure by group is the time that a count moment by moment finds."""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.machines import machine
from support.samples import sample

from sim.machine.layout import NONE, ROOT
from sim.observe.pressure import account, is_stalled, record_reclaim, record_run, record_stalled

CPUS = 3
PARENTS = (NONE, 0, 1, 1, 0)
"""Groups by row: 1 and 4 in the machine, 2 and 3 in 1."""
TASKS = 6


@dataclass
class World:
    """A machine whose CPUs take steps by hand, and a list of who did what from when to when."""

    groups: list[int]
    m: Any = field(init=False)
    ran: list[tuple[int, int, int]] = field(default_factory=list)
    stalled: list[tuple[int, int, int]] = field(default_factory=list)
    blocked: dict[int, int] = field(default_factory=dict)
    now: int = 0

    def __post_init__(self) -> None:
        host = machine(memory_pages=64, cpus=CPUS)
        for parent in PARENTS[1:]:
            host.new_group(parent)
        self.keep = host
        self.m = host.arrays
        for task, group in enumerate(self.groups):
            self.m.tasks[task].process = task
            self.m.processes[task].group = group
        self.m.cpus["task"] = NONE
        self.m.cpus["idle_from_ns"] = NONE

    def step(self, cpu: int, task: int, ns: int, reclaim_ns: int) -> None:
        """Let a CPU that is free take a step of a task that is on no other."""
        c = self.m.cpus[cpu]
        on = [int(c.task) for c in self.m.cpus if c.next_ns > self.now]
        if c.next_ns > self.now or task in on or task in self.blocked:
            return
        c.task, c.next_ns = task, self.now
        until = self.now + reclaim_ns
        if reclaim_ns:
            record_reclaim(self.m, task, self.now, until, self.now + ns)
        elif is_stalled(self.m, self.now):
            record_run(self.m, task, self.now, self.now + ns)
        c.next_ns = self.now + ns
        self.stalled.append((task, self.now, until))
        self.ran.append((task, until, self.now + ns))

    def act(self, kind: str, task: int, cpu: int, ns: int) -> None:
        """Let a step run, make room, or make room before it runs: only on the first CPU."""
        if kind == "both":
            self.step(0, task, ns + 4, 4)
        else:
            self.step(cpu, task, ns, ns if kind == "reclaim" else 0)

    def block(self, task: int) -> None:
        """Take a task off its CPU for want of memory, or let it go on."""
        if task in self.blocked:
            self.stalled.append((task, self.blocked.pop(task), self.now))
            record_stalled(self.m, self.groups[task], self.now, -1)
        elif not any(c.task == task and c.next_ns > self.now for c in self.m.cpus):
            for c in self.m.cpus:
                if c.task == task:
                    c.task = NONE
            self.blocked[task] = self.now
            record_stalled(self.m, self.groups[task], self.now, 1)

    def counted(self, group: int) -> tuple[int, int]:
        """Return SOME and FULL of a group up to now, moment by moment."""

        def within(task: int) -> bool:
            at = self.groups[task]
            while at not in (group, NONE):
                at = PARENTS[at]
            return at == group

        def moments(spans: list[tuple[int, int, int]]) -> set[int]:
            return {at for task, a, b in spans if within(task) for at in range(a, min(b, self.now))}

        waiting = [(task, since, self.now) for task, since in self.blocked.items()]
        some = moments(self.stalled + waiting)
        return len(some), len(some - moments(self.ran))

    def told(self, group: int) -> tuple[int, int]:
        """Return what the account says."""
        account(self.m, group, self.now)
        return int(self.m.psi[group].some_ns), int(self.m.psi[group].full_ns)


def play(groups: list[int], events: list[tuple[Any, ...]]) -> World:
    world = World(groups)
    for kind, passed, task, cpu, ns in events:
        world.now += passed
        if kind == "block":
            world.block(task)
        else:
            world.act(kind, task, cpu, ns)
    world.now += 7
    return world


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["run", "run", "reclaim", "both", "block", "block"]),
        st.integers(0, 9),
        st.integers(0, TASKS - 1),
        st.integers(0, CPUS - 1),
        st.integers(0, 15),
    ),
    max_size=40,
)
GROUPS = st.lists(st.integers(0, len(PARENTS) - 1), min_size=TASKS, max_size=TASKS)


@settings(max_examples=sample(150, 5_000))
@given(groups=GROUPS, events=EVENTS)
def test_the_account_is_what_is_counted_moment_by_moment(
    groups: list[int], events: list[tuple[Any, ...]]
) -> None:
    world = play(groups, events)
    told = [world.told(group) for group in range(len(PARENTS))]
    assert told == [world.counted(group) for group in range(len(PARENTS))]
    for group, (some, full) in enumerate(told):
        assert 0 <= full <= some <= world.now
        assert some <= told[ROOT][0]
        if group != ROOT:
            assert some <= told[PARENTS[group]][0]


@settings(max_examples=sample(50, 1_000))
@given(groups=GROUPS, events=EVENTS, looks=st.lists(st.integers(0, 40), max_size=10))
def test_to_look_changes_nothing(
    groups: list[int], events: list[tuple[Any, ...]], looks: list[int]
) -> None:
    world = World(groups)
    for number, (kind, passed, task, cpu, ns) in enumerate(events):
        world.now += passed
        if number in looks:
            for group in range(len(PARENTS)):
                world.told(group)
        if kind == "block":
            world.block(task)
        else:
            world.act(kind, task, cpu, ns)
    world.now += 7
    still = play(groups, events)
    assert [world.told(g) for g in range(5)] == [still.told(g) for g in range(5)]


@pytest.mark.parametrize(("stalled_s", "percent"), [(0, 0), (2, 100), (1, 50), (0.01, 0)])
@pytest.mark.parametrize("looks", [1, 7, 40])
def test_averages_are_exponential(stalled_s: float, percent: int, looks: int) -> None:
    """Of every 2 s so much is stalled; after n periods an average is 1 - exp(-2 n / T) of that."""
    world = World([2] * TASKS)
    periods = 40
    for period in range(periods):
        world.now = 2_000_000_000 * period
        if stalled_s:
            world.block(0)
            world.now += round(stalled_s * 1_000_000_000)
            world.block(0)
        if period % looks == 0:
            world.told(ROOT)
    world.now = 2_000_000_000 * periods
    for group in (ROOT, 1, 2, 3):
        world.told(group)
        for at, seconds in enumerate((10, 60, 300)):
            expected = percent * (1 - math.exp(-2 * periods / seconds)) if group != 3 else 0
            for which in (at, at + 3):  # nobody runs
                found = int(world.m.averages[group, which]) / 2048
                assert found == pytest.approx(expected, rel=0.03, abs=0.1)  # as Linux rounds
    world.now += 4_000_000_000_000
    world.told(ROOT)
    assert not world.m.averages[ROOT].any(), "all is forgotten"
    assert int(world.m.psi[ROOT].periods) == world.now // 2_000_000_000


def test_the_count_can_differ() -> None:
    """Negative control: a step that is not recorded is missed."""
    world = play([0] * TASKS, [("block", 0, 0, 0, 0), ("run", 2, 1, 0, 5)])
    world.ran.append((2, 7, 9))
    assert world.told(ROOT) != world.counted(ROOT)


@pytest.mark.parametrize(
    ("what", "some", "full"),
    [
        # one task stalled for 10, alone
        ([("block", 0, 0, 0, 0), ("block", 10, 0, 0, 0)], 10, 10),
        # another runs for 4 of them, begun before
        ([("run", 0, 1, 0, 9), ("block", 5, 0, 0, 0), ("block", 10, 0, 0, 0)], 10, 6),
        # two CPUs: one makes room for 6, the other runs for the last 2 of them
        ([("reclaim", 0, 0, 0, 6), ("run", 4, 1, 1, 9)], 6, 4),
        # who makes room for 4 and then runs for 3 is stalled for 4, and full for 4
        ([("both", 0, 0, 0, 3)], 4, 4),
        # another is stalled all the time: full but for the 3
        ([("block", 0, 1, 0, 0), ("both", 0, 0, 0, 3), ("block", 20, 1, 0, 0)], 20, 17),
        # both make room, overlapping by 3
        ([("reclaim", 0, 0, 0, 6), ("reclaim", 3, 1, 1, 4)], 7, 7),
    ],
)
def test_closed_forms(what: list[tuple[Any, ...]], some: int, full: int) -> None:
    assert play([0] * TASKS, what).told(ROOT) == (some, full)


def test_a_group_is_full_while_others_run() -> None:
    """Task 0 is in 2, task 1 in 3, both in 1; task 2 is outside of it."""
    world = play(
        [2, 3, 0, 0, 0, 0],
        [
            ("run", 0, 1, 0, 30),
            ("run", 0, 2, 1, 50),
            ("block", 10, 0, 0, 0),
            ("block", 80, 0, 0, 0),
        ],
    )
    assert world.told(2) == (80, 80)
    assert world.told(1) == (80, 60)
    assert world.told(ROOT) == (80, 40)
    assert world.told(3) == world.told(4) == (0, 0)
