"""When the OOM reaper works: two seconds after a kill, where the victim is still there.

Who is killed exits by itself as soon as it has a CPU.  Where it has none, or so much memory that
this takes long, a thread of the kernel takes what it can; after that another may be killed, if that
was not enough.  Read in Linux 6.18 `mm/oom_kill.c` (`oom_reap_task`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import MS
from sim.engine.daemons import start_daemon
from sim.kernel import ops
from sim.kernel.reclaim.oom_reaper import REAPED
from sim.machine.layout.fields import Child

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.engine.system import System
    from sim.engine.verbs.process import Process

AGAIN_NS: Final = 100 * MS
TRIES: Final = 10


def start_oom_reaper(system: System) -> None:
    """Let the reaper work, and live as long as anybody else does."""
    victims = system.victims

    def reap(thread: Process) -> Generator[Any, Any, None]:
        while True:
            while victims.due:
                victim, reaped = victims.due.popleft()
                for _ in range(TRIES):
                    if not victims.is_there(victim):
                        break
                    fields = Child(child=victim.row)
                    if (yield from thread.calls.do("reap", ops.OP_OOM_REAP, fields)) == REAPED:
                        break
                    yield from thread.sleep(AGAIN_NS)
                reaped()
            yield victims.bell.awaited()

    start_daemon(system, "oom_reaper", reap)
