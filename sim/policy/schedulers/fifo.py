"""First come, first served: nobody loses a CPU before it blocks."""

from sim.base.jit import inlined
from sim.machine.layout import Arrays


@inlined
def pick(m: Arrays, queue: int) -> int:
    """Take who has waited longest."""
    return int(m.queues[queue].head)
