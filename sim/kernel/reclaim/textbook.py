"""Replacement as textbooks have it: a page leaves when a frame is needed, and a policy says which.

==========  ========================================================================================
fifo        who has been in memory longest
clock       that one, unless it has its mark: then it loses the mark and goes behind all others.  A
            use sets the mark, the one that brings a page in as well
lru         whose last use is longest ago.  Exact: every use is seen, which no system can afford
mglru_like  as clock; and where all pages are of the youngest two generations, all that have a mark
            lose it and go behind the others, and another generation begins
random      anybody, by chance
==========  ========================================================================================

Pages of files and anonymous ones are treated alike, and those of all groups for which is reclaimed:
each group has its lists, and ages tell who is first.  Who cannot leave yet goes behind all others:
locked memory, a page that a device reads or writes, a dirty page of a file until it is written.
Limits, watermarks, protection and the swap device are Linux's; active lists, portions of 32 pages,
refaults and swappiness mean nothing.  The policies themselves, for reference strings, are in
`sim.policy.replacement`, and the same pages leave.
"""

from sim.base.jit import compiled, rare
from sim.kernel.reclaim.pageout import (
    FREED,
    count_scanned,
    drop_folio,
    folio_bits,
    must_wait_for_device,
    pageout,
    wakeup_flusher,
)
from sim.kernel.reclaim.protection import is_spared
from sim.kernel.rmap import anon_referenced, folio_referenced
from sim.kernel.work import note
from sim.machine.cached import first_page
from sim.machine.draw import draw
from sim.machine.entries import pte_present
from sim.machine.groups import is_within
from sim.machine.layout import (
    F_ACTIVE,
    F_FILE,
    F_LOCKED,
    F_LRU,
    F_RECLAIM,
    F_REFERENCED,
    F_WRITEBACK,
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    NONE,
    PFN_SHIFT,
    PTE_ZERO,
    REPLACE_CLOCK,
    REPLACE_MGLRU_LIKE,
    REPLACE_RANDOM,
    ROOT,
    TABLE_MASK,
    Arrays,
)
from sim.machine.lru import (
    flush_if_due,
    is_file_lru,
    lru_pages,
    lru_tail,
    lruvec_add_folio,
    lruvec_del_folio,
    next_group,
    note_use,
    renew,
)
from sim.machine.swap import mem_cgroup_get_nr_swap_pages
from sim.machine.tables import find_table
from sim.machine.work import DRAW_VICTIM, RECLAIM_PAGE


@rare
def page_used(m: Arrays, space: int, vpn: int) -> None:
    """Take note that a program has used the page at `vpn`."""
    leaf = find_table(m, space, vpn, 0)
    entry = 0 if leaf == NONE else int(m.tables[leaf, vpn & TABLE_MASK])
    if not pte_present(entry) or entry & PTE_ZERO != 0:
        return
    pfn = entry >> PFN_SHIFT
    if m.frames[pfn].bits & F_FILE != 0:
        pfn = first_page(m, pfn)
    note_use(m, pfn)


@compiled
def shrink_textbook(m: Arrays, cpu: int) -> None:
    """Let pages leave, one after the other, until as many are freed as this CPU's scan wants.

    Each is looked at once; twice where a mark spares it.
    """
    flush_if_due(m, cpu)
    scan = m.scans[cpu]
    policy = m.config[0].replacement
    left = candidates(m, cpu)
    if spares(m):
        left *= 2
    while left > 0 and scan.reclaimed + scan.written < scan.wanted and scan.congested == 0:
        pfn = oldest(m, cpu)
        if pfn == NONE:
            return
        if policy == REPLACE_MGLRU_LIKE and m.ages[pfn] >= m.pool[0].before_from:
            inc_max_seq(m, cpu)
            continue
        if policy == REPLACE_RANDOM and m.ages[pfn] != 0:
            pfn = anybody(m, cpu)
        left -= 1 << int(m.frames[pfn].order)
        look_at(m, cpu, pfn)


# -- who -------------------------------------------------------------------------------------------


@compiled
def may_leave(m: Arrays, cpu: int, group: int, lru: int) -> bool:
    """Whether pages of a list may leave at all: they can be swapped out, and are not protected."""
    scan = m.scans[cpu]
    if lru == LRU_INACTIVE_ANON and (
        scan.no_swap == 1 or mem_cgroup_get_nr_swap_pages(m, group) <= 0
    ):
        return False
    return not is_spared(m, cpu, group)


@compiled
def candidates(m: Arrays, cpu: int) -> int:
    """Return how many pages may leave."""
    pages = 0
    top = int(m.scans[cpu].group)
    group = next_group(m, top, NONE)
    while group != NONE:
        for lru in (LRU_INACTIVE_ANON, LRU_INACTIVE_FILE):
            if lru_pages(m, group, lru) > 0 and may_leave(m, cpu, group, lru):
                pages += lru_pages(m, group, lru)
        group = next_group(m, top, group)
    return pages


@compiled
def oldest(m: Arrays, cpu: int) -> int:
    """Return the folio that came to its list first, of those that may leave, or NONE.

    One that was chosen before, and has been written since, comes before all others: its age is 0.
    """
    found = NONE
    top = int(m.scans[cpu].group)
    group = next_group(m, top, NONE)
    while group != NONE:
        for lru in (LRU_INACTIVE_ANON, LRU_INACTIVE_FILE):
            pfn = lru_tail(m, group, lru)
            if (
                pfn != NONE
                and (found == NONE or m.ages[pfn] < m.ages[found])
                and may_leave(m, cpu, group, lru)
            ):
                found = pfn
        group = next_group(m, top, group)
    return found


@compiled
def anybody(m: Arrays, cpu: int) -> int:
    """Return a folio that may leave, each with the same chance: there is one.

    Frames are drawn until one is.
    """
    task = int(m.cpus[cpu].task)
    frames = int(m.zones[int(m.config[0].n_zones) - 1].end)
    while True:
        pfn = (draw(m, task, DRAW_VICTIM) * frames) >> 32
        frame = m.frames[pfn]
        if frame.bits & F_LRU == 0 or not is_within(m, int(frame.group), int(m.scans[cpu].group)):
            continue
        lru = LRU_INACTIVE_FILE if is_file_lru(m, pfn) else LRU_INACTIVE_ANON
        if may_leave(m, cpu, int(frame.group), lru):
            return pfn


@compiled
def inc_max_seq(m: Arrays, cpu: int) -> None:
    """Begin a generation; before, who is marked comes to the youngest (`lru_gen`, `vmscan.c`).

    Pages of other groups than are reclaimed keep their marks.
    """
    top = int(m.scans[cpu].group)
    group = next_group(m, top, NONE)
    looked_at = 0
    while group != NONE:
        for lru in (LRU_INACTIVE_ANON, LRU_INACTIVE_FILE):
            pfn = lru_tail(m, group, lru)
            last = m.pool[0].uses  # who comes to the head while they are looked at is younger
            while pfn != NONE and m.ages[pfn] <= last:
                younger = int(m.frames[pfn].prev)
                looked_at += 1 << int(m.frames[pfn].order)
                if is_marked(m, pfn)[0]:
                    renew(m, pfn)
                pfn = younger
        group = next_group(m, top, group)
    note(m, RECLAIM_PAGE, looked_at)
    pool = m.pool[0]
    pool.before_from = pool.youngest_from
    pool.youngest_from = pool.uses + 1


# -- what becomes of it ----------------------------------------------------------------------------


@compiled
def look_at(m: Arrays, cpu: int, pfn: int) -> None:
    """Free a folio that was chosen, or put it behind all others.

    Nothing happens if the swap device takes no more.
    """
    frame = m.frames[pfn]
    anon = not is_file_lru(m, pfn)
    if anon and must_wait_for_device(m, pfn):
        m.scans[cpu].congested = 1
        return
    group = int(frame.group)
    pages = 1 << int(frame.order)
    lruvec_del_folio(m, pfn)
    freed = False
    if goes(m, pfn, anon):
        freed = pageout(m, cpu, pfn) == FREED if anon else drop_folio(m, cpu, pfn)
        if not freed and not anon:
            wakeup_flusher(m)
    if not freed:
        frame.bits &= ~F_ACTIVE
        lruvec_add_folio(m, pfn)
    count_scanned(m, cpu, group, anon, pages, pages if freed else 0)
    m.scans[cpu].reclaimed += pages if freed else 0


@compiled
def spares(m: Arrays) -> bool:
    """Whether the policy spares who has a mark."""
    return bool(m.config[0].replacement in (REPLACE_CLOCK, REPLACE_MGLRU_LIKE))


@compiled
def is_marked(m: Arrays, pfn: int) -> tuple[bool, bool]:
    """Whether a folio was used since it was last asked, and whether it is locked memory."""
    frame = m.frames[pfn]
    used = 0
    locked = False
    if is_file_lru(m, pfn):
        used, locked, _ = folio_referenced(m, pfn, ROOT)
    elif frame.maps > 0:
        used, locked = anon_referenced(m, pfn, ROOT)
    marked = used > 0 or frame.bits & F_REFERENCED != 0
    frame.bits &= ~F_REFERENCED
    return marked, locked


@compiled
def goes(m: Arrays, pfn: int, anon: bool) -> bool:
    """Whether a folio that was chosen can leave, and is not spared for its mark; that is gone."""
    frame = m.frames[pfn]
    bits = int(frame.bits)
    if not anon:
        bits = folio_bits(m, int(frame.mapping), int(frame.index), 1 << int(frame.order))
    if bits & (F_LOCKED | F_WRITEBACK) != 0:
        if bits & F_WRITEBACK != 0:
            frame.bits |= F_RECLAIM
        return False
    marked, locked = is_marked(m, pfn)
    return not locked and not (marked and spares(m))
