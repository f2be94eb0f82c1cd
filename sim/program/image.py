"""Programs as exec sees them: segments of files and memory, and the pages touched at the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sim.base.units import PAGE_BYTES

TEXT_VPN: Final = 0x400
"""Where a static program's first segment lies, as the linker has it: 4 MiB."""
SPAWN_STACK_PAGES: Final = 9
"""What posix_spawn maps for the child to run on: 32 KiB and its arguments (glibc 2.36)."""
STACK_BYTES: Final = 8 << 20
"""RLIMIT_STACK, as distributions set it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Pages [start_vpn, start_vpn + pages) of a new program.

    `file` is mapped privately from its page `offset` on; "" is anonymous memory (bss).  `clears`:
    exec zeroes the rest of the last page, because bss begins in it.  `text` may be executed.
    """

    start_vpn: int
    pages: int
    writable: bool
    file: str = ""
    offset: int = 0
    clears: bool = False
    text: bool = False


@dataclass(frozen=True, slots=True)
class Touch:
    """One page that a program reads or writes when it starts."""

    vpn: int
    write: bool


@dataclass(frozen=True, slots=True)
class ProgramImage:
    """A program that exec can put in place of an address space.

    Attributes
    ----------
    segments
        Its areas, in any order.
    files
        The files that they map, by name, and how many pages each has.
    touches
        The pages that the program touches by itself when it starts, in order.
    heap_vpn
        Where its heap begins.
    stack_bytes
        How far its stack may grow.
    stack_pages
        What arguments and environment fill of it.
    source
        Where this was read: a file, or a command that shows it.
    """

    segments: tuple[Segment, ...]
    files: tuple[tuple[str, int], ...]
    touches: tuple[Touch, ...]
    heap_vpn: int
    stack_bytes: int = STACK_BYTES
    stack_pages: int = 1
    source: str = ""


def pages_of_file(size_bytes: int) -> int:
    """Return how many pages of the page cache a file of this size takes."""
    return -(-size_bytes // PAGE_BYTES)
