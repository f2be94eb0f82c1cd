"""What an arena asks of the heap that it is part of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sim.alloc.calls import Operation, Trace
    from sim.alloc.glibc.tcache import Tcache


class Owner(Protocol):
    """The heap of a process as its arenas see it; sizes in bytes."""

    trace: Trace
    top_pad: int
    trim_threshold: int
    tcache_count: int

    @property
    def current_tcache(self) -> Tcache | None:
        """The cache of the thread that calls."""

    def map_if_large(self, nb: int) -> Operation[int]:
        """Return a chunk with a mapping of its own if `nb` reaches the threshold, else 0."""

    def map_chunk(self, nb: int) -> Operation[int]:
        """Return a chunk with a mapping of its own, 0 if there is no memory."""
