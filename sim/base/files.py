"""Reading files or standard input; writing files so that no name stands for half of one.

Everything is written under another name in the same folder, brought to the disk, and renamed.  A
full disk or a kill leaves what was there before.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO
from weakref import WeakKeyDictionary

from sim.base.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

STDIN: Final = "-"
"""The path that stands for standard input."""

_STDIN_READ: Final[WeakKeyDictionary[TextIO, bytes]] = WeakKeyDictionary()

STAGE_PREFIX: Final = ".cowpool-new-"
"""Begins the names of files and folders that are not finished."""


def read_at_most(path: Path | str, limit: int) -> bytes:
    """Return the first `limit` bytes of a file, or of standard input for ``-``.

    Standard input gives the same bytes whoever asks again.  Raises `OSError`.
    """
    if str(path) != STDIN:
        with Path(path).open("rb") as file:
            return file.read(limit)
    if sys.stdin is None:
        raise OSError(errno.EBADF, "there is no standard input")
    if sys.stdin not in _STDIN_READ:
        _STDIN_READ[sys.stdin] = sys.stdin.buffer.read(limit)
    return _STDIN_READ[sys.stdin][:limit]


def read_whole(path: Path | str, most: int) -> bytes:
    """Return all of a file; one of more than `most` bytes, or a device, is refused.  `OSError`."""
    with Path(path).open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most >> 20} MiB", str(path))
    return data


def shown_path(path: Path | str) -> str:
    """Return what a file is called in messages."""
    return "<stdin>" if str(path) == STDIN else str(path)


class CannotWriteError(ScenarioError):
    """A file or folder cannot be written: no room, no right, or something else stands there."""


def cannot_write(path: Path | str, error: OSError) -> CannotWriteError:
    """Return what to tell the user of an `error` while something was written to `path`."""
    why = error.strerror or type(error).__name__
    return CannotWriteError(f"cannot be written ({why}); check room and rights there", str(path))


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file as a whole, or leave what was there; text is encoded as UTF-8.

    What is no regular file (``/dev/stdout``, a pipe) is written as it is.  Raises
    `CannotWriteError`.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        target = path.resolve()  # a link stays a link
        handle, name = tempfile.mkstemp(prefix=STAGE_PREFIX, dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), _mode_for(target))
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def require_places(folder: Path, files: tuple[str, ...], folders: tuple[str, ...]) -> None:
    """Raise `CannotWriteError` unless `files` and `folders` may be written below `folder`."""
    for name in files:
        if (folder / name).is_dir():
            raise CannotWriteError("is a folder; move it away", str(folder / name))
    for name in folders:
        place = folder / name
        if place.exists() and not place.is_dir():
            raise CannotWriteError("is no folder; move it away", str(place))
    for place in (folder, *(folder / name for name in folders)):
        if place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
            raise CannotWriteError("may not be written; check the rights there", str(place))


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that was killed while it wrote to `folder` has left there."""
    for left in folder.glob(f"{STAGE_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def stage(folder: Path, last: str, former: Collection[str] = ()) -> Iterator[Path]:
    """Yield an empty folder whose files replace those of `folder` at the end, `last` in the end.

    The old `last` is removed before the first file is replaced.  So while `last` exists, the files
    beside it belong to it, whatever interrupts this.  Of the `former` files those go that the block
    does not make again; all others stay.  `folder` is left alone if the block raises.  Raises
    `CannotWriteError`, also for any `OSError` of the block.

    Only one process may do this to a folder at a time.
    """
    made: Path | None = None
    try:
        remove_unfinished(folder)
        made = Path(tempfile.mkdtemp(prefix=STAGE_PREFIX, dir=folder))
        yield made
        _replace_all(made, folder, last, former)
    except OSError as error:
        place = Path(error.filename) if isinstance(error.filename, str) else folder
        if made is not None and made in (place, *place.parents):
            place = folder / place.relative_to(made)
        raise cannot_write(place, error) from error
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _replace_all(made: Path, folder: Path, last: str, former: Collection[str]) -> None:
    names = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    names.sort(key=lambda name: str(name) == last)
    for name in names:
        (made / name).chmod(_mode_for(folder / name))
        _to_disk(made / name)
    folders = {folder, *((folder / name).parent for name in names)}
    for place in folders:
        place.mkdir(parents=True, exist_ok=True)
    (folder / last).unlink(missing_ok=True)
    _to_disk(folder)
    for left in {Path(name) for name in former} - set(names):
        (folder / left).unlink(missing_ok=True)
    for name in names:
        if str(name) == last:
            for place in folders:
                _to_disk(place)
        (made / name).replace(folder / name)
    _to_disk(folder)


def _mode_for(target: Path) -> int:
    """Return the permissions that a new file gets at `target`: those it has, or the usual ones."""
    try:
        return target.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
