"""Fixed priorities, round robin within one: the lower `nice` goes first (Linux `SCHED_RR`).

Linux: `kernel/sched/rt.c`.  A task that was preempted goes on before its equals with the rest of
its slice; one whose slice is over goes behind them.  A CPU for which nobody waits takes over the
highest of all that wait; Linux moves more: it also pushes a task that woke to the CPU that runs the
lowest.  To choose is linear in how many wait in a queue.
"""

from typing import Final

from sim.base.jit import compiled
from sim.machine.layout import NONE, Arrays
from sim.policy.schedulers import PREEMPTED

QUEUE_PER_CPU: Final = True


@compiled
def enqueue_task(m: Arrays, queue: int, task: int, why: int) -> int:
    """Give a task its place among its equals, and its slice."""
    e = m.entities[task]
    q = m.queues[queue]
    if why == PREEMPTED:
        e.left_ns -= m.tasks[task].cpu_ns - e.used_ns
        if e.left_ns > 0:
            q.front -= 1
            e.place = q.front
            return 0
    q.back += 1
    e.place = q.back
    e.left_ns = m.sched[0].quantum_ns
    return 0


@compiled
def is_ahead(m: Arrays, one: int, other: int) -> bool:
    """Whether task `one` goes before `other`, both waiting in a queue."""
    a = m.entities[one]
    b = m.entities[other]
    return bool(a.weight > b.weight or (a.weight == b.weight and a.place < b.place))


@compiled
def pick(m: Arrays, queue: int) -> int:
    """Return the highest that waits, of equals the first."""
    best = int(m.queues[queue].head)
    task = int(m.entities[best].next)
    while task != NONE:
        if is_ahead(m, task, best):
            best = task
        task = int(m.entities[task].next)
    m.entities[best].used_ns = m.tasks[best].cpu_ns
    return best


@compiled
def slice_ns(m: Arrays, task: int) -> int:
    """Return what is left of its slice."""
    return int(m.entities[task].left_ns)


@compiled
def wakeup_preempt(m: Arrays, queue: int, waking: int, running: int) -> int:
    """Return 1 if the task that woke is higher."""
    return int(m.entities[waking].weight > m.entities[running].weight)


@compiled
def steal(m: Arrays, cpu: int) -> int:
    """Return the highest task that waits for any CPU and may run on this one."""
    best = NONE
    for queue in range(1, int(m.config[0].n_cpus) + 1):
        task = int(m.queues[queue].head)
        while task != NONE:
            higher = best == NONE or m.entities[task].weight > m.entities[best].weight
            if higher and m.tasks[task].pin == NONE:
                best = task
            task = int(m.entities[task].next)
    return best
