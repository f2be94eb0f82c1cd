"""Large folios: pages that were allocated as one, and stay one whatever maps them.

A write to an absent page takes the largest folio that is allowed for the area, lies in it whole,
and whose entries are all empty; a block of 512 pages gets a huge entry (`sim.kernel.fault.huge`).
Its pages are counted singly.  Pages that were unmapped are part of it no more: here they are free
at once, on Linux when the folio is split.  Aligned block and order tell which folio a frame is of.
Read in Linux 6.12 `mm/memory.c` (`alloc_anon_folio`, `wp_can_reuse_anon_folio`) and 6.18
(`__wp_can_reuse_large_anon_folio`).
"""

from sim.base.jit import compiled, inlined, rare
from sim.kernel.fault.mappers import name_mapper
from sim.kernel.fork.shared_tables import is_shared_table
from sim.kernel.ops import OP_ACCESS
from sim.kernel.pages import anon_vma_prepare, count_resident
from sim.kernel.work import note, note_fault
from sim.machine.entries import maps_frame, maps_memory, mk_pte, pte_none, set_access_flags, set_pte
from sim.machine.folios import folio_row
from sim.machine.layout import (
    A_HUGEPAGE,
    A_NOHUGEPAGE,
    F_ANON,
    F_EXCLUSIVE,
    F_LARGE,
    F_WRITTEN,
    HUGE_ORDER,
    KIND_ANON,
    NONE,
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_BLANK,
    PTE_DIRTY,
    PTE_WRITE,
    TABLE_MASK,
    Arrays,
)
from sim.machine.pool import take_block
from sim.machine.rules.pages import R_EXCLUSIVE, R_FOLIO_REUSE, R_FOLIO_SIZES, R_REFERENCES
from sim.machine.tables import find_table
from sim.machine.work import FOLIO_PAGE, ZERO_FILL


@inlined
def mark_written(m: Arrays, task: int, pfn: int) -> None:
    """Take note that a program writes to a page of a huge page; a call that populates does not."""
    if m.operations[task].op == OP_ACCESS:
        m.frames[pfn].bits |= F_WRITTEN


# -- a folio is taken ----------------------------------------------------------------------------


@rare
def make_folio(
    m: Arrays, space: int, pfn: int, order: int, entries: int, root: int, index: int
) -> None:
    """Make a block of frames an anonymous folio, exclusive; page `index` first.

    Each of its pages is mapped once, by `entries` entries of `space`.
    """
    size = 1 << order
    for i in range(size):
        frame = m.frames[pfn + i]
        frame.index = index + i
        frame.maps = 1
        frame.copy_next = pfn + i
        frame.copy_prev = pfn + i
        frame.mapping = root
        frame.order = order
        frame.bits = F_ANON | F_EXCLUSIVE | F_LARGE
    name_mapper(m, space, pfn, entries)


@inlined
def no_huge_pages(m: Arrays, area: int) -> bool:
    """Whether an area goes without folios, by advice or by its process's own wish."""
    a = m.areas[area]
    return bool(a.vm_flags & A_NOHUGEPAGE != 0 or m.spaces[int(a.space)].thp_disabled != 0)


@rare
def fill_folio(m: Arrays, cpu: int, task: int, area: int, leaf: int, vpn: int) -> bool:
    """Serve a write to an absent page with a folio of several pages; False if none will do."""
    a = m.areas[area]
    if no_huge_pages(m, area):
        return False
    config = m.config[0]
    orders = int(config.folios_advised if a.vm_flags & A_HUGEPAGE != 0 else config.folios_always)
    for order in range(HUGE_ORDER - 1, 0, -1):
        size = 1 << order
        base = vpn - (vpn & (size - 1))
        if orders & size == 0 or base < a.start or base + size > a.end:
            continue
        if not is_empty(m, leaf, base & TABLE_MASK, size):
            continue
        pfn = take_block(m, cpu, task, order, KIND_ANON)
        if pfn != NONE:
            space = int(m.tasks[task].space)
            index = int(a.offset + base - a.start)
            make_folio(m, space, pfn, order, size, anon_vma_prepare(m, area), index)
            bits = PTE_WRITE | PTE_ACCESSED | PTE_BLANK
            for i in range(size):
                set_pte(m, leaf, (base + i) & TABLE_MASK, mk_pte(pfn + i, bits))
            if m.operations[task].op == OP_ACCESS:
                set_access_flags(m, leaf, vpn & TABLE_MASK, PTE_DIRTY)
            count_resident(m, space, size)
            note_fault(m, ZERO_FILL)
            note(m, FOLIO_PAGE, size - 1)
            return True
    return False


@compiled
def is_empty(m: Arrays, leaf: int, first: int, entries: int) -> bool:
    """Whether there is nothing in `entries` entries of a leaf table from `first` on."""
    for at in range(first, first + entries):
        if not pte_none(int(m.tables[leaf, at])):
            return False
    return True


# -- a folio is shared ---------------------------------------------------------------------------


@inlined
def folio_pages(m: Arrays, pfn: int) -> int:
    """Return how many pages the large folio of a frame had when it was taken."""
    return 1 << int(m.frames[pfn].order)


@compiled
def own_mappings(m: Arrays, space: int, vpn: int, pfn: int) -> int:
    """Return how many pages of a folio `space`, with `pfn` at `vpn`, maps; 0 if others map any."""
    order = int(m.frames[pfn].order)
    head = pfn - (pfn & ((1 << order) - 1))
    own = 0
    for at in range(head, head + (1 << order)):
        frame = m.frames[at]
        if frame.bits & F_LARGE == 0 or int(frame.order) != order:
            continue
        page = vpn + at - pfn
        leaf = find_table(m, space, page, 0)
        if leaf != NONE and m.spaces[space].shared_tables > 0 and is_shared_table(m, space, page):
            return 0
        mine = leaf != NONE and maps_frame(int(m.tables[leaf, page & TABLE_MASK]), at)
        if int(frame.maps) != (1 if mine else 0):
            return 0
        own += 1 if mine else 0
    return own


@compiled
def maybe_shared(m: Arrays, space: int, vpn: int, pfn: int) -> bool:
    """Whether others than `space`, which maps `pfn` at `vpn`, are taken to map the large folio.

    What it remembers of them decides (Linux `folio_maybe_mapped_shared`), else counting.
    """
    if m.config[0].folio_shift == 0:
        return own_mappings(m, space, vpn, pfn) == 0
    folio = m.folios[folio_row(m, pfn)]
    return bool(folio.total > 1 and folio.shared == 1)


@rare
def may_reuse(m: Arrays, space: int, vpn: int, pfn: int) -> bool:
    """Whether a write by `space`, which maps `pfn` of a large folio at `vpn`, may keep the page.

    =========  =================================================================================
    Linux      so a page is reused
    =========  =================================================================================
    from 6.15  if it is exclusive, or the folio knows of us alone, and of another mapping
    from 6.8   if it is exclusive
    from 5.19  if it is exclusive, or the only page of its folio that is mapped, and once
    from 5.9   if it is the only page of its folio that is mapped, and once
    before     if no page of its folio is mapped twice
    =========  =================================================================================
    """
    rules = m.config[0].rules
    if m.frames[pfn].bits & F_EXCLUSIVE != 0 and rules & R_EXCLUSIVE != 0:
        return True
    if rules & R_FOLIO_REUSE != 0:
        if m.config[0].folio_shift == 0:
            return own_mappings(m, space, vpn, pfn) > 1
        folio = m.folios[folio_row(m, pfn)]
        return bool(folio.total > 1 and folio.shared == 0)
    if rules & R_FOLIO_SIZES != 0:
        return False
    order = int(m.frames[pfn].order)
    head = pfn - (pfn & ((1 << order) - 1))
    total = 0
    most = 0
    for at in range(head, head + (1 << order)):
        frame = m.frames[at]
        if frame.bits & F_LARGE != 0 and int(frame.order) == order:
            total += int(frame.maps)
            most = max(most, int(frame.maps))
    return total == 1 if rules & R_REFERENCES != 0 else most == 1


@rare
def folio_runs(m: Arrays, leaf: int, first: int, last: int) -> int:
    """Return how often fork raises counts for the entries [first, last) of a leaf table.

    Since Linux 6.9 once for a run of entries that map pages of a folio in a row, all dirty or all
    clean (`folio_pte_batch`); else once for each.
    """
    runs = 0
    before = NONE
    dirty = 0
    for at in range(first, last):
        entry = int(m.tables[leaf, at])
        if not maps_memory(entry):
            continue
        pfn = entry >> PFN_SHIFT
        frame = m.frames[pfn]
        now_dirty = 1 if entry & (PTE_DIRTY | PTE_BLANK) != 0 else 0
        goes_on = (
            pfn == before + 1
            and at > first
            and maps_frame(int(m.tables[leaf, at - 1]), before)
            and frame.bits & F_LARGE != 0
            and int(frame.order) == int(m.frames[before].order)
            and pfn & ((1 << int(frame.order)) - 1) != 0
            and now_dirty == dirty
        )
        runs += 0 if goes_on else 1
        before = pfn
        dirty = now_dirty
    return runs
