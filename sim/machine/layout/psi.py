"""Pressure on memory: for how long tasks of a group were stalled."""

from typing import Final

import numpy as np

PSI_NONE: Final = 0
"""A task that sleeps and is not stalled."""
PSI_ONCPU: Final = 1
"""It has a CPU."""
PSI_RUNNABLE: Final = 2
"""It waits for one."""
PSI_MEMSTALL: Final = 3
"""It is off its CPU for want of memory, or lost it while it made room."""
PSI_IOWAIT: Final = 4
"""It waits for a device, and is not stalled on memory."""

PSI_CPU = np.dtype(
    [
        (name, "i8")
        for name in (
            # tasks of the group and of those in it, by state
            "oncpu",
            "runnable",
            "memstall",
            "iowait",
            "upto_ns",  # the times below reach up to here
            "busy_ns",  # the CPU's time in use up to there
            "reclaim_ns",  # of that, time in which room was made
            # since they were collected
            "some_ns",  # a task was stalled
            "full_ns",  # and none did anything else
            "nonidle_ns",  # a task ran, waited for a CPU or a device, or was stalled
        )
    ]
)
"""Stalls of a group on one CPU (Linux `psi_group_cpu`), in row ``group * CPUs + cpu``."""

PSI = np.dtype(
    [
        (name, "i8")
        for name in (
            "collected_ns",  # up to when times of CPUs are in the sums
            "some_ns",  # how long some were stalled, each CPU counting as much as it was in use
            "full_ns",  # and how long nobody did anything else
            "some_before_ns",  # the sums when averages were last brought up to date
            "full_before_ns",
        )
    ]
)
"""Stalls of a group (Linux `psi_group`), a row for each of `groups` (`sim.observe.pressure`)."""

AVERAGED_S: Final = (10, 60, 300)
"""Seconds that averages of pressure look back; first those of SOME, then those of FULL."""
N_AVERAGES: Final = 2 * len(AVERAGED_S)
