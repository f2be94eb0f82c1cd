"""Making a list that fails shorter, so that people can read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def fewest(items: list[T], fails: Callable[[list[T]], bool], most_trials: int = 1 << 30) -> list[T]:
    """Return `items` without all that it fails without, largest pieces first.

    Delta debugging (Zeller and Hildebrandt, 2002).  `fails` is asked `most_trials` times at most.
    """
    piece = max(1, len(items) // 2)
    while True:
        at = 0
        while at < len(items):
            if most_trials == 0:
                return items
            shorter = items[:at] + items[at + piece :]
            most_trials -= 1
            if shorter and fails(shorter):
                items = shorter
            else:
                at += piece
        if piece == 1:
            return items
        piece //= 2
