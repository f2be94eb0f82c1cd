"""What one address space holds: resident, proportional and unique memory, as in smaps_rollup."""

from sim.base.jit import compiled
from sim.kernel.fault.pmd import huge_entry
from sim.kernel.hugetlb.pages import is_hugetlb
from sim.machine.entries import maps_memory
from sim.machine.layout import (
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
    mapped = share = 0  # the last page's, whose neighbours are mapped as often as a rule
    end = 1 << VPN_BITS
    vpn = next_present(m, space, 0, end, 0)
    while vpn < end:
        leaf = find_table(m, space, vpn, 0)
        whole = huge_entry(m, space, vpn) if leaf == NONE else 0
        if is_hugetlb(m, whole):
            whole = 0
        if leaf != NONE or whole != 0:
            sharers = 0 if leaf == NONE else int(m.table_info[leaf].refs) - 1
            for i in range(TABLE_ENTRIES):
                entry = int(m.tables[leaf, i]) if whole == 0 else whole + (i << PFN_SHIFT)
                if not maps_memory(entry):
                    continue
                maps = int(m.frames[entry >> PFN_SHIFT].maps) + sharers
                resident += 1
                unique += 1 if maps == 1 else 0
                if maps != mapped:
                    mapped = maps
                    share = _PAGE_UNITS // maps
                pss += share
        vpn = next_present(m, space, ((vpn >> TABLE_SHIFT) + 1) << TABLE_SHIFT, end, 0)
    return resident, pss >> 12, unique
