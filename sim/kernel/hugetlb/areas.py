"""Areas on huge pages of the pool: what is reserved for them, and given back.

================  ==================================  =========================================
an area           has reserved                        which goes back
================  ==================================  =========================================
shared            all of its file, at the mmap that   with the file, when nobody maps it any
                  makes it                            more
private           all of it, at its mmap              with the area, what it has not used
private, a        nothing: fork leaves reservations
child's           with the parent
MAP_NORESERVE     nothing
================  ==================================  =========================================

What a private area has used is kept with its file, in `cached`: `USED` where the page that was
reserved has come.  Read in Linux 6.12 `mm/hugetlb.c` (`hugetlb_reserve_pages`,
`hugetlb_vm_op_close`, `hugetlb_vm_op_split`, `hugetlb_dup_vma_private`).
"""

from typing import Final

from sim.base.jit import compiled, inlined, rare
from sim.machine.areas import find_area
from sim.machine.hugetlb import reserve_huge, unreserve_huge
from sim.machine.layout import (
    A_NORESERVE,
    A_RESV_OWNER,
    A_SHARED,
    KIND_HUGETLB,
    NONE,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)

USED: Final = -1
"""In `cached` of a file that is mapped privately: the page reserved for this place has come."""


@inlined
def huge_index(m: Arrays, area: int, vpn: int) -> int:
    """Return which huge page of its file an area maps at `vpn`."""
    a = m.areas[area]
    return int(a.offset + vpn - a.start) >> TABLE_SHIFT


@rare
def reserve_pages(m: Arrays, task: int) -> bool:
    """Reserve what a new mapping needs; False, and nothing is, if the pool has not as much left."""
    o = m.operations[task]
    if o.map_flags & A_NORESERVE != 0:
        return True
    wanted = int(o.pages) >> TABLE_SHIFT
    if not reserve_huge(m, wanted):
        return False
    if o.map_flags & A_SHARED != 0:
        m.files[int(o.file)].reserved = wanted
    else:
        o.map_flags |= A_RESV_OWNER
    return True


@compiled
def close_area(m: Arrays, area: int) -> None:
    """Give back what was reserved for an area that is about to go and has not come."""
    a = m.areas[area]
    if a.vm_flags & A_RESV_OWNER == 0:
        return
    first = int(m.files[int(a.file)].first) + huge_index(m, area, int(a.start))
    left = 0
    for at in range(first, first + (int(a.end - a.start) >> TABLE_SHIFT)):
        if m.cached[at] != USED:
            left += 1
    unreserve_huge(m, left)


@compiled
def may_split(m: Arrays, space: int, vpn: int) -> bool:
    """Whether an area may be cut at `vpn`: not inside a huge page of the pool."""
    if vpn & TABLE_MASK == 0:
        return True
    area = find_area(m, space, vpn)
    return bool(area == NONE or m.areas[area].start > vpn or m.areas[area].kind != KIND_HUGETLB)
