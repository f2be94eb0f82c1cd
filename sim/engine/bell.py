"""How a thread of the kernel is woken that sleeps until there is work for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import simpy

    from sim.engine.clock import Clock


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
