"""When the flusher works: when it is woken, and every five seconds where pages are dirty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import S
from sim.engine.daemons import start_daemon
from sim.kernel import ops
from sim.kernel.reclaim.flusher import BY_NEED, PERIODIC
from sim.machine.layout import ROOT
from sim.machine.layout.fields import Flush

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.engine.system import System
    from sim.engine.verbs.process import Process

WRITEBACK_NS: Final = 5 * S
"""`vm.dirty_writeback_centisecs`."""


def start_flusher(system: System) -> None:
    """Let the flusher work, and live as long as anybody else does."""
    m = system.machine.arrays

    def flush(flusher: Process) -> Generator[Any, Any, None]:
        while True:
            yield from flusher.calls.do("flusher", ops.OP_FLUSH, Flush(flush_why=BY_NEED))
            m.pool[0].flusher_awake = 0
            system.devices.nothing_to_write()
            woken = system.flusher_bell.awaited()
            while m.groups[ROOT].dirty > 0 and not woken.triggered:
                timer = system.clock.timer(WRITEBACK_NS, background=True)
                yield timer | woken
                if not woken.triggered:
                    yield from flusher.calls.do("flusher", ops.OP_FLUSH, Flush(flush_why=PERIODIC))
            if not woken.triggered:
                yield woken

    start_daemon(system, "flusher", flush)
