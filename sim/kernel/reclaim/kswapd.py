"""kswapd: reclaims in the background once free pages are below the low watermark, up to high.

It looks at ever more of the lists (`balance_pgdat`), 32 pages of a group a step, so that others on
its CPU need not wait for all of it.  After `KSWAPD_GIVES_UP` rounds without a page it gives up,
until a task that reclaimed directly had more luck.  It never takes what `memory.low` protects.
Read in Linux 6.12 `mm/vmscan.c`.  Zones are looked at without their reserves for others
(`lowmem_reserve`).
"""

from sim.base.jit import rare
from sim.kernel.reclaim.pageout import is_congested
from sim.kernel.reclaim.vmscan import DEF_PRIORITY, shrink_node
from sim.kernel.work import DONE, MORE, NO_ROOM_YET, note_reclaim
from sim.machine.layout import ROOT, SWAP_CLUSTER_MAX, Arrays
from sim.machine.pool import any_zone_has
from sim.machine.zram import zram_settle


@rare
def kswapd_step(m: Arrays, cpu: int, task: int) -> int:
    """Look at the lists once, at the priority it has come to; `at` counts priorities done."""
    o = m.operations[task]
    pool = m.pool[0]
    if any_zone_has(m, True):
        pool.kswapd_failures = 0
        return DONE
    if is_congested(m):
        return NO_ROOM_YET
    scan = m.scans[cpu]
    scan.group = ROOT
    scan.kswapd = 1
    scan.wanted = SWAP_CLUSTER_MAX
    scan.reclaimed = scan.scanned = scan.written = scan.congested = scan.no_swap = 0
    scan.full_walk = scan.force_deactivate = scan.skipped_deactivate = 0
    scan.low_reclaim = scan.low_skipped = 0
    scan.priority = DEF_PRIORITY - o.at
    shrink_node(m, cpu)
    zram_settle(m)
    note_reclaim(m, int(scan.scanned), int(scan.reclaimed))
    o.result += scan.reclaimed
    if scan.reclaimed + scan.written > 0:
        return MORE
    o.at += 1
    if o.at < DEF_PRIORITY:
        return MORE
    if o.result == 0:
        pool.kswapd_failures += 1
    return DONE
