"""Every runnable task in turn, for at most one quantum."""

from sim.base.jit import inlined
from sim.machine.layout import Arrays


@inlined
def pick(m: Arrays, queue: int) -> int:
    """Take who has waited longest."""
    return int(m.queues[queue].head)


@inlined
def slice_ns(m: Arrays, task: int) -> int:
    """Return the quantum."""
    return int(m.sched[0].quantum_ns)
