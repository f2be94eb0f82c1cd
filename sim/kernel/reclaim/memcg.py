"""What a task does that is refused a charge: it makes room in the group whose limit is in the way.

Read in Linux 6.12 `mm/memcontrol.c` (`try_charge_memcg`).  Each attempt that fails is an event of
the group (`max`; in version 1 `failcnt`): one before its pages are looked for, one when the stocks
of all CPUs have been drained, and `MAX_RECLAIM_RETRIES` more before somebody is killed.
"""

from typing import Final

from sim.base.jit import compiled
from sim.machine.groups import count_event, drain_all_stock, margin
from sim.machine.layout import EV_FAILCNT, EV_MAX, ROOT, Arrays

MAX_RECLAIM_RETRIES: Final = 16


@compiled
def make_room(m: Arrays, cpu: int, task: int) -> bool:
    """Make room for a task whose step was refused; whether it may try again.

    `over` says where, `need` how many pages it asked for.  What that costs is on the receipt.
    """
    o = m.operations[task]
    over = int(o.over)
    if over == ROOT:
        return False
    count_event(m, over, EV_MAX, 1)
    drain_all_stock(m, over)
    if margin(m, over) >= o.need:
        return True
    count_tries(m, over)
    return False


@compiled
def count_tries(m: Arrays, over: int) -> None:
    """Count the attempts of a task that finds no room, after its first."""
    count_event(m, over, EV_MAX, 1 + MAX_RECLAIM_RETRIES)
    m.events[over, EV_FAILCNT] += 1 + MAX_RECLAIM_RETRIES
