"""What a task does whose step was refused for want of memory: it makes room, if there is any.

A task that met the limit of a group looks for pages in that group (Linux 6.12 `mm/memcontrol.c`,
`try_charge_memcg`): each attempt that fails is an event of the group (`max`; in version 1
`failcnt`), one before the stocks of all CPUs are drained, one after it, and `MAX_RECLAIM_RETRIES`
more before somebody is killed.  As long as anything is reclaimed nobody is.

A task that the machine has no frames for reclaims from everybody (`mm/page_alloc.c`,
`__alloc_pages_slowpath`).
"""

from typing import Final

from sim.base.jit import compiled
from sim.kernel.files.dirty import wake_flusher
from sim.kernel.reclaim.vmscan import shrink_group
from sim.machine.groups import count_event, drain_all_stock, margin
from sim.machine.layout import EV_FAILCNT, EV_MAX, ROOT, Arrays

MAX_RECLAIM_RETRIES: Final = 16

NO_ROOM: Final = 0
"""Nothing can be had."""
ROOM: Final = 1
"""Something was reclaimed: the task may try again."""
LATER: Final = 2
"""Pages of files are dirty: some can be had once a device has written them."""


@compiled
def make_room(m: Arrays, cpu: int, task: int) -> int:
    """Make room for a task whose step was refused: `ROOM`, `LATER` or `NO_ROOM`.

    `over` says where, `need` how many pages it asked for.  What that costs is on the receipt.
    """
    over = int(m.operations[task].over)
    need = int(m.operations[task].need)
    if over == ROOT:
        return reclaim_directly(m, cpu, need)
    for attempt in range(MAX_RECLAIM_RETRIES + 2):
        count_event(m, over, EV_MAX, 1)
        if attempt > 0:
            m.events[over, EV_FAILCNT] += 1
        reclaimed = shrink_group(m, cpu, over, need)
        if margin(m, over) >= need:
            return ROOM
        if attempt == 0:
            drain_all_stock(m, over)
            if margin(m, over) >= need:
                return ROOM
        elif reclaimed > 0:
            return ROOM
        elif waits_for_writeback(m, over):
            return LATER
    return NO_ROOM


@compiled
def waits_for_writeback(m: Arrays, group: int) -> bool:
    """Whether pages of a group are dirty or being written; the dirty ones are written then."""
    if m.groups[group].dirty == 0 and m.groups[group].writeback == 0:
        return False
    m.pool[0].flusher_woken = 1
    wake_flusher(m)
    return True


@compiled
def reclaim_directly(m: Arrays, cpu: int, need: int) -> int:
    """Reclaim from the whole machine, for a task that it has no frames for."""
    for _ in range(MAX_RECLAIM_RETRIES):
        if shrink_group(m, cpu, ROOT, need) > 0:
            m.pool[0].allocation_stalls += 1
            m.pool[0].kswapd_failures = 0
            return ROOM
        if waits_for_writeback(m, ROOT):
            return LATER
        if m.scans[cpu].scanned == 0:
            break  # there is nothing to look at
    return NO_ROOM


@compiled
def count_tries(m: Arrays, over: int) -> None:
    """Count the attempts of a task that is being killed, before it passes the limit."""
    count_event(m, over, EV_MAX, 1 + MAX_RECLAIM_RETRIES)
    m.events[over, EV_FAILCNT] += 1 + MAX_RECLAIM_RETRIES
