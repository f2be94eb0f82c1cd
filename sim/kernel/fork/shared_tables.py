"""Leaf tables that an address space may not change: on-demand-fork and Async-fork.

Both leave the leaf tables out of the fork call and write-protect the entries one level above.
With on-demand-fork parent and child use the same leaf tables, and whoever first changes something
below one gets a copy of it.  With Async-fork the child copies them all before its program goes on,
and the parent those it wants to change earlier.  A leaf table that more than one area uses is
copied in the fork call, as Linux does.

Read in Zhao, Gong, Fonseca: "On-demand-fork: a microsecond fork for memory-intensive and
latency-sensitive applications" (EuroSys 2021), and Pang et al.: "Async-fork: mitigating query
latency spikes incurred by the fork-based snapshot mechanism from the OS level" (VLDB 2023).
"""

from sim.base.jit import compiled, rare
from sim.kernel.fault.mappers import add_mapper
from sim.kernel.flush import flush_tlb_range
from sim.kernel.pages import count_resident
from sim.kernel.work import DONE, GROW, MORE, SHORT, note
from sim.machine.entries import (
    is_swap_pte,
    maps_memory,
    mk_pte,
    pmd_populate,
    pmdp_get,
    prefetch_frame,
    pte_mkold,
    pte_none,
    ptep_set_wrprotect,
    set_pmd,
    set_pte,
)
from sim.machine.layout import (
    F_EXCLUSIVE,
    F_FILE,
    F_LARGE,
    FORK_ON_DEMAND,
    HUGE_PAGES,
    KIND_ANON,
    NONE,
    PFN_SHIFT,
    PMD_READONLY,
    PTE_ZERO,
    TABLE_ENTRIES,
    TABLE_MASK,
    TABLE_SHIFT,
    VPN_BITS,
    Arrays,
)
from sim.machine.pool import secure
from sim.machine.swap import copy_swap_pte
from sim.machine.tables import (
    clear_entry,
    find_table,
    make_table,
    new_table,
    next_present,
    table_room,
)
from sim.machine.work import FORK_FOLIO, FORK_PTE, FORK_TABLE, UNMAP_PTE

ALL_PAGES = 1 << VPN_BITS


@compiled
def is_shared_table(m: Arrays, space: int, vpn: int) -> bool:
    """Whether the leaf table of `vpn`, which is there, may not be changed by `space`."""
    middle = find_table(m, space, vpn, 1)
    return pmdp_get(m, middle, vpn) & PMD_READONLY != 0


@compiled
def next_shared_table(m: Arrays, space: int, vpn: int, end: int) -> int:
    """Return the first page in [vpn, end) whose leaf table `space` may not change, or `end`."""
    while vpn < end:
        vpn = next_present(m, space, vpn, end, 0)
        if vpn < end:
            if is_shared_table(m, space, vpn):
                return vpn
            vpn = ((vpn >> TABLE_SHIFT) + 1) << TABLE_SHIFT
    return end


@compiled
def wrprotect_pmd(m: Arrays, space: int, vpn: int) -> None:
    """Take from `space` the right to change the leaf table of `vpn`."""
    middle = find_table(m, space, vpn, 1)
    entry = pmdp_get(m, middle, vpn)
    if entry & PMD_READONLY == 0:
        set_pmd(m, middle, vpn, entry | PMD_READONLY)
        m.spaces[space].shared_tables += 1
        m.spaces[space].generation += 1


@compiled
def may_share_leaf(m: Arrays, area: int, vpn: int) -> bool:
    """Whether the leaf table of `vpn` is there and serves one area of anonymous memory only."""
    a = m.areas[area]
    base = vpn - (vpn & TABLE_MASK)
    if a.kind != KIND_ANON or find_table(m, int(a.space), vpn, 0) == NONE:
        return False
    if a.prev != NONE and m.areas[int(a.prev)].end > base:
        return False
    return bool(a.next == NONE or m.areas[int(a.next)].start >= base + HUGE_PAGES)


@rare
def share_leaf(m: Arrays, task: int, vpn: int) -> None:
    """Have parent and child share a leaf table, or leave it to the child to copy.

    The child has the tables above it.
    """
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    new = int(m.tasks[int(o.child)].space)
    if m.config[0].fork_kind == FORK_ON_DEMAND:
        leaf = find_table(m, space, vpn, 0)
        middle = find_table(m, new, vpn, 1)
        set_pmd(m, middle, vpn, mk_pte(leaf, PMD_READONLY))
        m.table_info[leaf].refs += 1
        m.spaces[new].tables += 1
        m.spaces[new].shared_tables += 1
        pages, swapped = pages_below(m, leaf)
        count_resident(m, new, pages)
        m.spaces[new].swapents += swapped
        note(m, FORK_FOLIO, 1)  # the table's reference count
    wrprotect_pmd(m, space, vpn)
    note(m, FORK_PTE, 1)


@compiled
def pages_below(m: Arrays, leaf: int) -> tuple[int, int]:
    """Return how many pages a leaf table maps, the zero page not counted; and how many are out."""
    pages = 0
    swapped = 0
    for i in range(TABLE_ENTRIES):
        entry = int(m.tables[leaf, i])
        if maps_memory(entry):
            pages += 1
        elif is_swap_pte(entry):
            swapped += 1
    return pages, swapped


@compiled
def share_entries(
    m: Arrays, source: int, target: int, space: int, first: int, last: int
) -> tuple[int, int, int, int]:
    """Copy the entries [first, last) of a leaf table to one of `space`, all read-only from now on.

    Returns how many there were, and how many of them map an anonymous page, map one of the page
    cache, and are swapped out.
    """
    entries = 0
    anonymous = 0
    cached = 0
    swapped = 0
    for i in range(first, last):
        prefetch_frame(m, source, i, last)
        entry = int(m.tables[source, i])
        if pte_none(entry):
            continue
        entries += 1
        if is_swap_pte(entry):
            copy_swap_pte(m, source, target, i, entry)
            swapped += 1
            continue
        if entry & PTE_ZERO != 0:
            set_pte(m, target, i, pte_mkold(entry))
            continue
        frame = m.frames[entry >> PFN_SHIFT]
        if frame.bits & F_FILE != 0:
            cached += 1
        else:
            anonymous += 1
        if frame.bits & F_LARGE != 0:
            add_mapper(m, space, entry >> PFN_SHIFT, 1)
        frame.refs += 1
        frame.maps += 1
        frame.bits &= ~F_EXCLUSIVE
        set_pte(m, target, i, pte_mkold(ptep_set_wrprotect(m, source, i)))
    return entries, anonymous, cached, swapped


@compiled
def frames_to_own(m: Arrays, space: int, vpn: int) -> int:
    """Return how many frames `own_leaf` takes."""
    if m.table_info[find_table(m, space, vpn, 0)].refs > 1:
        return 1
    return 0 if m.spaces[space].async_child == NONE else 1


@rare
def own_leaf(m: Arrays, cpu: int, space: int, vpn: int) -> None:
    """Give `space` back the right to change the leaf table of `vpn`: copy it if need be.

    As many frames and slots for tables as `frames_to_own` says are secured.
    """
    s = m.spaces[space]
    middle = find_table(m, space, vpn, 1)
    leaf = pmdp_get(m, middle, vpn) >> PFN_SHIFT
    tables = 0
    entries = 0
    pages = 0
    if m.table_info[leaf].refs > 1:
        tables = 1
        copy = new_table(m, cpu, space, 0)
        s.tables -= 1  # that of the shared one
        m.table_info[leaf].refs -= 1
        entries, pages, _, _ = share_entries(m, leaf, copy, space, 0, TABLE_ENTRIES)
        leaf = copy
    elif s.async_child != NONE:
        child = int(s.async_child)
        tables = 1
        copy = make_table(m, cpu, child, vpn, 0)
        entries, pages, _, swapped = share_entries(m, leaf, copy, child, 0, TABLE_ENTRIES)
        count_resident(m, child, pages)
        m.spaces[child].swapents += swapped
    pmd_populate(m, middle, vpn, leaf)
    s.shared_tables -= 1
    s.generation += 1
    if tables > 0:
        note(m, FORK_TABLE, tables)
        note(m, FORK_FOLIO, pages)
        note(m, FORK_PTE, entries)


@rare
def own_step(m: Arrays, cpu: int, task: int, space: int, vpn: int, extra: int) -> int:
    """Do `own_leaf` if there is memory for it and `extra` frames more; MORE if so."""
    wanted = frames_to_own(m, space, vpn)
    if not table_room(m, wanted):
        return GROW
    if not secure(m, cpu, task, wanted + extra):
        return SHORT
    own_leaf(m, cpu, space, vpn)
    return MORE


@rare
def own_range_step(m: Arrays, cpu: int, task: int, start: int, end: int) -> int:
    """Do one step of getting back the leaf tables of [start, end); DONE if there are none left.

    How far it has come is in the operation's `owned`.
    """
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    vpn = next_shared_table(m, space, start + int(o.owned), end)
    if vpn >= end:
        o.owned = 0
        return DONE
    status = own_step(m, cpu, task, space, vpn, 0)
    if status == MORE:
        o.owned = vpn - start
    return status


@rare
def async_copy_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of what an Async-fork leaves to the child: copy one leaf table."""
    t = m.tasks[task]
    o = m.operations[task]
    s = m.spaces[int(t.space)]
    parent = int(s.async_parent)
    if parent == NONE:
        return DONE
    vpn = next_shared_table(m, parent, int(o.at), ALL_PAGES)
    if vpn >= ALL_PAGES:
        end_async_parent(m, int(t.space))
        return DONE
    status = own_step(m, cpu, task, parent, vpn, 0)
    if status == MORE:
        o.at = vpn
    return status


@compiled
def end_async_parent(m: Arrays, space: int) -> None:
    """Have an address space copy no more from the one it was forked from."""
    parent = int(m.spaces[space].async_parent)
    if parent != NONE:
        m.spaces[parent].async_child = NONE
        m.spaces[space].async_parent = NONE


@compiled
def drop_shared_table(m: Arrays, space: int, vpn: int) -> bool:
    """Let go of a leaf table that others use or want, in one go; False if it is `space`'s alone."""
    s = m.spaces[space]
    leaf = find_table(m, space, vpn, 0)
    if s.shared_tables == 0 or leaf == NONE or not is_shared_table(m, space, vpn):
        return False
    s.shared_tables -= 1
    if m.table_info[leaf].refs == 1 and s.async_child == NONE:
        return False
    pages, swapped = pages_below(m, leaf)
    if m.table_info[leaf].refs > 1:
        m.table_info[leaf].refs -= 1
    else:  # the child needs no copy: it gets the table itself
        child = int(s.async_child)
        pmd_populate(m, find_table(m, child, vpn, 1), vpn, leaf)
        m.spaces[child].tables += 1
        count_resident(m, child, pages)
        m.spaces[child].swapents += swapped
    clear_entry(m, space, vpn, 0)
    flush_tlb_range(m, space, vpn, vpn + HUGE_PAGES)
    s.tables -= 1
    s.rss_anon -= pages
    s.swapents -= swapped
    m.pool[0].released += 1
    note(m, UNMAP_PTE, 1)
    return True


@compiled
def end_async_child(m: Arrays, space: int) -> None:
    """Have nobody copy from `space` any more."""
    child = int(m.spaces[space].async_child)
    if child != NONE:
        m.spaces[child].async_parent = NONE
        m.spaces[space].async_child = NONE
