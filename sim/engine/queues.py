"""Who waits in each run queue, in order of arrival, and the integral of their number."""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.machine.layout import NONE, Arrays
from sim.machine.linked import list_add, list_del
from sim.machine.turns import FREE, first_cpu
from sim.observe.series import integrate, keep_up

SUM_BITS: Final = 61
SUM_MASK: Final = (1 << SUM_BITS) - 1


@compiled
def bring_up_to(m: Arrays, now_ns: int) -> None:
    """Sample, average and integrate up to `now_ns`."""
    keep_up(m, now_ns)
    integrate(m, now_ns)


@inlined
def sample_due(m: Arrays, now_ns: int) -> None:
    """Write the samples that are due before the number of runnable tasks changes."""
    if m.clock[0].due_ns <= now_ns:
        bring_up_to(m, now_ns)


@inlined
def add_to_area(m: Arrays, ns: int) -> None:
    """Add to the integral of the number of tasks that wait: times they leave, less they enter."""
    sched = m.sched[0]
    low = int(sched.area_low) + ns
    sched.area_high += low >> SUM_BITS
    sched.area_low = low & SUM_MASK


@inlined
def link(m: Arrays, task: int, row: int, now_ns: int) -> None:
    """Put a task at the end of a queue.

    Since when there is contention on a CPU is what its own queue says, or else the one for any CPU;
    so a queue that fills while there is contention takes over since when.
    """
    e = m.entities[task]
    q = m.queues[row]
    if q.length == 0:
        q.contended_ns = now_ns
        if row > 0 and m.queues[0].length > 0:
            q.contended_ns = m.queues[0].contended_ns
    list_add(m.entities, q, task, int(q.tail), NONE)
    e.queue = row
    q.length += 1


@inlined
def unlink(m: Arrays, task: int) -> None:
    """Take a task out of its queue."""
    e = m.entities[task]
    q = m.queues[int(e.queue)]
    list_del(m.entities, q, task)
    e.queue = NONE
    q.length -= 1


@compiled
def free_cpu(m: Arrays) -> int:
    """Return the lowest CPU without a task, or NONE; some that have none may be passed over."""
    cpu = first_cpu(m, FREE)
    return cpu if cpu != NONE and m.cpus[cpu].task == NONE else NONE
