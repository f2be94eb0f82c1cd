"""What the garbage collector need not go through."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


_kept = False
"""Whether `keep_aside` was called: to count what is frozen takes longer than a short run."""


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
