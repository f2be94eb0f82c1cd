"""The audit of what large folios remember of who maps them."""

import numpy as np
from numpy.typing import NDArray

from sim.base.errors import KernelPanicError
from sim.base.jit import compiled
from sim.machine.entries import maps_memory, pte_present
from sim.machine.folios import folio_row
from sim.machine.layout import (
    F_LARGE,
    NONE,
    PFN_SHIFT,
    PTE_HUGE,
    TABLE_ENTRIES,
    Arrays,
)


@compiled
def _count_entry(
    m: Arrays, entry: int, space: int, totals: NDArray[np.int32], slots: NDArray[np.int32]
) -> None:
    """Count an entry if it maps a large folio, and if that has a slot for `space`."""
    if not maps_memory(entry):
        return
    pfn = entry >> PFN_SHIFT
    if m.frames[pfn].bits & F_LARGE == 0:
        return
    row = folio_row(m, pfn)
    totals[row] += 1
    if m.folios[row].first == space:
        slots[2 * row] += 1
    elif m.folios[row].second == space:
        slots[2 * row + 1] += 1


@compiled
def _count_below(
    m: Arrays, middle: int, space: int, totals: NDArray[np.int32], slots: NDArray[np.int32]
) -> None:
    """Count the entries below a table of level 1, and its huge ones."""
    for i in range(TABLE_ENTRIES):
        entry = int(m.tables[middle, i])
        if entry & PTE_HUGE != 0:
            _count_entry(m, entry, space, totals, slots)
        elif pte_present(entry):
            for j in range(TABLE_ENTRIES):
                small = int(m.tables[entry >> PFN_SHIFT, j])
                _count_entry(m, small, space, totals, slots)


@compiled
def _wrong_folio(
    m: Arrays, frames: int, totals: NDArray[np.int32], slots: NDArray[np.int32]
) -> int:
    """Return a frame, of `frames`, of a folio that is wrong about its mappings, or NONE."""
    for pfn in range(frames):
        if m.frames[pfn].bits & F_LARGE == 0:
            continue
        row = folio_row(m, pfn)
        folio = m.folios[row]
        if folio.total != totals[row]:
            return pfn
        first, second = int(folio.first_maps), int(folio.second_maps)
        if first > slots[2 * row] or second > slots[2 * row + 1]:
            return pfn
        if (first > 0) != (folio.first != NONE) or (second > 0) != (folio.second != NONE):
            return pfn
        if folio.shared == 0 and folio.total > 1 and first != folio.total != second:
            return pfn
    return NONE


def audit_folios(m: Arrays, spaces: NDArray[np.int64]) -> None:
    """Raise `KernelPanicError` unless large folios know how often the `spaces` map them."""
    if m.config[0].folio_shift == 0:
        return
    totals = np.zeros(len(m.folios), dtype=np.int32)
    slots = np.zeros(2 * len(m.folios), dtype=np.int32)
    for space in spaces:
        tables = [int(m.spaces[space].top)]
        for _ in range(2):
            entries = [int(entry) for table in tables for entry in m.tables[table] if entry]
            tables = [entry >> PFN_SHIFT for entry in entries]
        for middle in tables:
            _count_below(m, middle, int(space), totals, slots)
    wrong = _wrong_folio(m, len(m.frames), totals, slots)
    if wrong != NONE:
        raise KernelPanicError("a large folio is wrong about who maps it", f"at {wrong}")
