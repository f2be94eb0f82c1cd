"""Counters of pages, nested in each other: what groups are charged for, and what is protected.

Reclaim spares what `memory.min` and `memory.low` protect.  That is worked out from the group down
for which it reclaims: what those in a group claim is shared out among them, if it is more than is
protected of the group itself; what they do not claim of that, among those that use more than they
claim, where control groups are mounted so (`memory_recursiveprot`, as systemd does); and no setting
protects a group from reclaim for its own limit.  Read in Linux 6.12 `mm/page_counter.c` and
`mm/memcontrol.c` (`mem_cgroup_calculate_protection`).
"""

from sim.base.jit import compiled
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.layout import EV_FAILCNT, FOREVER, NONE, ROOT, Arrays
from sim.machine.rules.cgroup import V1_MEMSW
from sim.machine.rules.pressure import R_RECURSIVE_PROT


@compiled
def page_counter_charge(m: Arrays, group: int, pages: int) -> None:
    """Charge a group for `pages`, whatever its limit; fewer than 0 are taken back."""
    while group != ROOT:
        g = m.groups[group]
        g.usage += pages
        if g.usage > g.peak:
            g.peak = g.usage
        if g.min_pages != 0 or g.low_pages != 0:
            propagate_protected_usage(m, group)
        group = int(g.parent)


@compiled
def page_counter_try_charge(m: Arrays, group: int, pages: int) -> int:
    """Charge a group for `pages`; or return the group whose limit is in the way, else NONE.

    In version 1 that may be the limit of memory and swap together: `over_memsw` says so.
    """
    m.pool[0].over_memsw = 0
    if m.config[0].total_swap_pages != 0 and m.config[0].cgroup & V1_MEMSW != 0:
        at = over_memsw(m, group, pages)
        if at != NONE:
            return at
    at = group
    while at != ROOT:
        g = m.groups[at]
        if g.usage + pages > g.limit:
            m.events[at, EV_FAILCNT] += 1
            return at
        at = int(g.parent)
    page_counter_charge(m, group, pages)
    return NONE


@compiled
def over_memsw(m: Arrays, group: int, pages: int) -> int:
    """Return the group whose limit of memory and swap together is in the way, else NONE."""
    while group != ROOT:
        g = m.groups[group]
        if g.usage + g.swap + pages > g.memsw_limit:
            m.events[group, EV_FAILCNT] += 1
            m.pool[0].over_memsw = 1
            return group
        group = int(g.parent)
    return NONE


# -- protection ----------------------------------------------------------------------------------


@compiled
def propagate_protected_usage(m: Arrays, group: int) -> None:
    """Count what a group uses of its protection, for the group it is in."""
    g = m.groups[group]
    parent = m.groups[int(g.parent)]
    protected = max(0, min(int(g.usage), int(g.min_pages)))
    parent.children_min += protected - g.min_usage
    g.min_usage = protected
    protected = max(0, min(int(g.usage), int(g.low_pages)))
    parent.children_low += protected - g.low_usage
    g.low_usage = protected


@compiled
def effective_protection(
    usage: int, setting: int, of_parent: int, of_siblings: int, used: int
) -> int:
    """Return how many of `usage` pages a `setting` protects, in a group that has `of_parent`.

    `of_siblings` is what it and those beside it claim and use, all together: if that is more, each
    has its share of it.  If it is less, each has a share of the rest, by what it uses beyond its
    claim; `used` is what they use, with the group they are in, or 0 where there is no such share.
    """
    protected = min(usage, setting)
    if of_siblings > of_parent:
        return protected * of_parent // of_siblings
    if of_parent > of_siblings and used > of_siblings:
        rest = of_parent - of_siblings
        protected += rest * (usage - protected) // (used - of_siblings)
    return protected


@compiled
def calculate_protection(m: Arrays, top: int, group: int) -> None:
    """Work out what is protected of a group in reclaim for `top`, in which it is.

    The group that it is in is to be done before; a walk that begins farther down finds there what
    the last one left, as in Linux.
    """
    g = m.groups[group]
    if group == top or g.usage == 0:
        return
    if g.parent == top:
        g.emin = g.min_pages
        g.elow = g.low_pages
        return
    p = m.groups[int(g.parent)]
    usage = int(g.usage)
    used = int(p.usage) if m.config[0].rules & R_RECURSIVE_PROT != 0 else 0
    g.emin = effective_protection(usage, int(g.min_pages), int(p.emin), int(p.children_min), used)
    g.elow = effective_protection(usage, int(g.low_pages), int(p.elow), int(p.children_low), used)


def set_limits(
    m: Arrays,
    group: int,
    *,
    max_pages: int = FOREVER,
    high_pages: int = FOREVER,
    min_pages: int = 0,
    low_pages: int = 0,
    swap_pages: int = FOREVER,
    memsw_pages: int = FOREVER,
    swappiness: int = 60,
) -> None:
    """Say what a new group, of which nothing is charged yet, may have, and what reclaim spares.

    Slots of the swap device are limited by themselves, or in version 1 together with memory.
    """
    g = m.groups[group]
    g.swap_limit, g.memsw_limit, g.swappiness = swap_pages, memsw_pages, swappiness
    g.limit, g.high, g.min_pages, g.low_pages = max_pages, high_pages, min_pages, low_pages
    m.pool[0].n_protected += min_pages > 0 or low_pages > 0


@compiled
def count_dirty(m: Arrays, group: int, dirty: int, writeback: int) -> None:
    """Count dirty pages of files, and those under writeback, for a group and those it is in."""
    while group != NONE:
        m.groups[group].dirty += dirty
        m.groups[group].writeback += writeback
        group = int(m.groups[group].parent)
