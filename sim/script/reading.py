"""What every kind of script has in common as a file: text, of no more than `MAX_SCRIPT_BYTES`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.base.errors import ScenarioError
from sim.base.files import read_at_most

if TYPE_CHECKING:
    from pathlib import Path

MAX_SCRIPT_BYTES: Final = 4 << 20


def script_text(path: str | Path, *, kind: str = "script") -> str:
    """Return the text of the script, or what `kind` says, at `path`, ``-`` for standard input.

    Raises `ScenarioError` if it cannot be read, is too long or is no text.
    """
    try:
        raw = read_at_most(path, MAX_SCRIPT_BYTES + 1)
    except OSError as error:
        raise ScenarioError(f"cannot be read: {error.strerror}", str(path)) from None
    if len(raw) > MAX_SCRIPT_BYTES:
        raise ScenarioError(f"too long for a {kind} (over 4 MiB); split it", str(path))
    try:
        return raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ScenarioError(f"is not UTF-8 text; write a {kind}", str(path)) from None
