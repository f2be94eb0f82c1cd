"""Calls that lay out an address space: mmap, brk."""

from sim.base.jit import compiled
from sim.kernel.calls.unmap import remove_areas, split_edges, zap_next
from sim.kernel.fault.filemap import fill_step
from sim.kernel.overcommit import commit, promised, refuse
from sim.kernel.work import BY_LIMIT, DONE, EINVAL, ENOMEM, GROW, MORE, note
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
    A_WRITE,
    KIND_ANON,
    KIND_FILE,
    KIND_SHMEM,
    NONE,
    Arrays,
)
from sim.machine.work import BRK_CALL, MMAP_CALL

STAGE_POPULATE = 1
"""The stage of mmap and brk in which pages get frames, one a step (`sim.kernel.step`)."""


@compiled
def mmap_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of mmap.

    `start` NONE lets the kernel choose; `bits` are the flags of the area; `kind`, `file` and
    `index` say what it maps; `write` 1 populates it.  The result is the first page, or NONE with
    `errno` set.  Stage 2 brings a new file into the page cache, `STAGE_POPULATE` follows.
    """
    t = m.tasks[task]
    if t.stage == 2:
        status = fill_step(m, cpu, task)
        if status != MORE or t.at < m.files[int(t.file)].pages:
            return status
        t.at = 0
        t.stage = STAGE_POPULATE
        return MORE if t.write == 1 else DONE
    space = int(t.space)
    t.result = NONE
    if t.pages <= 0:
        t.errno = EINVAL
        return DONE
    if not area_room(m, 1):
        return GROW
    note(m, MMAP_CALL, 1)
    to_file = promised_to_file(m, task)
    wanted = to_file + (int(t.pages) if t.bits & A_ACCOUNT != 0 else 0)
    if wanted > 0 and not promised(m, task, space, wanted):
        t.errno = ENOMEM
        return DONE
    start = int(t.start)
    if start == NONE:
        start = place(m, space, int(t.pages), int(t.kind), int(t.bits), int(t.index))
    elif not may_lie(m, space, start, int(t.pages)):
        start = NONE
    if start == NONE:
        refuse(m, task, BY_LIMIT, int(t.pages))
        return DONE
    offset = start if t.kind == KIND_ANON else int(t.index)
    area = insert_area(m, space, start, start + int(t.pages), offset, int(t.bits))
    map_file(m, area, int(t.kind), int(t.file))
    merge_area(m, area)
    if to_file > 0:
        m.files[int(t.file)].committed = to_file
        m.pool[0].committed += to_file
    if t.bits & A_ACCOUNT != 0:
        commit(m, space, int(t.pages))
    t.start = start
    t.result = start
    t.at = 0
    if t.kind == KIND_FILE and m.files[int(t.file)].fills == 1:
        t.stage = 2
        return MORE
    t.stage = STAGE_POPULATE
    return MORE if t.write == 1 or (m.config[0].eager_zero == 1 and t.kind == KIND_ANON) else DONE


@compiled
def promised_to_file(m: Arrays, task: int) -> int:
    """Return what must be promised to new shared anonymous memory, as a whole and once."""
    t = m.tasks[task]
    if t.kind != KIND_SHMEM or t.bits & A_NORESERVE != 0 or m.files[int(t.file)].committed > 0:
        return 0
    return int(m.files[int(t.file)].pages)


@compiled
def brk_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of brk: move the program break by `pages` (negative: give back).

    The result is the old break (growing) or the new one (shrinking), or NONE with `errno` set.
    """
    t = m.tasks[task]
    space = int(t.space)
    s = m.spaces[space]
    pages = int(t.pages)
    if t.stage == 2:
        t.at = zap_next(m, cpu, space, int(t.at), int(t.start - pages))
        if t.at < t.start - pages:
            return MORE
        remove_areas(m, cpu, task, int(t.start), int(t.start - pages))
        return DONE
    t.result = NONE
    if not area_room(m, 2):
        return GROW
    note(m, BRK_CALL, 1)
    brk = int(s.brk)
    if pages < 0:
        lower = brk + pages
        area = find_area(m, space, lower)
        if lower < s.heap_start or area == NONE or m.areas[area].start >= brk:
            t.errno = EINVAL
            return DONE
        split_edges(m, space, lower, brk)
        s.brk = lower
        t.start = t.at = t.result = lower
        t.stage = 2
        return MORE
    t.result = brk
    if pages == 0:
        return DONE
    if not promised(m, task, space, pages):
        t.errno = ENOMEM
        t.result = NONE
        return DONE
    if not is_free(m, space, brk, brk + pages):
        refuse(m, task, BY_LIMIT, pages)
        t.result = NONE
        return DONE
    extend_heap(m, space, pages)
    t.start = brk
    t.at = 0
    t.stage = STAGE_POPULATE
    return MORE if m.config[0].eager_zero == 1 else DONE


@compiled
def extend_heap(m: Arrays, space: int, pages: int) -> None:
    """Move the break up: the area of the heap that ends at it grows, or a new one begins there.

    One whose family came from a parent does not grow.
    """
    s = m.spaces[space]
    brk = int(s.brk)
    flags = A_READ | A_WRITE | A_ACCOUNT | A_HEAP
    last = find_area(m, space, brk - 1)
    grows = last != NONE and m.areas[last].end == brk and m.areas[last].bits == flags
    if grows and m.areas[last].inherited == 0:
        m.areas[last].end = brk + pages
        s.pages += pages
        s.generation += 1
    else:
        last = insert_area(m, space, brk, brk + pages, brk, flags)
    s.heap = last
    s.brk = brk + pages
    commit(m, space, pages)
