"""Reclaim: what is taken away when a group, or the machine, runs short of memory.

How far which lists are looked at is in `sim.kernel.reclaim.balance`, what becomes of pages that are
to leave in `pageout`; here is the walk, and who leaves.  Textbooks choose by `textbook`.

===============================  ================================================================
a folio at the inactive tail     so
===============================  ================================================================
is under way from the device     is kept
is mapped by locked memory       becomes active
used through several areas, or   becomes active
used twice, or text of programs
used through one area            is kept, and marked: the next such use makes it active
is dirty                         is unmapped, marked, and becomes active: somebody else writes it
else                             is unmapped and dropped, whether read() has used it or not
===============================  ================================================================

What is kept goes to the head of its list, in the order in which it was there.  From the active list
all go to the inactive one, used or not, but text that was used.  Read in Linux 6.18
`mm/vmscan.c`, whose names these are; `sim.machine.lru` has the lists.
"""

from typing import Final

from sim.base.jit import compiled, rare
from sim.kernel.reclaim.balance import (
    anon_is_low,
    prepare_scan_control,
    scan_balance,
    scan_count,
)
from sim.kernel.reclaim.pageout import (
    FREED,
    count_scanned,
    drop_folio,
    folio_bits,
    shrink_anon,
    waits_for_writeback,
    wakeup_flusher,
)
from sim.kernel.reclaim.protection import is_spared
from sim.kernel.reclaim.textbook import shrink_textbook
from sim.kernel.rmap import anon_referenced, folio_referenced
from sim.kernel.work import note_reclaim
from sim.machine.cached import reclaim_node
from sim.machine.layout import (
    DEACTIVATE_ANON,
    DEACTIVATE_FILE,
    F_ACTIVE,
    F_DIRTY,
    F_LOCKED,
    F_RECLAIM,
    F_REFERENCED,
    F_WORKINGSET,
    F_WRITEBACK,
    LRU_ACTIVE_ANON,
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    NONE,
    REPLACE_LINUX,
    ROOT,
    SWAP_CLUSTER_MAX,
    Arrays,
)
from sim.machine.lru import (
    lru_add_drain,
    lru_note_cost,
    lru_pages,
    lru_tail,
    lruvec_add_folio,
    lruvec_del_folio,
    next_group,
    workingset_age_nonresident,
)
from sim.machine.rules.pressure import R_FULL_WALK
from sim.machine.swap import total_swap_pages
from sim.machine.zram import zram_settle

DEF_PRIORITY: Final = 12
SHRINK_BATCH: Final = 128
"""Nodes that are looked at together."""
FOLIOREF_RECLAIM: Final = 0
FOLIOREF_KEEP: Final = 1
FOLIOREF_ACTIVATE: Final = 2

# -- who asks --------------------------------------------------------------------------------------


@compiled
def shrink_group(m: Arrays, cpu: int, group: int, pages: int, no_swap: int) -> int:
    """Reclaim `pages` of a group and of those in it, or 32 if that is more; return how many.

    A textbook's policy reclaims no more than `pages`.

    The task on `cpu` does it itself; for ROOT, of the whole machine.  What that costs is on the
    receipt (`try_to_free_mem_cgroup_pages`, `try_to_free_pages`).
    """
    scan = m.scans[cpu]
    scan.group = group
    scan.kswapd = 0
    scan.no_swap = no_swap
    classic = m.config[0].replacement == REPLACE_LINUX
    scan.wanted = max(pages, SWAP_CLUSTER_MAX) if classic else pages
    scan.reclaimed = scan.scanned = scan.written = scan.congested = 0
    scan.full_walk = scan.force_deactivate = scan.skipped_deactivate = 0
    scan.low_reclaim = scan.low_skipped = 0
    do_try_to_free_pages(m, cpu)
    zram_settle(m)
    note_reclaim(m, int(scan.scanned), int(scan.reclaimed))
    return int(scan.reclaimed)


@compiled
def do_try_to_free_pages(m: Arrays, cpu: int) -> None:
    """Look at ever more of the lists until enough is reclaimed, as this CPU's scan says.

    If nothing came of it: once more, in all groups; then with active pages as well; then with what
    `memory.low` protects.
    """
    scan = m.scans[cpu]
    while True:
        scan.priority = DEF_PRIORITY if m.config[0].replacement == REPLACE_LINUX else 0
        while scan.priority >= 0:
            shrink_node(m, cpu)
            if scan.reclaimed + scan.written >= scan.wanted or scan.congested == 1:
                break
            scan.priority -= 1
        v = m.lruvecs[int(scan.group)]
        v.seen_activated = v.flushed_activated
        v.seen_activated_anon = v.flushed_activated_anon
        if scan.reclaimed + scan.written + scan.congested > 0:
            return
        if scan.full_walk == 0 and m.config[0].rules & R_FULL_WALK != 0:
            scan.full_walk = 1
        elif scan.skipped_deactivate == 1:
            scan.force_deactivate = 1
            scan.skipped_deactivate = 0
        elif scan.low_skipped == 1:
            scan.force_deactivate = 0
            scan.low_reclaim = 1
            scan.low_skipped = 0
        else:
            return


# -- groups ----------------------------------------------------------------------------------------


@rare
def shrink_node(m: Arrays, cpu: int) -> None:
    """Look at the lists of the group that this CPU's scan is for, and of those in it, once.

    Walks stop when enough is reclaimed, and the next one goes on from there, so that each group has
    its turn; but in the background, when nothing was found, and before Linux 6.9, all are looked
    at.  Groups that are protected are passed over.
    """
    if m.config[0].replacement != REPLACE_LINUX:
        shrink_textbook(m, cpu)
        return
    scan = m.scans[cpu]
    prepare_scan_control(m, cpu)
    top = int(scan.group)
    if scan.kswapd == 1 or scan.full_walk == 1 or m.config[0].rules & R_FULL_WALK == 0:
        group = next_group(m, top, NONE)
        while group != NONE:
            if not is_spared(m, cpu, group):
                shrink_lruvec(m, cpu, group)
                shrink_shadows(m, cpu, group)
            group = next_group(m, top, group)
        return
    v = m.lruvecs[top]
    v.position = next_group(m, top, int(v.position))
    if v.position == NONE:
        v.position = top
    while v.position != NONE:
        if not is_spared(m, cpu, int(v.position)):
            shrink_lruvec(m, cpu, int(v.position))
            shrink_shadows(m, cpu, int(v.position))
            if scan.reclaimed >= scan.wanted:
                return
        v.position = next_group(m, top, int(v.position))


@compiled
def shrink_lruvec(m: Arrays, cpu: int, group: int) -> None:
    """Look at the lists of one group, as far as `scan_count` says, in portions of 32 pages.

    Once as much is reclaimed as is wanted, the kind with fewer pages left to look at is done, and
    the other is looked at as far as it was; but not at the first priority, where a task reclaims
    from the whole machine.
    """
    scan = m.scans[cpu]
    balance = scan_balance(m, cpu, group)
    anon = anon_wanted = scan_count(m, cpu, group, LRU_INACTIVE_ANON, balance)
    active_anon = active_anon_wanted = scan_count(m, cpu, group, LRU_ACTIVE_ANON, balance)
    file = file_wanted = scan_count(m, cpu, group, LRU_INACTIVE_FILE, balance)
    active_file = active_file_wanted = scan_count(m, cpu, group, LRU_ACTIVE_FILE, balance)
    goes_on = scan.group == ROOT and scan.kswapd == 0 and scan.priority == DEF_PRIORITY
    reclaimed = 0
    while anon > 0 or file > 0 or active_file > 0:
        reclaimed += shrink_list(m, cpu, group, LRU_INACTIVE_ANON, anon)
        anon -= min(anon, SWAP_CLUSTER_MAX)
        shrink_list(m, cpu, group, LRU_ACTIVE_ANON, active_anon)
        active_anon -= min(active_anon, SWAP_CLUSTER_MAX)
        reclaimed += shrink_list(m, cpu, group, LRU_INACTIVE_FILE, file)
        file -= min(file, SWAP_CLUSTER_MAX)
        shrink_list(m, cpu, group, LRU_ACTIVE_FILE, active_file)
        active_file -= min(active_file, SWAP_CLUSTER_MAX)
        if reclaimed + scan.written < scan.wanted or goes_on:
            continue
        left_anon = anon + active_anon
        left_file = file + active_file
        if left_anon == 0 or left_file == 0:
            break
        if left_file > left_anon:
            per_cent = left_anon * 100 // (anon_wanted + active_anon_wanted + 1)
            anon = active_anon = 0
            file = still_wanted(file_wanted, file, per_cent)
            active_file = still_wanted(active_file_wanted, active_file, per_cent)
        else:
            per_cent = left_file * 100 // (file_wanted + active_file_wanted + 1)
            file = active_file = 0
            anon = still_wanted(anon_wanted, anon, per_cent)
            active_anon = still_wanted(active_anon_wanted, active_anon, per_cent)
    scan.reclaimed += reclaimed
    if total_swap_pages(m) != 0 and anon_is_low(m, group):
        shrink_active_list(m, cpu, group, LRU_ACTIVE_ANON, SWAP_CLUSTER_MAX)


@compiled
def still_wanted(wanted: int, left: int, per_cent: int) -> int:
    """Return what is left to look at of a list, for as large a share as of the other kind."""
    scanned = wanted - left
    return max(0, wanted * (100 - per_cent) // 100 - scanned)


@compiled
def shrink_list(m: Arrays, cpu: int, group: int, lru: int, pages: int) -> int:
    """Look at up to 32 of `pages` pages of a list; return how many were freed."""
    if pages == 0:
        return 0
    portion = min(pages, SWAP_CLUSTER_MAX)
    if lru in (LRU_INACTIVE_ANON, LRU_INACTIVE_FILE):
        return shrink_inactive_list(m, cpu, group, lru, portion)
    scan = m.scans[cpu]
    if scan.may_deactivate & (DEACTIVATE_ANON if lru == LRU_ACTIVE_ANON else DEACTIVATE_FILE) != 0:
        shrink_active_list(m, cpu, group, lru, portion)
    else:
        scan.skipped_deactivate = 1
    return 0


@compiled
def shrink_shadows(m: Arrays, cpu: int, group: int) -> None:
    """Free nodes of a group that hold nothing but shadows, if there are many beside its pages.

    `do_shrink_slab`, of a kind that costs no reads; `count_shadow_nodes`.
    """
    v = m.lruvecs[group]
    pages = int(m.config[0].ram) if group == ROOT else int(v.flushed_pages)
    freeable = int(v.shadow_nodes) - (pages >> 3)
    if freeable <= 0:
        return
    scan = (int(v.shadow_deferred) >> m.scans[cpu].priority) + freeable // 2
    left = min(scan, 2 * freeable)
    scanned = 0
    while left >= SHRINK_BATCH or left >= freeable:
        portion = min(left, SHRINK_BATCH)
        for _ in range(portion):
            if v.shadow_nodes == 0:  # one that goes takes others along where the tree gets lower
                break
            reclaim_node(m, cpu, group)
        left -= portion
        scanned += portion
    deferred = max(0, int(v.shadow_deferred) + freeable // 2 - scanned)
    v.shadow_deferred = min(deferred, 2 * freeable)


# -- lists -----------------------------------------------------------------------------------------


@compiled
def shrink_inactive_list(m: Arrays, cpu: int, group: int, lru: int, portion: int) -> int:
    """Look at `portion` pages at the tail of a group's inactive list; return how many were freed.

    A folio counts for all its pages.  No folio is looked at twice.
    """
    lru_add_drain(m, cpu)
    scan = m.scans[cpu]
    v = m.lruvecs[group]
    left = lru_pages(m, group, lru)
    scanned = reclaimed = activated = 0
    scan.unqueued_dirty = scan.paged_out = 0
    while scanned < portion and left > 0:
        pfn = lru_tail(m, group, lru)
        pages = 1 << int(m.frames[pfn].order)
        scanned += pages
        left -= pages
        lruvec_del_folio(m, pfn)
        if (
            shrink_anon(m, cpu, pfn) == FREED
            if lru == LRU_INACTIVE_ANON
            else shrink_folio(m, cpu, pfn)
        ):
            reclaimed += pages
            continue
        lruvec_add_folio(m, pfn)
        if m.frames[pfn].bits & F_ACTIVE != 0:
            activated += pages
    v.pgactivate += activated
    workingset_age_nonresident(m, group, activated)
    rotated = scanned - reclaimed
    lru_note_cost(m, group, lru == LRU_INACTIVE_ANON, int(scan.paged_out), rotated)
    count_scanned(m, cpu, group, lru == LRU_INACTIVE_ANON, scanned, reclaimed)
    if scanned > 0 and scan.unqueued_dirty == scanned:
        wakeup_flusher(m)
    return reclaimed


@compiled
def shrink_folio(m: Arrays, cpu: int, pfn: int) -> bool:
    """Free a folio that is on no list, if that may be; else say by its bits which one is its list.

    `shrink_folio_list`, of one.
    """
    frame = m.frames[pfn]
    file = int(frame.mapping)
    first = int(frame.index)
    pages = 1 << int(frame.order)
    scan = m.scans[cpu]
    under_way = folio_bits(m, file, first, pages) & (F_LOCKED | F_WRITEBACK)
    if under_way != 0:
        again = under_way & F_WRITEBACK != 0 and frame.bits & F_RECLAIM != 0
        if again and waits_for_writeback(m, cpu):
            scan.congested = 1
        frame.bits |= F_RECLAIM
        return False
    if folio_bits(m, file, first, pages) & F_DIRTY != 0:
        scan.unqueued_dirty += pages
    references = folio_check_references(m, pfn, int(scan.group))
    if references != FOLIOREF_RECLAIM:
        if references == FOLIOREF_ACTIVATE:
            frame.bits |= F_ACTIVE
        return False
    return drop_folio(m, cpu, pfn)


@compiled
def folio_check_references(m: Arrays, pfn: int, group: int) -> int:
    """Decide by its use whether a folio is reclaimed; it is old and unreferenced then, or marked.

    A page is mapped by being used, so one use says nothing: it is spared once.
    """
    used, locked, text = folio_referenced(m, pfn, group)
    if locked:
        return FOLIOREF_ACTIVATE
    frame = m.frames[pfn]
    before = frame.bits & F_REFERENCED
    frame.bits &= ~F_REFERENCED
    if used == 0:
        return FOLIOREF_RECLAIM
    frame.bits |= F_REFERENCED
    return FOLIOREF_ACTIVATE if before != 0 or used > 1 or text else FOLIOREF_KEEP


@compiled
def shrink_active_list(m: Arrays, cpu: int, group: int, lru: int, portion: int) -> None:
    """Make `portion` pages at the tail of a group's active list inactive, used or not.

    But text that was used since the last look stays, at the head of the list.
    """
    lru_add_drain(m, cpu)
    scan = m.scans[cpu]
    v = m.lruvecs[group]
    left = lru_pages(m, group, lru)
    scanned = rotated = 0
    while scanned < portion and left > 0:
        pfn = lru_tail(m, group, lru)
        frame = m.frames[pfn]
        pages = 1 << int(frame.order)
        scanned += pages
        left -= pages
        text = False
        if lru == LRU_ACTIVE_ANON:
            anon_referenced(m, pfn, int(scan.group))
        else:
            _, _, text = folio_referenced(m, pfn, int(scan.group))
        lruvec_del_folio(m, pfn)
        if text:
            rotated += pages
        else:
            frame.bits = (frame.bits & ~F_ACTIVE) | F_WORKINGSET
        lruvec_add_folio(m, pfn)
    v.pgrefill += scanned
    v.pgdeactivate += scanned - rotated
    lru_note_cost(m, group, lru == LRU_ACTIVE_ANON, 0, rotated)
