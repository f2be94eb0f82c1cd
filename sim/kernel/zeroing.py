"""Who zeroes a frame: the fault that takes it, who gave it back, or a CPU that had nothing to do.

Linux zeroes in faults, and with `init_on_free=1` when a frame is given back
(`free_pages_prepare`).  Ahead of time zero pages Windows and, once, FreeBSD: a thread that runs
where nobody else wants to.  It is not a task here: how much it has done follows from the time that
CPUs were idle, so that it is never in the way.  It rests while its stock is full, or no more frames
are free.
"""

from sim.base.jit import compiled, inlined, rare
from sim.machine.layout import NONE, ZERO_AT_FREE, ZERO_IN_FAULTS, Arrays
from sim.machine.work import READY_FILL, ZERO_FILL


@inlined
def zero_fill_kind(m: Arrays, cpu: int) -> int:
    """Return which work a zero-fill fault on `cpu` is; the frame it takes may be zeroed already."""
    if m.config[0].zeroing == ZERO_IN_FAULTS:
        return ZERO_FILL
    return kind_elsewhere(m, cpu)


@rare
def kind_elsewhere(m: Arrays, cpu: int) -> int:
    """Do as `zero_fill_kind` where frames are zeroed elsewhere, too."""
    if m.config[0].zeroing == ZERO_AT_FREE:
        return READY_FILL
    stock_up(m, int(m.cpus[cpu].next_ns))
    if m.pool[0].zeroed == 0:
        return ZERO_FILL
    m.pool[0].zeroed -= 1
    return READY_FILL


@compiled
def idle_ns(m: Arrays, now_ns: int) -> int:
    """Return for how long CPUs have been idle, all together."""
    idle = 0
    for cpu in range(int(m.config[0].n_cpus)):
        c = m.cpus[cpu]
        idle += now_ns - int(c.busy_ns)
        if c.idle_from_ns == NONE:  # a step under way is busy up to now
            idle += max(0, int(c.next_ns) - now_ns)
    return idle


@compiled
def idle_pages(m: Arrays, now_ns: int) -> int:
    """Return how many frames idle CPUs had time for since the last fault that asked."""
    spent_ns = idle_ns(m, now_ns) - int(m.pool[0].zeroed_from_ns)
    return max(0, spent_ns // int(m.config[0].zero_ns))


@inlined
def may_zero(m: Arrays) -> int:
    """Return how many more frames may be zeroed; fewer than none where zeroed ones were taken."""
    return min(int(m.config[0].zero_stock), int(m.pool[0].free)) - int(m.pool[0].zeroed)


@compiled
def zeroed_pages(m: Arrays, now_ns: int) -> int:
    """Return how many free frames are zeroed at `now_ns`."""
    return int(m.pool[0].zeroed) + min(may_zero(m), idle_pages(m, now_ns))


@compiled
def stock_up(m: Arrays, now_ns: int) -> None:
    """Add to the stock what idle CPUs have zeroed since the last fault that asked."""
    pool = m.pool[0]
    pages, most = idle_pages(m, now_ns), may_zero(m)
    if pages >= most:
        pool.zeroed += most
        pool.zeroed_from_ns = idle_ns(m, now_ns)
    else:
        pool.zeroed += pages
        pool.zeroed_from_ns += pages * int(m.config[0].zero_ns)
