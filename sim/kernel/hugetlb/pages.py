"""Entries that map huge pages of the pool: made, copied by fork, protected and removed.

They have no leaf table set aside, since nothing splits them, and they count in no resident set.
Read in Linux 6.12 `mm/hugetlb.c` (`copy_hugetlb_page_range`, `hugetlb_change_protection`,
`__unmap_hugepage_range`, `unmap_ref_private`, `remove_inode_hugepages`).
"""

from sim.base.jit import compiled, inlined, rare
from sim.kernel.flush import flush_pmd
from sim.kernel.hugetlb.tables import huge_pmd_unshare
from sim.kernel.work import GROW, MORE, SHORT, note, note_freed
from sim.machine.entries import (
    maps_frame,
    mk_pte,
    pmdp_get,
    pte_mkold,
    pte_mkwrite,
    pte_wrprotect,
    set_pmd,
)
from sim.machine.hugetlb import put_huge, unreserve_huge
from sim.machine.layout import (
    A_RESV_OWNER,
    A_RESV_UNMAPPED,
    A_SHARED,
    A_WRITE,
    F_EXCLUSIVE,
    F_HUGETLB,
    NONE,
    PFN_SHIFT,
    PTE_HUGE,
    Arrays,
)
from sim.machine.pool import secure
from sim.machine.tables import find_table, make_table, table_room, tables_missing
from sim.machine.work import FORK_HUGE, FORK_TABLE, FRAME_FREE, PROTECT_PTE, UNMAP_PTE


@inlined
def is_hugetlb(m: Arrays, entry: int) -> bool:
    """Whether an entry, of whatever level, maps a huge page of the pool."""
    return entry & PTE_HUGE != 0 and m.frames[entry >> PFN_SHIFT].bits & F_HUGETLB != 0


@compiled
def map_hugetlb(m: Arrays, middle: int, vpn: int, pfn: int, bits: int) -> None:
    """Let an entry map a huge page, of which the caller has a reference for it."""
    m.frames[pfn].maps += 1
    set_pmd(m, middle, vpn, mk_pte(pfn, bits | PTE_HUGE))


@rare
def zap_hugetlb(m: Arrays, space: int, vpn: int) -> None:
    """Remove the entry of a huge page of the pool, or let go of a table that others use."""
    note(m, UNMAP_PTE, 1)
    if huge_pmd_unshare(m, space, vpn):
        return
    middle = find_table(m, space, vpn, 1)
    pfn = pmdp_get(m, middle, vpn) >> PFN_SHIFT
    set_pmd(m, middle, vpn, 0)
    flush_pmd(m, space, vpn)
    m.frames[pfn].maps -= 1
    if put_huge(m, pfn):
        note_freed(m, FRAME_FREE, 1)


@compiled
def protect_hugetlb(m: Arrays, area: int, vpn: int) -> None:
    """Bring the entry of a huge page in line with the flags of its area.

    Private memory gets no right to write here: the next write faults.
    """
    a = m.areas[area]
    space = int(a.space)
    note(m, PROTECT_PTE, 1)
    if huge_pmd_unshare(m, space, vpn):
        return
    middle = find_table(m, space, vpn, 1)
    entry = pmdp_get(m, middle, vpn)
    if a.vm_flags & A_SHARED != 0 and a.vm_flags & A_WRITE != 0:
        set_pmd(m, middle, vpn, pte_mkwrite(entry))
    else:
        set_pmd(m, middle, vpn, pte_wrprotect(entry))
        flush_pmd(m, space, vpn)


@compiled
def copy_hugetlb(m: Arrays, cpu: int, task: int, new: int, vpn: int) -> int:
    """Copy the entry of a huge page, private, to the child's address space; both may only read."""
    space = int(m.tasks[task].space)
    missing = tables_missing(m, new, vpn, 1)
    if not table_room(m, missing):
        return GROW
    if not secure(m, cpu, task, missing):
        return SHORT
    middle = find_table(m, space, vpn, 1)
    entry = pte_wrprotect(pmdp_get(m, middle, vpn))
    set_pmd(m, middle, vpn, entry)
    set_pmd(m, make_table(m, cpu, new, vpn, 1), vpn, pte_mkold(entry))
    frame = m.frames[entry >> PFN_SHIFT]
    frame.refs += 1
    frame.maps += 1
    frame.bits &= ~F_EXCLUSIVE
    note(m, FORK_TABLE, missing)
    note(m, FORK_HUGE, 1)
    return MORE


@compiled
def unmap_ref_private(m: Arrays, area: int, vpn: int, pfn: int) -> None:
    """Take a huge page from all areas that have it by fork, for the one that it was reserved for.

    They are marked: who misses a page there from now on is ended.
    """
    a = m.areas[area]
    index = a.offset + vpn - a.start
    other = int(m.files[int(a.file)].areas)
    while other != NONE:
        b = m.areas[other]
        theirs = int(index - b.offset + b.start)
        if b.vm_flags & A_RESV_OWNER == 0 and b.start <= theirs < b.end:
            space = int(b.space)
            middle = find_table(m, space, theirs, 1)
            if middle != NONE and maps_frame(pmdp_get(m, middle, theirs), pfn):
                zap_hugetlb(m, space, theirs)
                b.vm_flags |= A_RESV_UNMAPPED
                m.spaces[space].generation += 1
        other = int(b.file_next)


@compiled
def evict_hugetlb(m: Arrays, file: int, first: int, end: int) -> int:
    """Free huge pages [first, end) of a shared file that nobody maps any more; return how many."""
    f = m.files[file]
    freed = 0
    for at in range(int(f.first) + first, int(f.first) + end):
        if m.cached[at] > 0:
            freed += 1
            put_huge(m, int(m.cached[at]))
        m.cached[at] = 0
    f.resident -= freed
    if end == f.pages:
        unreserve_huge(m, int(f.reserved))
        f.reserved = 0
    return freed
