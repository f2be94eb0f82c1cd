"""In which order runnable tasks get a CPU.

A policy sees process numbers and times, never the machine: it cannot change what it decides about.
"""

from sim.policy.schedulers.protocol import (
    FOREVER_NS,
    SCHEDULERS,
    SchedulerPolicy,
    scheduler,
)
from sim.policy.schedulers.queues import Fifo, RoundRobin

__all__ = ["FOREVER_NS", "SCHEDULERS", "Fifo", "RoundRobin", "SchedulerPolicy", "scheduler"]
