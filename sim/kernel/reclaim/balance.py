"""How far reclaim looks at each list: anonymous pages against those of files.

================================================  ==============================================
where                                             so the lists are looked at
================================================  ==============================================
nothing can be swapped out, or a group does not   of files only
want it (swappiness 0)
priority 0, swappiness above 0                    both, whole
the machine has hardly any pages of files         anonymous only
there are inactive pages of files enough, and     of files only
none of them came back
else                                              both, by swappiness and by what reclaim of each
                                                  has cost so far
================================================  ==============================================

Read in Linux 6.18 `mm/vmscan.c` (`get_scan_count`, `calculate_pressure_balance`,
`prepare_scan_control`, `can_reclaim_anon_pages`).
"""

from typing import Final

from sim.base.jit import compiled
from sim.kernel.reclaim.protection import unprotected_pages
from sim.machine.layout import (
    DEACTIVATE_ANON,
    DEACTIVATE_FILE,
    LRU_ACTIVE_ANON,
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    NONE,
    ROOT,
    Arrays,
)
from sim.machine.lru import flush_if_due, lru_pages, next_group
from sim.machine.swap import mem_cgroup_get_nr_swap_pages

MAX_SWAPPINESS: Final = 200
GIB_SHIFT: Final = 18
"""Pages of 1 GiB, as a power of 2."""

SCAN_EQUAL: Final = 0
SCAN_FRACT: Final = 1
SCAN_ANON: Final = 2
SCAN_FILE: Final = 3


@compiled
def inactive_is_low(inactive: int, active: int) -> bool:
    """Whether a list of `inactive` pages is too short beside one of `active`.

    As many below 1 GiB, of both together; then a share of 1 in sqrt(10 * GiB).
    """
    gib = (inactive + active) >> GIB_SHIFT
    ratio = 1
    while (ratio + 1) * (ratio + 1) <= 10 * gib:
        ratio += 1
    return inactive * ratio < active


@compiled
def anon_is_low(m: Arrays, group: int) -> bool:
    """Whether a group, with those in it, has too few inactive anonymous pages."""
    v = m.lruvecs[group]
    return inactive_is_low(int(v.flushed_inactive_anon), int(v.flushed_active_anon))


@compiled
def prepare_scan_control(m: Arrays, cpu: int) -> None:
    """Decide whether active pages may become inactive: there are too many, or pages come back.

    And whether one kind of pages is not to be looked at.
    """
    flush_if_due(m, cpu)
    scan = m.scans[cpu]
    v = m.lruvecs[int(scan.group)]
    scan.anon_cost, scan.file_cost = v.anon_cost, v.file_cost
    scan.may_deactivate = DEACTIVATE_ANON | DEACTIVATE_FILE
    if scan.force_deactivate == 0:
        file_is_low = inactive_is_low(int(v.flushed_inactive_file), int(v.flushed_active_file))
        if v.flushed_activated_anon == v.seen_activated_anon and not anon_is_low(
            m, int(scan.group)
        ):
            scan.may_deactivate &= ~DEACTIVATE_ANON
        if v.flushed_activated == v.seen_activated and not file_is_low:
            scan.may_deactivate &= ~DEACTIVATE_FILE
    inactive = int(v.flushed_inactive_file) >> scan.priority
    scan.cache_trim = 0
    if inactive > 0 and scan.may_deactivate & DEACTIVATE_FILE == 0:
        scan.cache_trim = 1
    scan.file_is_tiny = 0
    if scan.group == ROOT and scan.may_deactivate & DEACTIVATE_ANON == 0:
        scan.file_is_tiny = 1 if file_is_tiny(m, int(scan.priority)) else 0


@compiled
def file_is_tiny(m: Arrays, priority: int) -> bool:
    """Whether the machine's pages of files and its free ones together are below the high marks.

    And there are inactive anonymous pages to be had.
    """
    high = 0
    for zone in range(int(m.config[0].n_zones)):
        high += int(m.zones[zone].high_pages)
    files = anon = 0
    group = next_group(m, ROOT, NONE)
    while group != NONE:
        files += lru_pages(m, group, LRU_INACTIVE_FILE) + lru_pages(m, group, LRU_ACTIVE_FILE)
        anon += lru_pages(m, group, LRU_INACTIVE_ANON)
        group = next_group(m, ROOT, group)
    return files + int(m.pool[0].free) <= high and anon >> priority > 0


@compiled
def scan_balance(m: Arrays, cpu: int, group: int) -> int:
    """Return which lists of a group are looked at: SCAN_FILE and its like."""
    scan = m.scans[cpu]
    swappiness = m.groups[group].swappiness
    if scan.no_swap == 1 or mem_cgroup_get_nr_swap_pages(m, group) <= 0:
        return SCAN_FILE
    if scan.group != ROOT and swappiness == 0:
        return SCAN_FILE
    if scan.priority == 0 and swappiness > 0:
        return SCAN_EQUAL
    if scan.file_is_tiny == 1:
        return SCAN_ANON
    return SCAN_FILE if scan.cache_trim == 1 else SCAN_FRACT


@compiled
def pressure_on(m: Arrays, cpu: int, group: int, anon: bool) -> tuple[int, int]:
    """Return the share of its lists that is looked at of a kind: numerator and denominator."""
    scan = m.scans[cpu]
    total = int(scan.anon_cost + scan.file_cost)
    anon_cost = total + int(scan.anon_cost)
    file_cost = total + int(scan.file_cost)
    total = anon_cost + file_cost
    swappiness = int(m.groups[group].swappiness)
    of_anon = swappiness * (total + 1) // (anon_cost + 1)
    of_file = (MAX_SWAPPINESS - swappiness) * (total + 1) // (file_cost + 1)
    return (of_anon if anon else of_file), of_anon + of_file


@compiled
def scan_count(m: Arrays, cpu: int, group: int, lru: int, balance: int) -> int:
    """Return how many pages of a list are looked at, at the priority under way."""
    anon = lru in (LRU_INACTIVE_ANON, LRU_ACTIVE_ANON)
    if balance == (SCAN_FILE if anon else SCAN_ANON):
        return 0
    pages = unprotected_pages(m, cpu, group, lru) >> int(m.scans[cpu].priority)
    if balance != SCAN_FRACT:
        return pages
    share, of = pressure_on(m, cpu, group, anon)
    return pages * share // of
