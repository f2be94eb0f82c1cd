"""Threads of the kernel: they use CPU time like others, but are no processes.

Any number may run, each a program that sleeps, or waits for an event, until there is work for it.
No run goes on for their timers, nor for what they wait for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sim.engine.verbs.process import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sim.engine.system import System
    from sim.engine.task import Task


def start_daemon(
    system: System, name: str, program: Callable[[Process], Generator[Any, Any, None]]
) -> Task:
    """Let a thread of the kernel live beside all processes; return its task."""
    process = Process(system.table.process(name, daemon=True), system)
    system.lives.begin(process.calls, partial(program, process))
    return process.task
