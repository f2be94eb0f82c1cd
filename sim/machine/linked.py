"""Doubly linked lists of rows: columns `prev` and `next`, and a record with `head` and `tail`.

Linux: `include/linux/list.h`.
"""

from typing import Any

from sim.base.jit import inlined
from sim.machine.layout import NONE


@inlined
def list_add(rows: Any, ends: Any, row: int, before: int, after: int) -> None:
    """Put a row between two that are neighbours on a list; NONE is beyond its end."""
    rows[row].prev = before
    rows[row].next = after
    if before == NONE:
        ends.head = row
    else:
        rows[before].next = row
    if after == NONE:
        ends.tail = row
    else:
        rows[after].prev = row


@inlined
def list_del(rows: Any, ends: Any, row: int) -> None:
    """Take a row off its list; what it says of its neighbours stays."""
    before = int(rows[row].prev)
    after = int(rows[row].next)
    if before == NONE:
        ends.head = after
    else:
        rows[before].next = after
    if after == NONE:
        ends.tail = before
    else:
        rows[after].prev = before
