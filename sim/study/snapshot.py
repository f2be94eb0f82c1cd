"""Reading a store while another process writes it, or after that was killed.

Nothing is written to the folder, and no lock is taken: whoever runs the study is not disturbed,
and a folder that may only be read will do.  The writer holds its file alone, and its last results
are in a journal beside it.  Where there is no journal the file is read where it is; else both are
copied, the file first.  What the writer moves from journal to file meanwhile is in the journal
still, until that begins anew, which its head tells.
"""

import fcntl
import os
import shutil
import sqlite3
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sim.base.errors import ScenarioError
from sim.study.store import Reader

JOURNAL: Final = "-wal"
_HEAD_BYTES: Final = 32
"""SQLite's journal begins with these; its salt is another whenever the journal begins anew."""
_TRIES: Final = 20
_FLOCK: Final = struct.Struct("hhqqi4x")
"""Linux's ``struct flock`` on 64 bits: type, whence, start, length, process."""


@contextmanager
def snapshot(path: Path) -> Iterator[Reader]:
    """Yield what the store in the file `path` says at this moment.

    Raises `ScenarioError` if it cannot be read, is no store, or is one of another version.
    """
    with tempfile.TemporaryDirectory(prefix="cowpool-") as folder:
        try:
            place = _standing_still(path, Path(folder))
        except OSError as error:
            raise ScenarioError(f"cannot be read ({error.strerror})", str(path)) from None
        whole = "&immutable=1" if place == path else ""
        address = f"file:{quote(str(place.resolve()))}?mode=ro{whole}"
        db = sqlite3.connect(address, uri=True, isolation_level=None)
        with Reader(path, db) as reader:
            try:
                tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
            except sqlite3.Error as error:
                raise ScenarioError("is not a cowpool store", str(path)) from error
            if "meta" not in tables:
                raise ScenarioError("holds no study yet", str(path))
            reader.require_version()
            yield reader


def _standing_still(path: Path, folder: Path) -> Path:
    """Return the file to read: `path` where nobody writes it, else a copy of it in `folder`."""
    journal = path.with_name(path.name + JOURNAL)
    for _ in range(_TRIES):
        head = _head(journal)
        if head is None:
            return path
        copy = folder / path.name
        shutil.copyfile(path, copy)
        with suppress(FileNotFoundError):
            shutil.copyfile(journal, copy.with_name(copy.name + JOURNAL))
            if _head(journal) == head:
                return copy
    message = "is written faster than it can be read; try again"
    raise ScenarioError(message, str(path))


def _head(journal: Path) -> bytes | None:
    """Return how a journal begins; None if it is empty, or not there."""
    try:
        with journal.open("rb") as file:
            return file.read(_HEAD_BYTES) or None
    except FileNotFoundError:
        return None


def holder(path: Path) -> int | None:
    """Return the process that holds the store in the file `path`; None if nobody does.

    The number is 0 or less where the kernel cannot name it: in another container, on another
    machine.  Asks for no lock.  Raises `OSError`, and `NotImplementedError` where nobody can tell.
    """
    if sys.platform != "linux":
        raise NotImplementedError
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with path.open("rb") as file:
        kind, *_, pid = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(pid)


def written_s(path: Path) -> float:
    """Return when something was last written to the store in the file `path`, by the clock."""
    times = [path.stat().st_mtime]
    with suppress(FileNotFoundError):
        times.append(path.with_name(path.name + JOURNAL).stat().st_mtime)
    return max(times)
