"""In which order runnable tasks get a CPU.

A policy that ships is a number; what it decides is compiled (`sim.policy.schedulers.shipped`), and
it decides in the middle of a burst.  A plug-in's policy is a class in Python, asked at events: it
sees process numbers and times, never the machine, so it cannot change what it decides about.
"""

from sim.policy.schedulers.protocol import (
    FIFO,
    FOREVER_NS,
    PLUGIN,
    PREEMPTED,
    ROUND_ROBIN,
    SCHEDULERS,
    WOKE,
    YIELDED,
    FullPolicy,
    Runnable,
    Scheduler,
    SchedulerPolicy,
    scheduler,
)

__all__ = [
    "FIFO",
    "FOREVER_NS",
    "PLUGIN",
    "PREEMPTED",
    "ROUND_ROBIN",
    "SCHEDULERS",
    "WOKE",
    "YIELDED",
    "FullPolicy",
    "Runnable",
    "Scheduler",
    "SchedulerPolicy",
    "scheduler",
]
