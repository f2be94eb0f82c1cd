"""Balanced trees of rows: any in order of the caller's, each knowing something of its subtree.

A treap (Seidel and Aragon 1996): a binary search tree in which nobody lies above a row of a higher
priority, a hash of the row's number; so it is as deep as one whose rows came in random order.  Rows
have columns `left`, `right` and `above`; `top` is a record with a column `root`; `renew(m, row)`
works out anew what a row knows of its subtree, where those below it are right.
"""

from collections.abc import Callable
from typing import Any

from sim.base.jit import compiled
from sim.machine.layout import NONE, Arrays

Renew = Callable[[Arrays, int], None]
_MASK = 0xFFFFFFFF


@compiled
def priority(row: int) -> int:
    """Return a number that depends on all bits of the row's."""
    mixed = row * 2654435761 & _MASK
    mixed = (mixed ^ (mixed >> 16)) * 73244475 & _MASK
    return mixed ^ (mixed >> 16)


@compiled
def put_below(rows: Any, top: Any, above: int, old: int, new: int) -> None:
    """Let `new`, which may be NONE, take the place of `old` below `above`, or as the root."""
    if above == NONE:
        top.root = new
    elif rows[above].left == old:
        rows[above].left = new
    else:
        rows[above].right = new
    if new != NONE:
        rows[new].above = above


@compiled
def rotate(rows: Any, top: Any, row: int) -> int:
    """Let a row and the one above it change places, order kept; return the latter."""
    a = rows[row]
    above = int(a.above)
    b = rows[above]
    put_below(rows, top, int(b.above), above, row)
    if b.left == row:
        middle = int(a.right)
        b.left = middle
        a.right = above
    else:
        middle = int(a.left)
        b.right = middle
        a.left = above
    if middle != NONE:
        rows[middle].above = above
    b.above = row
    return above


@compiled
def renew_up(m: Arrays, rows: Any, row: int, renew: Renew) -> None:
    """Have a row, and those above it in the tree, know their subtrees again."""
    while row != NONE:
        renew(m, row)
        row = int(rows[row].above)


@compiled
def link_leaf(
    m: Arrays, rows: Any, top: Any, row: int, above: int, left: bool, renew: Renew
) -> None:
    """Put a row into the tree: it belongs `left` or right below `above`, which is NONE in none."""
    a = rows[row]
    a.left = a.right = NONE
    a.above = above
    if above == NONE:
        top.root = row
    elif left:
        rows[above].left = row
    else:
        rows[above].right = row
    while a.above != NONE and priority(int(a.above)) < priority(row):
        renew(m, rotate(rows, top, row))
    renew_up(m, rows, row, renew)


@compiled
def unlink_row(m: Arrays, rows: Any, top: Any, row: int, renew: Renew) -> None:
    """Take a row out of the tree."""
    a = rows[row]
    while a.left != NONE or a.right != NONE:
        rises = int(a.left)
        if rises == NONE or (a.right != NONE and priority(int(a.right)) > priority(rises)):
            rises = int(a.right)
        rotate(rows, top, rises)
    put_below(rows, top, int(a.above), row, NONE)
    renew_up(m, rows, int(a.above), renew)
