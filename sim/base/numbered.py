"""Append-only tables whose rows are module constants: a number with what else belongs to the row.

A row is an `int`, so that compiled code has it as a constant; its name is that of the constant.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

R = TypeVar("R", bound=int)


def rows_of(namespace: Mapping[str, Any], kind: type[R], prefix: str = "") -> dict[str, R]:
    """Return the rows of `kind` in a module by name: in small letters, without `prefix`.

    Raises `ValueError` unless they are numbered from 0 on, in their order.
    """
    rows = {
        name.removeprefix(prefix).lower(): row
        for name, row in namespace.items()
        if isinstance(row, kind)
    }
    counted_up_from("number", 0, rows.values())
    return rows


def counted_up_from(what: str, first: int, numbers: Iterable[int]) -> None:
    """Raise `ValueError` unless `numbers` are `first`, the next, and so on."""
    for expected, number in enumerate(numbers, first):
        if number != expected:
            raise ValueError(f"{what} {int(number)} stands where {expected} belongs")
