"""mremap: an area grows or shrinks where it is, or goes elsewhere with its pages and tables.

Read in Linux 6.12 `mm/mremap.c` (`move_page_tables`, `move_vma`) and `mm/vma.c` (`copy_vma`).
"""

from typing import Final

from sim.base.jit import compiled, rare
from sim.kernel.calls.populate import AS_ALLOWED, populate_step
from sim.kernel.calls.unmap import split_edges, unmap_step
from sim.kernel.fault.pmd import huge_entry, move_huge, split_huge
from sim.kernel.flush import flush_tlb_range
from sim.kernel.overcommit import commit, promised, refuse
from sim.kernel.work import BY_LIMIT, DONE, EFAULT, EINVAL, ENOMEM, GROW, MORE, SHORT, note
from sim.machine.area_tree import resized
from sim.machine.areas import (
    area_room,
    find_area,
    insert_area,
    is_free,
    link_anon_vma,
    map_file,
    may_lie,
    merge_area,
    place,
)
from sim.machine.entries import pmd_populate, pte_none, ptep_get_and_clear, set_pte
from sim.machine.layout import (
    A_ACCOUNT,
    A_HEAP,
    A_LOCKED,
    HUGE_PAGES,
    KIND_ANON,
    KIND_HUGETLB,
    NONE,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.pool import secure
from sim.machine.tables import (
    clear_entry,
    find_table,
    make_table,
    next_present,
    table_room,
    tables_missing,
)
from sim.machine.work import MMAP_CALL, PROTECT_PTE, TABLE_ALLOC

STAGE_MOVE: Final = 3
STAGE_GROWN: Final = 4
"""The stage of mremap in which the new pages of locked memory are faulted in."""


@compiled
def mremap_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of mremap of `pages` pages from `start` on to `new_pages`.

    They stay where they are if `new_start` is NONE, unless `may_move` is 1 and they cannot grow
    there (MREMAP_MAYMOVE); else they go to `new_start`, where nothing may be mapped.  The result
    is the first page, or NONE with `errno` set.  `STAGE_MOVE` moves the entries of a leaf table a
    step; stages 1 and 2 are munmap's, of the old place or the tail.
    """
    o = m.operations[task]
    if o.stage == 0:
        return begin_mremap(m, task)
    if o.stage == STAGE_MOVE:
        return move_step(m, cpu, task)
    if o.stage == STAGE_GROWN:
        status = populate_step(m, cpu, task, AS_ALLOWED)
        o.errno = 0  # it has grown, whether its pages may be touched or not
        return status
    status = unmap_step(m, cpu, task)
    return grown(m, task) if status == DONE else status


@rare
def begin_mremap(m: Arrays, task: int) -> int:
    """Check the call, and say what is to happen to which area.

    Huge pages of the pool cannot grow, as in Linux; nor can they move, as before Linux 5.16.
    """
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    start = int(o.start)
    end = start + int(o.pages)
    extra = int(o.new_pages - o.pages)
    o.result = NONE
    note(m, MMAP_CALL, 1)
    if o.pages <= 0 or o.new_pages <= 0 or (o.new_start != NONE and extra < 0):
        o.errno = EINVAL
        return DONE
    area = find_area(m, space, start)
    if area == NONE or m.areas[area].start > start or m.areas[area].end < end:
        o.errno = EFAULT
        return DONE
    if not area_room(m, 3):
        return GROW
    a = m.areas[area]
    if a.kind == KIND_HUGETLB:
        o.new_pages = (o.new_pages + TABLE_MASK) & ~TABLE_MASK
        extra = int(o.new_pages - o.pages)
        if extra > 0 or o.new_start != NONE or (start | end) & TABLE_MASK != 0:
            o.errno = EINVAL
            return DONE
    o.grown_pages = extra if extra > 0 and a.vm_flags & A_LOCKED != 0 else 0
    if o.new_start == NONE and extra <= 0:
        o.result = start
        return shrink(m, task, start + int(o.new_pages), end) if extra < 0 else DONE
    if a.vm_flags & A_ACCOUNT != 0 and not promised(m, task, space, extra):
        o.errno = ENOMEM
        return DONE
    if o.new_start == NONE and a.end == end and is_free(m, space, end, end + extra):
        a.end += extra
        resized(m, area)
        m.spaces[space].pages += extra
        m.spaces[space].generation += 1
        if a.vm_flags & A_ACCOUNT != 0:
            commit(m, space, extra)
        merge_area(m, area)
        o.result = start
        return grown(m, task)
    target = int(o.new_start)
    if target == NONE and o.may_move == 1:
        target = place(m, space, int(o.new_pages), int(a.kind), int(a.vm_flags), int(a.offset))
    elif target != NONE and not may_lie(m, space, target, int(o.new_pages)):
        target = NONE
    if target == NONE:
        refuse(m, task, BY_LIMIT, int(o.new_pages))
        return DONE
    split_edges(m, space, start, end)
    copy_area_to(m, space, find_area(m, space, start), target, int(o.new_pages))
    o.result = target
    o.at = start
    o.stage = STAGE_MOVE
    return MORE


@compiled
def shrink(m: Arrays, task: int, start: int, end: int) -> int:
    """Have [start, end), the tail of an area, unmapped."""
    t = m.tasks[task]
    o = m.operations[task]
    split_edges(m, int(t.space), start, end)
    o.start = o.at = start
    o.pages = end - start
    o.only_tail = 1  # that is all: others may share the lock from now on
    o.stage = 1
    return MORE


@compiled
def grown(m: Arrays, task: int) -> int:
    """End the call, or have the pages faulted in by which locked memory has grown."""
    o = m.operations[task]
    if o.grown_pages == 0:
        return DONE
    o.start = o.result + o.new_pages - o.grown_pages
    o.pages = o.grown_pages
    o.at = 0
    o.stage = STAGE_GROWN
    return MORE


@compiled
def copy_area_to(m: Arrays, space: int, area: int, target: int, pages: int) -> None:
    """Make a second area like `area` at `target`, for its pages to go to.

    Its offsets stay what they were, for the reverse map; without an anon_vma there is nothing in it
    that the reverse map must find, and it takes the offset of its new place.
    """
    a = m.areas[area]
    fresh = a.kind == KIND_ANON and a.anon_vma == NONE
    offset = target if fresh else int(a.offset)
    copy = insert_area(m, space, target, target + pages, offset, int(a.vm_flags) & ~A_HEAP)
    link_anon_vma(m, copy, int(a.anon_root), int(a.anon_vma), int(a.inherited))
    map_file(m, copy, int(a.kind), int(a.file))
    if a.vm_flags & A_ACCOUNT != 0:
        commit(m, space, pages)
    merge_area(m, copy)


@compiled
def move_step(m: Arrays, cpu: int, task: int) -> int:
    """Move the entries below the next leaf table; at last, have the old place unmapped."""
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    start = int(o.start)
    end = start + int(o.pages)
    away = int(o.result) - start
    vpn = next_present(m, space, int(o.at), end, 0)
    if vpn < end:
        upto = min(end, ((vpn >> TABLE_SHIFT) + 1) << TABLE_SHIFT)
        upto = min(upto, vpn + HUGE_PAGES - ((vpn + away) & TABLE_MASK))
        status = move_leaf(m, cpu, task, vpn, upto, vpn + away)
        if status != MORE:
            return status
        m.spaces[space].generation += 1
        o.at = upto
        return MORE
    if not area_room(m, 2):
        return GROW
    split_edges(m, space, start, end)  # the new place may have merged with the old one
    o.at = start
    o.stage = 1
    return MORE


@rare
def move_leaf(m: Arrays, cpu: int, task: int, start: int, end: int, target: int) -> int:
    """Move the entries of [start, end) to `target`; both lie within one leaf table.

    A whole table goes as it is, and so does a huge entry.
    """
    t = m.tasks[task]
    space = int(t.space)
    whole = end - start == HUGE_PAGES and huge_entry(m, space, target) == 0
    whole = whole and find_table(m, space, target, 0) == NONE
    huge = find_table(m, space, start, 0) == NONE
    if not whole:
        if huge:
            split_huge(m, space, start)
        return move_small(m, cpu, task, start, end, target)
    missing = tables_missing(m, space, target, 1)
    if not table_room(m, missing):
        return GROW
    if not secure(m, cpu, task, missing):
        return SHORT
    middle = make_table(m, cpu, space, target, 1)
    note(m, TABLE_ALLOC, missing)
    note(m, PROTECT_PTE, 1)
    if huge:
        move_huge(m, space, start, target)
    else:
        leaf = find_table(m, space, start, 0)
        clear_entry(m, space, start, 0)
        flush_tlb_range(m, space, start, end)
        pmd_populate(m, middle, target, leaf)
    return MORE


@compiled
def move_small(m: Arrays, cpu: int, task: int, start: int, end: int, target: int) -> int:
    """Move small entries one by one."""
    t = m.tasks[task]
    space = int(t.space)
    missing = tables_missing(m, space, target, 0)
    if not table_room(m, missing):
        return GROW
    if not secure(m, cpu, task, missing):
        return SHORT
    source = find_table(m, space, start, 0)
    leaf = make_table(m, cpu, space, target, 0)
    moved = 0
    for i in range(end - start):
        entry = ptep_get_and_clear(m, source, (start + i) & TABLE_MASK)
        if not pte_none(entry):
            set_pte(m, leaf, (target + i) & TABLE_MASK, entry)
            moved += 1
    flush_tlb_range(m, space, start, end)
    note(m, TABLE_ALLOC, missing)
    note(m, PROTECT_PTE, moved)
    return MORE
