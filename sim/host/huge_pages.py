"""Settings of transparent huge pages of the running kernel, for as long as they are wanted."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sim.base.units import PAGE_BYTES
from sim.host.conditions import THP_FOLDER
from sim.host.settings import changed_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def huge_page_settings(
    folios: Mapping[int, str] | None = None, *, thp: str | None = None
) -> Iterator[None]:
    """Let the kernel use folios of these sizes, in pages, and huge pages as `thp` says.

    What was set before is set again in the end, or by the next cowpool (`sim.host.settings`).
    Raises `HostError` where that may not be changed.
    """
    wanted = {
        THP_FOLDER / f"hugepages-{pages * PAGE_BYTES // 1024}kB" / "enabled": mode
        for pages, mode in (folios or {}).items()
    }
    if thp is not None:
        wanted[THP_FOLDER / "enabled"] = thp
    with changed_settings(wanted):
        yield
