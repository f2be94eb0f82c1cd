"""What the driver of scripts (`sim.host.driver`) has of memory itself, and when it writes to it.

In a control group it is charged for that too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sim.machine.areas import STACK_TOP_VPN

NO_PAGES: Final = range(0)


@dataclass(frozen=True, slots=True)
class OwnArea:
    """An area of the driver's own: from page `start`, `pages` long; 0: it lies in another.

    An image that exec brings in writes some of its pages as it starts, `written`.  Of these a child
    and its parent write those `at_birth` again as they return from fork; a process writes those
    `before_each` before each operation.  One that is `shared` is what the driver and its controller
    talk through.
    """

    start: int
    pages: int
    written: range = NO_PAGES
    at_birth: range = NO_PAGES
    before_each: range = NO_PAGES
    shared: bool = False


OWN_AREAS: Final = (
    OwnArea(0x400, 1),
    OwnArea(0x401, 153),
    OwnArea(0x49A, 42),
    OwnArea(0x4C4, 4, range(2, 4)),
    OwnArea(0x4C8, 3, range(3), range(1)),
    OwnArea(0x4CB, 62, range(55, 60), range(55, 57), range(37, 54)),
    OwnArea(0x509, 34, range(2), range(1)),
    OwnArea(0x7_FFFF_7EBB, 256),
    OwnArea(0x7_FFFF_7FBB, 60, range(1), range(1), shared=True),
    OwnArea(0x7_FFFF_7FF7, 4),
    OwnArea(0x7_FFFF_7FFB, 2),
    OwnArea(0x7_FFFF_7FFD, 2),
)
"""What ``/proc/PID/smaps`` of the static driver shows (Linux 6.18, glibc 2.36).

What it only reads is mapped by nobody here: that is not the group's.
"""
STACKS: Final = (
    OwnArea(STACK_TOP_VPN - 5, 0, range(3, 5), range(4, 5), range(4)),
    OwnArea(0x4DB, 0, at_birth=range(4, 5), before_each=range(4)),
    OwnArea(0x4EB, 0, at_birth=range(4, 5), before_each=range(4)),
)
"""The stack of a process, and the two on which a child of vfork may run (`other_stack`)."""
EXEC_BYTES: Final = 792
"""What an image takes of them besides an address space: its open file, and what exec takes anew."""
FILE_BYTES: Final = 1_536
"""What a new file takes of kernel objects: inode, name, and the open file (ext4, Linux 6.18)."""
SHARED_BYTES: Final = 1_160
"""What shared anonymous memory takes of them."""
