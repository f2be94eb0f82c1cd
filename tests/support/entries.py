"""Page tables as a processor sees them, read without the machine's own functions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.machine.layout import (
    NONE,
    PFN_SHIFT,
    PMD_READONLY,
    PTE_HUGE,
    PTE_PRESENT,
    PTE_WRITE,
    PTE_ZERO,
    TABLE_ENTRIES,
    TABLE_SHIFT,
)


@dataclass(frozen=True, slots=True)
class Translation:
    """What an address space has for one page: an entry, where it is, and whether it may write."""

    vpn: int
    table: int
    at: int
    entry: int
    pfn: int
    writable: bool


def translations(m: Any, space: int) -> Iterator[Translation]:
    """Yield what an address space maps, page by page; of a huge entry, each of its pages."""
    yield from _below(m, int(m.spaces[space].top), 3, 0, True)


def _below(m: Any, table: int, level: int, first: int, allowed: bool) -> Iterator[Translation]:
    for at in np.flatnonzero(m.tables[table] & PTE_PRESENT).tolist():
        entry = int(m.tables[table, at])
        vpn = first + (at << (TABLE_SHIFT * level))
        below = allowed and not (level == 1 and entry & PMD_READONLY)
        if level > 0 and not entry & PTE_HUGE:
            yield from _below(m, entry >> PFN_SHIFT, level - 1, vpn, below)
            continue
        for page in range(TABLE_ENTRIES if level else 1):
            pfn = 0 if entry & PTE_ZERO else (entry >> PFN_SHIFT) + page
            yield Translation(vpn + page, table, at, entry, pfn, below and bool(entry & PTE_WRITE))


def area_of(m: Any, space: int, vpn: int) -> int:
    """Return the area that a page lies in, or NONE."""
    area = int(m.spaces[space].head)
    while area != NONE and int(m.areas[area].end) <= vpn:
        area = int(m.areas[area].next)
    return area if area != NONE and m.areas[area].start <= vpn else NONE


def spaces_in_use(m: Any) -> list[int]:
    """Return the address spaces that tasks have."""
    alive = m.tasks[m.tasks["state"] != 0]
    return sorted({*alive["space"].tolist(), *alive["old_space"].tolist()} - {NONE})
