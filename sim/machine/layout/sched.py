"""What schedulers know of tasks, and the run queues."""

from typing import Final

import numpy as np

NICE_WEIGHTS: Final = (
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916,
    9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277,
    1024, 820, 655, 526, 423, 335, 272, 215, 172, 137,
    110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
)  # fmt: skip
"""Weights of tasks of nice -20 to 19 (Linux `sched_prio_to_weight`)."""
NICE_0_WEIGHT: Final = NICE_WEIGHTS[20]
"""Weight of a task of nice 0 (`NICE_0_LOAD`)."""
FOREVER: Final = 1 << 62
"""A time that never comes, in ns."""

ENTITY = np.dtype(
    [
        (name, "i8")
        for name in (
            "busy",  # 1 from the begin of an operation until its program is told of the end
            "weight",  # its share of a CPU; nice 0 is `NICE_0_WEIGHT`
            "home",  # the CPU whose queue it waits in, of a policy with a queue a CPU, or NONE
            "queue",  # the run queue that it waits in, or NONE
            "next",  # who came to that queue after it
            "prev",  # and before it
            "since_ns",  # since when it waits there
            "due_ns",  # when the arrival comes that it is blocked for
            "due_number",  # among SimPy's events, at a tie
            "due_order",  # among the timers of that number
            "timer",  # its place in the heap `timers`, or NONE
            "psi_state",  # what pressure counts it as (`PSI_NONE`, ...),
            "psi_cpu",  # where,
            "psi_group",  # and for which group
            # what policies know besides
            "used_ns",  # its CPU time when the policy accounted for it last
            "place",  # priority: among its equals, the lowest first
            "left_ns",  # priority: of its slice
            "load",  # eevdf: its weight while it is runnable, else 0
            "vruntime",  # eevdf, in ns of CPU time at nice 0, as what follows
            "deadline",
            "lag",  # when it blocked
            "request",  # its deadline when it was picked
            "left",  # eevdf: in the tree of those that wait (`sim.machine.treap`)
            "right",
            "above",
            "min_vruntime",  # eevdf: the least of its subtree
        )
    ]
)
"""A task as schedulers see it (Linux `sched_entity`), a row for each of `tasks`."""

QUEUE = np.dtype(
    [
        (name, "i8")
        for name in (
            "head",  # who has waited longest
            "tail",
            "length",
            "contended_ns",  # since when somebody has been waiting here
            # what policies know besides
            "front",  # priority: the lowest place given to one that was preempted
            "back",  # priority: the highest place given to another
            "load",  # eevdf: weights of all that are runnable, the one that runs included
            "vruntime",  # eevdf: what theirs are counted from
            "weighted",  # eevdf: sum of each one's beyond that, times its weight
            "root",  # eevdf: of the tree of those that wait
        )
    ]
)
"""A run queue: row 0 for tasks that may run anywhere, row 1 + n for those bound to CPU n."""

SCHED = np.dtype(
    [
        (name, "i8")
        for name in (
            "policy",  # number of the policy (`sim.policy.schedulers`)
            "quantum_ns",
            "leaves",  # of each tournament in `turns`: a power of 2
            "queue_per_cpu",  # 1 if each task waits in a CPU's queue (a policy that ships)
            "steals",  # 1 if a CPU for which nobody waits may have a task of another's queue
            "left",  # rows of `left`
            "running",  # CPUs that have a task
            "timers",  # tasks in the heap `timers`
            "timer_order",  # of the next one
            "event",  # SimPy had numbered its events up to here when the burst began
            # Little's law, from `counted_from_ns` on; sums in two words, as in CLOCK
            "counted_from_ns",
            "counted_from",  # tasks that waited then
            "enqueued",
            "area_low",  # times of leaving less times of entering
            "area_high",
            "waited_low",
            "waited_high",
        )
    ]
)
