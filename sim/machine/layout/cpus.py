"""CPUs."""

import numpy as np

CPU = np.dtype(
    [
        (name, "i8")
        for name in (
            "task",  # the task it runs, or NONE
            "last",  # the task it ran before
            "group",  # that is charged for the frames taken on it
            "next_ns",  # end of the step under way: when its next step may start
            "slice_end_ns",
            "need_resched",  # 1 if a task that woke goes before the one it runs
            "idle_from_ns",  # paced task waits for its arrival since then, or NONE
            "busy_ns",
            "reclaim_ns",  # of that, time in which room was made: first of all in a step
            "reclaims_until_ns",  # when room was last made, or will have been
            "steps",
        )
    ]
)
