"""Whether the machine that carries out a run has room for the one that is simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.errors import ScenarioError
from sim.base.limits import real_memory_bytes
from sim.base.units import PAGE_BYTES, format_bytes
from sim.machine.layout import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAGES_PER_TABLE = 256
"""Pages of a host for which room for a page table is made at first (`sim.machine.machine`)."""


def machine_bytes(resolved: Mapping[str, Any]) -> int:
    """Return the memory that the machine of a resolved scenario is made in.

    Its frames and page tables: what grows with the host.  It may take more while it runs.
    """
    pages = int(resolved["host"]["memory"]) // PAGE_BYTES
    return pages * _row_bytes("frames") + pages // _PAGES_PER_TABLE * (
        _row_bytes("tables") + _row_bytes("table_info")
    )


def require_room(resolved: Mapping[str, Any]) -> None:
    """Raise `ScenarioError` if this machine cannot hold the one that is to be simulated."""
    needed, there = machine_bytes(resolved), real_memory_bytes()
    if there is not None and needed > there:
        host = format_bytes(resolved["host"]["memory"])
        message = (
            f"simulating {host} takes {format_bytes(needed)} of memory, and here is room for"
            f" {format_bytes(there)}; simulate a smaller host"
        )
        raise ScenarioError(message, key="host.memory")


def _row_bytes(name: str) -> int:
    kind, inner = COLUMNS[name]
    size = kind.itemsize
    for n in inner:
        size *= n
    return size
