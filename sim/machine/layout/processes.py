"""Processes: what the tasks of one have in common, and its children are born with."""

from typing import Final

import numpy as np

PROCESS = np.dtype(
    [
        (name, "i8")
        for name in (
            "tasks",  # that it has; 0: a free row
            "stacks",  # tasks of it that have a kernel stack
            "group",  # control group that is charged for what its tasks take
            "nice",
            "oom_score_adj",
            "cap_sys_admin",  # 1: it has the capability, so nothing is kept back for root from it
            "stack_limit",  # RLIMIT_STACK, in pages
        )
    ]
)
"""Attributes of a process (Linux keeps them in `signal_struct`, and in each task)."""

STACK_LIMIT_PAGES: Final = 2048
"""The usual RLIMIT_STACK: 8 MiB."""
