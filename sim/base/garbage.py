"""What the garbage collector need not go through."""

from __future__ import annotations

import atexit
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator


SELDOM: Final = (30_000, 10, 10)
"""Thresholds of the collector for what makes much that stays."""

_kept = False
"""Whether `keep_aside` was called: to count what is frozen takes longer than a short run."""


def look_seldom() -> None:
    """Have this process look for garbage seldom from now on, and not at all as it ends.

    For a command: it imports a thousand modules, and what it makes mostly stays.  To go through
    all of that again at the end took a tenth of a short one.  What is in no cycle is put away as
    ever; whoever has a file open in a cycle must close it.
    """
    gc.set_threshold(*SELDOM)
    atexit.register(gc.freeze)


def keep_aside() -> None:
    """Have the collector never again go through what there is now."""
    global _kept
    gc.collect()
    gc.freeze()
    _kept = True


@contextmanager
def put_off() -> Iterator[None]:
    """Look for no garbage in the block: for what makes much that stays, and hardly any cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def set_aside() -> Iterator[None]:
    """Have the collector look for garbage in the block among new objects only.

    A process that has frozen what it had set up has seen to that itself, and keeps it frozen.
    """
    if _kept or gc.get_freeze_count() > 0:
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
