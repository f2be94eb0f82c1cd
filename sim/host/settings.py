"""Settings of the running kernel that are changed for a while, and put back whatever happens.

What they were is written down before anything is changed (`sim.host.records`).
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.base.stopping import stopping_by_signals
from sim.host.conditions import read_setting
from sim.host.kernel import HostError
from sim.host.records import is_alive, write_down, written_down

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KIND: Final = "settings"
ROOTS: tuple[Path, ...] = (Path("/sys/kernel/mm"), Path("/proc/sys"))
"""What may be changed lies below these."""

_VALUE: Final = re.compile(r"[a-z0-9_+-]{1,40}\Z")


@contextmanager
def changed_settings(wanted: Mapping[Path, str]) -> Iterator[None]:
    """Let the kernel have these settings in the block, and what it had before afterwards.

    SIGTERM and SIGHUP raise `Stopped` in it, whoever calls.  Raises `HostError` where that may not
    be changed, or is being changed by somebody else.
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
    for name in {n for _, record in written_down(KIND) for n in _changes(record)} & set(changing):
        raise HostError(f"another cowpool is changing {name}; try again when it has ended")
    record = write_down(KIND, {"settings": changing})
    done: list[Path] = []
    with stopping_by_signals():
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
    for path, record in written_down(KIND):
        if is_alive(record):
            continue
        for name, (old, new) in _changes(record).items():
            setting = Path(name)
            if read_setting(setting) == new != old:
                try:
                    _write(setting, old)
                except HostError:
                    continue
                put_back.append(name)
        path.unlink(missing_ok=True)
    return put_back


def _changes(record: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return what a record says of settings, old and new; nothing if it speaks of anything else."""
    try:
        settings = {name: (old, new) for name, (old, new) in record["settings"].items()}
        known = all(_is_setting(name, *values) for name, values in settings.items())
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    return settings if known else {}


def _is_setting(name: str, old: str, new: str) -> bool:
    place = Path(os.path.normpath(name))
    inside = any(root in place.parents for root in ROOTS) and str(place) == name
    return inside and bool(_VALUE.match(old)) and bool(_VALUE.match(new))


def _write(path: Path, mode: str) -> None:
    try:
        path.write_text(mode, encoding="ascii")
    except OSError as error:
        raise HostError(f"{path} cannot be set: {error.strerror}; it takes root") from None
