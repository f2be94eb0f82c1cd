"""What one address space holds: resident, proportional and unique memory, as in smaps_rollup."""

from sim.base.jit import compiled, inlined
from sim.kernel.fault.pmd import huge_entry
from sim.kernel.hugetlb.pages import is_hugetlb
from sim.machine.entries import maps_memory, prefetch_frame
from sim.machine.layout import (
    HUGE_PAGES,
    NONE,
    PFN_SHIFT,
    TABLE_ENTRIES,
    TABLE_SHIFT,
    VPN_BITS,
    Arrays,
)
from sim.machine.tables import find_table, next_present

_PAGE_UNITS = 4096 << 12  # a page in bytes, with the 12 fraction bits of Linux's PSS_SHIFT


@compiled
def footprint(m: Arrays, space: int) -> tuple[int, int, int]:
    """Return resident pages, proportional set size in bytes, and pages mapped by nobody else.

    Huge pages of the pool count in none of them.

    Whoever uses the same leaf table maps its pages too.
    """
    resident = 0
    unique = 0
    pss = 0
    end = 1 << VPN_BITS
    vpn = next_present(m, space, 0, end, 0)
    while vpn < end:
        leaf = find_table(m, space, vpn, 0)
        if leaf != NONE:
            pages, share, own = _of_leaf(m, leaf)
        else:
            pages, share, own = _of_huge_page(m, huge_entry(m, space, vpn))
        resident += pages
        pss += share
        unique += own
        vpn = next_present(m, space, ((vpn >> TABLE_SHIFT) + 1) << TABLE_SHIFT, end, 0)
    return resident, pss >> 12, unique


@inlined
def _of_leaf(m: Arrays, leaf: int) -> tuple[int, int, int]:
    """Return pages, their share in `_PAGE_UNITS` and the unique ones of a leaf table."""
    sharers = int(m.table_info[leaf].refs) - 1
    resident = 0
    unique = 0
    pss = 0
    mapped = share = 0  # the last page's, whose neighbours are mapped as often as a rule
    for i in range(TABLE_ENTRIES):
        prefetch_frame(m, leaf, i, TABLE_ENTRIES)
        entry = int(m.tables[leaf, i])
        if not maps_memory(entry):
            continue
        maps = int(m.frames[entry >> PFN_SHIFT].maps) + sharers
        resident += 1
        unique += 1 if maps == 1 else 0
        if maps != mapped:
            mapped = maps
            share = _PAGE_UNITS // maps
        pss += share
    return resident, pss, unique


@inlined
def _of_huge_page(m: Arrays, entry: int) -> tuple[int, int, int]:
    """Return the same of an entry of level 1; nothing of what the pool of huge pages has."""
    if not maps_memory(entry) or is_hugetlb(m, entry):
        return 0, 0, 0
    unique = 0
    pss = 0
    first = entry >> PFN_SHIFT
    for pfn in range(first, first + HUGE_PAGES):
        maps = int(m.frames[pfn].maps)
        unique += 1 if maps == 1 else 0
        pss += _PAGE_UNITS // maps
    return HUGE_PAGES, pss, unique
