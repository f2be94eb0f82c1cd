"""The compiled burst: all CPUs' steps in global time order, up to the next SimPy event.

A step's state changes happen at its start, its CPU is busy to its end.  Ties go to the lower CPU.
The burst ends, and says why, when something needs a decision; where it ends by itself (the limit on
its length) leaves no trace in the machine, so bursts of any length give the same run.
"""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.cost.draw import settle
from sim.engine.runqueue import (
    begin_to_idle,
    give_way,
    hand_out,
    is_wanted,
    look_at,
    rotate,
    to_look_at,
    turn_ends_ns,
    wake,
)
from sim.engine.timers import arrival_ns, first_due_ns
from sim.kernel.flush import tlb_finish_mmu
from sim.kernel.ops import OP_ACCESS, OP_COMPUTE, OP_NONE
from sim.kernel.reclaim.high import handle_over_high, must_pay
from sim.kernel.reclaim.memcg import ROOM, make_room
from sim.kernel.step import call_step
from sim.kernel.stream import access_step
from sim.kernel.work import (
    BEGUN,
    DONE,
    MORE,
    NO_ROOM_YET,
    RECLAIMED,
    RECLAIMS_DIRECTLY,
    SHORT,
    SLEEPS,
    UNDER_WAY,
    note,
    reclaim_cost_ps,
)
from sim.machine.groups import settle_objects
from sim.machine.layout import (
    FOREVER,
    NONE,
    PENDING_FLUSHER,
    PENDING_KSWAPD,
    PENDING_LOCKS,
    PENDING_QUEUE,
    PENDING_ROOM,
    ROOT,
    Arrays,
)
from sim.machine.native import arrays_at
from sim.machine.turns import STEPS, first_cpu, others_key, set_key
from sim.observe.histogram import observe, observe_request
from sim.observe.pressure import record_reclaim
from sim.observe.series import follow_peaks, integrate, keep_up
from sim.policy.schedulers import PLUGIN

# --- why a burst ended ----------------------------------------------------------------------
REACHED: Final = 0
"""No step starts before `until_ns`."""
IDLE: Final = 1
"""No CPU has a task."""
LENGTH: Final = 2
"""The limit on steps was reached."""
FINISHED: Final = 3
"""The operation of the task on this CPU is done."""
MEMORY_SHORT: Final = 4
"""Its step needs frames that are not there; nothing happened."""
ROWS_SHORT: Final = 5
"""The arrays need more room; nothing happened."""
INVALID: Final = 6
"""Its access is invalid (SIGSEGV); nothing happened."""
MMAP_LOCKED: Final = 7
"""It needs the mmap lock, which another task holds; nothing happened."""
PAGE_WAITED_FOR: Final = 8
"""It needs a page that the device is reading; nothing happened."""
READS_WANTED: Final = 9
"""It has left requests for the device."""
LOCK_GIVEN: Final = 10
"""It goes on, but others may have the mmap lock now, for which they wait."""
RELEASED: Final = 11
"""A frame was freed or a reference dropped while tasks wait for memory."""
SERVED: Final = 12
"""The head of those that wait for memory has got what it was short of."""
SLICE_OVER: Final = 13
"""Its slice is over and another task could use the CPU (told where a plug-in's policy decides)."""
PICK: Final = 14
"""A plug-in's policy has to pick a task for this CPU."""
ARRIVED: Final = 15
"""A timer is due (told where a plug-in's policy decides)."""
DAEMON_WANTED: Final = 17
"""It goes on, but kswapd or the flusher is to be woken."""
WRITES_AWAITED: Final = 18
"""Too many pages of files are dirty; nothing happened."""
ROOM_AWAITED: Final = 20
"""It needs frames, and sleeps before it looks for them again; nothing happened."""
HIGH_EXCEEDED: Final = 21
"""Its group is above `memory.high`: it has to sleep before it goes on; nothing happened."""
GIVES_WAY: Final = 16
"""It waits for an arrival, and another task could use the CPU: never told."""

REFUSED: Final = (
    REACHED, REACHED, MEMORY_SHORT, ROWS_SHORT, INVALID, MMAP_LOCKED, PAGE_WAITED_FOR,
    WRITES_AWAITED, ROOM_AWAITED, HIGH_EXCEEDED,
)  # fmt: skip
"""Reasons by how a step ended (`sim.kernel.work`), where nothing happened."""


@inlined
def awaits_arrival(m: Arrays, task: int) -> bool:
    """Whether the next step of the task has an arrival time of its own."""
    o = m.operations[task]
    return bool(
        o.op == OP_ACCESS and o.arrivals != 0 and o.touched == 0 and o.at % o.per_request == 0
    )


@inlined
def compute_step(m: Arrays, cpu: int, task: int) -> int:
    """Return the ns of pure CPU time up to the next tick, at which the task could be preempted."""
    o = m.operations[task]
    now = int(m.cpus[cpu].next_ns)
    tick = int(m.clock[0].tick_ns)
    ns = min(int(o.demand_ns), (now // tick + 1) * tick - now)
    o.demand_ns -= ns
    return ns


@inlined
def carry_out(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of the task on `cpu`, price it, and move the CPU's clock to its end.

    Returns the step's status; unless it is MORE, DONE or RECLAIMED, nothing has happened.
    """
    t = m.tasks[task]
    o = m.operations[task]
    c = m.cpus[cpu]
    clock = m.clock[0]
    clock.lines = 0
    clock.kind = NONE
    start = int(c.next_ns)
    arrived = start
    extra_ns = 0
    if o.naps != 0:
        return NO_ROOM_YET
    if o.op == OP_ACCESS:
        if o.arrivals != 0:
            arrived = arrival_ns(m, task)
        if o.touched == 0:
            extra_ns = int(o.access_cpu_ns)
        status = access_step(m, cpu, task)
    elif o.op == OP_COMPUTE:
        extra_ns = compute_step(m, cpu, task)
        status = MORE if o.demand_ns > 0 else DONE
    else:
        status = call_step(m, cpu, task)
    if clock.flush_space != 0:
        tlb_finish_mmu(m)
    if status > DONE:
        clock.reclaims = 0
        return makes_room(m, cpu, task) if status == SHORT else status
    o.attempts = 0
    if clock.kind == BEGUN:
        extra_ns = 0  # the access is still to come
    ns = (settle(m, task) + 500) // 1000 + extra_ns
    if clock.kind != NONE:
        settle_objects(m, cpu)
        if o.fault_from_ns != NONE or clock.kind == BEGUN:
            observe_waited(m, task, start, start + ns)
        else:
            observe(m, int(clock.kind), int((clock.fault_ps + 500) // 1000))
    if clock.reclaims != 0:
        reclaimed(m, cpu, ns)
    c.next_ns = start + ns
    c.busy_ns += ns
    c.steps += 1
    t.cpu_ns += ns
    if clock.kind == BEGUN:
        return status
    if o.op == OP_ACCESS and o.arrivals != 0 and o.touched == 0 and o.at % o.per_request == 0:
        if t.over_high == 0:
            observe_request(m, start + ns - arrived)
        else:
            o.unanswered_ns = arrived
    follow_peaks(m)
    return status


@compiled
def reclaimed(m: Arrays, cpu: int, step_ns: int) -> None:
    """Record the part of a step of `step_ns` in which memory was reclaimed."""
    clock = m.clock[0]
    directly = clock.reclaims == RECLAIMS_DIRECTLY
    clock.reclaims = 0
    ps = reclaim_cost_ps(m) - int(clock.reclaim_from_ps)
    if ps > 0:
        ns = min(step_ns, ps // 1000)
        record_reclaim(m, cpu, ns)
        if directly:
            m.pool[0].allocation_stall_ns += ns


@compiled
def makes_room(m: Arrays, cpu: int, task: int) -> int:
    """Spend a step on making room for one that was refused for want of memory; return its status.

    A fault then takes as long as its steps do together.
    """
    m.clock[0].lines = 0
    room = make_room(m, cpu, task)
    m.clock[0].reclaims = 0
    if room != ROOM:
        return SHORT
    o = m.operations[task]
    if o.op == OP_ACCESS and o.fault_from_ns == NONE:
        o.fault_from_ns = m.cpus[cpu].next_ns
    ns = spend_on_reclaim(m, cpu, task)
    if o.over == ROOT:
        m.pool[0].allocation_stall_ns += ns
    return RECLAIMED


@compiled
def spend_on_reclaim(m: Arrays, cpu: int, task: int) -> int:
    """Price a step that did nothing but reclaim, and move the CPU's clock to its end.

    Returns how long it takes.
    """
    c = m.cpus[cpu]
    start = int(c.next_ns)
    ns = (settle(m, task) + 500) // 1000
    record_reclaim(m, cpu, ns)
    c.next_ns = start + ns
    c.busy_ns += ns
    c.steps += 1
    m.tasks[task].cpu_ns += ns
    follow_peaks(m)
    return ns


@compiled
def pays(m: Arrays, cpu: int, task: int) -> int:
    """Spend a step on what a task owes whose group is above `memory.high`; else it `SLEEPS`.

    A request that it has served is answered when nothing is owed any more.
    """
    m.clock[0].lines = 0
    t = m.tasks[task]
    o = m.operations[task]
    if handle_over_high(m, cpu, task) == SLEEPS:
        return SLEEPS
    spend_on_reclaim(m, cpu, task)
    if t.over_high == 0 and o.unanswered_ns != NONE:
        observe_request(m, int(m.cpus[cpu].next_ns - o.unanswered_ns))
        o.unanswered_ns = NONE
    return RECLAIMED


@compiled
def observe_waited(m: Arrays, task: int, start_ns: int, end_ns: int) -> None:
    """Remember when a fault began that a later step will serve; count it when one has."""
    o = m.operations[task]
    if o.fault_from_ns == NONE:
        o.fault_from_ns = start_ns
    if m.clock[0].kind != BEGUN:
        observe(m, int(m.clock[0].kind), int(end_ns - o.fault_from_ns))
        o.fault_from_ns = NONE


@inlined
def run_on(m: Arrays, cpu: int, before_ns: int, limit: int) -> tuple[int, int, int]:
    """Run the task on `cpu` until `before_ns` or a decision, at most `limit` steps.

    Returns the reason, `REACHED` if there is none; when it arose; and what is left of `limit`.
    """
    c = m.cpus[cpu]
    task = int(c.task)
    o = m.operations[task]
    wanted = is_wanted(m, cpu)  # in here nobody else comes to wait
    ends_ns = turn_ends_ns(m, cpu) if wanted else FOREVER
    while c.next_ns < before_ns:
        now = int(c.next_ns)
        owes = m.tasks[task].over_high != 0 and must_pay(m, task)
        if o.op == OP_NONE and not owes:
            return FINISHED, now, limit
        if now >= ends_ns:
            return SLICE_OVER, now, limit
        if not owes and awaits_arrival(m, task):
            due = arrival_ns(m, task)
            if due > now:
                if wanted:
                    return GIVES_WAY, now, limit
                begin_to_idle(m, cpu, due)
                continue
        if limit == 0:
            return LENGTH, now, limit
        if m.clock[0].due_ns <= now:
            keep_up(m, now)
        c.idle_from_ns = NONE
        status = pays(m, cpu, task) if owes else carry_out(m, cpu, task)
        if m.pool[0].free != m.clock[0].level_free:
            integrate(m, now)
        if status == DONE:
            o.op = OP_NONE
        elif status != MORE and status != RECLAIMED:
            if status == UNDER_WAY and o.fault_from_ns == NONE and o.waits != 0:
                o.fault_from_ns = now
            return REFUSED[status], now, limit
        limit -= 1
        if m.pool[0].pending != 0:
            if m.pool[0].pending & PENDING_QUEUE != 0:
                if m.pool[0].head == task and status != RECLAIMED:
                    return SERVED, now, limit
                if m.pool[0].released > m.pool[0].head_heard and m.pool[0].head == NONE:
                    return RELEASED, now, limit
            if m.pool[0].pending & PENDING_ROOM != 0 and m.pool[0].released > m.pool[0].room_heard:
                return RELEASED, now, limit
            if m.pool[0].pending & (PENDING_KSWAPD | PENDING_FLUSHER) != 0:
                return DAEMON_WANTED, now, limit
            if m.pool[0].requests != 0:
                return READS_WANTED, now, limit
            if m.pool[0].pending & PENDING_LOCKS != 0:
                return LOCK_GIVEN, now, limit
    return REACHED, before_ns, limit


@compiled
def advance(
    address: int, now_ns: int, until_ns: int, limit: int, event: int
) -> tuple[int, int, int]:
    """Run all CPUs of a machine until `until_ns` or a decision, at most `limit` steps.

    `event` is the number of SimPy's last event so far.  Returns (reason, CPU, time in ns).  No step
    starts at or after `until_ns`.
    """
    m = arrays_at(address)
    m.sched[0].event = event
    now = before_ns = now_ns
    rotated = False  # only the CPU that ran last has changed: the others' next steps are known
    while True:
        if to_look_at(m) != NONE:
            cpu = hand_out(m, now)
            if cpu != NONE:
                return PICK, cpu, now
            rotated = False
        if not rotated:
            cpu = first_cpu(m, STEPS)
            due_ns = first_due_ns(m)
            stop_ns = min(until_ns, due_ns)
            if cpu == NONE or m.cpus[cpu].next_ns >= stop_ns:
                if due_ns >= until_ns:
                    return (IDLE if cpu == NONE else REACHED), NONE, until_ns
                if m.sched[0].policy == PLUGIN:
                    return ARRIVED, NONE, due_ns
                now = due_ns
                while first_due_ns(m) == now:
                    wake(m, int(m.timers[0]), now)
                continue
            before_ns = min(others_key(m, STEPS, cpu), stop_ns)
        reason, now, limit = run_on(m, cpu, before_ns, limit)
        rotated = reason == SLICE_OVER and m.sched[0].policy != PLUGIN
        if rotated:
            rotate(m, cpu, now)
            continue
        set_key(m, STEPS, cpu, int(m.cpus[cpu].next_ns))
        if reason == GIVES_WAY:
            give_way(m, cpu, now)
        elif reason != REACHED:
            if reason == FINISHED:
                m.entities[int(m.cpus[cpu].task)].busy = 0
                look_at(m, cpu)
            return reason, cpu, now


@compiled
def charge(m: Arrays, cpu: int, task: int, line: int) -> None:
    """Make the task on `cpu` pay for one unit of work that is no step of its own."""
    m.clock[0].lines = 0
    note(m, line, 1)
    ns = (settle(m, task) + 500) // 1000
    c = m.cpus[cpu]
    c.next_ns += ns
    c.busy_ns += ns
    m.tasks[task].cpu_ns += ns
    set_key(m, STEPS, cpu, int(c.next_ns))


@compiled
def note_peak(m: Arrays) -> None:
    """Compare the memory in use with its peak outside a step."""
    follow_peaks(m)
