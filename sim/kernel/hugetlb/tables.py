"""Tables of level 1 that map huge pages of the pool, shared by processes: one for each GiB.

A table is shared where both areas map the file shared, with the same flags, and hold the whole
aligned GiB, at the same place in it.  Whoever unmaps or protects something below a shared table
lets go of it instead, and faults its pages in again.  Read in Linux 6.12 `mm/hugetlb.c`
(`want_pmd_share`, `page_table_shareable`, `huge_pmd_share`, `huge_pmd_unshare`).
"""

from typing import Final

from sim.base.jit import compiled
from sim.kernel.flush import flush_tlb_range
from sim.machine.entries import mk_pte, set_pte
from sim.machine.layout import (
    A_LOCKED,
    A_SHARED,
    KIND_HUGETLB,
    NONE,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.tables import clear_entry, find_table, make_table

GIB_PAGES: Final = 1 << (2 * TABLE_SHIFT)
"""Pages that one table of level 1 maps."""


@compiled
def holds_gib(m: Arrays, area: int, vpn: int) -> bool:
    """Whether an area holds the whole aligned GiB around a page (`want_pmd_share`)."""
    a = m.areas[area]
    base = vpn // GIB_PAGES * GIB_PAGES
    return bool(
        a.kind == KIND_HUGETLB
        and a.vm_flags & A_SHARED != 0
        and a.start <= base
        and base + GIB_PAGES <= a.end
    )


@compiled
def table_to_share(m: Arrays, area: int, vpn: int) -> int:
    """Return the table of level 1 by which another area maps the GiB around `vpn`, or NONE."""
    if not holds_gib(m, area, vpn):
        return NONE
    a = m.areas[area]
    index = a.offset + vpn - a.start
    other = int(m.files[int(a.file)].areas)
    while other != NONE:
        b = m.areas[other]
        theirs = int(index - b.offset + b.start)
        if (
            other != area
            and theirs % GIB_PAGES == vpn % GIB_PAGES
            and (a.vm_flags ^ b.vm_flags) & ~A_LOCKED == 0
            and holds_gib(m, other, theirs)
        ):
            table = find_table(m, int(b.space), theirs, 1)
            if table != NONE:
                return table
        other = int(b.file_next)
    return NONE


@compiled
def huge_pmd_share(m: Arrays, cpu: int, space: int, vpn: int, table: int) -> None:
    """Have `space` use a table of level 1 that others use; those above it have been secured."""
    upper = make_table(m, cpu, space, vpn, 2)
    set_pte(m, upper, (vpn >> (2 * TABLE_SHIFT)) & TABLE_MASK, mk_pte(table, 0))
    m.table_info[table].refs += 1
    m.spaces[space].tables += 1
    m.spaces[space].generation += 1


@compiled
def huge_pmd_unshare(m: Arrays, space: int, vpn: int) -> bool:
    """Let go of the table of level 1 of `vpn` if others use it too; say whether that was so."""
    table = find_table(m, space, vpn, 1)
    if table == NONE or m.table_info[table].refs == 1:
        return False
    clear_entry(m, space, vpn, 1)
    m.table_info[table].refs -= 1
    m.spaces[space].tables -= 1
    m.spaces[space].generation += 1
    base = vpn // GIB_PAGES * GIB_PAGES
    flush_tlb_range(m, space, base, base + GIB_PAGES)
    m.pool[0].released += 1
    return True
