"""Page faults on anonymous memory; those with a page cache or of 2 MiB go elsewhere.

==================================  ======================================================
the page is                         so Linux
==================================  ======================================================
in no area, or not permitted        sends SIGSEGV
just below a stack                  extends the stack's area down to it, within its limit, if it
                                    may be promised that much more
not present, read                   maps the shared zero page
not present, written                zero-fills a fresh frame, mapped writable, exclusive
swapped out                         reads it back, or finds it in the swap cache
                                    (`sim.kernel.fault.swapin`)
present, permitted by the entry     has no fault
the zero page, written              zero-fills a fresh frame
read-only, exclusive, written       restores write permission (reuse)
read-only, last reference, written  makes it exclusive and restores write permission (reuse)
read-only, shared, written          copies it to a fresh frame, drops the old reference
==================================  ======================================================

Read in Linux 6.12 `mm/memory.c` (`do_anonymous_page`, `do_wp_page`) and `mm/mmap.c`
(`expand_downwards`).  A step that is short of memory changes nothing, so that the same call may be
made again; only a stack stays extended.
"""

from typing import Final

from sim.base.jit import compiled, inlined, rare
from sim.kernel.fault.filemap import file_fault, write_cached
from sim.kernel.fault.folio import fill_folio, may_reuse
from sim.kernel.fault.huge import SMALL, SPLIT, huge_fault
from sim.kernel.fault.mappers import drop_mapper
from sim.kernel.fault.swapin import bring_back, do_swap_page
from sim.kernel.flush import flush_tlb_range
from sim.kernel.fork.shared_tables import frames_to_own, is_shared_table, own_leaf
from sim.kernel.hugetlb.fault import hugetlb_fault
from sim.kernel.lock import must_wait
from sim.kernel.overcommit import commit, promised
from sim.kernel.pages import (
    anon_vma_prepare,
    count_resident,
    free_anon_page,
    free_swap_cache,
    fresh_page,
    link_copy,
)
from sim.kernel.reclaim.textbook import page_used
from sim.kernel.work import (
    BEGUN,
    DONE,
    GROW,
    LOCKED,
    MORE,
    SEGV,
    SHORT,
    fault_served,
    note,
    note_fault,
)
from sim.kernel.zeroing import zero_fill_kind
from sim.machine.area_tree import STACK_GAP_PAGES, find_area, resized
from sim.machine.entries import (
    WRITTEN,
    ZERO_PAGE,
    is_swap_pte,
    mk_pte,
    pte_present,
    set_access_flags,
    set_pte,
)
from sim.machine.layout import (
    A_GROWSDOWN,
    A_READ,
    A_WRITE,
    F_ANON,
    F_BATCHED,
    F_EXCLUSIVE,
    F_FILE,
    F_LARGE,
    F_SWAPCACHE,
    KIND_ANON,
    KIND_HUGETLB,
    NONE,
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_DIRTY,
    PTE_WRITE,
    PTE_ZERO,
    REPLACE_LRU,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.lru import lru_add_drain
from sim.machine.pool import secure
from sim.machine.swap import folio_free_swap
from sim.machine.tables import find_table, make_table, table_room, tables_missing
from sim.machine.work import ACCESS, COW_COPY, COW_REUSE, SPURIOUS, TABLE_ALLOC, ZERO_PAGE_MAP

MOST_REFS_LOOKED_AT: Final = 2
"""Of a page in a batch: one with more is copied at once (`wp_can_reuse_anon_folio`)."""


@inlined
def gap_above(m: Arrays, area: int) -> int:
    """Return how many pages a stack leaves free above an area: none if nobody may touch that."""
    bits = m.areas[area].vm_flags
    if bits & A_GROWSDOWN != 0 or bits & (A_READ | A_WRITE) == 0:
        return 0
    return STACK_GAP_PAGES


@compiled
def locate(m: Arrays, task: int, vpn: int) -> bool:
    """Remember the area of `vpn` in the task's cache, extending a stack if need be.

    False if no area may hold the page.
    """
    t = m.tasks[task]
    space = int(t.space)
    s = m.spaces[space]
    area = find_area(m, space, vpn)
    if area == NONE:
        return False
    a = m.areas[area]
    if vpn < a.start:
        stack_limit = m.processes[int(t.process)].stack_limit
        if a.vm_flags & A_GROWSDOWN == 0 or a.end - vpn > stack_limit:
            return False
        before = int(a.prev)
        if before != NONE and m.areas[before].end + gap_above(m, before) > vpn:
            return False
        pages = int(a.start - vpn)
        if not promised(m, task, space, pages):
            return False
        commit(m, space, pages)
        s.pages += pages
        anon_vma_prepare(m, area)
        a.offset -= pages
        a.start = vpn
        resized(m, area)
    t.cached_area = area
    return True


@inlined
def unshare(m: Arrays, cpu: int, task: int, area: int, leaf: int, vpn: int) -> int:
    """Serve a write fault on a page that is present and read-only."""
    t = m.tasks[task]
    at = vpn & TABLE_MASK
    entry = int(m.tables[leaf, at])
    pfn = entry >> PFN_SHIFT
    old = m.frames[pfn]
    if old.bits & F_LARGE != 0:
        reuse = may_reuse(m, int(t.space), vpn, pfn)
    else:
        reuse = entry & PTE_ZERO == 0 and (old.bits & F_EXCLUSIVE != 0 or old.refs == 1)
        in_batch = old.bits & (F_ANON | F_BATCHED | F_EXCLUSIVE) == F_ANON | F_BATCHED
        if in_batch and old.refs <= MOST_REFS_LOOKED_AT:
            lru_add_drain(m, cpu)  # the batch has a reference, too
        if old.bits & F_SWAPCACHE != 0 and not reuse and old.maps == 1:  # the other reference
            reuse = folio_free_swap(m, pfn)
    if reuse:
        old.bits |= F_EXCLUSIVE
        set_pte(m, leaf, at, entry | WRITTEN)
        fault_served(m, task, COW_REUSE)
        return DONE
    if old.bits & F_FILE != 0:
        return write_cached(m, cpu, task, area, leaf, vpn)
    if not secure(m, cpu, task, 1):
        m.operations[task].held = 0 if entry & PTE_ZERO != 0 else pfn
        return SHORT
    a = m.areas[area]
    new = fresh_page(m, cpu, anon_vma_prepare(m, area), int(a.offset + vpn - a.start))
    set_pte(m, leaf, at, mk_pte(new, WRITTEN))
    flush_tlb_range(m, int(t.space), vpn, vpn + 1)
    if entry & PTE_ZERO != 0:
        count_resident(m, int(t.space), 1)
        note_fault(m, zero_fill_kind(m, cpu))
        return DONE
    old.refs -= 1
    old.maps -= 1
    if old.bits & F_LARGE != 0:
        drop_mapper(m, int(t.space), pfn, 1)
    link_copy(m, pfn, new)
    if old.refs == 0:  # its folio is shared, it was not
        free_anon_page(m, cpu, pfn)
    elif old.bits & F_SWAPCACHE != 0:
        free_swap_cache(m, cpu, pfn)
    m.pool[0].released += 1
    fault_served(m, task, COW_COPY)
    return DONE


@rare
def unshare_small(m: Arrays, cpu: int, task: int, area: int, vpn: int) -> int:
    """Do as `unshare` where a huge entry has just been split."""
    return unshare(m, cpu, task, area, int(m.tasks[task].cached_leaf), vpn)


@inlined
def fill(m: Arrays, cpu: int, task: int, area: int, leaf: int, vpn: int, write: int) -> int:
    """Serve a fault on a page that is not present."""
    if m.areas[area].kind != KIND_ANON:
        if m.areas[area].kind == KIND_HUGETLB:
            return hugetlb_fault(m, cpu, task, area, vpn, write)
        return file_fault(m, cpu, task, area, leaf, vpn, write)
    t = m.tasks[task]
    space = int(t.space)
    missing = 0
    if leaf == NONE:
        status = huge_fault(m, cpu, task, area, vpn, write)
        if status == SPLIT:
            t.cached_leaf = find_table(m, space, vpn, 0)
            return unshare_small(m, cpu, task, area, vpn)
        if status != SMALL:
            return status
        missing = tables_missing(m, space, vpn, 0)
        if not table_room(m, missing):
            return GROW
    if not secure(m, cpu, task, missing + write):
        return SHORT
    if leaf == NONE:
        leaf = make_table(m, cpu, space, vpn, 0)
        t.cached_leaf = leaf
        note(m, TABLE_ALLOC, missing)
    if write == 0:
        set_pte(m, leaf, vpn & TABLE_MASK, ZERO_PAGE)
        note_fault(m, ZERO_PAGE_MAP)
        return DONE
    if m.config[0].folios_advised != 0 and fill_folio(m, cpu, task, area, leaf, vpn):
        return DONE
    a = m.areas[area]
    pfn = fresh_page(m, cpu, anon_vma_prepare(m, area), int(a.offset + vpn - a.start))
    set_pte(m, leaf, vpn & TABLE_MASK, mk_pte(pfn, WRITTEN))
    count_resident(m, space, 1)
    note_fault(m, zero_fill_kind(m, cpu))
    return DONE


@rare
def swap_fault(m: Arrays, cpu: int, task: int, area: int, leaf: int, vpn: int, write: int) -> int:
    """Serve a fault on a page that is swapped out."""
    status = bring_back(m, cpu, task, area, vpn, int(m.tables[leaf, vpn & TABLE_MASK]))
    return do_swap_page(m, cpu, task, area, leaf, vpn, write) if status == DONE else status


@rare
def served_meanwhile(m: Arrays, task: int, entry: int, write: int) -> None:
    """Count the fault for which a task waited, if a thread has mapped the page by now."""
    if pte_present(entry) and (write == 0 or entry & PTE_WRITE != 0):
        fault_served(m, task, SPURIOUS)


@rare
def access_shared(
    m: Arrays, cpu: int, task: int, area: int, leaf: int, vpn: int, write: int
) -> int:
    """Do as `access` where the leaf table may not be changed: the fault copies it first.

    Reading what is there needs no change.  A page that is not there comes in the next step.
    """
    t = m.tasks[task]
    space = int(t.space)
    at = vpn & TABLE_MASK
    entry = int(m.tables[leaf, at])
    if write == 1 or not pte_present(entry):
        tables = frames_to_own(m, space, vpn)
        if not table_room(m, tables):
            return GROW
        present = pte_present(entry)
        if not secure(m, cpu, task, tables + (1 if present else 0)):
            return SHORT
        own_leaf(m, cpu, space, vpn)
        leaf = find_table(m, space, vpn, 0)
        t.cached_leaf = leaf
        entry = int(m.tables[leaf, at])
        if not present:
            m.clock[0].kind = BEGUN
            return MORE
        if entry & PTE_WRITE == 0:
            unshare(m, cpu, task, area, leaf, vpn)
        else:
            set_pte(m, leaf, at, entry | WRITTEN)
            note_fault(m, COW_REUSE)
    else:
        set_access_flags(m, leaf, at, PTE_ACCESSED)
    note(m, ACCESS, 1)
    if m.config[0].replacement == REPLACE_LRU:
        page_used(m, space, vpn)
    return DONE


@inlined
def access(m: Arrays, cpu: int, task: int, vpn: int, write: int) -> int:
    """Touch one page: read it, or write it if `write` is 1; serve the fault if there is one.

    Returns DONE, SHORT, GROW, LOCKED or SEGV; unless DONE, nothing has changed but a stack's end.
    """
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    s = m.spaces[space]
    if t.cached_generation != s.generation or t.cached_space != space:
        calm = s.areas_of == NONE and s.lock_waiters == 0
        if not calm and must_wait(m, task, vpn, write):
            o.fault_page = vpn
            o.fault_write = write
            return LOCKED
        t.cached_generation = s.generation if calm else NONE
        t.cached_space = space
        t.cached_area = NONE
        t.cached_tag = NONE
    area = int(t.cached_area)
    if area == NONE or vpn < m.areas[area].start or vpn >= m.areas[area].end:
        if not locate(m, task, vpn):
            o.fault_page = vpn
            return SEGV
        area = int(t.cached_area)
    if m.areas[area].vm_flags & (A_WRITE if write == 1 else A_READ) == 0:
        o.fault_page = vpn
        return SEGV
    tag = vpn >> TABLE_SHIFT
    leaf = int(t.cached_leaf)
    if t.cached_tag != tag or leaf == NONE:
        leaf = find_table(m, space, vpn, 0)
        t.cached_leaf = leaf
        t.cached_tag = tag
        if o.waits != 0 and leaf != NONE:
            served_meanwhile(m, task, int(m.tables[leaf, vpn & TABLE_MASK]), write)
        if s.shared_tables != 0 and leaf != NONE and is_shared_table(m, space, vpn):
            t.cached_tag = NONE
            return access_shared(m, cpu, task, area, leaf, vpn, write)
    entry = 0
    if leaf != NONE:
        entry = int(m.tables[leaf, vpn & TABLE_MASK])
    if not pte_present(entry):
        if is_swap_pte(entry):
            status = swap_fault(m, cpu, task, area, leaf, vpn, write)
        else:
            status = fill(m, cpu, task, area, leaf, vpn, write)
    elif write == 1 and entry & PTE_WRITE == 0:
        status = unshare(m, cpu, task, area, leaf, vpn)
    else:
        used = entry | PTE_ACCESSED | (PTE_DIRTY if write == 1 else 0)
        if used != entry:
            set_pte(m, leaf, vpn & TABLE_MASK, used)
        status = DONE
    if status == DONE:
        note(m, ACCESS, 1)
        if m.config[0].replacement == REPLACE_LRU:
            page_used(m, space, vpn)
    return status
