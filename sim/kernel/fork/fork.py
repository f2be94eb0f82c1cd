"""fork, one leaf table's worth a step.

Read in Linux 6.12 `mm/memory.c` (`copy_page_range`).
"""

from sim.base.jit import compiled, rare
from sim.kernel.fault.folio import folio_runs
from sim.kernel.fault.pmd import copy_huge, huge_entry, split_huge
from sim.kernel.files.cache import count_cached
from sim.kernel.flush import flush_tlb_mm
from sim.kernel.fork.begin import begin_fork, copy_area, needs_copy
from sim.kernel.fork.shared_tables import (
    ALL_PAGES,
    may_share_leaf,
    own_range_step,
    share_entries,
    share_leaf,
)
from sim.kernel.hugetlb.pages import copy_hugetlb, is_hugetlb
from sim.kernel.pages import anon_vma_prepare, count_resident, fresh_page, link_copy
from sim.kernel.work import DONE, GROW, MORE, SHORT, note
from sim.machine.entries import maps_memory, mk_pte, set_pte
from sim.machine.layout import (
    A_DONTFORK,
    F_FILE,
    FORK_ASYNC,
    FORK_EAGER,
    FORK_ON_DEMAND,
    KIND_ANON,
    NONE,
    PFN_SHIFT,
    PTE_DIRTY,
    PTE_WRITE,
    TABLE_MASK,
    TABLE_SHIFT,
    THP_NEVER,
    Arrays,
)
from sim.machine.pool import drop_reserve, secure, use_reserve
from sim.machine.rules.pages import R_FORK_BATCH
from sim.machine.tables import find_table, make_table, next_present, table_room, tables_missing
from sim.machine.work import (
    FORK_EAGER_COPY,
    FORK_FOLIO,
    FORK_PTE,
    FORK_TABLE,
)

AGAIN = -4
"""The step was carried out; what it stands at comes again."""


@compiled
def build_tables(m: Arrays, cpu: int, task: int, vpn: int, level: int) -> int:
    """Build what the child lacks of the tables down to `level` for `vpn`; MORE if it has them."""
    o = m.operations[task]
    new = int(m.tasks[int(o.child)].space)
    missing = tables_missing(m, new, vpn, level)
    if not table_room(m, missing):
        return GROW
    if not secure(m, cpu, task, missing):
        return SHORT
    use_reserve(m, task, missing)
    make_table(m, cpu, new, vpn, level)
    note(m, FORK_TABLE, missing)
    return MORE


@compiled
def copy_upper(m: Arrays, cpu: int, task: int, end: int) -> int:
    """Give the child a table that the parent has above the leaves, up to page `end`.

    An empty one, too: MADV_DONTNEED takes leaf tables alone.  DONE if the child has them all.
    """
    t = m.tasks[task]
    o = m.operations[task]
    new = int(m.tasks[int(o.child)].space)
    for level in (2, 1):
        span = 1 << (TABLE_SHIFT * (level + 1))
        vpn = next_present(m, int(t.space), int(o.at), end, level)
        while vpn < end:
            if tables_missing(m, new, vpn, level) > 0:
                return build_tables(m, cpu, task, vpn, level)
            vpn = next_present(m, int(t.space), (vpn // span + 1) * span, end, level)
    return DONE


@compiled
def copy_leaf(m: Arrays, cpu: int, task: int, vpn: int, end: int) -> int:
    """Copy the entries of [vpn, end), within one leaf table, to the child; share their frames."""
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    new = int(m.tasks[int(o.child)].space)
    parent = find_table(m, space, vpn, 0)
    if parent == NONE:
        return fork_huge(m, cpu, task, vpn)
    first = vpn & TABLE_MASK
    last = first + end - vpn
    missing = tables_missing(m, new, vpn, 0)
    if not table_room(m, missing):
        return GROW
    config = m.config[0]
    kind = int(m.areas[int(o.area)].kind)
    eager = config.fork_kind == FORK_EAGER
    wanted = missing + (anonymous_pages(m, parent, first, last) if eager else 0)
    if not secure(m, cpu, task, wanted):
        return SHORT
    use_reserve(m, task, wanted)
    child = make_table(m, cpu, new, vpn, 0)
    if eager:
        counts = copy_pages(m, cpu, task, parent, child, first, last)
    else:
        counts = share_entries(m, parent, child, new, first, last)
    entries, anonymous, cached, swapped = counts
    folios = cached + (0 if eager else anonymous)
    batches = config.rules & R_FORK_BATCH != 0 and kind == KIND_ANON and not eager
    if batches and (config.folios_advised != 0 or config.thp != THP_NEVER):
        folios = folio_runs(m, parent, first, last)
    count_resident(m, new, anonymous)
    count_cached(m, new, kind, cached)
    m.spaces[new].swapents += swapped
    note(m, FORK_TABLE, missing)
    note(m, FORK_EAGER_COPY, anonymous if eager else 0)
    note(m, FORK_FOLIO, folios)
    note(m, FORK_PTE, entries)
    return MORE


@compiled
def anonymous_pages(m: Arrays, leaf: int, first: int, last: int) -> int:
    """Return how many of the entries [first, last) of a leaf table map an anonymous page."""
    pages = 0
    for i in range(first, last):
        entry = int(m.tables[leaf, i])
        if maps_memory(entry) and m.frames[entry >> PFN_SHIFT].bits & F_FILE == 0:
            pages += 1
    return pages


@compiled
def copy_pages(
    m: Arrays, cpu: int, task: int, parent: int, child: int, first: int, last: int
) -> tuple[int, int, int, int]:
    """Do as `share_entries` for an eager fork, which copies the anonymous pages.

    What is in the page cache or swapped out, and the zero page, is shared.
    """
    o = m.operations[task]
    new = int(m.tasks[int(o.child)].space)
    root = anon_vma_prepare(m, int(o.area))
    entries = 0
    anonymous = 0
    cached = 0
    swapped = 0
    for i in range(first, last):
        entry = int(m.tables[parent, i])
        pfn = entry >> PFN_SHIFT
        if maps_memory(entry) and m.frames[pfn].bits & F_FILE == 0:
            copy = fresh_page(m, cpu, root, int(m.frames[pfn].index))
            link_copy(m, pfn, copy)
            set_pte(m, child, i, mk_pte(copy, PTE_WRITE | PTE_DIRTY))
            entries += 1
            anonymous += 1
        else:
            one, _, in_cache, out = share_entries(m, parent, child, new, i, i + 1)
            entries += one
            cached += in_cache
            swapped += out
    return entries, anonymous, cached, swapped


@rare
def fork_huge(m: Arrays, cpu: int, task: int, vpn: int) -> int:
    """Copy a huge entry to the child; before an eager fork it is split.

    A huge page of the pool is shared until it is written, whatever the kind of fork.
    """
    t = m.tasks[task]
    o = m.operations[task]
    new = int(m.tasks[int(o.child)].space)
    if is_hugetlb(m, huge_entry(m, int(t.space), vpn)):
        missing = tables_missing(m, new, vpn, 1)
        status = copy_hugetlb(m, cpu, task, new, vpn)
        if status == MORE:
            use_reserve(m, task, missing)
        return status
    if m.config[0].fork_kind == FORK_EAGER:
        split_huge(m, int(t.space), vpn)
        return AGAIN
    missing = tables_missing(m, new, vpn, 1) + 1
    status = copy_huge(m, cpu, task, int(t.space), new, vpn)
    if status == MORE:
        use_reserve(m, task, missing)
    return status


@compiled
def fork_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of fork: the beginning, an area, a leaf table, or the end."""
    t = m.tasks[task]
    o = m.operations[task]
    kind = m.config[0].fork_kind
    if o.stage == 0:
        if kind == FORK_ASYNC and m.spaces[int(t.space)].shared_tables > 0:
            status = own_range_step(m, cpu, task, 0, ALL_PAGES)
            if status != DONE:
                return status
        return begin_fork(m, cpu, task)
    shares = kind in (FORK_ON_DEMAND, FORK_ASYNC)
    while True:
        area = int(o.area)
        if area == NONE:
            drop_reserve(m, task)
            flush_tlb_mm(m, int(t.space))
            return DONE
        a = m.areas[area]
        if o.child_area == NONE and a.vm_flags & A_DONTFORK == 0:
            return copy_area(m, task)
        if o.child_area != NONE and needs_copy(m, area):
            end = int(a.end)
            vpn = next_present(m, int(t.space), int(o.at), end, 0)
            if o.at < vpn:
                status = copy_upper(m, cpu, task, vpn)
                if status != DONE:
                    return status
            if vpn < end:
                upto = min(end, ((vpn >> TABLE_SHIFT) + 1) << TABLE_SHIFT)
                if shares and may_share_leaf(m, area, vpn):
                    status = build_tables(m, cpu, task, vpn, 1)
                    if status == MORE:
                        share_leaf(m, task, vpn)
                else:
                    status = copy_leaf(m, cpu, task, vpn, upto)
                if status == AGAIN:
                    return MORE
                if status == MORE:
                    o.at = upto
                return status
        o.area = a.next
        o.child_area = NONE
