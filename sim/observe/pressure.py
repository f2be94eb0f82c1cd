"""Pressure stall information: how long tasks were stalled on memory, by group (Linux `psi.c`).

A task is stalled while it is off its CPU for want of memory, and while it makes room: in a step
that does other work as well, that comes first.  SOME is the time in which a task of a group, or of
one in it, is stalled; FULL that in which one is and none of them runs: who makes room on a CPU does
not.

Events come in order of time, and a step's end is known at its start.  So the time up to an event is
accounted for at once, and it is enough to know how many are off their CPUs, and when the last step
of either kind ends.  While nobody is stalled steps go unrecorded (`is_stalled`): those under way
are taken up when somebody first is.
"""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.layout import AVERAGED_S, FOREVER, N_AVERAGES, NONE, ROOT, Arrays

PERIOD_NS: Final = 2_000_000_000
"""How often averages are brought up to date (`PSI_FREQ`)."""
FIXED_1: Final = 2048
"""1 in fixed point, as Linux computes loads."""
EXPONENTS: Final = (1677, 1981, 2034)
"""exp(-2 s / T) for each T of `AVERAGED_S`: `EXP_10s`, `EXP_60s`, `EXP_300s`."""


@inlined
def is_stalled(m: Arrays, now_ns: int) -> bool:
    """Whether anybody is stalled: only then need steps be recorded."""
    return bool(now_ns < m.clock[0].stalled_until_ns)


@compiled
def account(m: Arrays, group: int, now_ns: int) -> None:
    """Add the time up to `now_ns` to the account of a group, and what periods ended to averages."""
    p = m.psi[group]
    while (p.periods + 1) * PERIOD_NS <= now_ns:
        if is_quiet(m, group):
            p.periods = now_ns // PERIOD_NS
        else:
            add_up(m, group, (int(p.periods) + 1) * PERIOD_NS)
            average(m, group)
    add_up(m, group, now_ns)


@compiled
def is_quiet(m: Arrays, group: int) -> bool:
    """Whether averages of a group are 0, and stay so for as long as nothing happens."""
    p = m.psi[group]
    if p.stalled > 0 or p.reclaims_until_ns > p.upto_ns or p.some_ns > p.some_before_ns:
        return False
    highest = 0
    for at in range(N_AVERAGES):
        highest = max(highest, int(m.averages[group, at]))
    return highest == 0


@compiled
def average(m: Arrays, group: int) -> None:
    """Add a period that is over to the averages of a group: whole percents of it (`calc_avgs`)."""
    p = m.psi[group]
    some = (p.some_ns - p.some_before_ns) * 100 // PERIOD_NS * FIXED_1
    full = (p.full_ns - p.full_before_ns) * 100 // PERIOD_NS * FIXED_1
    for at in range(N_AVERAGES):
        before = int(m.averages[group, at])
        now = int(some if at < len(AVERAGED_S) else full)
        exponent = EXPONENTS[at % len(AVERAGED_S)]
        load = before * exponent + now * (FIXED_1 - exponent)
        if now >= before:
            load += FIXED_1 - 1
        m.averages[group, at] = load // FIXED_1
    p.some_before_ns = p.some_ns
    p.full_before_ns = p.full_ns
    p.periods += 1


@compiled
def add_up(m: Arrays, group: int, now_ns: int) -> None:
    """Add the time up to `now_ns` to the sums of a group."""
    p = m.psi[group]
    from_ns = int(p.upto_ns)
    until_ns = now_ns if p.stalled > 0 else min(now_ns, int(p.reclaims_until_ns))
    if until_ns > from_ns:
        p.some_ns += until_ns - from_ns
        idle_from_ns = max(from_ns, int(p.runs_until_ns))
        if until_ns > idle_from_ns:
            later_from_ns = max(idle_from_ns, int(p.later_from_ns))
            later_ns = max(0, min(until_ns, int(p.later_until_ns)) - later_from_ns)
            p.full_ns += until_ns - idle_from_ns - later_ns
    p.upto_ns = now_ns


@compiled
def group_of(m: Arrays, task: int) -> int:
    """Return the group that a task is in."""
    return int(m.processes[int(m.tasks[task].process)].group)


@compiled
def record_run(m: Arrays, task: int, start_ns: int, end_ns: int) -> None:
    """Take note of a step of a task, from `start_ns` to `end_ns`, while anybody is stalled."""
    group = group_of(m, task)
    while group != NONE:
        account(m, group, start_ns)
        p = m.psi[group]
        p.runs_until_ns = max(int(p.runs_until_ns), end_ns)
        group = int(m.groups[group].parent)


@compiled
def take_up(m: Arrays, now_ns: int) -> None:
    """Take note of the steps under way, as somebody comes to be stalled and nobody was."""
    for cpu in range(int(m.config[0].n_cpus)):
        c = m.cpus[cpu]
        if c.task != NONE and c.idle_from_ns == NONE and c.next_ns > now_ns:
            record_run(m, int(c.task), now_ns, int(c.next_ns))


@compiled
def record_reclaim(m: Arrays, task: int, start_ns: int, until_ns: int, end_ns: int) -> None:
    """Take note of a step of a task from `start_ns` to `end_ns` that makes room until `until_ns`.

    Of what other CPUs run later in such steps no gaps are known.
    """
    if not is_stalled(m, start_ns):
        take_up(m, start_ns)
    m.clock[0].stalled_until_ns = max(int(m.clock[0].stalled_until_ns), until_ns)
    group = group_of(m, task)
    while group != NONE:
        account(m, group, start_ns)
        p = m.psi[group]
        p.reclaims_until_ns = max(int(p.reclaims_until_ns), until_ns)
        if p.later_until_ns <= start_ns:
            p.later_from_ns = until_ns
            p.later_until_ns = end_ns
        elif until_ns < end_ns:
            p.later_from_ns = min(int(p.later_from_ns), until_ns)
            p.later_until_ns = max(int(p.later_until_ns), end_ns)
        group = int(m.groups[group].parent)


@compiled
def record_stalled(m: Arrays, group: int, now_ns: int, more: int) -> None:
    """Take note that `more` tasks more of a group are off their CPUs for memory, or fewer."""
    if not is_stalled(m, now_ns):
        take_up(m, now_ns)
    while group != NONE:
        account(m, group, now_ns)
        m.psi[group].stalled += more
        group = int(m.groups[group].parent)
    root = m.psi[ROOT]
    m.clock[0].stalled_until_ns = FOREVER if root.stalled > 0 else root.reclaims_until_ns
