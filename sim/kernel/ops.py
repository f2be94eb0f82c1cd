"""Operations of tasks: one table, append only.

How each holds the mmap lock was measured on the running kernel (6.18) by two threads, a row a call:
`tests/truth/test_mmap_lock.py`.  A long call has two parts: what it changes first (areas), and what
it does then (pages that are filled, or given back).

What does a step of an operation stands in `sim.kernel.step`; `tests/unit/test_tables.py` joins the
two, and what programs and scripts call each operation.
"""

from collections.abc import Mapping as AnyMapping
from typing import Any, Final, Generic, Self, TypeVar

import numpy as np

from sim.base.numbered import rows_of
from sim.machine.layout import NO_OPERATION, Arrays
from sim.machine.layout.fields import (
    Access,
    Child,
    Demand,
    Exec,
    File,
    FileAdvice,
    FilePages,
    Flags,
    Flush,
    Image,
    Mapping,
    Nothing,
    Pages,
    Populate,
    Protection,
    Range,
    Remapping,
)
from sim.machine.words import O_COLUMNS, O_OP, O_WORDS

F = TypeVar("F", bound=AnyMapping[str, Any])
"""What an operation is given, a class of `sim.machine.layout.fields`."""

NO_LOCK: Final = 0
"""Not at all, or one that is not of its address space."""
AREA_LOCK: Final = 1
"""The lock of its area only: it waits for whoever has locked that area, and holds off whoever wants
to; a range of several areas takes the mmap lock for reading instead."""
READ_LOCK: Final = 2
"""For reading: it waits for who holds it for writing, and holds up who wants that."""
WRITE_LOCK: Final = 3
"""For writing: it waits for everybody, and everybody for it."""
BLOCK_LOCK: Final = 4
"""For writing, and given up behind each 2 MiB where somebody waits for it."""


class Op(int, Generic[F]):
    """An operation: its number, how it holds the mmap lock, and the fields that it is given.

    `first` and `then` are how it holds the lock in its two parts.  `changes` is whether it changes
    page-table entries that are there; new ones come by faults.  `fields` are columns of
    `sim.machine.layout.OPERATION`, and where they lie.
    """

    first: int
    then: int
    changes: bool
    fields: dict[str, int]

    def __new__(
        cls,
        number: int,
        fields: type[F],
        *,
        first: int = NO_LOCK,
        then: int | None = None,
        changes: bool = False,
    ) -> Self:
        """Make a row of the table; `then` is as `first` if it is not given."""
        op = super().__new__(cls, number)
        op.first = first
        op.then = first if then is None else then
        op.changes = changes
        op.fields = {name: O_COLUMNS[name] for name in fields.__annotations__}
        return op


OP_NONE: Final = Op(0, Nothing)
"""Between operations."""
OP_ACCESS: Final = Op(1, Access)
"""The operation in which a program touches pages itself."""
OP_COMPUTE: Final = Op(2, Demand)
OP_MMAP: Final = Op(
    3,
    Mapping,
    first=WRITE_LOCK,
    then=READ_LOCK,
)
OP_MUNMAP: Final = Op(4, Range, first=WRITE_LOCK, then=READ_LOCK, changes=True)
OP_BRK: Final = Op(5, Pages, first=WRITE_LOCK, then=READ_LOCK, changes=True)
OP_DONTNEED: Final = Op(6, Range, first=AREA_LOCK, changes=True)
OP_FORK: Final = Op(7, Child, first=WRITE_LOCK)
OP_VFORK: Final = Op(8, Child)
OP_EXEC: Final = Op(9, Exec)
OP_EXIT: Final = Op(10, Nothing)
OP_REAP: Final = Op(11, Nothing)
OP_MPROTECT: Final = Op(12, Protection, first=WRITE_LOCK, changes=True)
OP_MADVISE: Final = Op(13, Flags, first=WRITE_LOCK)
OP_POPULATE: Final = Op(14, Populate, first=READ_LOCK)
OP_ASYNC_COPY: Final = Op(15, Nothing)
"""What an Async-fork leaves to the child: copying leaf tables."""
OP_MLOCK: Final = Op(16, Flags, first=WRITE_LOCK, then=READ_LOCK)
OP_MREMAP: Final = Op(
    17,
    Remapping,
    first=WRITE_LOCK,
    then=READ_LOCK,
    changes=True,
)
OP_FREE: Final = Op(18, Range, first=AREA_LOCK, changes=True)
OP_MSYNC: Final = Op(19, Range, first=READ_LOCK)
OP_FSYNC: Final = Op(20, File)
OP_FILE_READ: Final = Op(21, FilePages)
OP_FILE_WRITE: Final = Op(22, FilePages)
OP_START: Final = Op(23, Image)
"""What a program touches of its own accord when it starts."""
OP_FADVISE: Final = Op(24, FileAdvice)
OP_COLLAPSE: Final = Op(25, Range, first=BLOCK_LOCK, changes=True)
OP_KHUGEPAGED: Final = Op(26, Nothing)
OP_KSWAPD: Final = Op(27, Nothing)
OP_FLUSH: Final = Op(28, Flush)
OP_SWAPOFF: Final = Op(29, Nothing)
OP_SWAPON: Final = Op(30, Nothing)
OP_OOM_REAP: Final = Op(31, Child)
OP_DIRECT_READ: Final = Op(32, FilePages)
OP_DIRECT_WRITE: Final = Op(33, FilePages)

OPS: Final = rows_of(globals(), Op, "OP_")
"""Operations by name, in order of their numbers."""

FIRST: Final = tuple(op.first for op in OPS.values())
THEN: Final = tuple(op.then for op in OPS.values())
CHANGES: Final = tuple(op.changes for op in OPS.values())

_BLANK: Final = NO_OPERATION.view(np.int64).data


def begin(m: Arrays, row: int, op: Op[F], fields: F) -> None:
    """Put an operation into the row of a task; what is not given is as in `NO_OPERATION`.

    Raises `TypeError` if the operation has no such field.
    """
    words, first, places = m.words.operations, row * O_WORDS, op.fields
    words[first : first + O_WORDS] = _BLANK
    try:
        for name, value in fields.items():
            words[first + places[name]] = value
    except KeyError:
        unknown = ", ".join(sorted(fields.keys() - places.keys()))
        raise TypeError(f"operation {tuple(OPS)[op]} has no {unknown}") from None
    words[first + O_OP] = op
