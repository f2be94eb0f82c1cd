"""When kswapd works: as soon as an allocation has found every zone below its low watermark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.engine.daemons import start_daemon
from sim.kernel import ops

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

    from sim.engine.clock import Clock
    from sim.engine.system import System
    from sim.engine.verbs.process import Process


class Bell:
    """Wakes a thread of the kernel that sleeps until there is work for it.

    `first` starts the thread when it is first wanted: runs that never want it have none.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event: simpy.Event | None = None
        self.first: Callable[[], None] | None = None

    def ring(self) -> None:
        """Wake it, if it sleeps."""
        if self.first is not None:
            start, self.first = self.first, None
            start()
        elif self._event is not None:
            event, self._event = self._event, None
            event.succeed()

    def awaited(self) -> simpy.Event:
        """Return the event of the next ring."""
        self._event = self._clock.event()
        return self._event


def start_kswapd(system: System) -> None:
    """Let kswapd work, and live as long as anybody else does."""
    words = system.machine.arrays.pool[0]

    def balance(kswapd: Process) -> Generator[Any, Any, None]:
        while True:
            yield from kswapd.calls.do("kswapd", ops.OP_KSWAPD)
            words.kswapd_awake = 0
            yield system.kswapd_bell.awaited()

    start_daemon(system, "kswapd0", balance)
