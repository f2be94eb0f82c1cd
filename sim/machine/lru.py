"""The lists that reclaim goes by: the only code that links pages, or moves them between lists.

Each group has its own lists, of the pages that it is charged for.  A page of a file comes to the
inactive list and goes on to the active one when it is used a second time there; reclaim takes from
the tail of the inactive list.  CPUs collect pages on their way to a list and move 31 at a time;
large folios go at once, with all that was collected before them.

What reclaim asks about the lists of a group is not their length now but that of the last flush of
statistics, every two seconds: in a new group nothing.  Read in Linux 6.18 `mm/swap.c`,
`include/linux/mm_inline.h`, `mm/memcontrol.c` (`flush_memcg_stats_dwork`).  Functions take a folio
by the frame of its first page.
"""

from typing import Final

from sim.base.jit import compiled, inlined, rare
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.layout import (
    BATCH_ACTIVATE,
    BATCH_ADD,
    BATCH_PAGES,
    F_ACTIVE,
    F_ANON,
    F_BATCHED,
    F_LRU,
    F_REFERENCED,
    F_SWAPBACKED,
    KIND_ANON,
    KIND_SHMEM,
    LRU_ACTIVE_ANON,
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    N_BATCHES,
    N_LRU,
    NONE,
    REPLACE_LINUX,
    REPLACE_LRU,
    ROOT,
    Arrays,
)
from sim.machine.linked import list_add, list_del
from sim.machine.rules.pressure import R_ROTATION_COST

COST_OF_WRITE: Final = 32
"""What a page written out costs beside one rotated (`SWAP_CLUSTER_MAX`)."""
FLUSH_NS: Final = 2_000_000_000
"""How often statistics of groups are flushed (`FLUSH_TIME`)."""

# -- lists -----------------------------------------------------------------------------------------


@inlined
def lru_pages(m: Arrays, group: int, lru: int) -> int:
    """Return the pages on a list of a group."""
    return int(m.lrus[group * N_LRU + lru].pages)


@inlined
def lru_tail(m: Arrays, group: int, lru: int) -> int:
    """Return the folio that has been on a list for longest, or NONE."""
    return int(m.lrus[group * N_LRU + lru].tail)


@inlined
def is_file_lru(m: Arrays, pfn: int) -> bool:
    """Whether a folio is on the lists for files: shared memory is not (`folio_is_file_lru`)."""
    return bool(m.frames[pfn].bits & (F_ANON | F_SWAPBACKED) == 0)


@inlined
def folio_lru_list(m: Arrays, pfn: int) -> int:
    """Return the row of the list that a folio belongs on."""
    frame = m.frames[pfn]
    lru = LRU_INACTIVE_FILE if is_file_lru(m, pfn) else LRU_INACTIVE_ANON
    if frame.bits & F_ACTIVE != 0:
        lru += 1
    return int(frame.group) * N_LRU + lru


@compiled
def add_between(m: Arrays, row: int, pfn: int, before: int, after: int) -> None:
    """Put a folio between two that are neighbours on a list; NONE is beyond its end."""
    frame = m.frames[pfn]
    lru = m.lrus[row]
    list_add(m.frames, lru, pfn, before, after)
    lru.pages += 1 << int(frame.order)
    frame.bits |= F_LRU


@rare
def lruvec_add_folio(m: Arrays, pfn: int) -> None:
    """Put a folio at the head of the list it belongs on."""
    row = folio_lru_list(m, pfn)
    add_between(m, row, pfn, NONE, int(m.lrus[row].head))
    if m.config[0].replacement != REPLACE_LINUX:
        m.pool[0].uses += 1
        m.ages[pfn] = m.pool[0].uses


@compiled
def folio_rotate_reclaimable(m: Arrays, pfn: int) -> None:
    """Put a folio at the tail of its inactive list: reclaim waits for it (`lru_move_tail`).

    A textbook leaves one alone that is in use again.
    """
    frame = m.frames[pfn]
    if frame.bits & F_LRU == 0:
        return
    if m.config[0].replacement != REPLACE_LINUX:
        if frame.maps > 0:
            return
        m.ages[pfn] = 0
    lruvec_del_folio(m, pfn)
    frame.bits &= ~F_ACTIVE
    row = folio_lru_list(m, pfn)
    add_between(m, row, pfn, int(m.lrus[row].tail), NONE)


@rare
def lruvec_del_folio(m: Arrays, pfn: int) -> None:
    """Take a folio off the list it is on."""
    frame = m.frames[pfn]
    lru = m.lrus[folio_lru_list(m, pfn)]
    list_del(m.frames, lru, pfn)
    lru.pages -= 1 << int(frame.order)
    frame.bits &= ~F_LRU


@rare
def lruvec_release(m: Arrays, cpu: int, pfn: int) -> None:
    """Take a folio off its list, or out of the batch it is in, because its pages are freed."""
    flush_if_due(m, cpu)
    if m.frames[pfn].bits & F_BATCHED != 0:
        for row in range(int(m.config[0].n_cpus) * N_BATCHES):
            for at in range(1, int(m.batches[row, 0]) + 1):
                if m.batches[row, at] == pfn:
                    m.batches[row, at] = NONE
        m.frames[pfn].bits &= ~F_BATCHED
    if m.frames[pfn].bits & F_LRU != 0:
        lruvec_del_folio(m, pfn)


# -- batches ---------------------------------------------------------------------------------------


@rare
def drain_batch(m: Arrays, cpu: int, which: int) -> None:
    """Move what a CPU has collected to the lists."""
    flush_if_due(m, cpu)
    row = cpu * N_BATCHES + which
    for at in range(1, int(m.batches[row, 0]) + 1):
        pfn = int(m.batches[row, at])
        if pfn == NONE:
            continue
        m.frames[pfn].bits &= ~F_BATCHED
        if which == BATCH_ADD:
            lruvec_add_folio(m, pfn)
        elif m.frames[pfn].bits & F_ACTIVE == 0:
            lruvec_del_folio(m, pfn)
            m.frames[pfn].bits |= F_ACTIVE
            lruvec_add_folio(m, pfn)
            m.lruvecs[int(m.frames[pfn].group)].pgactivate += 1 << int(m.frames[pfn].order)
    m.batches[row, 0] = 0


@compiled
def lru_add_drain(m: Arrays, cpu: int) -> None:
    """Move all that a CPU has collected to the lists."""
    drain_batch(m, cpu, BATCH_ADD)
    drain_batch(m, cpu, BATCH_ACTIVATE)


@inlined
def batch_add(m: Arrays, cpu: int, which: int, pfn: int) -> None:
    """Have a CPU collect a folio; a full batch is moved, and a large folio with its batch."""
    row = cpu * N_BATCHES + which
    at = int(m.batches[row, 0]) + 1
    m.batches[row, 0] = at
    m.batches[row, at] = pfn
    m.frames[pfn].bits |= F_BATCHED
    if at == BATCH_PAGES or m.frames[pfn].order != 0:
        drain_batch(m, cpu, which)


@compiled
def in_batch(m: Arrays, cpu: int, which: int, pfn: int) -> bool:
    """Whether a folio is among those that a CPU has collected."""
    row = cpu * N_BATCHES + which
    for at in range(int(m.batches[row, 0]), 0, -1):
        if m.batches[row, at] == pfn:
            return True
    return False


@inlined
def folio_add_lru(m: Arrays, cpu: int, pfn: int) -> None:
    """Have a folio that is new put on its list; textbooks know of no batches."""
    if m.config[0].replacement != REPLACE_LINUX:
        flush_if_due(m, cpu)
        lruvec_add_folio(m, pfn)
        return
    batch_add(m, cpu, BATCH_ADD, pfn)


@compiled
def folio_activate(m: Arrays, cpu: int, pfn: int) -> None:
    """Have a folio that is on the inactive list moved to the active one.

    It may be in a batch twice, but not in those of two CPUs, as it may in Linux.
    """
    if m.frames[pfn].bits & F_BATCHED == 0 or in_batch(m, cpu, BATCH_ACTIVATE, pfn):
        batch_add(m, cpu, BATCH_ACTIVATE, pfn)


# -- use -------------------------------------------------------------------------------------------


@compiled
def renew(m: Arrays, pfn: int) -> None:
    """Put a folio that is on a list behind all others of it."""
    if m.frames[pfn].bits & F_LRU != 0:
        lruvec_del_folio(m, pfn)
        lruvec_add_folio(m, pfn)


@compiled
def note_use(m: Arrays, pfn: int) -> None:
    """Take note, as a textbook does, that a folio was used: it has its mark, or is the youngest."""
    frame = m.frames[pfn]
    frame.bits |= F_REFERENCED
    if m.config[0].replacement == REPLACE_LRU:
        renew(m, pfn)


@compiled
def folio_mark_accessed(m: Arrays, cpu: int, pfn: int) -> None:
    """Take note that a folio was used: the second time since it came to its list activates it.

    One that still waits in a batch, of this CPU, comes to the active list at once.
    """
    frame = m.frames[pfn]
    if m.config[0].replacement != REPLACE_LINUX:
        note_use(m, pfn)
        return
    if frame.bits & F_REFERENCED == 0:
        frame.bits |= F_REFERENCED
    elif frame.bits & F_ACTIVE == 0:
        if frame.bits & F_LRU != 0:
            folio_activate(m, cpu, pfn)
        elif in_batch(m, cpu, BATCH_ADD, pfn):
            frame.bits |= F_ACTIVE
        frame.bits &= ~F_REFERENCED
        workingset_age_nonresident(m, int(frame.group), 1 << int(frame.order))


@compiled
def workingset_age_nonresident(m: Arrays, group: int, pages: int) -> None:
    """Let what was evicted from a group, and from those it is in, age by `pages`."""
    while group != NONE:
        m.lruvecs[group].nonresident_age += pages
        group = int(m.groups[group].parent)


@compiled
def lru_note_cost(m: Arrays, group: int, anon: bool, written: int, rotated: int) -> None:
    """Take note of what reclaim of one kind has cost a group, and those it is in.

    Both kinds fade: they are halved once their sum is a quarter of the lists, as of the last flush.
    """
    cost = rotated + written * (COST_OF_WRITE if m.config[0].rules & R_ROTATION_COST != 0 else 1)
    while cost != 0 and group != NONE:
        v = m.lruvecs[group]
        if anon:
            v.anon_cost += cost
        else:
            v.file_cost += cost
        pages = v.flushed_inactive_anon + v.flushed_active_anon
        pages += v.flushed_inactive_file + v.flushed_active_file
        if v.anon_cost + v.file_cost > pages // 4:
            v.anon_cost //= 2
            v.file_cost //= 2
        group = int(m.groups[group].parent)


# -- groups ----------------------------------------------------------------------------------------


@compiled
def new_lruvec(m: Arrays, group: int) -> None:
    """Make the lists of a new group, empty."""
    v = m.lruvecs[group]
    v.child = v.sibling = v.position = v.shadow_head = v.shadow_tail = NONE
    for row in range(group * N_LRU, (group + 1) * N_LRU):
        m.lrus[row].head = m.lrus[row].tail = NONE
    if group == ROOT:
        return
    parent = m.lruvecs[int(m.groups[group].parent)]
    if parent.child == NONE:
        parent.child = group
        return
    last = int(parent.child)
    while m.lruvecs[last].sibling != NONE:
        last = int(m.lruvecs[last].sibling)
    m.lruvecs[last].sibling = group


@compiled
def next_group(m: Arrays, top: int, group: int) -> int:
    """Return the group after `group` in a walk over `top` and all groups in it, or NONE.

    The first is `top` itself, behind NONE; a group comes before those in it
    (`css_next_descendant_pre`).
    """
    if group == NONE:
        return top
    if m.lruvecs[group].child != NONE:
        return int(m.lruvecs[group].child)
    while group != top:
        if m.lruvecs[group].sibling != NONE:
            return int(m.lruvecs[group].sibling)
        group = int(m.groups[group].parent)
    return NONE


# -- statistics ------------------------------------------------------------------------------------


@inlined
def flush_if_due(m: Arrays, cpu: int) -> None:
    """Flush statistics if that was due before the step under way on `cpu`.

    Whoever changes the length of a list does so first: so what is flushed is what it was then.
    """
    if m.cpus[cpu].next_ns >= m.clock[0].flush_ns:
        flush_stats(m)
        m.clock[0].flush_ns = (int(m.cpus[cpu].next_ns) // FLUSH_NS + 1) * FLUSH_NS


@rare
def flush_stats(m: Arrays) -> None:
    """Add up what reclaim asks about each group, those in it included."""
    group = next_group(m, ROOT, NONE)
    while group != NONE:
        v = m.lruvecs[group]
        v.flushed_pages = m.charged[group, KIND_ANON] + m.charged[group, KIND_SHMEM]
        v.flushed_pages += lru_pages(m, group, LRU_INACTIVE_FILE)
        v.flushed_pages += lru_pages(m, group, LRU_ACTIVE_FILE)
        v.flushed_inactive_anon = v.flushed_active_anon = v.flushed_activated_anon = 0
        v.flushed_inactive_file = v.flushed_active_file = v.flushed_activated = 0
        outer = group
        while outer != NONE:
            o = m.lruvecs[outer]
            o.flushed_inactive_file += lru_pages(m, group, LRU_INACTIVE_FILE)
            o.flushed_active_file += lru_pages(m, group, LRU_ACTIVE_FILE)
            o.flushed_activated += v.workingset_activate
            o.flushed_inactive_anon += lru_pages(m, group, LRU_INACTIVE_ANON)
            o.flushed_active_anon += lru_pages(m, group, LRU_ACTIVE_ANON)
            o.flushed_activated_anon += v.workingset_activate_anon
            outer = int(m.groups[outer].parent)
        group = next_group(m, ROOT, group)
