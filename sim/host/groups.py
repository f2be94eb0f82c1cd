"""A control group of one's own, in version 1 of the memory controller: made, and removed again."""

from __future__ import annotations

import itertools
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.base.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTROLLER: Final = Path("/sys/fs/cgroup/memory")
"""Where version 1 of the memory controller is mounted, if it is."""
REMOVE_WITHIN_S: Final = 10
_numbers = itertools.count(1)


def own_group() -> Path | None:
    """Return the folder of this process's group in version 1 of the memory controller, if any."""
    told = Path("/proc/self/cgroup")
    for line in told.read_text(encoding="ascii").splitlines() if told.exists() else ():
        _, controllers, path = line.split(":", 2)
        folder = CONTROLLER / path.lstrip("/")
        if "memory" in controllers.split(",") and (folder / "memory.limit_in_bytes").exists():
            return folder
    return None


def no_group() -> str:
    """Return why no group may be made here, "" if one may."""
    folder = own_group()
    if folder is None:
        return "version 1 of the memory controller is not mounted"
    if os.geteuid() != 0 or not os.access(folder, os.W_OK):
        return f"no group may be made in {folder}"
    return ""


@contextmanager
def new_group(limit_pages: int, swappiness: int = 0) -> Iterator[Path]:
    """Yield the folder of a new group that may have `limit_pages`; remove it in the end.

    Without `swappiness` nothing of it is swapped out, whatever swap the machine has.

    Whoever is in it must have ended, or be about to.
    """
    parent = own_group()
    assert parent is not None, "ask no_group() first"
    remove_left_groups(parent)
    group = parent / f"cowpool-{os.getpid()}-{next(_numbers)}"
    group.mkdir()
    try:
        (group / "memory.swappiness").write_text(str(swappiness))
        (group / "memory.limit_in_bytes").write_text(str(limit_pages * PAGE_BYTES))
        yield group
    finally:
        _remove(group)


def remove_left_groups(parent: Path) -> None:
    """Remove the groups in a group that processes which are no more left there."""
    for left in left_by_the_dead(parent):
        with suppress(OSError):
            left.rmdir()


def left_by_the_dead(folder: Path) -> Iterator[Path]:
    """Yield what is named ``cowpool-PID-...`` in a folder after a process that is no more."""
    for path in folder.glob("cowpool-*-*"):
        if not Path("/proc", path.name.split("-")[1]).exists():
            yield path


def _remove(group: Path) -> None:
    with suppress(OSError):
        (group / "memory.force_empty").write_text("0")
    end = time.monotonic() + REMOVE_WITHIN_S
    while True:
        try:
            group.rmdir()
            return
        except OSError:  # its last process has been killed, and has not quite ended
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def group_pages(group: Path, name: str) -> int:
    """Return what a file of a group says in bytes, in pages."""
    return int((group / f"memory.{name}").read_text()) // PAGE_BYTES
