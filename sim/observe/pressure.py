"""Pressure stall information: how long tasks were stalled on memory, by group (Linux `psi.c`).

A task is stalled while it is off its CPU for want of memory, and while it makes room: in a step
that does other work as well, that comes first.  One that loses its CPU while it makes room goes on
being stalled.  On each CPU, SOME is the time in which a task of a group, or of one in it, is
stalled; FULL that in which one is and none does anything else, or the one that runs is stalled.  A
task that sleeps counts on the CPU on which it ran.

Times of CPUs are collected every 2 s, and when somebody looks: each CPU counts as much as it was
not idle meanwhile.  Read in Linux 6.1 and 6.6; there the weights are in whole jiffies, so that what
a CPU did in less than one is lost; here they are in us.

How a CPU spends its time is known from two sums, `busy_ns` and `reclaim_ns`, and from the end of
its step under way.  So steps are not recorded one by one, only changes of who has which CPU.
"""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.layout import (
    AVERAGED_S,
    N_AVERAGES,
    NONE,
    PSI_IOWAIT,
    PSI_MEMSTALL,
    PSI_NONE,
    PSI_ONCPU,
    PSI_RUNNABLE,
    SERIES_FULL,
    SERIES_SOME,
    Arrays,
)

FIXED_1: Final = 2048
"""1 in fixed point, as Linux computes loads."""
EXPONENTS: Final = (1677, 1981, 2034)
"""exp(-2 s / T) for each T of `AVERAGED_S`: `EXP_10s`, `EXP_60s`, `EXP_300s`."""


@compiled
def record_times(m: Arrays, group: int, cpu: int, now_ns: int) -> None:
    """Add the time up to `now_ns` to what a group has met on a CPU."""
    p = m.psi_cpus[group * int(m.config[0].n_cpus) + cpu]
    elapsed = now_ns - int(p.upto_ns)
    if elapsed <= 0:
        return
    c = m.cpus[cpu]
    busy = int(c.busy_ns)
    if c.idle_from_ns == NONE:
        busy -= max(0, int(c.next_ns) - now_ns)
    reclaim = int(c.reclaim_ns) - max(0, int(c.reclaims_until_ns) - now_ns)
    ran = 0
    made_room = 0
    if p.oncpu > 0:
        ran = min(elapsed, max(0, busy - int(p.busy_ns)))
        made_room = min(ran, max(0, reclaim - int(p.reclaim_ns)))
    if p.memstall > 0:
        p.some_ns += elapsed
        p.full_ns += made_room if p.runnable > 0 else elapsed - ran + made_room
    else:
        p.some_ns += made_room
        p.full_ns += made_room
    p.nonidle_ns += elapsed if p.memstall + p.runnable + p.iowait > 0 else ran
    p.upto_ns = now_ns
    p.busy_ns = busy
    p.reclaim_ns = reclaim


@compiled
def count_task(m: Arrays, group: int, cpu: int, state: int, more: int, now_ns: int) -> None:
    """Count a task more, or one fewer, in a state on a CPU, for a group and those it is in."""
    while group != NONE:
        record_times(m, group, cpu, now_ns)
        p = m.psi_cpus[group * int(m.config[0].n_cpus) + cpu]
        if state == PSI_ONCPU:
            p.oncpu += more
        elif state == PSI_RUNNABLE:
            p.runnable += more
        elif state == PSI_MEMSTALL:
            p.memstall += more
        elif state == PSI_IOWAIT:
            p.iowait += more
        group = int(m.groups[group].parent)


@compiled
def change_state(m: Arrays, task: int, state: int, cpu: int, now_ns: int) -> None:
    """Take note that a task is in another state, on `cpu`, from `now_ns` on (`psi_task_change`)."""
    e = m.entities[task]
    if e.psi_state != PSI_NONE:
        count_task(m, int(e.psi_group), int(e.psi_cpu), int(e.psi_state), -1, now_ns)
    e.psi_state = state
    if state != PSI_NONE:
        e.psi_cpu = cpu
        e.psi_group = m.processes[int(m.tasks[task].process)].group
        count_task(m, int(e.psi_group), cpu, state, 1, now_ns)


@inlined
def record_reclaim(m: Arrays, cpu: int, ns: int) -> None:
    """Take note that the step that a CPU is about to take first makes room for so long."""
    c = m.cpus[cpu]
    c.reclaim_ns += ns
    c.reclaims_until_ns = c.next_ns + ns


@compiled
def collect(m: Arrays, group: int, now_ns: int) -> None:
    """Add what a group has met on all CPUs to its sums (`collect_percpu_times`)."""
    p = m.psi[group]
    n_cpus = int(m.config[0].n_cpus)
    unweighted_us = 0
    full_unweighted_us = 0
    weights = 0
    some = 0
    full = 0
    for row in range(group * n_cpus, (group + 1) * n_cpus):
        record_times(m, group, row - group * n_cpus, now_ns)
        on = m.psi_cpus[row]
        weight = int(on.nonidle_ns) // 1000
        weights += weight
        some += int(on.some_ns) * weight
        full += int(on.full_ns) * weight
        unweighted_us += int(on.some_ns) // 1000
        full_unweighted_us += int(on.full_ns) // 1000
        on.some_ns = on.full_ns = on.nonidle_ns = 0
    before_us = int(p.some_ns) // 1000
    full_before_us = int(p.full_ns) // 1000
    p.some_ns += some // max(1, weights)
    p.full_ns += full // max(1, weights)
    more_us = int(p.some_ns) // 1000 - before_us
    share_out(m, group, SERIES_SOME, before_us, unweighted_us, more_us)
    more_us = int(p.full_ns) // 1000 - full_before_us
    share_out(m, group, SERIES_FULL, full_before_us, full_unweighted_us, more_us)
    p.collected_ns = now_ns


@compiled
def share_out(
    m: Arrays, group: int, column: int, before_us: int, unweighted_us: int, more_us: int
) -> None:
    """Spread what was just collected over the points of the series since the last time.

    They had been told times of all CPUs, which add up to `unweighted_us`; it came to `more_us`.
    """
    if unweighted_us == 0:
        return
    at = int(m.clock[0].samples) - 1
    while at >= 0 and m.samples[at].t_ns > m.psi[group].collected_ns:
        told_us = int(m.group_samples[group, at, column]) - before_us
        m.group_samples[group, at, column] = before_us + told_us * more_us // unweighted_us
        at -= 1


@compiled
def so_far_us(m: Arrays, group: int, now_ns: int, column: int) -> int:
    """Return SOME or FULL of a group at a point of the series, until `share_out` puts it right."""
    n_cpus = int(m.config[0].n_cpus)
    us = int(m.psi[group].some_ns if column == SERIES_SOME else m.psi[group].full_ns) // 1000
    for cpu in range(n_cpus):
        record_times(m, group, cpu, now_ns)
        on = m.psi_cpus[group * n_cpus + cpu]
        us += int(on.some_ns if column == SERIES_SOME else on.full_ns) // 1000
    return us


@compiled
def update_averages(m: Arrays, now_ns: int) -> None:
    """Add a period that ends at `now_ns` to the averages of all groups: whole percents of it."""
    period_ns = int(m.clock[0].psi_period_ns)
    for group in range(int(m.pool[0].n_groups)):
        collect(m, group, now_ns)
        p = m.psi[group]
        some_ns = min(period_ns, int(p.some_ns - p.some_before_ns))
        full_ns = min(period_ns, int(p.full_ns - p.full_before_ns))
        p.some_before_ns += some_ns
        p.full_before_ns += full_ns
        for at in range(N_AVERAGES):
            ns = some_ns if at < len(AVERAGED_S) else full_ns
            before = int(m.averages[group, at])
            percent = ns * 100 // period_ns * FIXED_1
            exponent = EXPONENTS[at % len(AVERAGED_S)]
            load = before * exponent + percent * (FIXED_1 - exponent)
            if percent >= before:
                load += FIXED_1 - 1
            m.averages[group, at] = load // FIXED_1
