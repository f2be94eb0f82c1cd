"""Settings of transparent huge pages of the running kernel, for as long as they are wanted."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sim.host.conditions import THP_FOLDER, read_setting
from sim.host.kernel import HostError
from sim.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@contextmanager
def huge_page_settings(
    folios: Mapping[int, str] | None = None, *, thp: str | None = None
) -> Iterator[None]:
    """Let the kernel use folios of these sizes, in pages, and huge pages as `thp` says.

    What was set before is set again in the end.  Raises `HostError` where that may not be changed.
    """
    wanted = {
        THP_FOLDER / f"hugepages-{pages * PAGE_BYTES // 1024}kB" / "enabled": mode
        for pages, mode in (folios or {}).items()
    }
    if thp is not None:
        wanted[THP_FOLDER / "enabled"] = thp
    before: dict[Path, str] = {}
    try:
        for path, mode in wanted.items():
            value = read_setting(path)
            if value is None:
                raise HostError(f"this kernel has no {path}")
            before[path] = value
            _write(path, mode)
        yield
    finally:
        for path, mode in before.items():
            _write(path, mode)


def _write(path: Path, mode: str) -> None:
    try:
        path.write_text(mode, encoding="ascii")
    except OSError as error:
        raise HostError(f"{path} cannot be set: {error.strerror}; it takes root") from None
