"""Large folios: pages that were allocated as one, and stay one when their huge entry is split.

A page of a folio is its only mapper's to reuse if nobody else maps *any* page of the folio.  Pages
that were unmapped are part of it no more: here they are free at once, on Linux when the folio is
split.  Read in Linux 6.18 `mm/memory.c` (`__wp_can_reuse_large_anon_folio`).
"""

from sim.jit import compiled, inlined
from sim.kernel.lend import is_lent
from sim.kernel.work import OP_ACCESS
from sim.machine.layout import (
    F_LARGE,
    F_WRITTEN,
    HUGE_PAGES,
    NONE,
    PFN_SHIFT,
    TABLE_MASK,
    Arrays,
)
from sim.machine.rules import R_FOLIO_REUSE, R_REFERENCES
from sim.machine.tables import find_table


@inlined
def mark_written(m: Arrays, task: int, pfn: int) -> None:
    """Take note that a program writes to a page of a huge page; a call that populates does not."""
    if m.tasks[task].op == OP_ACCESS:
        m.frames[pfn].bits |= F_WRITTEN


@compiled
def sole_folio(m: Arrays, space: int, vpn: int, pfn: int) -> bool:
    """Whether only `space`, which maps `pfn` at `vpn`, maps any page of the folio around `pfn`."""
    head = pfn - (pfn & TABLE_MASK)
    others = 0
    for at in range(head, head + HUGE_PAGES):
        frame = m.frames[at]
        if frame.bits & F_LARGE == 0:
            continue
        page = vpn + at - pfn
        leaf = find_table(m, space, page, 0)
        if leaf != NONE and m.spaces[space].lent > 0 and is_lent(m, space, page):
            return False
        mine = leaf != NONE and int(m.tables[leaf, page & TABLE_MASK]) >> PFN_SHIFT == at
        others += int(frame.maps) - (1 if mine else 0)
    return others == 0


@compiled
def may_reuse(m: Arrays, space: int, vpn: int, pfn: int) -> bool:
    """Whether a page with one reference, of a large folio, is reused by who writes to it.

    Linux 5.9 to 6.14 did not look who maps the rest of the folio, and copied.
    """
    rules = m.pool[0].rules
    if rules & R_FOLIO_REUSE == 0 and rules & R_REFERENCES != 0:
        return False
    return sole_folio(m, space, vpn, pfn)
