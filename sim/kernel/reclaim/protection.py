"""What reclaim leaves alone of a group: what `memory.min` and `memory.low` protect.

Read in Linux 6.12 `mm/vmscan.c` (`shrink_node_memcgs`, `get_scan_count`).  How much that is, is
worked out in `sim.machine.page_counter`.
"""

from sim.base.jit import compiled
from sim.machine.groups import count_event
from sim.machine.layout import EV_LOW, SWAP_CLUSTER_MAX, Arrays
from sim.machine.lru import lru_pages
from sim.machine.page_counter import calculate_protection
from sim.machine.rules.pressure import R_PROPORTIONAL


@compiled
def is_spared(m: Arrays, cpu: int, group: int) -> bool:
    """Whether reclaim passes a group over, because all it has is protected.

    What `memory.low` protects is looked at when nothing else can be had, which is an event of the
    group (`mem_cgroup_below_min`, `mem_cgroup_below_low`).
    """
    scan = m.scans[cpu]
    if m.pool[0].n_protected == 0 or group == scan.group:
        return False
    calculate_protection(m, int(scan.group), group)
    g = m.groups[group]
    if g.emin >= g.usage:
        return True
    if g.elow >= g.usage:
        if scan.low_reclaim == 0:
            scan.low_skipped = 1
            return True
        count_event(m, group, EV_LOW, 1)
    return False


@compiled
def unprotected_pages(m: Arrays, cpu: int, group: int, lru: int) -> int:
    """Return how many pages of a list count for reclaim, of a group that it does not pass over.

    As large a share is left out as is protected of the group, but 32 pages are in any case; a list
    without pages counts as so many too, as in Linux (`apply_proportional_protection`).
    """
    scan = m.scans[cpu]
    pages = lru_pages(m, group, lru)
    if m.pool[0].n_protected == 0 or group == scan.group:
        return pages
    g = m.groups[group]
    if m.config[0].rules & R_PROPORTIONAL == 0 or (g.emin == 0 and g.elow == 0):
        return pages
    protected = int(g.emin)
    if scan.low_reclaim == 0 and g.elow > g.emin:
        protected = int(g.elow)
        scan.low_skipped = 1
    usage = max(int(g.usage), protected)
    return max(pages - pages * protected // (usage + 1), SWAP_CLUSTER_MAX)
