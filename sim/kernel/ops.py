"""Operations of tasks, by number, and how each of them holds the mmap lock: one table.

Measured on the running kernel (6.18) by two threads, a row a call:
`tests/truth/test_mmap_lock.py`.  A long call has two parts: what it changes first (areas), and
what it does then (pages that are filled, or given back).
"""

from dataclasses import dataclass
from typing import Final

OP_NONE: Final = 0
OP_ACCESS: Final = 1
"""The operation in which a program touches pages itself."""
OP_COMPUTE: Final = 2
OP_MMAP: Final = 3
OP_MUNMAP: Final = 4
OP_BRK: Final = 5
OP_DONTNEED: Final = 6
OP_FORK: Final = 7
OP_VFORK: Final = 8
OP_EXEC: Final = 9
OP_EXIT: Final = 10
OP_REAP: Final = 11
OP_MPROTECT: Final = 12
OP_MADVISE: Final = 13
OP_POPULATE: Final = 14
OP_ADOPT: Final = 15
"""What an Async-fork leaves to the child: copying leaf tables."""
OP_MLOCK: Final = 16
OP_MREMAP: Final = 17
OP_FREE: Final = 18
OP_MSYNC: Final = 19
OP_FSYNC: Final = 20
OP_FILE_READ: Final = 21
OP_FILE_WRITE: Final = 22
OP_START: Final = 23
"""What a program touches of its own accord when it starts."""
OP_FADVISE: Final = 24
OP_COLLAPSE: Final = 25
OP_KHUGEPAGED: Final = 26
N_OPS: Final = 27

NO_LOCK: Final = 0
"""Not at all."""
AREA_LOCK: Final = 1
"""The lock of its area only: it waits for whoever has locked that area, and holds off whoever wants
to; a range of several areas takes the mmap lock for reading instead."""
READ_LOCK: Final = 2
"""For reading: it waits for who holds it for writing, and holds up who wants that."""
WRITE_LOCK: Final = 3
"""For writing: it waits for everybody, and everybody for it."""
BLOCK_LOCK: Final = 4
"""For writing, and given up behind each 2 MiB where somebody waits for it."""


@dataclass(frozen=True, slots=True)
class Call:
    """How a call holds the mmap lock: in its `first` part, and `then`.

    `probes` are the short calls by which the running kernel was asked how it takes the lock,
    `holders` the long ones by which it was asked how it holds it (`tests/truth/mmap_lock.c`).
    """

    op: int
    first: int
    then: int
    probes: tuple[str, ...]
    holders: tuple[str, ...]


CALLS: Final = (
    Call(OP_MMAP, WRITE_LOCK, READ_LOCK, ("mmap",), ("mmap_populate",)),
    Call(OP_MUNMAP, WRITE_LOCK, READ_LOCK, ("munmap",), ("munmap",)),
    Call(OP_BRK, WRITE_LOCK, READ_LOCK, ("brk",), ("brk_shrink",)),
    Call(OP_MREMAP, WRITE_LOCK, READ_LOCK, ("mremap",), ("mremap_shrink", "mremap_grow")),
    Call(OP_MLOCK, WRITE_LOCK, READ_LOCK, ("mlock", "munlock"), ("mlock",)),
    Call(OP_MPROTECT, WRITE_LOCK, WRITE_LOCK, ("mprotect",), ("mprotect",)),
    Call(
        OP_MADVISE,
        WRITE_LOCK,
        WRITE_LOCK,
        ("random", "hugepage", "dontfork", "wipeonfork"),
        ("dontfork",),
    ),
    Call(OP_FORK, WRITE_LOCK, WRITE_LOCK, (), ("fork",)),
    Call(OP_DONTNEED, AREA_LOCK, AREA_LOCK, ("dontneed",), ("dontneed",)),
    Call(OP_FREE, AREA_LOCK, AREA_LOCK, ("free",), ("free",)),
    Call(
        OP_POPULATE, READ_LOCK, READ_LOCK, ("populate_read", "populate_write"), ("populate_write",)
    ),
    Call(OP_MSYNC, READ_LOCK, READ_LOCK, ("msync",), ()),
    Call(OP_COLLAPSE, BLOCK_LOCK, BLOCK_LOCK, ("collapse",), ("collapse",)),
)
"""Calls that are not here do without the lock, or take one that is not of their address space."""

FIRST: Final = tuple({c.op: c.first for c in CALLS}.get(op, NO_LOCK) for op in range(N_OPS))
THEN: Final = tuple({c.op: c.then for c in CALLS}.get(op, NO_LOCK) for op in range(N_OPS))
