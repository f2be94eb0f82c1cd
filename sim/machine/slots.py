"""Free rows of an array: one stack for each, whose links lie in the rows themselves.

A link is counted from the row behind its own: so rows of zeros, with which arrays begin and grow,
are linked already, each to the next, and the lowest row that was never used is taken when none has
been given back.
"""

from typing import Any

from sim.base.jit import inlined
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)


@inlined
def has_room(slots: Any, wanted: int) -> bool:
    """Whether `wanted` rows more can be taken without growing the array."""
    return bool(slots.used + wanted <= slots.room)


@inlined
def take_row(slots: Any, rows: Any) -> int:
    """Return a free row of `rows`, now in use; there must be room.  Its `next` is what it was."""
    row = int(slots.free)
    slots.free = row + 1 + rows[row].next
    slots.used += 1
    return row


@inlined
def give_row(slots: Any, rows: Any, row: int) -> None:
    """Free a row, which is the first to be taken again; its `next` is the list's from now on."""
    rows[row].next = slots.free - row - 1
    slots.free = row
    slots.used -= 1
