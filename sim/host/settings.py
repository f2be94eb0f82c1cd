"""Settings of the running kernel that are changed for a while, and put back whatever happens.

What they were is written down in a folder of root's before anything is changed.  A process that is
killed cannot put them back itself; the next cowpool that root starts does.
"""

from __future__ import annotations

import json
import os
import re
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.base.files import write_file
from sim.host.conditions import read_setting
from sim.host.kernel import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RECORDS: Path = Path("/run/cowpool")
"""Where it is written down; nobody but root may write there."""
ROOTS: tuple[Path, ...] = (Path("/sys/kernel/mm"), Path("/proc/sys"))
"""What may be changed lies below these."""

_VALUE: Final = re.compile(r"[a-z0-9_+-]{1,40}\Z")


@contextmanager
def changed_settings(wanted: Mapping[Path, str]) -> Iterator[None]:
    """Let the kernel have these settings in the block, and what it had before afterwards.

    Raises `HostError` where that may not be changed, or is being changed by somebody else.
    """
    if not wanted:
        yield
        return
    put_back_what_was_left()
    before: dict[Path, str] = {}
    for path in wanted:
        value = read_setting(path)
        if value is None:
            raise HostError(f"this kernel has no {path}")
        before[path] = value
    changing = {str(path): [before[path], mode] for path, mode in wanted.items()}
    record = _write_down(changing)
    done: list[Path] = []
    try:
        for path, mode in wanted.items():
            done.append(path)
            _write(path, mode)
        yield
    finally:
        for path in done:
            _write(path, before[path])
        record.unlink(missing_ok=True)


def put_back_what_was_left() -> list[str]:
    """Put back what a process that is no more had changed; return the names of the settings.

    A setting that has been changed again since is left alone.  Does nothing unless this is root,
    and with nothing but records that only root can have written.
    """
    put_back = []
    for path, record in _records():
        if _lives(record):
            continue
        for name, (old, new) in record["settings"].items():
            setting = Path(name)
            if read_setting(setting) == new != old:
                try:
                    _write(setting, old)
                except HostError:
                    continue
                put_back.append(name)
        path.unlink(missing_ok=True)
    return put_back


def _write_down(changing: Mapping[str, list[str]]) -> Path:
    taken = {name for _, record in _records() for name in record["settings"]}
    for name in taken & set(changing):
        raise HostError(f"another cowpool is changing {name}; try again when it has ended")
    record = {"pid": os.getpid(), "began": _began(os.getpid()), "settings": changing}
    path = RECORDS / f"settings-{os.getpid()}.json"
    try:
        RECORDS.mkdir(mode=0o700, exist_ok=True)
        write_file(path, json.dumps(record))
        path.chmod(0o600)
    except (OSError, ValueError) as error:
        raise HostError(f"{RECORDS} cannot be written, so nothing is changed: {error}") from None
    return path


def _records() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield what is written down by processes, dead or alive, where only root can have done so."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not _of_root(RECORDS, stat.S_ISDIR):
        return
    for path in sorted(RECORDS.glob("settings-*.json")):
        if _of_root(path, stat.S_ISREG):
            record = _read(path)
            if record is None:
                path.unlink(missing_ok=True)
            else:
                yield path, record


def _of_root(path: Path, is_kind: Any) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return is_kind(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022


def _read(path: Path) -> dict[str, Any] | None:
    """Return a record; ``None`` if it is none, or speaks of what is no setting."""
    try:
        record = json.loads(path.read_text(encoding="ascii"))
        settings = record["settings"].items()
        known = all(_is_setting(name, *values) for name, values in settings)
        return record if known and isinstance(record["pid"], int) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_setting(name: str, old: str, new: str) -> bool:
    place = Path(os.path.normpath(name))
    inside = any(root in place.parents for root in ROOTS) and str(place) == name
    return inside and bool(_VALUE.match(old)) and bool(_VALUE.match(new))


def _lives(record: Mapping[str, Any]) -> bool:
    began = _began(record["pid"])
    return began is not None and began == record.get("began")


def _began(pid: int) -> str | None:
    """Return when a process began, as the kernel counts; ``None`` if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()
    return None if state in "ZX" else rest[18]


def _write(path: Path, mode: str) -> None:
    try:
        path.write_text(mode, encoding="ascii")
    except OSError as error:
        raise HostError(f"{path} cannot be set: {error.strerror}; it takes root") from None
