"""What verbs return: handles of memory, of children and threads, of programs to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.base.units import Pid, Vpn


@dataclass(frozen=True, slots=True)
class Region:
    """A range of virtual pages, as returned by `Process.mmap` and `Process.sbrk`.

    It names addresses, not an address space: after a fork it is valid in the child too.
    Raises `ValueError` if `start_vpn` is negative or `pages` is negative.
    """

    start_vpn: Vpn
    pages: int

    def __post_init__(self) -> None:
        if self.start_vpn < 0:
            raise ValueError(f"start_vpn must be >= 0, got {self.start_vpn}")
        if self.pages < 0:
            raise ValueError(f"pages must be >= 0, got {self.pages}")


@dataclass(frozen=True, slots=True)
class Child:
    """A process that this one has started and may wait for."""

    pid: Pid
    name: str


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread of this process, which may be waited for."""

    pid: Pid
    name: str


@dataclass(slots=True, eq=False)
class Mutex:
    """A lock that threads of a process share: who has it, and who waits for it."""

    owner: Any = None
    waiting: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Exited:
    """How a child ended.  `status` is its exit status, or minus the signal's number."""

    pid: Pid
    status: int


@dataclass(frozen=True, slots=True)
class Image:
    """A program described by sizes, for exec to put in place of the old address space.

    Text and data are a file's pages: text is shared with all who run the same file, data is copied
    when written; bss and stack are zero-filled when touched.  Programs of the same sizes are one
    file unless `file` names it.  When it starts, the program touches the first `touched` (0 to 1)
    of its text, data and bss.  `stack_bytes` is how far its stack may grow; 0 stands for 8 MiB.
    Raises `ValueError` if a size is negative, or `touched` is no share.
    """

    text_bytes: int
    data_bytes: int
    bss_bytes: int
    stack_bytes: int
    touched: float = 1.0
    file: str = ""

    def __post_init__(self) -> None:
        if not 0.0 <= self.touched <= 1.0:
            raise ValueError(f"touched must be in 0 .. 1, got {self.touched}")
        for name in ("text_bytes", "data_bytes", "bss_bytes", "stack_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
