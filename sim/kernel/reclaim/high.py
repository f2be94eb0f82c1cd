"""What a task pays for that takes memory while its group is above `memory.high`.

Nothing is refused and nobody is killed: on its way back to user space the task reclaims from the
group, and from those above it that are over theirs; if that is no help, it sleeps, the longer the
further the group is above.  Tasks share that out by how much each has taken.  A system call that
has taken more than 64 pages pays at once.  Read in Linux 6.18 `mm/memcontrol.c`
(`__mem_cgroup_handle_over_high`), times in jiffies: ticks of `host.hz`.

A step that takes several batches at once pays for them one after the other, each for what the group
had by then.
"""

from typing import Final

from sim.base.jit import compiled, rare
from sim.kernel.ops import OP_ACCESS, OP_NONE
from sim.kernel.reclaim.memcg import MAX_RECLAIM_RETRIES
from sim.kernel.reclaim.vmscan import shrink_group
from sim.kernel.work import MORE, SLEEPS
from sim.machine.groups import count_event
from sim.machine.layout import EV_HIGH, NONE, ROOT, STOCK_PAGES, SWAP_CLUSTER_MAX, Arrays
from sim.machine.rules.pressure import R_HIGH_AT_ONCE, R_HIGH_RETRIES, R_HIGH_SLEEPS

PRECISION_SHIFT: Final = 20
"""Bits of a fraction (`MEMCG_DELAY_PRECISION_SHIFT`)."""
SCALING_SHIFT: Final = 14
"""What makes a delay of a fraction squared (`MEMCG_DELAY_SCALING_SHIFT`)."""
MOST_OVERAGE: Final = 64 << PRECISION_SHIFT
"""From here on any delay is the longest, and its square still fits 64 bits."""
WHEEL_SHIFT: Final = 3
WHEEL_SPAN: Final = 63
"""Of the timer wheel: how much coarser each level is, as a power of 2, and what the first spans."""


@compiled
def jiffies_per_s(m: Arrays) -> int:
    """Return Linux's HZ."""
    tick_ns = int(m.clock[0].tick_ns)
    return (1_000_000_000 + tick_ns // 2) // tick_ns


@compiled
def calculate_overage(usage: int, high: int) -> int:
    """Return by how much of `high` a group is above it, in units of 2**-20."""
    if usage <= high:
        return 0
    return min(MOST_OVERAGE, ((usage - high) << PRECISION_SHIFT) // max(1, high))


@compiled
def calculate_high_delay(overage: int, pages: int, hz: int) -> int:
    """Return for how many jiffies to sleep for `pages` more: by the square, at most for 2 s."""
    jiffies = (overage * overage * hz) >> PRECISION_SHIFT >> SCALING_SHIFT
    return min(jiffies * pages // STOCK_PAGES, 2 * hz)


@compiled
def high_delay(m: Arrays, group: int, pages: int, later: int, hz: int) -> int:
    """Return that for the largest overage of a group and of those above, without `later` pages."""
    overage = 0
    while group != ROOT:
        g = m.groups[group]
        overage = max(overage, calculate_overage(int(g.usage) - later, int(g.high)))
        group = int(g.parent)
    return calculate_high_delay(overage, pages, hz)


@compiled
def reclaim_high(m: Arrays, cpu: int, group: int, pages: int) -> int:
    """Reclaim `pages` from each of a group, and of those it is in, that is above its high."""
    reclaimed = 0
    while group != ROOT:
        g = m.groups[group]
        if g.usage > g.high:
            count_event(m, group, EV_HIGH, 1)
            reclaimed += shrink_group(m, cpu, group, pages, 0)
        group = int(g.parent)
    return reclaimed


@compiled
def must_pay(m: Arrays, task: int) -> bool:
    """Whether a task that owes something pays before it goes on; who is dying owes nothing."""
    t = m.tasks[task]
    o = m.operations[task]
    if t.killed != 0 or t.space == NONE:
        t.over_high = t.high_pages = t.high_sleep = 0
        return False
    if t.high_pages != 0 or o.op == OP_NONE or (o.op == OP_ACCESS and o.fault_from_ns == NONE):
        return True
    return bool(t.over_high > STOCK_PAGES and m.config[0].rules & R_HIGH_AT_ONCE != 0)


@rare
def handle_over_high(m: Arrays, cpu: int, task: int) -> int:
    """Reclaim once for what a task owes: `MORE`; or `SLEEPS` if it has to sleep for it now."""
    t = m.tasks[task]
    rules = m.config[0].rules
    if t.high_sleep > 0:
        return SLEEPS
    if t.high_sleep == NONE:
        is_paid(m, task)
        return MORE
    wanted = SWAP_CLUSTER_MAX
    if t.high_pages == 0:
        wanted = next_due(m, task)
        t.high_pages = wanted
        t.high_tries = MAX_RECLAIM_RETRIES if rules & R_HIGH_RETRIES != 0 else 0
    group = int(m.spaces[int(t.space)].group)
    reclaimed = reclaim_high(m, cpu, group, wanted)
    hz = jiffies_per_s(m)
    delay = high_delay(m, group, int(t.high_pages), int(t.over_high - t.high_pages), hz)
    if delay <= hz // 100 or rules & R_HIGH_SLEEPS == 0:
        is_paid(m, task)
    elif t.high_tries > 0 or (reclaimed > 0 and rules & R_HIGH_RETRIES != 0):
        t.high_tries -= 1 if reclaimed == 0 else 0
    else:
        t.high_sleep = delay
    return MORE


@compiled
def next_due(m: Arrays, task: int) -> int:
    """Return for how many pages a task pays together: those with which it came to more than 64."""
    t = m.tasks[task]
    if m.config[0].rules & R_HIGH_AT_ONCE == 0:
        return int(t.over_high)
    batch = int(t.high_batch)
    return min(int(t.over_high), (STOCK_PAGES // batch + 1) * batch)


@compiled
def is_paid(m: Arrays, task: int) -> None:
    """Take what a task has paid for off what it owes."""
    t = m.tasks[task]
    t.over_high -= t.high_pages
    t.high_pages = t.high_sleep = 0


def timer_expiry(jiffy: int, timeout: int) -> int:
    """Return the jiffy at which a timer for `timeout` jiffies fires that is set during `jiffy`.

    The timer wheel is never early: it goes by the end of a jiffy, and of eight from 63 on, and of
    64 from 504 on (`kernel/time/timer.c`, `calc_wheel_index`).

    >>> timer_expiry(100, 3), timer_expiry(100, 100)
    (104, 208)
    """
    shift = 0
    while timeout >= WHEEL_SPAN << shift:
        shift += WHEEL_SHIFT
    return ((jiffy + timeout >> shift) + 1) << shift
