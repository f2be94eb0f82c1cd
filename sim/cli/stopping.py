"""What is said of what is kept when a command ends before its time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEPT: Final = {
    "run": "nothing of the run is kept",
    "study": "everything finished so far is kept",
}


def what_is_kept(arguments: Sequence[str] | None) -> str:
    """Return what to add to the word that a command was interrupted."""
    words = sys.argv[1:] if arguments is None else arguments
    kept = _KEPT.get(words[0]) if words else None
    return "" if kept is None else f"; {kept}"
