"""Calls that lay out an address space: mmap, brk."""

from sim.base.jit import compiled
from sim.kernel.calls.populate import AS_ALLOWED, populate_step
from sim.kernel.calls.unmap import remove_areas, split_edges, zap_next
from sim.kernel.files.evict import fill_step
from sim.kernel.hugetlb.areas import reserve_pages
from sim.kernel.overcommit import OVERCOMMIT_NEVER, commit, promised, refuse
from sim.kernel.work import BY_HUGETLB, BY_LIMIT, DONE, EINVAL, ENOMEM, GROW, MORE, note
from sim.machine.area_tree import resized
from sim.machine.areas import (
    area_room,
    find_area,
    insert_area,
    is_free,
    map_file,
    may_lie,
    merge_area,
    place,
)
from sim.machine.layout import (
    A_ACCOUNT,
    A_HEAP,
    A_NORESERVE,
    A_READ,
    A_SHARED,
    A_WRITE,
    KIND_ANON,
    KIND_FILE,
    KIND_HUGETLB,
    KIND_SHMEM,
    NONE,
    TABLE_MASK,
    Arrays,
)
from sim.machine.work import BRK_CALL, MMAP_CALL

STAGE_POPULATE = 1
"""The stage of mmap and brk in which pages get frames, one a step (`sim.kernel.step`)."""


@compiled
def mmap_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of mmap.

    `start` NONE lets the kernel choose; `map_flags` are the flags of the area; `map_kind`, `file`
    and `file_page` say what it maps; `populate` 1 populates it.  The result is the first
    page, or NONE with `errno` set.  Stage 2 brings a new file into the page cache,
    `STAGE_POPULATE` follows.
    """
    t = m.tasks[task]
    o = m.operations[task]
    if o.stage == STAGE_POPULATE:
        status = populate_step(m, cpu, task, AS_ALLOWED)
        o.errno = 0  # it is mapped, whether all of it could be populated or not
        return status
    if o.stage == 2:
        status = fill_step(m, cpu, task)
        if status != MORE or o.at < m.files[int(o.file)].pages:
            return status
        o.at = 0
        o.stage = STAGE_POPULATE
        return MORE if o.populate == 1 else DONE
    space = int(t.space)
    o.result = NONE
    if o.pages <= 0 or (o.map_kind == KIND_HUGETLB and o.pages & TABLE_MASK != 0):
        o.errno = EINVAL
        return DONE
    if not area_room(m, 1):
        return GROW
    note(m, MMAP_CALL, 1)
    promise_all_the_same(m, task)
    to_file = promised_to_file(m, task)
    wanted = to_file + (int(o.pages) if o.map_flags & A_ACCOUNT != 0 else 0)
    if wanted > 0 and not promised(m, task, space, wanted):
        o.errno = ENOMEM
        return DONE
    start = int(o.start)
    if start == NONE:
        start = place(m, space, int(o.pages), int(o.map_kind), int(o.map_flags), int(o.file_page))
    elif not may_lie(m, space, start, int(o.pages)):
        start = NONE
    if start == NONE:
        refuse(m, task, BY_LIMIT, int(o.pages))
        return DONE
    if o.map_kind == KIND_HUGETLB and not reserve_pages(m, task):
        refuse(m, task, BY_HUGETLB, int(o.pages))
        return DONE
    offset = start if o.map_kind == KIND_ANON else int(o.file_page)
    area = insert_area(m, space, start, start + int(o.pages), offset, int(o.map_flags))
    map_file(m, area, int(o.map_kind), int(o.file))
    merge_area(m, area)
    if to_file > 0:
        m.files[int(o.file)].committed = to_file
        m.pool[0].committed += to_file
    if o.map_flags & A_ACCOUNT != 0:
        commit(m, space, int(o.pages))
    o.start = start
    o.result = start
    o.at = 0
    if o.map_kind == KIND_FILE and m.files[int(o.file)].fills == 1:
        o.stage = 2
        return MORE
    o.stage = STAGE_POPULATE
    eager = m.config[0].eager_zero == 1 and o.map_kind == KIND_ANON
    return MORE if o.populate == 1 or eager else DONE


@compiled
def promise_all_the_same(m: Arrays, task: int) -> None:
    """Take MAP_NORESERVE from what is to be mapped, where nothing is overcommitted (`do_mmap`)."""
    o = m.operations[task]
    heeded = m.config[0].overcommit != OVERCOMMIT_NEVER or o.map_kind == KIND_HUGETLB
    if heeded or o.map_flags & A_NORESERVE == 0:
        return
    o.map_flags &= ~A_NORESERVE
    if o.map_flags & A_SHARED == 0:
        o.map_flags |= A_ACCOUNT


@compiled
def promised_to_file(m: Arrays, task: int) -> int:
    """Return what must be promised to new shared anonymous memory, as a whole and once."""
    o = m.operations[task]
    if o.map_kind != KIND_SHMEM or o.map_flags & A_NORESERVE != 0:
        return 0
    f = m.files[int(o.file)]
    return 0 if f.committed > 0 else int(f.pages)


@compiled
def brk_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of brk: move the program break by `pages` (negative: give back).

    The result is the old break (growing) or the new one (shrinking), or NONE with `errno` set.
    """
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    s = m.spaces[space]
    pages = int(o.pages)
    if o.stage == STAGE_POPULATE:
        return populate_step(m, cpu, task, AS_ALLOWED)
    if o.stage == 2:
        o.at = zap_next(m, cpu, space, int(o.at), int(o.start - pages))
        if o.at < o.start - pages:
            return MORE
        remove_areas(m, cpu, task, int(o.start), int(o.start - pages))
        return DONE
    o.result = NONE
    if not area_room(m, 2):
        return GROW
    note(m, BRK_CALL, 1)
    brk = int(s.brk)
    if pages < 0:
        lower = brk + pages
        area = find_area(m, space, lower)
        if lower < s.heap_start or area == NONE or m.areas[area].start >= brk:
            o.errno = EINVAL
            return DONE
        split_edges(m, space, lower, brk)
        s.brk = lower
        o.start = o.at = o.result = lower
        o.stage = 2
        return MORE
    o.result = brk
    if pages == 0:
        return DONE
    if not promised(m, task, space, pages):
        o.errno = ENOMEM
        o.result = NONE
        return DONE
    if not is_free(m, space, brk, brk + pages):
        refuse(m, task, BY_LIMIT, pages)
        o.result = NONE
        return DONE
    extend_heap(m, space, pages)
    o.start = brk
    o.at = 0
    o.stage = STAGE_POPULATE
    return MORE if m.config[0].eager_zero == 1 else DONE


@compiled
def extend_heap(m: Arrays, space: int, pages: int) -> None:
    """Move the break up: the area of the heap that ends at it grows, or a new one begins there.

    One whose anon_vma came from a parent does not grow.
    """
    s = m.spaces[space]
    brk = int(s.brk)
    flags = A_READ | A_WRITE | A_ACCOUNT | A_HEAP
    last = find_area(m, space, brk - 1)
    grows = last != NONE and m.areas[last].end == brk and m.areas[last].vm_flags == flags
    if grows and m.areas[last].inherited == 0:
        m.areas[last].end = brk + pages
        resized(m, last)
        s.pages += pages
        s.generation += 1
    else:
        last = insert_area(m, space, brk, brk + pages, brk, flags)
    s.heap = last
    s.brk = brk + pages
    commit(m, space, pages)
