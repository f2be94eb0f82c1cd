"""The areas of an address space in order of address: found, and gaps found, in logarithmic time.

They are a list (`next`, `prev`) and a balanced tree (`sim.machine.treap`).  Each also knows the
widest gap right below any area of its subtree, as Linux did before 6.1 (`rb_subtree_gap`).
"""

from sim.base.jit import compiled
from sim.machine.layout import A_GROWSDOWN, NONE, Arrays
from sim.machine.linked import list_add, list_del
from sim.machine.treap import link_leaf, renew_up, unlink_row

STACK_GAP_PAGES = 256
"""`stack_guard_gap`: nothing may be mapped this close below a stack."""
MMAP_MIN_VPN = 16
"""`vm.mmap_min_addr`: 64 KiB."""


@compiled
def find_area(m: Arrays, space: int, vpn: int) -> int:
    """Return the first area that ends behind `vpn` (Linux `find_vma`), or NONE."""
    found = NONE
    area = int(m.spaces[space].root)
    while area != NONE:
        a = m.areas[area]
        if a.end > vpn:
            found = area
            area = int(a.left)
        else:
            area = int(a.right)
    return found


@compiled
def gap_end(m: Arrays, area: int) -> int:
    """Return the page up to which others may map below an area: a stack keeps some free."""
    a = m.areas[area]
    return int(a.start) - (STACK_GAP_PAGES if a.vm_flags & A_GROWSDOWN != 0 else 0)


@compiled
def gap_start(m: Arrays, area: int) -> int:
    """Return where the gap below an area begins: at the end of the area before."""
    before = int(m.areas[area].prev)
    return int(m.areas[before].end) if before != NONE else 0


@compiled
def gap_below(m: Arrays, area: int) -> int:
    """Return the pages that are free below an area."""
    return gap_end(m, area) - gap_start(m, area)


@compiled
def widest_gap(m: Arrays, area: int) -> int:
    """Return the widest gap below an area of the subtree; those of the children are right."""
    a = m.areas[area]
    gap = gap_below(m, area)
    if a.left != NONE:
        gap = max(gap, int(m.areas[int(a.left)].gap))
    if a.right != NONE:
        gap = max(gap, int(m.areas[int(a.right)].gap))
    return gap


@compiled
def renew_gap(m: Arrays, area: int) -> None:
    """Have an area know the widest gap of its subtree again."""
    m.areas[area].gap = widest_gap(m, area)


@compiled
def resized(m: Arrays, area: int) -> None:
    """Take note that an area begins or ends elsewhere now."""
    renew_up(m, m.areas, area, renew_gap)
    renew_up(m, m.areas, int(m.areas[area].next), renew_gap)


@compiled
def link_area(m: Arrays, slot: int) -> None:
    """Put an area, whose space and range are set, into the list and the tree."""
    a = m.areas[slot]
    s = m.spaces[int(a.space)]
    before = NONE
    after = NONE
    above = NONE
    area = int(s.root)
    while area != NONE:
        above = area
        if m.areas[area].start < a.start:
            before = area
            area = int(m.areas[area].right)
        else:
            after = area
            area = int(m.areas[area].left)
    list_add(m.areas, s, slot, before, after)
    link_leaf(m, m.areas, s, slot, above, above == after, renew_gap)
    renew_up(m, m.areas, after, renew_gap)


@compiled
def unlink_area(m: Arrays, slot: int) -> None:
    """Take an area off the list and out of the tree."""
    a = m.areas[slot]
    s = m.spaces[int(a.space)]
    list_del(m.areas, s, slot)
    unlink_row(m, m.areas, s, slot, renew_gap)
    renew_up(m, m.areas, int(a.next), renew_gap)


@compiled
def last_gap(m: Arrays, area: int, pages: int) -> int:
    """Return the last area of a subtree with a gap of `pages` below it; NONE if none is so wide."""
    if area == NONE or m.areas[area].gap < pages:
        return NONE
    while True:
        a = m.areas[area]
        if a.right != NONE and m.areas[int(a.right)].gap >= pages:
            area = int(a.right)
        elif gap_below(m, area) >= pages:
            return area
        else:
            area = int(a.left)


@compiled
def previous_gap(m: Arrays, area: int, pages: int) -> int:
    """Return the last area before this one with a gap of `pages` below it, or NONE."""
    found = last_gap(m, int(m.areas[area].left), pages)
    while found == NONE and area != NONE:
        above = int(m.areas[area].above)
        if above != NONE and m.areas[above].right == area:
            if gap_below(m, above) >= pages:
                return above
            found = last_gap(m, int(m.areas[above].left), pages)
        area = above
    return found


@compiled
def find_gap(m: Arrays, space: int, pages: int) -> int:
    """Return the start of the highest gap of `pages` below `mmap_top`, or NONE."""
    s = m.spaces[space]
    lowest = max(int(s.brk), MMAP_MIN_VPN)
    top = int(s.mmap_top)
    last_end = int(m.areas[int(s.tail)].end) if s.tail != NONE else 0
    if top - max(lowest, last_end) >= pages:
        return top - pages
    area = last_gap(m, int(s.root), pages)
    while area != NONE:
        high = min(top, gap_end(m, area))
        if high - max(lowest, gap_start(m, area)) >= pages:
            return high - pages
        area = previous_gap(m, area, pages)
    return NONE
