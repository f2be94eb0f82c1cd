"""The models of malloc, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, Self

from sim.alloc.glibc.malloc import GlibcMalloc
from sim.alloc.jemalloc.malloc import JemallocMalloc

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.alloc.calls import Operation, Trace


class Allocator(Protocol):
    """What every model offers.  Addresses and sizes are in bytes; the first thread is 0.

    `begun` says whether `begin` needs to be called no more; `clock`, which returns the time in ns,
    is for those that give memory back as time goes by.
    """

    trace: Trace
    begun: bool
    clock: Callable[[], int]

    def begin(self) -> Operation[None]:
        """Do what the library does before the program begins; once, before anything else."""

    def malloc(self, size_bytes: int, *, thread: int = 0) -> Operation[int]:
        """Return the address of `size_bytes` bytes."""

    def calloc(self, size_bytes: int, *, thread: int = 0) -> Operation[int]:
        """Return the address of `size_bytes` zeroed bytes."""

    def realloc(self, address: int, size_bytes: int, *, thread: int = 0) -> Operation[int]:
        """Resize an allocation and return its address."""

    def free(self, address: int, *, thread: int = 0) -> Operation[None]:
        """Free an allocation."""

    def trim(self, pad: int = 0, *, thread: int = 0) -> Operation[None]:
        """Give free memory back to the system (malloc_trim)."""

    def mallopt(self, option: str, value: int) -> Operation[None]:
        """Change a parameter."""

    def end_thread(self, thread: int) -> Operation[None]:
        """Do what the end of a thread does."""

    def anew(self) -> Self:
        """Return an empty heap with the same parameters, as after exec."""

    def fork(self, thread: int = 0) -> Self:
        """Return the heap of a child that `thread` has forked."""


MODELS: Final[dict[str, Callable[[], Allocator]]] = {
    "glibc": GlibcMalloc,
    "jemalloc": JemallocMalloc,
}
"""What makes an empty heap."""
