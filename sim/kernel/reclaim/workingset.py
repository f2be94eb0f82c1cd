"""Shadows: what a reclaimed page leaves behind, so that its return says how much was too little.

A group's *nonresident age* counts pages that were evicted or activated.  A shadow has the age at
the eviction; when the page comes back, the difference is how much longer the inactive list would
have had to be to keep it.  If the active pages would have made room for that, the page is activated
at once.  How many those are is as of the last flush of statistics (`sim.machine.lru`).  Read in
Linux 6.18 `mm/workingset.c`.
"""

from typing import Final

from sim.base.jit import compiled
from sim.machine.layout import F_ACTIVE, F_WORKINGSET, REPLACE_LINUX, Arrays
from sim.machine.lru import flush_if_due, is_file_lru, lru_note_cost, workingset_age_nonresident
from sim.machine.swap import mem_cgroup_get_nr_swap_pages

_GROUP_SHIFT: Final = 4
_AGE_SHIFT: Final = 21
_GROUP_MASK: Final = (1 << 16) - 1


@compiled
def pack_shadow(group: int, age: int, workingset: int, order: int) -> int:
    """Return a shadow: the group that a folio was evicted for, its age, 1 if it had been active."""
    return -1 - (age << _AGE_SHIFT | workingset << _AGE_SHIFT - 1 | group << _GROUP_SHIFT | order)


@compiled
def unpack_shadow(shadow: int) -> tuple[int, int, int]:
    """Return what `pack_shadow` was given, without the order."""
    value = -1 - shadow
    workingset = (value >> _AGE_SHIFT - 1) & 1
    return (value >> _GROUP_SHIFT) & _GROUP_MASK, value >> _AGE_SHIFT, workingset


@compiled
def workingset_eviction(m: Arrays, pfn: int, target: int) -> int:
    """Return the shadow of a folio that reclaim for group `target` evicts; time goes on there."""
    frame = m.frames[pfn]
    workingset = 1 if frame.bits & F_WORKINGSET != 0 else 0
    age = int(m.lruvecs[target].nonresident_age)
    shadow = pack_shadow(target, age, workingset, int(frame.order))
    workingset_age_nonresident(m, target, 1 << int(frame.order))
    return shadow


@compiled
def workingset_size(m: Arrays, group: int, anon: bool) -> int:
    """Return how many pages might have made room for one that came back, as of the last flush."""
    v = m.lruvecs[group]
    pages = int(v.flushed_active_file)
    if anon:
        pages += int(v.flushed_inactive_file)
    if mem_cgroup_get_nr_swap_pages(m, group) > 0:
        pages += int(v.flushed_active_anon)
        if not anon:
            pages += int(v.flushed_inactive_anon)
    return pages


@compiled
def workingset_refault(m: Arrays, cpu: int, pfn: int, shadow: int) -> None:
    """Take note that a folio, not yet on a list, has come back that left a shadow."""
    flush_if_due(m, cpu)
    frame = m.frames[pfn]
    anon = not is_file_lru(m, pfn)
    pages = 1 << int(frame.order)
    group = int(frame.group)
    v = m.lruvecs[group]
    evicted_for, age, workingset = unpack_shadow(shadow)
    target = m.lruvecs[evicted_for]
    recent = target.nonresident_age - age <= workingset_size(m, evicted_for, anon)
    restored = recent and workingset == 1
    if anon:
        v.workingset_refault_anon += pages
        v.workingset_activate_anon += pages if recent else 0
        v.workingset_restore_anon += pages if restored else 0
    else:
        v.workingset_refault += pages
        v.workingset_activate += pages if recent else 0
        v.workingset_restore += pages if restored else 0
    if not recent or m.config[0].replacement != REPLACE_LINUX:
        return
    frame.bits |= F_ACTIVE
    workingset_age_nonresident(m, group, pages)
    if restored:
        frame.bits |= F_WORKINGSET
        lru_note_cost(m, group, anon, pages, 0)
