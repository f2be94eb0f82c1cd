"""What an allocator does to its process: system calls, and touches of pages.

A model of an allocator knows addresses and nothing else.  Its operations are generators that
yield system calls and are sent their results; a refused call is thrown in as
`sim.base.errors.Refused`.  Pages that the library itself reads or writes are noted in a `Trace`:
whoever carries out the calls first carries out the touches noted before them, and those that are
left when the operation returns.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from sim.base.units import PAGE_BYTES

T = TypeVar("T")

PAGE_SHIFT: Final = PAGE_BYTES.bit_length() - 1


@dataclass(frozen=True, slots=True)
class Brk:
    """Move the program break by some bytes; the result is where it was, an address."""

    delta_bytes: int


@dataclass(frozen=True, slots=True)
class Mmap:
    """Map private anonymous memory; the result is its address.

    `reserved` memory may not be accessed until it is protected anew, and is not accounted.
    `alignment` in bytes is at least a page.
    """

    size_bytes: int
    reserved: bool = False
    alignment: int = PAGE_BYTES


@dataclass(frozen=True, slots=True)
class Munmap:
    """Unmap a range."""

    address: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Mremap:
    """Resize a mapping, moving it if it must; the result is its address."""

    address: int
    old_bytes: int
    new_bytes: int


@dataclass(frozen=True, slots=True)
class Protect:
    """Make reserved memory readable and writable."""

    address: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Dontneed:
    """Give back the frames of a range (MADV_DONTNEED)."""

    address: int
    size_bytes: int


Call: TypeAlias = Brk | Mmap | Munmap | Mremap | Protect | Dontneed
Operation: TypeAlias = Generator[Call, Any, T]
"""An operation of an allocator in progress."""


class Touch(NamedTuple):
    """Pages that the library reads or writes, each once, in order."""

    first_page: int
    pages: int
    write: bool


class Trace:
    """Touches since the last system call; a page is named again only if that tells more."""

    def __init__(self) -> None:
        self._touches: list[Touch] = []
        self._read: set[int] = set()
        self._written: set[int] = set()

    def write(self, address: int, size_bytes: int = 8) -> None:
        """Note that the library writes a range of bytes."""
        first = address >> PAGE_SHIFT
        last = (address + size_bytes - 1) >> PAGE_SHIFT
        if first == last:
            if first not in self._written:
                self._written.add(first)
                self._touches.append(Touch(first, 1, True))
        elif last > first:
            self._touches.append(Touch(first, last + 1 - first, True))

    def read(self, address: int, size_bytes: int = 8) -> None:
        """Note that the library reads a range of bytes."""
        first = address >> PAGE_SHIFT
        last = (address + size_bytes - 1) >> PAGE_SHIFT
        if first == last:
            if first not in self._written and first not in self._read:
                self._read.add(first)
                self._touches.append(Touch(first, 1, False))
        elif last > first:
            self._touches.append(Touch(first, last + 1 - first, False))

    def take(self) -> list[Touch]:
        """Return the touches noted, and forget them."""
        touches = self._touches
        self._touches = []
        self._read.clear()
        self._written.clear()
        return touches
