"""Where things worth keeping between runs go: compiled code, compiled programs, font lists.

Never into the package: a folder of the user's, or else one of the user's among temporary files.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

VARIABLE = "COWPOOL_CACHE_DIR"
"""Names the folder; else ``$XDG_CACHE_HOME/cowpool``, else ``~/.cache/cowpool``."""
CHECKED = os.environ.get("COWPOOL_CHECK") == "indices"
"""Whether every index into the machine's arrays is checked, in compiled and in plain Python.

Slow; for tests.  Checked and unchecked code never mix: each has a cache of its own.
"""


def wanted_folder() -> Path | None:
    """Return the folder that the environment asks for; ``None`` if there is not even a home."""
    own = os.environ.get(VARIABLE)
    if own:
        return Path(own).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base).absolute() if base else Path.home() / ".cache") / "cowpool"
    except RuntimeError:  # no HOME, and no entry in the list of users
        return None


def writable(folder: Path) -> bool:
    """Whether files can be made in `folder`, which is made if it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except (OSError, ValueError):
        return False


def temporary_folder() -> Path | None:
    """Return a folder of this user's among temporary files, the same each time if that is safe.

    Nobody else may write there: code that is run lies in it.  ``None`` if nothing can be written.
    """
    try:
        folder = Path(tempfile.gettempdir()) / f"cowpool-{os.getuid()}"
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        own = found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode)
        if own and not found.st_mode & 0o077 and writable(folder):
            return folder
        return Path(tempfile.mkdtemp(prefix="cowpool-"))
    except OSError:
        return None


def cache_folder() -> Path | None:
    """Return a writable folder for what is worth keeping; ``None`` if there is none at all.

    Processes that are started later use the same one.
    """
    wanted = wanted_folder()
    if wanted is not None and writable(wanted):
        return wanted
    folder = temporary_folder()
    if folder is not None:
        os.environ[VARIABLE] = str(folder)
    return folder
