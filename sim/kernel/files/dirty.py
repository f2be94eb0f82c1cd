"""Dirty pages of files: counted by group, written in the background, waited for by who writes.

A page of a file is clean, dirty (in memory only), or under writeback (a device is writing it; a
page may be dirty again by then).  Who writes to files is held up once dirty pages and those under
writeback are more than half-way between the two thresholds, until the device has done some; with
version 2 of control groups by those of its group as well.  Read in Linux 6.12
`mm/page-writeback.c` (`balance_dirty_pages`, `domain_dirty_limits`); the pause is as long as the
device needs, where Linux estimates that from its bandwidth.
"""

from sim.base.jit import compiled
from sim.machine.groups import headroom
from sim.machine.layout import (
    F_BUFFERS,
    F_DIRTY,
    F_RECLAIM,
    F_WRITEBACK,
    KIND_FILE,
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_FILE,
    NONE,
    PENDING_FLUSHER,
    ROOT,
    Arrays,
)
from sim.machine.lru import folio_rotate_reclaimable, lru_pages, next_group
from sim.machine.page_counter import count_dirty
from sim.machine.rules.cgroup import V1_WRITEBACK_WAITS
from sim.machine.slab import BUFFER_SLAB_BYTES, count_slab


@compiled
def set_page_dirty(m: Arrays, pfn: int) -> None:
    """Mark a page of the page cache as dirty."""
    frame = m.frames[pfn]
    if frame.bits & F_DIRTY != 0:
        return
    frame.bits |= F_DIRTY
    f = m.files[int(frame.mapping)]
    if f.kind == KIND_FILE:
        if frame.bits & F_BUFFERS == 0:
            frame.bits |= F_BUFFERS
            count_slab(m, int(frame.group), BUFFER_SLAB_BYTES)
        f.dirty += 1
        count_dirty(m, int(m.frames[pfn].group), 1, 0)
        if m.groups[ROOT].dirty == 1:
            wake_flusher(m)  # it sleeps for as long as nothing is dirty


@compiled
def begin_writeback(m: Arrays, pfn: int) -> None:
    """Mark a dirty page as clean, and as being written."""
    frame = m.frames[pfn]
    frame.bits &= ~F_DIRTY
    f = m.files[int(frame.mapping)]
    if f.kind == KIND_FILE:
        f.dirty -= 1
        begun = 1 if frame.bits & F_WRITEBACK == 0 else 0
        frame.bits |= F_WRITEBACK
        count_dirty(m, int(m.frames[pfn].group), -1, begun)


@compiled
def end_writeback(m: Arrays, pfn: int) -> None:
    """Mark a page as written."""
    frame = m.frames[pfn]
    if frame.bits & F_WRITEBACK == 0:
        return
    frame.bits &= ~F_WRITEBACK
    count_dirty(m, int(m.frames[pfn].group), 0, -1)
    if frame.bits & F_RECLAIM != 0:
        frame.bits &= ~F_RECLAIM
        if frame.bits & F_DIRTY == 0:
            folio_rotate_reclaimable(m, pfn)


@compiled
def cancel_dirty(m: Arrays, pfn: int) -> None:
    """Forget that a page is dirty, or being written: it leaves the page cache."""
    frame = m.frames[pfn]
    f = m.files[int(frame.mapping)]
    if f.kind == KIND_FILE:
        dirty = 1 if frame.bits & F_DIRTY != 0 else 0
        writeback = 1 if frame.bits & F_WRITEBACK != 0 else 0
        f.dirty -= dirty
        count_dirty(m, int(m.frames[pfn].group), -dirty, -writeback)
    frame.bits &= ~(F_DIRTY | F_WRITEBACK)


# -- thresholds ----------------------------------------------------------------------------------


@compiled
def pages_on_list(m: Arrays, top: int, lru: int) -> int:
    """Return the pages on one of the lists of a group, and on those of groups in it."""
    pages = 0
    group = next_group(m, top, NONE)
    while group != NONE:
        pages += lru_pages(m, group, lru)
        group = next_group(m, top, group)
    return pages


@compiled
def file_pages(m: Arrays, top: int) -> int:
    """Return the pages on the lists of files of a group and of those in it."""
    return pages_on_list(m, top, LRU_INACTIVE_FILE) + pages_on_list(m, top, LRU_ACTIVE_FILE)


@compiled
def dirtyable(m: Arrays, group: int) -> int:
    """Return the pages that may come to be dirty: free ones, and those of files.

    Of a group: as far as its limits, and `memory.high`, leave room for more
    (`mem_cgroup_wb_stats`).
    """
    everywhere = int(m.pool[0].free) + file_pages(m, ROOT)
    if group == ROOT:
        return everywhere
    mine = file_pages(m, group)
    return mine + min(headroom(m, group), everywhere - mine)


@compiled
def over_threshold(m: Arrays, group: int, percent: int) -> bool:
    """Whether the dirty pages of a group, and those under writeback, are more than so much."""
    g = m.groups[group]
    return bool((g.dirty + g.writeback) * 100 > dirtyable(m, group) * percent)


@compiled
def must_wait_for_writes(m: Arrays, group: int) -> bool:
    """Whether who writes to files, in a group, has to wait; wakes the flusher in good time."""
    config = m.config[0]
    freerun = int(config.dirty_ratio + config.dirty_background_ratio)
    if config.cgroup & V1_WRITEBACK_WAITS != 0:
        group = ROOT
    waits = False
    while True:
        g = m.groups[group]
        if g.dirty + g.writeback > 0 and over_threshold(
            m, group, int(config.dirty_background_ratio)
        ):
            if g.dirty > 0:
                wake_flusher(m)
            if over_threshold(m, group, freerun // 2):
                waits = True
        if group == ROOT:
            return waits
        group = int(m.groups[group].parent)


@compiled
def wake_flusher(m: Arrays) -> None:
    """Have dirty pages written in the background."""
    pool = m.pool[0]
    if pool.flusher_awake == 0:
        pool.flusher_awake = 1
        pool.pending |= PENDING_FLUSHER
