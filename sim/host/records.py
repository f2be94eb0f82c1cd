"""What is changed in the running kernel, written down before it is, in a folder of root's.

A process that is killed cannot put anything back; the next cowpool that root starts does, by these
records.  Each kind of change has its own (`sim.host.settings`, `sim.host.swap`).
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.base.files import write_file
from sim.host.kernel import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RECORDS: Path = Path("/run/cowpool")
"""Where it is written down; nobody but root may write there."""


def write_down(kind: str, changed: Mapping[str, Any]) -> Path:
    """Keep what this process changes until the path that is returned is unlinked.

    Raises `HostError` where that cannot be kept: then nothing should be changed.
    """
    record = {"pid": os.getpid(), "began": _began(os.getpid()), **changed}
    path = RECORDS / f"{kind}-{os.getpid()}.json"
    try:
        RECORDS.mkdir(mode=0o700, exist_ok=True)
        write_file(path, json.dumps(record))
        path.chmod(0o600)
    except (OSError, ValueError) as error:
        raise HostError(f"{RECORDS} cannot be written, so nothing is changed: {error}") from None
    return path


def written_down(kind: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the records of processes, dead or alive, where only root can have written them.

    What is no record is unlinked; what a record says of its kind is not checked.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not _of_root(RECORDS, stat.S_ISDIR):
        return
    for path in sorted(RECORDS.glob(f"{kind}-*.json")):
        if _of_root(path, stat.S_ISREG):
            record = _read(path)
            if record is None:
                path.unlink(missing_ok=True)
            else:
                yield path, record


def is_alive(record: Mapping[str, Any]) -> bool:
    """Whether the process that wrote a record still is."""
    began = _began(record["pid"])
    return began is not None and began == record.get("began")


def _of_root(path: Path, is_kind: Any) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return is_kind(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022


def _read(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text(encoding="ascii"))
        return record if isinstance(record["pid"], int) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _began(pid: int) -> str | None:
    """Return when a process began, as the kernel counts; ``None`` if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()
    return None if state in "ZX" else rest[18]
