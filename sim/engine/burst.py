"""The compiled burst: all CPUs' steps in global time order, up to the next SimPy event.

A step's state changes happen at its start, its CPU is busy to its end.  Ties go to the lower CPU.
The burst ends, and says why, when something needs a decision; where it ends by itself (the limit on
its length) leaves no trace in the machine, so bursts of any length give the same run.
"""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.cost.draw import settle
from sim.kernel.step import OP_ACCESS, OP_COMPUTE, OP_NONE, access_step, call_step
from sim.kernel.work import BEGUN, DONE, GROW, LOCKED, MORE, SEGV, SHORT, UNDER_WAY, note
from sim.machine.layout import HEED_LOCKS, HEED_QUEUE, NONE, Arrays
from sim.machine.work import CONTEXT_SWITCH
from sim.observe.histogram import REQUEST, RUNQUEUE, observe
from sim.observe.series import follow_peaks, integrate, run_until, sample

# --- why a burst ended ----------------------------------------------------------------------
REACHED: Final = 0
"""No step starts before `until_ns`."""
IDLE: Final = 1
"""No CPU has a task."""
LENGTH: Final = 2
"""The limit on steps was reached."""
FINISHED: Final = 3
"""The operation of the task on this CPU is done."""
SLICE_OVER: Final = 4
"""Its slice is over and another task could use the CPU."""
MEMORY_SHORT: Final = 5
"""Its step needs frames that are not there; nothing happened."""
INVALID: Final = 6
"""Its access is invalid (SIGSEGV); nothing happened."""
ROOM: Final = 7
"""The arrays need more room; nothing happened."""
GIVES_WAY: Final = 8
"""It waits for an arrival, and another task could use the CPU."""
RELEASED: Final = 9
"""A frame was freed or a reference dropped while tasks wait for memory."""

SERVED: Final = 10
"""The head of those that wait for memory has got what it was short of."""

MMAP_LOCKED: Final = 11
"""It needs the mmap lock, which another task holds; nothing happened."""
PAGE_WAITED_FOR: Final = 12
"""It needs a page that the device is reading; nothing happened."""
READS_WANTED: Final = 13
"""It has left requests for the device."""
LOCK_GIVEN: Final = 14
"""It goes on, but others may have the mmap lock now, for which they wait."""

FOREVER: Final = 1 << 62


@inlined
def next_cpu(m: Arrays) -> tuple[int, int]:
    """Return the CPU whose step comes next, and the time before which no other has one.

    The time is that of the next other CPU, plus 1 if this CPU goes first at a tie.
    """
    first = NONE
    first_ns = FOREVER
    other = NONE
    other_ns = FOREVER
    for cpu in range(int(m.config[0].n_cpus)):
        c = m.cpus[cpu]
        if c.task == NONE:
            continue
        if c.next_ns < first_ns:
            other = first
            other_ns = first_ns
            first = cpu
            first_ns = int(c.next_ns)
        elif c.next_ns < other_ns:
            other = cpu
            other_ns = int(c.next_ns)
    if other != NONE and first < other:
        other_ns += 1
    return first, other_ns


@inlined
def arrival_ns(m: Arrays, task: int) -> int:
    """Return when the request arrives that the stream's next access belongs to."""
    t = m.tasks[task]
    n = int(t.at) // int(t.per_request)
    if t.arrivals == 1:
        return int(t.arrival_first + n * t.arrival_every)
    return int(m.lists[int(t.arrivals_at) + n])


@compiled
def next_arrival_ns(m: Arrays, task: int) -> int:
    """Return `arrival_ns` to Python, which cannot call what is only inlined."""
    return arrival_ns(m, task)


@inlined
def awaits_arrival(m: Arrays, task: int) -> bool:
    """Whether the next step of the task has an arrival time of its own."""
    t = m.tasks[task]
    return bool(
        t.op == OP_ACCESS and t.arrivals != 0 and t.within == 0 and t.at % t.per_request == 0
    )


@inlined
def compute_step(m: Arrays, cpu: int, task: int) -> int:
    """Return the ns of pure CPU time up to the next tick, at which the task could be preempted."""
    t = m.tasks[task]
    now = int(m.cpus[cpu].next_ns)
    tick = int(m.clock[0].tick_ns)
    ns = min(int(t.demand_ns), (now // tick + 1) * tick - now)
    t.demand_ns -= ns
    return ns


@inlined
def carry_out(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of the task on `cpu`, price it, and move the CPU's clock to its end.

    Returns the step's status; unless it is MORE or DONE, nothing has happened.
    """
    t = m.tasks[task]
    c = m.cpus[cpu]
    clock = m.clock[0]
    clock.lines = 0
    clock.kind = NONE
    start = int(c.next_ns)
    arrived = start
    extra_ns = 0
    if t.op == OP_ACCESS:
        if t.arrivals != 0:
            arrived = arrival_ns(m, task)
        if t.within == 0:
            extra_ns = int(t.access_cpu_ns)
        status = access_step(m, cpu, task)
    elif t.op == OP_COMPUTE:
        extra_ns = compute_step(m, cpu, task)
        status = MORE if t.demand_ns > 0 else DONE
    else:
        status = call_step(m, cpu, task)
    if status > DONE:
        return status
    if clock.kind == BEGUN:
        extra_ns = 0  # the access is still to come
    ns = (settle(m, task) + 500) // 1000 + extra_ns
    if clock.kind != NONE:
        if t.fault_from_ns != NONE or clock.kind == BEGUN:
            observe_waited(m, task, start, start + ns)
        else:
            observe(m, int(clock.kind), int((clock.fault_ps + 500) // 1000))
    if clock.stalled > 0:
        run_until(m, start, start + ns)
    c.next_ns = start + ns
    c.busy_ns += ns
    c.steps += 1
    t.cpu_ns += ns
    if clock.kind == BEGUN:
        return status
    if t.op == OP_ACCESS and t.arrivals != 0 and t.within == 0 and t.at % t.per_request == 0:
        observe(m, REQUEST, start + ns - arrived)
    follow_peaks(m)
    return status


@compiled
def observe_waited(m: Arrays, task: int, start_ns: int, end_ns: int) -> None:
    """Remember when a fault began that a later step will serve; count it when one has."""
    t = m.tasks[task]
    if t.fault_from_ns == NONE:
        t.fault_from_ns = start_ns
    if m.clock[0].kind != BEGUN:
        observe(m, int(m.clock[0].kind), int(end_ns - t.fault_from_ns))
        t.fault_from_ns = NONE


@compiled
def advance(m: Arrays, until_ns: int, limit: int) -> tuple[int, int, int]:
    """Run all CPUs until `until_ns` or a decision, at most `limit` steps.

    Returns (reason, CPU, time in ns).  No step starts at or after `until_ns`.
    """
    left = limit
    while True:
        cpu, before_ns = next_cpu(m)
        if cpu == NONE:
            return IDLE, NONE, until_ns
        c = m.cpus[cpu]
        if c.next_ns >= until_ns:
            return REACHED, NONE, until_ns
        before_ns = min(before_ns, until_ns)
        task = int(c.task)
        t = m.tasks[task]
        while c.next_ns < before_ns:
            now = int(c.next_ns)
            if t.op == OP_NONE:
                return FINISHED, cpu, now
            if c.contended == 1 and now >= c.slice_end_ns:
                return SLICE_OVER, cpu, now
            if awaits_arrival(m, task):
                due = arrival_ns(m, task)
                if due > now:
                    if c.contended == 1:
                        return GIVES_WAY, cpu, now
                    c.idle_from_ns = now
                    c.next_ns = due
                    continue
            if left == 0:
                return LENGTH, cpu, now
            c.idle_from_ns = NONE
            if m.clock[0].sample_next_ns <= now:
                sample(m, now)
            status = carry_out(m, cpu, task)
            if m.pool[0].free != m.clock[0].level_free:
                integrate(m, now)
            if status == DONE:
                t.op = OP_NONE
            elif status == SHORT:
                return MEMORY_SHORT, cpu, now
            elif status == GROW:
                return ROOM, cpu, now
            elif status == SEGV:
                return INVALID, cpu, now
            elif status == LOCKED:
                return MMAP_LOCKED, cpu, now
            elif status == UNDER_WAY:
                if t.fault_from_ns == NONE and t.waits != 0:
                    t.fault_from_ns = now
                return PAGE_WAITED_FOR, cpu, now
            left -= 1
            if m.pool[0].heed != 0:
                if m.pool[0].heed & HEED_QUEUE != 0:
                    if m.pool[0].head == task:
                        return SERVED, cpu, now
                    if m.pool[0].released > 0 and m.pool[0].head == NONE:
                        return RELEASED, cpu, now
                if m.pool[0].requests != 0:
                    return READS_WANTED, cpu, now
                if m.pool[0].heed & HEED_LOCKS != 0:
                    return LOCK_GIVEN, cpu, now


@compiled
def switch_to(m: Arrays, cpu: int, task: int, now_ns: int, waited_ns: int, slice_ns: int) -> int:
    """Give `cpu` to `task` from `now_ns` on; return when its first step may start.

    A switch from another task costs; the slice ends at the first tick at or after its length.
    """
    c = m.cpus[cpu]
    clock = m.clock[0]
    clock.lines = 0
    ns = 0
    if c.last != NONE and c.last != task:
        note(m, CONTEXT_SWITCH, 1)
        ns = (settle(m, task) + 500) // 1000
    observe(m, RUNQUEUE, waited_ns)
    if clock.stalled > 0:
        run_until(m, now_ns, now_ns + ns)
    c.task = task
    c.last = task
    c.idle_from_ns = NONE
    c.next_ns = now_ns + ns
    c.busy_ns += ns
    tick = int(clock.tick_ns)
    c.slice_end_ns = FOREVER
    if slice_ns < FOREVER:
        c.slice_end_ns = (now_ns + slice_ns + tick - 1) // tick * tick
    m.tasks[task].cpu = cpu
    m.tasks[task].cpu_ns += ns
    return int(c.next_ns)


@compiled
def charge(m: Arrays, cpu: int, task: int, line: int) -> None:
    """Make the task on `cpu` pay for one unit of work that is no step of its own."""
    m.clock[0].lines = 0
    note(m, line, 1)
    ns = (settle(m, task) + 500) // 1000
    if m.clock[0].stalled > 0:
        run_until(m, int(m.cpus[cpu].next_ns), int(m.cpus[cpu].next_ns) + ns)
    m.cpus[cpu].next_ns += ns
    m.cpus[cpu].busy_ns += ns
    m.tasks[task].cpu_ns += ns


@compiled
def bring_up_to(m: Arrays, now_ns: int) -> None:
    """Sample and integrate up to `now_ns`, at the end of a run or of its warm-up."""
    sample(m, now_ns)
    integrate(m, now_ns)


@compiled
def stall(m: Arrays, now_ns: int, more: int) -> None:
    """Take note that `more` tasks more wait for memory from `now_ns` on, or fewer if negative."""
    clock = m.clock[0]
    if clock.stalled > 0:
        run_until(m, now_ns, now_ns)
    else:
        clock.ran_until_ns = now_ns
        for cpu in range(int(m.config[0].n_cpus)):
            c = m.cpus[cpu]
            if c.task != NONE and c.idle_from_ns == NONE and c.next_ns > clock.ran_until_ns:
                clock.ran_until_ns = c.next_ns
    clock.stalled += more


@compiled
def note_peak(m: Arrays) -> None:
    """Compare the memory in use with its peak outside a step."""
    follow_peaks(m)
