"""Page faults on huge pages of the pool.

=========================================  ===================================================
the huge page is                           so Linux
=========================================  ===================================================
not present, shared, of a file that has    maps it, writable if the area is
it already
not present, reserved for this area        takes it from the pool and zeroes it; the
                                           reservation is used up
not present, not reserved                  the same, if one is free that nobody has reserved;
                                           else SIGBUS
not present, taken away for the owner      SIGBUS
read-only, private, mapped by us alone     restores write permission (reuse)
read-only, private, shared since a fork    copies it, to one that is free and not reserved
-, none is, ours by reservation            takes it away from the children, and goes on alone
-, none is, a child's                      SIGBUS
=========================================  ===================================================

There is no zero page here: reading takes a page as well.  Where a table of level 1 can be shared
there may be nothing left to do, and the fault is counted all the same.  A shared area has its page
cache, a private one shares with its children only.  Read in Linux 6.12 `mm/hugetlb.c`
(`hugetlb_fault`, `hugetlb_no_page`, `hugetlb_wp`, `alloc_hugetlb_folio`, `vma_has_reserves`).
"""

from sim.base.jit import compiled, rare
from sim.kernel.flush import flush_pmd
from sim.kernel.hugetlb.areas import USED, huge_index
from sim.kernel.hugetlb.pages import map_hugetlb, unmap_ref_private
from sim.kernel.hugetlb.tables import huge_pmd_share, table_to_share
from sim.kernel.pages import anon_vma_prepare
from sim.kernel.work import DONE, GROW, SEGV, SHORT, SIGBUS, note, note_fault
from sim.machine.entries import WRITTEN, pmdp_get, pte_present, set_pmd
from sim.machine.hugetlb import available_huge_pages, dequeue_huge, put_huge, unreserve_huge
from sim.machine.layout import (
    A_RESV_OWNER,
    A_RESV_UNMAPPED,
    A_SHARED,
    A_WRITE,
    F_EXCLUSIVE,
    F_HUGETLB,
    NONE,
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_DIRTY,
    PTE_WRITE,
    TABLE_MASK,
    Arrays,
)
from sim.machine.pool import secure
from sim.machine.tables import find_table, make_table, table_room, tables_missing
from sim.machine.work import (
    COW_REUSE,
    FILE_MAP,
    HUGE_COPY,
    HUGE_ZERO_FILL,
    TABLE_ALLOC,
)


@rare
def hugetlb_fault(m: Arrays, cpu: int, task: int, area: int, vpn: int, write: int) -> int:
    """Serve an access to memory of the pool, as the table at the head of this file says.

    Returns DONE, SHORT, GROW or SEGV (with SIGBUS); unless DONE, nothing has changed.
    """
    space = int(m.tasks[task].space)
    middle = find_table(m, space, vpn, 1)
    if middle == NONE:
        return first_below(m, cpu, task, area, vpn, write)
    entry = pmdp_get(m, middle, vpn)
    if not pte_present(entry):
        return no_page(m, cpu, task, area, middle, vpn, write)
    if write == 1 and entry & PTE_WRITE == 0:
        return write_protected(m, task, area, middle, vpn)
    set_pmd(m, middle, vpn, entry | PTE_ACCESSED | (PTE_DIRTY if write == 1 else 0))
    return DONE


@compiled
def first_below(m: Arrays, cpu: int, task: int, area: int, vpn: int, write: int) -> int:
    """Serve a fault where no table of level 1 is: one that others have is shared, or a new one."""
    space = int(m.tasks[task].space)
    shared = table_to_share(m, area, vpn)
    missing = tables_missing(m, space, vpn, 1 if shared == NONE else 2)
    if not table_room(m, missing):
        return GROW
    if not secure(m, cpu, task, missing):
        return SHORT
    present = shared != NONE and pte_present(pmdp_get(m, shared, vpn))
    if not present and not may_have_page(m, area, vpn):
        m.operations[task].fault_page = vpn
        m.operations[task].fault_signal = SIGBUS
        return SEGV
    if shared == NONE:
        middle = make_table(m, cpu, space, vpn, 1)
    else:
        huge_pmd_share(m, cpu, space, vpn, shared)
        middle = shared
    note(m, TABLE_ALLOC, missing)
    if not present:
        return no_page(m, cpu, task, area, middle, vpn, write)
    note_fault(m, FILE_MAP)
    return DONE


@compiled
def is_reserved(m: Arrays, area: int, vpn: int) -> bool:
    """Whether a huge page that is not there yet was reserved for this area (`vma_has_reserves`)."""
    a = m.areas[area]
    f = m.files[int(a.file)]
    if a.vm_flags & A_SHARED != 0:
        return bool(f.reserved > 0)
    at = int(f.first) + huge_index(m, area, vpn)
    return bool(a.vm_flags & A_RESV_OWNER != 0 and m.cached[at] != USED)


@compiled
def in_file(m: Arrays, area: int, vpn: int) -> int:
    """Return the huge page that a shared file has for `vpn`, or NONE."""
    a = m.areas[area]
    pfn = int(m.cached[int(m.files[int(a.file)].first) + huge_index(m, area, vpn)])
    return pfn if a.vm_flags & A_SHARED != 0 and pfn > 0 else NONE


@compiled
def may_have_page(m: Arrays, area: int, vpn: int) -> bool:
    """Whether a fault on a page that is not present can be served."""
    if in_file(m, area, vpn) != NONE:
        return True
    if m.areas[area].vm_flags & A_RESV_UNMAPPED != 0:
        return False
    return is_reserved(m, area, vpn) or available_huge_pages(m) > 0


@compiled
def no_page(m: Arrays, cpu: int, task: int, area: int, middle: int, vpn: int, write: int) -> int:
    """Serve a fault on a page that is not present, in a table of level 1."""
    o = m.operations[task]
    a = m.areas[area]
    shared = a.vm_flags & A_SHARED != 0
    bits = WRITTEN if write == 1 or (shared and a.vm_flags & A_WRITE != 0) else PTE_ACCESSED
    pfn = in_file(m, area, vpn)
    if pfn != NONE:
        m.frames[pfn].refs += 1
        map_hugetlb(m, middle, vpn, pfn, bits)
        note_fault(m, FILE_MAP)
        return DONE
    if not may_have_page(m, area, vpn):
        o.fault_page = vpn
        o.fault_signal = SIGBUS
        return SEGV
    f = m.files[int(a.file)]
    at = int(f.first) + huge_index(m, area, vpn)
    if is_reserved(m, area, vpn):
        unreserve_huge(m, 1)
        if shared:
            f.reserved -= 1
        else:
            m.cached[at] = USED
    pfn = dequeue_huge(m)
    frame = m.frames[pfn]
    frame.index = a.offset + vpn - (vpn & TABLE_MASK) - a.start
    if shared:
        frame.mapping = a.file
        frame.refs += 1  # the file's
        m.cached[at] = pfn
        f.resident += 1
    else:
        frame.mapping = anon_vma_prepare(m, area)
        frame.bits = F_HUGETLB | F_EXCLUSIVE
    map_hugetlb(m, middle, vpn, pfn, bits)
    note_fault(m, HUGE_ZERO_FILL)
    return DONE


@compiled
def write_protected(m: Arrays, task: int, area: int, middle: int, vpn: int) -> int:
    """Serve a write to a page that is present and read-only (`hugetlb_wp`)."""
    o = m.operations[task]
    a = m.areas[area]
    space = int(a.space)
    pfn = pmdp_get(m, middle, vpn) >> PFN_SHIFT
    alone = m.frames[pfn].maps == 1
    if not alone and available_huge_pages(m) == 0:
        if a.vm_flags & A_RESV_OWNER == 0:
            o.fault_page = vpn
            o.fault_signal = SIGBUS
            return SEGV
        unmap_ref_private(m, area, vpn, pfn)
        alone = True
    if alone:
        m.frames[pfn].bits |= F_EXCLUSIVE
        set_pmd(m, middle, vpn, pmdp_get(m, middle, vpn) | WRITTEN)
        note_fault(m, COW_REUSE)
        return DONE
    new = dequeue_huge(m)
    frame = m.frames[new]
    frame.index = m.frames[pfn].index
    frame.mapping = anon_vma_prepare(m, area)
    frame.bits = F_HUGETLB | F_EXCLUSIVE
    m.frames[pfn].maps -= 1
    put_huge(m, pfn)
    map_hugetlb(m, middle, vpn, new, WRITTEN)
    flush_pmd(m, space, vpn)
    m.pool[0].released += 1
    note_fault(m, HUGE_COPY)
    return DONE
