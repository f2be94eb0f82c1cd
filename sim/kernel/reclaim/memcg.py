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
from sim.kernel.reclaim.vmscan import shrink_group
from sim.machine.groups import count_event, drain_all_stock, margin
from sim.machine.layout import EV_FAILCNT, EV_MAX, ROOT, Arrays

MAX_RECLAIM_RETRIES: Final = 16


@compiled
def make_room(m: Arrays, cpu: int, task: int) -> bool:
    """Make room for a task whose step was refused; whether it may try again.

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
            return True
        if attempt == 0:
            drain_all_stock(m, over)
            if margin(m, over) >= need:
                return True
        elif reclaimed > 0:
            return True
    return False


@compiled
def reclaim_directly(m: Arrays, cpu: int, need: int) -> bool:
    """Reclaim from the whole machine; whether anything came of it."""
    for _ in range(MAX_RECLAIM_RETRIES):
        if shrink_group(m, cpu, ROOT, need) > 0:
            m.pool[0].allocation_stalls += 1
            m.pool[0].kswapd_failures = 0
            return True
        if m.scans[cpu].scanned == 0:
            break  # there is nothing to look at
    return False


@compiled
def count_tries(m: Arrays, over: int) -> None:
    """Count the attempts of a task that is being killed, before it passes the limit."""
    count_event(m, over, EV_MAX, 1 + MAX_RECLAIM_RETRIES)
    m.events[over, EV_FAILCNT] += 1 + MAX_RECLAIM_RETRIES
