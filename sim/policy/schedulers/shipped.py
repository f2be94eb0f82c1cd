"""What the policies that ship decide, compiled: they are asked by number, inside the burst.

The engine keeps who waits in each queue in order of arrival, and tells a policy of every change; it
has records of its own in `entities` and `queues` (`sim.machine.layout`).
"""

from sim.base.jit import inlined
from sim.machine.layout import FOREVER, Arrays
from sim.policy.schedulers import ROUND_ROBIN


@inlined
def pick(m: Arrays, queue: int) -> int:
    """Return the next task of a queue in which some wait: both take who has waited longest."""
    return int(m.queues[queue].head)


@inlined
def slice_ns(m: Arrays) -> int:
    """Return for how long a task may run while others wait."""
    return int(m.sched[0].quantum_ns) if m.sched[0].policy == ROUND_ROBIN else FOREVER
