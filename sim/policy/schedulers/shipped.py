"""What the policies that ship decide, compiled: they are asked by number, inside the burst.

Each is a module of this package, called as the policy is.  It has `pick`, and those of the other
functions below in which it differs; `QUEUE_PER_CPU` says that each task waits in a CPU's queue, so
that `queue` is that CPU's, its running task included.  Names are those of plug-ins (`FullPolicy`).

The engine keeps who waits in each queue in order of arrival.  What a policy knows of tasks and of
queues besides is in columns of its own (`sim.machine.layout.sched`).
"""

from collections.abc import Callable
from importlib import import_module
from typing import Final

from sim.base.jit import compiled
from sim.machine.layout import FOREVER, NONE
from sim.policy.schedulers import SCHEDULERS

_MODULES: Final = {
    n: import_module(f"sim.policy.schedulers.{name}") for name, n in SCHEDULERS.items()
}

QUEUES_PER_CPU: Final = {n for n, module in _MODULES.items() if hasattr(module, "QUEUE_PER_CPU")}
"""Numbers of the policies with a queue a CPU."""


def _asked(name: str, arguments: str, otherwise: int) -> Callable[..., int]:
    """Return a function that asks the policy of the machine, where it has a function `name`.

    Compiled code cannot look one up in a table; the source is made here, an if for each policy.
    """
    having = {n: getattr(module, name) for n, module in _MODULES.items() if hasattr(module, name)}
    lines = [
        f"def {name}({arguments}):",
        "    policy = m.sched[0].policy",
        *(f"    if policy == {n}: return policy_{n}({arguments})" for n in having),
        f"    return {otherwise}",
    ]
    scope = {"__name__": __name__, **{f"policy_{n}": function for n, function in having.items()}}
    exec(compile("\n".join(lines), __file__, "exec"), scope)
    asked: Callable[..., int] = compiled(scope[name])
    return asked


enqueue_task = _asked("enqueue_task", "m, queue, task, why", 0)
"""Take note that a task waits in a queue, and why."""

dequeue_task = _asked("dequeue_task", "m, queue, task", 0)
"""Take note that a task of a queue has left: it blocked, ended, or moved to another."""

pick = _asked("pick", "m, queue", NONE)
"""Return the task that runs next, of a queue in which some wait."""

slice_ns = _asked("slice_ns", "m, task", FOREVER)
"""Return for how long the task just picked may run while others wait, in ns."""

wakeup_preempt = _asked("wakeup_preempt", "m, queue, waking, running", 0)
"""Return 1 if a task that woke goes before the one that has the CPU of its queue, else 0."""

steal = _asked("steal", "m, cpu", NONE)
"""Return the task that a CPU for which nobody waits takes over from another's queue, or NONE."""
