"""Memory in use besides page cache, and what was in use when memory ran short.

The burst keeps the peak of all memory in use, with its parts at that moment.  Without page cache
the peak may be at another.  So the engine looks whenever a call or an access is over, before
anything is given back, and whenever memory is short.  What stood between two looks is not seen:
the figure is a lower bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.units import PAGE_BYTES
from sim.machine.layout import HUGE_PAGES, KIND_FILE, POOL, ROOT
from sim.machine.words import columns

if TYPE_CHECKING:
    from sim.engine.clock import Clock
    from sim.machine.machine import Machine

_USED = columns(POOL)["used"]
_SAMPLED = (
    "anon_pages",
    "page_tables_pages",
    "kernel_stacks_pages",
    "shared_memory_pages",
    "zram_pages",
)
"""Levels of a time series whose sum is the memory in use, but for page cache and huge pages."""


class Held:
    """Looks at memory in use, from the end of warm-up on."""

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self._machine = machine
        self._clock = clock
        self._restart()

    def _restart(self) -> None:
        self._since_ns = self._clock.now_ns
        self._besides = self._short = self._short_besides = 0
        self._besides_ns = self._since_ns

    def restart(self) -> None:
        """Forget what was seen, but not what is in use now: the end of warm-up."""
        self._restart()
        self.look()

    def look(self) -> tuple[int, int]:
        """Take note of what is in use now; return it in pages, in all and without page cache."""
        m = self._machine.arrays
        used = m.words.pool[_USED]
        besides = used - int(m.charged[ROOT, KIND_FILE])
        if besides > self._besides:
            self._besides, self._besides_ns = besides, self._clock.now_ns
        return used, besides

    def short(self) -> None:
        """Take note that somebody needs memory now that is not to be had."""
        used, besides = self.look()
        self._short = max(self._short, used)
        self._short_besides = max(self._short_besides, besides)

    def to_json(self) -> dict[str, Any]:
        """Return what was seen, time series included, as JSON-able values."""
        self.look()
        m = self._machine.arrays
        rows: Any = m.samples[: int(m.clock[0].samples)]
        rows = rows[rows["t_ns"] >= self._since_ns]
        if len(rows):
            levels = sum(rows[name] for name in _SAMPLED)
            at = int(levels.argmax())
            level = int(levels[at]) + HUGE_PAGES * int(m.pool[0].nr_huge_pages)
            if level > self._besides:
                self._besides, self._besides_ns = level, int(rows["t_ns"][at])
        return {
            "besides_page_cache_bytes": self._besides * PAGE_BYTES,
            "besides_page_cache_ns": self._besides_ns,
            "short_bytes": self._short * PAGE_BYTES,
            "short_besides_page_cache_bytes": self._short_besides * PAGE_BYTES,
        }
