"""What a swap device in memory takes of it: frames that are nobody's, full of compressed pages.

=====================  ========================================================================
a page                 takes
=====================  ========================================================================
is written             `zram_page_bytes`, whatever is in it; a frame more when those of all pages
                       need one
is written once more   nothing: it has its place
is all zeros           nothing
is in no slot now      nothing any more; a frame is free as soon as the others do without it
=====================  ========================================================================

Who writes is reclaiming, and so takes frames from below the watermarks, too; no control group is
charged.  If there is none the write fails, and the page stays in memory.  Frames are as full as
zsmalloc has them after compaction.  Read in Linux 6.18 `drivers/block/zram/zram_drv.c`
(`zram_write_page`, `zram_free_page`), `mm/zsmalloc.c` and `mm/page_io.c` (`__end_swap_bio_write`).
"""

from sim.base.jit import compiled, inlined
from sim.machine.layout import F_ZRAM, KIND_ZRAM, NONE, PAGE_SHIFT, ROOT, STORED, Arrays
from sim.machine.pool import give_block, restore_reserve, take_reserve


@inlined
def frames_for(m: Arrays, pages: int) -> int:
    """Return how many frames so many pages take."""
    return int(-(-pages * m.config[0].zram_page_bytes >> PAGE_SHIFT))


@compiled
def zram_store(m: Arrays, cpu: int, slot: int) -> bool:
    """Keep the page of a slot; False if there is no frame for it."""
    pool = m.pool[0]
    if m.swap[slot].stored != 0:
        return True
    if frames_for(m, int(pool.zram_stored) + 1) > m.charged[ROOT, KIND_ZRAM]:
        pfn = take_reserve(m, cpu, KIND_ZRAM)
        if pfn == NONE:
            return False
        m.frames[pfn].bits = F_ZRAM
        m.frames[pfn].next = pool.zram_head
        pool.zram_head = pfn
    m.swap[slot].stored = STORED
    pool.zram_stored += 1
    pool.zram_peak = max(pool.zram_peak, m.charged[ROOT, KIND_ZRAM])
    return True


@inlined
def zram_settle(m: Arrays) -> None:
    """Give back first, at the end of a round of reclaim, what zram has taken of the reserves."""
    if m.charged[ROOT, KIND_ZRAM] > 0:
        restore_reserve(m)


@compiled
def zram_free(m: Arrays, slot: int) -> None:
    """Forget the page of a slot that is free now, if there is one."""
    stored = m.swap[slot].stored
    m.swap[slot].stored = 0
    if stored != STORED:
        return
    pool = m.pool[0]
    pool.zram_stored -= 1
    if frames_for(m, int(pool.zram_stored)) < m.charged[ROOT, KIND_ZRAM]:
        pfn = int(pool.zram_head)
        pool.zram_head = m.frames[pfn].next
        give_block(m, 0, pfn, 0, KIND_ZRAM)
