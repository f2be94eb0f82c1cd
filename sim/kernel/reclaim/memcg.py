"""What a task does whose step was refused for want of memory: it makes room, if there is any.

Each attempt is a step of the task, which takes as long as pages are looked at; then the step that
was refused is tried again.  Its operation keeps how many attempts were in vain; a step that
succeeds begins anew.

A task that met the limit of a group looks for pages in that group (Linux 6.12 `mm/memcontrol.c`,
`try_charge_memcg`): each attempt is an event of the group (`max`), one before the stocks of all
CPUs are drained, one after it, and `MAX_RECLAIM_RETRIES` more before somebody is killed.  As long
as anything is reclaimed nobody is.

A task that the machine has no frames for reclaims from everybody (`mm/page_alloc.c`,
`__alloc_pages_slowpath`, `should_reclaim_retry`).

Between attempts in vain it sleeps where Linux does (`mm/vmscan.c`, `reclaim_throttle`): see
`naps_jiffies`.
"""

from typing import Final

from sim.base.jit import compiled, inlined, rare
from sim.kernel.files.dirty import file_pages, pages_on_list
from sim.kernel.reclaim.pageout import wakeup_flusher
from sim.kernel.reclaim.vmscan import shrink_group
from sim.kernel.work import RECLAIMS_DIRECTLY
from sim.machine.groups import count_event, drain_all_stock, margin
from sim.machine.layout import (
    EV_FAILCNT,
    EV_MAX,
    LRU_ACTIVE_ANON,
    LRU_INACTIVE_ANON,
    NONE,
    ROOT,
    Arrays,
)
from sim.machine.pool import KSWAPD_GIVES_UP
from sim.machine.rules.cgroup import V1_WRITEBACK_WAITS
from sim.machine.rules.pressure import R_RECLAIM_THROTTLE
from sim.machine.swap import get_nr_swap_pages

MAX_RECLAIM_RETRIES: Final = 16

NO_ROOM: Final = 0
"""Nothing can be had."""
ROOM: Final = 1
"""The task may try again: something was reclaimed, or time has passed in looking for it."""


@rare
def make_room(m: Arrays, cpu: int, task: int) -> int:
    """Make room for a task whose step was refused: `ROOM`, or `NO_ROOM` after the last attempt.

    `over` says where, `need` how many pages it asked for.  What that costs is on the receipt.
    Attempts that look at nothing take no time, and are made at once.
    """
    o = m.operations[task]
    scan = m.scans[cpu]
    scan.held = o.held
    if o.ahead_slot != 0:
        scan.ahead_turn = o.ahead_turn
    o.held = 0
    need = int(o.need)
    if o.over == ROOT:
        room = reclaim_directly(m, cpu, task, need)
    else:
        room = reclaim_from_group(m, cpu, task, int(o.over), need)
    scan.held = scan.ahead_turn = 0
    return room


@compiled
def reclaim_from_group(m: Arrays, cpu: int, task: int, over: int, need: int) -> int:
    """Reclaim from a group, for a task that met its limit: as `make_room`."""
    o = m.operations[task]
    while True:
        count_event(m, over, EV_MAX, 1)
        reclaimed = shrink_group(m, cpu, over, need, int(o.over_memsw))
        if margin(m, over) >= need:
            return ROOM
        if reclaimed == 0 and is_under_way(m, cpu):
            o.naps = NONE
            return ROOM
        if o.attempts == 0:
            drain_all_stock(m, over)
            if margin(m, over) >= need:
                return ROOM
        elif reclaimed > 0:
            return ROOM
        elif o.attempts > MAX_RECLAIM_RETRIES:
            o.attempts = 1  # the stocks have been drained
            return NO_ROOM
        o.attempts += 1
        if reclaimed == 0:
            o.naps = naps_jiffies(m, cpu, over)
        if m.scans[cpu].scanned > 0 or o.naps != 0:
            return ROOM
        m.events[over, EV_FAILCNT] += 1


@inlined
def is_under_way(m: Arrays, cpu: int) -> bool:
    """Whether the last reclaim waits for a write: it gave the swap device pages, or it met one."""
    return bool(m.scans[cpu].written + m.scans[cpu].congested > 0)


@compiled
def try_to_free_pages(m: Arrays, cpu: int, pages: int) -> int:
    """Reclaim from the whole machine for the task on `cpu`: direct reclaim; return how many."""
    reclaimed = shrink_group(m, cpu, ROOT, pages, 0)
    if m.scans[cpu].scanned > 0:
        m.pool[0].allocation_stalls += 1
        m.clock[0].reclaims = RECLAIMS_DIRECTLY
    if reclaimed > 0:
        m.pool[0].kswapd_failures = 0
    return reclaimed


@compiled
def reclaim_directly(m: Arrays, cpu: int, task: int, need: int) -> int:
    """Reclaim from the whole machine, for a task that it has no frames for: as `make_room`."""
    o = m.operations[task]
    if try_to_free_pages(m, cpu, need) > 0:
        o.attempts = 0
        return ROOM
    if is_under_way(m, cpu):
        o.naps = NONE
        return ROOM
    o.attempts += 1
    nothing_left = m.scans[cpu].scanned == 0 and reclaimable_pages(m) == 0
    if nothing_left or o.attempts > MAX_RECLAIM_RETRIES:
        o.attempts = 0
        return NO_ROOM
    o.naps = naps_jiffies(m, cpu, ROOT)
    return ROOM


@inlined
def reclaimable_pages(m: Arrays) -> int:
    """Return how many pages of the machine are on lists that reclaim looks at."""
    pages = file_pages(m, ROOT)
    if get_nr_swap_pages(m) > 0:
        pages += pages_on_list(m, ROOT, LRU_INACTIVE_ANON)
        pages += pages_on_list(m, ROOT, LRU_ACTIVE_ANON)
    return int(pages)


@compiled
def naps_jiffies(m: Arrays, cpu: int, over: int) -> int:
    """Return for how many jiffies a task sleeps whose attempt was in vain; NONE: until a write.

    A group of version 1 waits for the pages that a device writes (`shrink_folio_list`).  Else it is
    a jiffy for each time that the lists were gone through, if more than half of what reclaim can
    take of the machine is dirty or being written (`skip_throttle_noprogress`); a group sleeps only
    if all of its own are being written.  Before Linux 5.16 it was a tenth of a second, for the
    machine alone (`congestion_wait` in `should_reclaim_retry`).
    """
    g = m.groups[over]
    if g.dirty > 0:
        wakeup_flusher(m)
    if over != ROOT and m.config[0].cgroup & V1_WRITEBACK_WAITS != 0:
        return NONE if g.dirty > 0 or g.writeback > 0 else 0
    root = m.groups[ROOT]
    if 2 * (root.dirty + root.writeback) <= reclaimable_pages(m):
        return 0
    if m.config[0].rules & R_RECLAIM_THROTTLE == 0:
        return int(100_000_000 // m.clock[0].tick_ns) if over == ROOT else 0
    if m.pool[0].kswapd_failures >= KSWAPD_GIVES_UP:
        return 0
    if over != ROOT and (g.dirty > 0 or g.writeback == 0):
        return 0
    scan = m.scans[cpu]
    return int(1 + scan.full_walk + scan.force_deactivate + scan.low_reclaim)


@compiled
def count_tries(m: Arrays, over: int) -> None:
    """Count the attempts of a task that is being killed, before it passes the limit."""
    count_event(m, over, EV_MAX, 1 + MAX_RECLAIM_RETRIES)
    m.events[over, EV_FAILCNT] += 1 + MAX_RECLAIM_RETRIES
