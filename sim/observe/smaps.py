"""What ``/proc/PID/smaps`` says of a range: resident, anonymous, dirty and huge pages."""

from sim.base.jit import compiled
from sim.kernel.fault.pmd import huge_entry
from sim.kernel.hugetlb.pages import is_hugetlb
from sim.machine.cached import find_slot
from sim.machine.entries import is_swap_pte, maps_memory
from sim.machine.layout import (
    F_ANON,
    F_DIRTY,
    KIND_SHMEM,
    NONE,
    PFN_SHIFT,
    PTE_BLANK,
    PTE_DIRTY,
    PTE_ZERO,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.tables import find_table, next_present


@compiled
def shmem_swap_usage(m: Arrays, space: int, start: int, end: int) -> int:
    """Return how many pages of shared memory in [start, end) are swapped out."""
    pages = 0
    area = int(m.spaces[space].head)
    while area != NONE:
        a = m.areas[area]
        if a.kind == KIND_SHMEM:
            first = max(start, int(a.start)) - int(a.start) + int(a.offset)
            last = min(end, int(a.end)) - int(a.start) + int(a.offset)
            for index in range(first, min(last, int(m.files[int(a.file)].pages))):
                pages += 1 if find_slot(m, int(a.file), index) != 0 else 0
        area = int(a.next)
    return pages


@compiled
def smaps(m: Arrays, space: int, start: int, end: int) -> tuple[int, int, int, int, int, int, int]:
    """Return Rss, Anonymous, Private_Dirty, Shared_Dirty, Swap, AnonHugePages of [start, end).

    Last, what is mapped of the pool of huge pages (Shared_Hugetlb and Private_Hugetlb), which
    counts in none of the others.

    All in pages; of a huge page, those in the range.  A page is dirty if its entry or its frame is,
    and private if it is mapped less than twice.
    """
    rss = 0
    anon = 0
    private_dirty = 0
    shared_dirty = 0
    swap = 0
    huge = 0
    hugetlb = 0
    vpn = next_present(m, space, start, end, 0)
    while vpn < end:
        upto = min(end, ((vpn >> TABLE_SHIFT) + 1) << TABLE_SHIFT)
        leaf = find_table(m, space, vpn, 0)
        whole = huge_entry(m, space, vpn) if leaf == NONE else 0
        if is_hugetlb(m, whole):
            hugetlb += upto - vpn
            vpn = next_present(m, space, upto, end, 0)
            continue
        if whole != 0 and whole & PTE_ZERO == 0:
            huge += upto - vpn
        for page in range(vpn, upto):
            at = page & TABLE_MASK
            entry = int(m.tables[leaf, at]) if whole == 0 else whole + (at << PFN_SHIFT)
            swap += 1 if is_swap_pte(entry) else 0
            if not maps_memory(entry):
                continue
            frame = m.frames[entry >> PFN_SHIFT]
            rss += 1
            if frame.bits & F_ANON != 0:
                anon += 1
            if entry & (PTE_DIRTY | PTE_BLANK) != 0 or frame.bits & F_DIRTY != 0:
                if frame.maps < 2:
                    private_dirty += 1
                else:
                    shared_dirty += 1
        vpn = next_present(m, space, upto, end, 0)
    if m.config[0].total_swap_pages != 0:
        swap += shmem_swap_usage(m, space, start, end)
    return rss, anon, private_dirty, shared_dirty, swap, huge, hugetlb
