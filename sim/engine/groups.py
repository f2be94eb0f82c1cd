"""Control groups by name: made from a description, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.base.units import PAGE_BYTES
from sim.machine.groups import settle_slab
from sim.machine.layout import (
    EVENTS,
    FOREVER,
    KIND_ANON,
    KIND_FILE,
    KIND_SHMEM,
    KIND_STACK,
    KIND_TABLE,
    ROOT,
)
from sim.machine.slab import count_slab, group_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.engine.reclaim_figures import ReclaimFigures
    from sim.machine.machine import Machine

STAT = {
    "anon_bytes": KIND_ANON,
    "file_bytes": KIND_FILE,
    "shmem_bytes": KIND_SHMEM,
    "page_tables_bytes": KIND_TABLE,
    "kernel_stack_bytes": KIND_STACK,
}
"""What `memory.stat` says of a group, by kind of memory."""


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A control group: its name, that of the group it is in, and its limits in pages."""

    name: str
    parent: str | None = None
    max_pages: int = FOREVER
    oom_group: bool = False
    high_pages: int = FOREVER
    low_pages: int = 0
    min_pages: int = 0
    swap_pages: int = FOREVER
    memsw_pages: int = FOREVER
    swappiness: int | None = None


class GroupNames:
    """The groups of a machine, made when it is built: parents before those in them."""

    def __init__(self, machine: Machine, specs: Iterable[GroupSpec]) -> None:
        self._machine = machine
        self.rows: dict[str, int] = {}
        for spec in specs:
            parent = ROOT if spec.parent is None else self.rows[spec.parent]
            self.rows[spec.name] = machine.new_group(
                parent,
                oom_group=spec.oom_group,
                max_pages=spec.max_pages,
                high_pages=spec.high_pages,
                low_pages=spec.low_pages,
                min_pages=spec.min_pages,
                swap_pages=spec.swap_pages,
                memsw_pages=spec.memsw_pages if machine.host.cgroup == "v1" else FOREVER,
                **({} if spec.swappiness is None else {"swappiness": spec.swappiness}),
            )
            if parent != ROOT:
                count_slab(machine.arrays, parent, group_bytes(machine.host.cpus))
                settle_slab(machine.arrays, 0, parent)
        self._names = {row: name for name, row in self.rows.items()}

    def of_row(self, row: int) -> str | None:
        """Return the name of a group; None for the machine itself."""
        return self._names.get(row)

    def to_json(self, figures: ReclaimFigures, end_ns: int) -> dict[str, dict[str, Any]]:
        """Return what each group holds, held, and has met, as JSON-able values."""
        return {
            name: {
                **self._group(row),
                **figures.levels(row),
                **figures.of_group(row, end_ns),
                **figures.sleeps(row),
                "psi": figures.psi(row),
            }
            for name, row in self.rows.items()
        }

    def _group(self, row: int) -> dict[str, Any]:
        m = self._machine.arrays
        g = m.groups[row]
        return {
            "parent": self.of_row(int(g.parent)),
            "max_bytes": _limit_bytes(g.limit),
            "high_bytes": _limit_bytes(g.high),
            "low_bytes": _limit_bytes(g.low_pages),
            "min_bytes": _limit_bytes(g.min_pages),
            "current_bytes": int(g.usage) * PAGE_BYTES,
            "peak_bytes": int(g.peak) * PAGE_BYTES,
            "events": {name: int(n) for name, n in zip(EVENTS, m.events[row], strict=True)},
            **{name: int(m.charged[row, kind]) * PAGE_BYTES for name, kind in STAT.items()},
            "slab_bytes": self._slab_bytes(row),
            "swap_bytes": int(g.swap) * PAGE_BYTES,
            "swap_peak_bytes": int(g.swap_peak) * PAGE_BYTES,
            "swap_max_bytes": _limit_bytes(g.swap_limit),
            "memsw_bytes": _limit_bytes(g.memsw_limit),
        }

    def _slab_bytes(self, row: int) -> int:
        """Return the kernel objects of a group and of those in it."""
        m = self._machine.arrays
        inner = (at for at in range(row + 1, int(m.pool[0].n_groups)) if m.groups[at].parent == row)
        return int(m.groups[row].slab) + sum(self._slab_bytes(at) for at in inner)


def _limit_bytes(pages: int) -> int | None:
    """Return a limit in bytes; None for none."""
    return None if pages == FOREVER else int(pages) * PAGE_BYTES
