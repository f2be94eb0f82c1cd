"""The pool of huge pages, 2 MiB each: set aside at the start, nobody else's from then on.

=================  =============================================================================
counted            is
=================  =============================================================================
`nr_huge_pages`    all of them (HugePages_Total)
`free_huge_pages`  those in nobody's use (HugePages_Free)
`resv_huge_pages`  those of the free ones that a mapping may count on (HugePages_Rsvd)
=================  =============================================================================

Who has no reservation gets what is free and not reserved.  The pool does not grow
(`nr_overcommit_hugepages` 0), and no control group is charged for it.  The first frame of a huge
page stands for all of it.  Read in Linux 6.12 `mm/hugetlb.c` (`struct hstate`,
`hugetlb_acct_memory`).
"""

from sim.base.jit import compiled, inlined
from sim.machine.buddy import buddy_alloc
from sim.machine.layout import F_HUGETLB, HUGE_ORDER, HUGE_PAGES, NONE, Arrays
from sim.machine.pool import zone_choice, zone_spare


@compiled
def set_aside(m: Arrays, wanted: int) -> int:
    """Put up to `wanted` huge pages into the pool; return how many it has then.

    No zone is taken below its min watermark.
    """
    pool = m.pool[0]
    for choice in range(int(m.config[0].n_zones)):
        zone = zone_choice(m, choice)
        while pool.nr_huge_pages < wanted and zone_spare(m, zone, False) >= HUGE_PAGES:
            pfn = buddy_alloc(m, zone, HUGE_ORDER)
            if pfn == NONE:
                break
            for at in range(pfn, pfn + HUGE_PAGES):
                m.frames[at].zone = zone
                m.frames[at].bits = F_HUGETLB
                m.frames[at].mapping = NONE
            pool.nr_huge_pages += 1
            pool.used += HUGE_PAGES
            enqueue_huge(m, pfn)
    return int(pool.nr_huge_pages)


@compiled
def enqueue_huge(m: Arrays, pfn: int) -> None:
    """Put a huge page that nobody uses on the free list (`enqueue_hugetlb_folio`)."""
    pool = m.pool[0]
    frame = m.frames[pfn]
    frame.refs = 0
    frame.maps = 0
    frame.bits = F_HUGETLB
    frame.mapping = NONE
    frame.next = pool.huge_head
    pool.huge_head = pfn
    pool.free_huge_pages += 1


@compiled
def dequeue_huge(m: Arrays) -> int:
    """Take a free huge page, with one reference; there is one (`dequeue_hugetlb_folio`)."""
    pool = m.pool[0]
    pfn = int(pool.huge_head)
    frame = m.frames[pfn]
    pool.huge_head = frame.next
    pool.free_huge_pages -= 1
    frame.refs = 1
    return pfn


@inlined
def available_huge_pages(m: Arrays) -> int:
    """Return how many huge pages are free and not reserved."""
    return int(m.pool[0].free_huge_pages - m.pool[0].resv_huge_pages)


@compiled
def reserve_huge(m: Arrays, pages: int) -> bool:
    """Reserve huge pages; False, and nothing is reserved, if there are not as many left."""
    if available_huge_pages(m) < pages:
        return False
    m.pool[0].resv_huge_pages += pages
    return True


@compiled
def unreserve_huge(m: Arrays, pages: int) -> None:
    """Give up reserved huge pages, or take note that they are there now."""
    m.pool[0].resv_huge_pages -= pages


@compiled
def put_huge(m: Arrays, pfn: int) -> bool:
    """Drop a reference to a huge page; say whether that was the last, and it is free."""
    frame = m.frames[pfn]
    frame.refs -= 1
    if frame.refs > 0:
        return False
    enqueue_huge(m, pfn)
    return True
