"""Arrivals that tasks are blocked for, inside the burst: a heap, the next one first.

What SimPy has at the same nanosecond comes first if it was scheduled before the timer was set.
"""

from sim.base.jit import compiled, inlined
from sim.machine.layout import FOREVER, NONE, Arrays


@inlined
def arrival_ns(m: Arrays, task: int) -> int:
    """Return when the request arrives that the stream's next access belongs to."""
    o = m.operations[task]
    n = int(o.at) // int(o.per_request)
    if o.arrivals == 1:
        return int(o.arrival_first + n * o.arrival_every)
    return int(m.lists[int(o.arrivals_at) + n])


@inlined
def first_due_ns(m: Arrays) -> int:
    """Return when the next timer is due, or FOREVER."""
    return int(m.entities[m.timers[0]].due_ns) if m.sched[0].timers > 0 else FOREVER


@inlined
def is_before(m: Arrays, one: int, other: int) -> bool:
    """Whether the timer of task `one` comes before that of `other`."""
    a = m.entities[one]
    b = m.entities[other]
    return bool(a.due_ns < b.due_ns or (a.due_ns == b.due_ns and a.due_order < b.due_order))


@compiled
def place_timer(m: Arrays, task: int, place: int) -> None:
    """Put a task into the free `place` of the heap, or where it must go from there."""
    while place > 0:
        parent = (place - 1) // 2
        other = int(m.timers[parent])
        if not is_before(m, task, other):
            break
        m.timers[place] = other
        m.entities[other].timer = place
        place = parent
    count = int(m.sched[0].timers)
    while 2 * place + 1 < count:
        child = 2 * place + 1
        if child + 1 < count and is_before(m, int(m.timers[child + 1]), int(m.timers[child])):
            child += 1
        other = int(m.timers[child])
        if not is_before(m, other, task):
            break
        m.timers[place] = other
        m.entities[other].timer = place
        place = child
    m.timers[place] = task
    m.entities[task].timer = place


@compiled
def set_timer(m: Arrays, task: int, due_ns: int) -> None:
    """Let a task be woken at `due_ns`."""
    sched = m.sched[0]
    e = m.entities[task]
    e.due_ns = due_ns
    e.due_number = sched.event
    e.due_order = sched.timer_order
    sched.timer_order += 1
    sched.timers += 1
    place_timer(m, task, int(sched.timers) - 1)


@compiled
def drop_timer(m: Arrays, task: int) -> None:
    """Cancel the timer of a task that has one."""
    sched = m.sched[0]
    place = int(m.entities[task].timer)
    m.entities[task].timer = NONE
    sched.timers -= 1
    last = int(m.timers[int(sched.timers)])
    if last != task:
        place_timer(m, last, place)
