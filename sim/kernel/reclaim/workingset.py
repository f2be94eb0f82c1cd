"""Shadows: what a reclaimed page leaves behind, so that its return says how much was too little.

A group's *nonresident age* counts pages that were evicted or activated.  A shadow has the age at
the eviction; when the page comes back, the difference is how much longer the inactive list would
have had to be to keep it.  If the active pages would have made room for that, the page is activated
at once.  How many those are is as of the last flush of statistics (`sim.machine.lru`).  Read in
Linux 6.18 `mm/workingset.c`.
"""

from typing import Final

from sim.base.jit import compiled
from sim.machine.layout import F_ACTIVE, F_WORKINGSET, Arrays
from sim.machine.lru import flush_if_due, workingset_age_nonresident

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
def workingset_refault(m: Arrays, cpu: int, pfn: int, shadow: int) -> None:
    """Take note that a folio, not yet on a list, has come back that left a shadow."""
    flush_if_due(m, cpu)
    frame = m.frames[pfn]
    pages = 1 << int(frame.order)
    v = m.lruvecs[int(frame.group)]
    v.workingset_refault += pages
    evicted_for, age, workingset = unpack_shadow(shadow)
    target = m.lruvecs[evicted_for]
    if target.nonresident_age - age > target.flushed_active_file:
        return
    frame.bits |= F_ACTIVE
    workingset_age_nonresident(m, int(frame.group), pages)
    v.workingset_activate += pages
    if workingset == 1:
        frame.bits |= F_WORKINGSET
        v.workingset_restore += pages
