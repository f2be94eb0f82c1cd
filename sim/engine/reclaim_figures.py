"""What reclaim did in each group, and how long tasks were stalled there, since warm-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.jit import plain
from sim.base.units import PAGE_BYTES
from sim.engine.shortfalls import SLEPT
from sim.kernel.files.dirty import pages_on_list
from sim.machine.layout import LRU_ACTIVE_FILE, LRU_INACTIVE_FILE, NONE, ROOT
from sim.machine.lru import next_group
from sim.machine.rules.cgroup import V1_NO_PSI

if TYPE_CHECKING:
    from sim.engine.pressure import Pressure
    from sim.engine.throttle import Throttle
    from sim.machine.machine import Machine

_next_group = plain(next_group)

_COUNTED: Final = {
    "pages_scanned": ("pgscan_direct", "pgscan_kswapd"),
    "pages_stolen": ("pgsteal_direct", "pgsteal_kswapd"),
    "refaults": ("workingset_refault", "workingset_refault_anon"),
    "pages_swapped_in": ("pswpin",),
    "pages_swapped_out": ("pswpout",),
}
"""Counts by the names they have in results, and what of a group's `LRUVEC` is added up."""


class ReclaimFigures:
    """Counts and times by group, those of the groups in it included; the machine is the root."""

    def __init__(self, machine: Machine, pressure: Pressure, throttle: Throttle) -> None:
        self._machine = machine
        self._pressure = pressure
        self._throttle = throttle
        self._before: dict[int, dict[str, int]] = {}
        self._since_ns = 0

    def restart(self, now_ns: int) -> None:
        """Forget what was counted before `now_ns`."""
        self._since_ns = now_ns
        self._before = {
            row: self._so_far(row) for row in range(int(self._machine.arrays.pool[0].n_groups))
        }

    def has_psi(self, group: int) -> bool:
        """Whether Linux tells pressure of a group: not by version 1, except of the machine."""
        return group == ROOT or not self._machine.arrays.config[0].cgroup & V1_NO_PSI

    def of_group(self, group: int, end_ns: int) -> dict[str, Any]:
        """Return what was counted up to `end_ns`: shares of time, or None, and pages."""
        before = self._before.get(group, {})
        found = {name: n - before.get(name, 0) for name, n in self._so_far(group).items()}
        elapsed_ns = max(1, end_ns - self._since_ns)
        some_ns, full_ns = found.pop("some_ns"), found.pop("full_ns")
        has_psi = self.has_psi(group)
        return {
            "psi_memory_some": some_ns / elapsed_ns if has_psi else None,
            "psi_memory_full": full_ns / elapsed_ns if has_psi else None,
            **{name: found[name] for name in _COUNTED},
        }

    def sleeps(self, group: int) -> dict[str, int]:
        """Return how often, and for how long, tasks of a group slept that was above its high."""
        before, now = self._before.get(group, {}), self._so_far(group)
        return {name: now[name] - before.get(name, 0) for name in SLEPT}

    def psi(self, group: int) -> dict[str, dict[str, float]] | None:
        """Return what `memory.pressure` says: averages in percent, and totals since warm-up."""
        if not self.has_psi(group):
            return None
        before, now = self._before.get(group, {}), self._so_far(group)
        return {
            how: {**averages, "total_us": (now[f"{how}_ns"] - before.get(f"{how}_ns", 0)) // 1000}
            for how, averages in zip(("some", "full"), self._pressure.averages(group), strict=True)
        }

    def levels(self, group: int) -> dict[str, int]:
        """Return the pages of files on a group's lists now, and its working set, in bytes.

        The working set is what Kubernetes shows: usage less inactive pages of files.
        """
        m = self._machine.arrays
        inactive = pages_on_list(m, group, LRU_INACTIVE_FILE)
        return {
            "working_set_bytes": max(0, int(m.groups[group].usage) - inactive) * PAGE_BYTES,
            "inactive_file_bytes": inactive * PAGE_BYTES,
            "active_file_bytes": pages_on_list(m, group, LRU_ACTIVE_FILE) * PAGE_BYTES,
        }

    def _so_far(self, group: int) -> dict[str, int]:
        m = self._machine.arrays
        some_ns, full_ns = self._pressure.so_far_ns(group)
        found = {"some_ns": some_ns, "full_ns": full_ns}
        found |= dict.fromkeys((*_COUNTED, *SLEPT), 0)
        inner = _next_group(m, group, NONE)
        while inner != NONE:
            for name, fields in _COUNTED.items():
                found[name] += sum(int(m.lruvecs[inner][field]) for field in fields)
            for name, n in zip(SLEPT, self._throttle.slept(inner), strict=True):
                found[name] += n
            inner = _next_group(m, group, inner)
        return found
