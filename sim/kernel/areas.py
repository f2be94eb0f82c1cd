"""Calls that lay out an address space: mmap, brk."""

from sim.jit import compiled
from sim.kernel.fault import touch
from sim.kernel.overcommit import commit, may_commit
from sim.kernel.unmap import remove_areas, split_edges, zap_next
from sim.kernel.work import (
    BRK_CALL,
    DONE,
    EINVAL,
    ENOMEM,
    GROW,
    MMAP_CALL,
    MORE,
    note,
)
from sim.machine.areas import (
    area_room,
    find_area,
    find_gap,
    insert_area,
    is_free,
    merge_area,
)
from sim.machine.layout import A_ACCOUNT, A_HEAP, A_READ, A_WRITE, NONE, Arrays


@compiled
def populate_step(m: Arrays, cpu: int, task: int) -> int:
    """Give frames to the pages of a mapping at once, one page a step (MAP_POPULATE)."""
    t = m.tasks[task]
    if t.at >= t.pages:
        return DONE
    status = touch(m, cpu, task, int(t.start + t.at), 1)
    if status != DONE:
        return status
    m.clock[0].lines -= 1  # the program itself touches nothing: no ACCESS
    t.at += 1
    return MORE if t.at < t.pages else DONE


@compiled
def mmap_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of mmap of private anonymous memory.

    `start` NONE lets the kernel choose; `flags` are those of the area; `write` 1 populates it.
    The result is the first page, or NONE with `errno` set.
    """
    t = m.tasks[task]
    if t.stage == 1:
        return populate_step(m, cpu, task)
    space = int(t.space)
    t.result = NONE
    if t.pages <= 0:
        t.errno = EINVAL
        return DONE
    if not area_room(m, 1):
        return GROW
    note(m, MMAP_CALL, 1)
    if t.bits & A_ACCOUNT != 0 and not may_commit(m, space, int(t.pages)):
        t.errno = ENOMEM
        return DONE
    start = int(t.start)
    if start == NONE:
        start = find_gap(m, space, int(t.pages))
    elif not is_free(m, space, start, start + int(t.pages)):
        start = NONE
    if start == NONE:
        t.errno = ENOMEM
        return DONE
    merge_area(m, insert_area(m, space, start, start + int(t.pages), start, int(t.bits)))
    if t.bits & A_ACCOUNT != 0:
        commit(m, space, int(t.pages))
    t.start = start
    t.result = start
    t.at = 0
    t.stage = 1
    return MORE if t.write == 1 or m.pool[0].eager_zero == 1 else DONE


@compiled
def brk_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of brk: move the program break by `pages` (negative: give back).

    The result is the old break (growing) or the new one (shrinking), or NONE with `errno` set.
    """
    t = m.tasks[task]
    space = int(t.space)
    s = m.spaces[space]
    pages = int(t.pages)
    if t.stage == 1:
        return populate_step(m, cpu, task)
    if t.stage == 2:
        t.at = zap_next(m, cpu, space, int(t.at), int(t.start - pages))
        if t.at < t.start - pages:
            return MORE
        remove_areas(m, cpu, space, int(t.start), int(t.start - pages))
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
    if not may_commit(m, space, pages) or not is_free(m, space, brk, brk + pages):
        t.errno = ENOMEM
        t.result = NONE
        return DONE
    extend_heap(m, space, pages)
    t.start = brk
    t.at = 0
    t.stage = 1
    return MORE if m.pool[0].eager_zero == 1 else DONE


@compiled
def extend_heap(m: Arrays, space: int, pages: int) -> None:
    """Move the break up: the area of the heap that ends at it grows, or a new one begins there."""
    s = m.spaces[space]
    brk = int(s.brk)
    flags = A_READ | A_WRITE | A_ACCOUNT | A_HEAP
    last = find_area(m, space, brk - 1)
    if last != NONE and m.areas[last].end == brk and m.areas[last].bits == flags:
        m.areas[last].end = brk + pages
        s.pages += pages
        s.generation += 1
    else:
        last = insert_area(m, space, brk, brk + pages, brk, flags)
    s.heap = last
    s.brk = brk + pages
    commit(m, space, pages)
