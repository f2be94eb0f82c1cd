"""Calls that lay out an address space: mmap, brk; and what the kernel promises (overcommit)."""

from sim.jit import compiled
from sim.kernel.fault import touch
from sim.kernel.unmap import remove_areas, zap_next
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
    find_gap,
    insert_area,
    is_free,
    merge_area,
    split_area,
)
from sim.machine.layout import A_ACCOUNT, A_HEAP, A_READ, A_WRITE, NONE, Arrays

OVERCOMMIT_GUESS = 0
OVERCOMMIT_ALWAYS = 1
OVERCOMMIT_NEVER = 2


@compiled
def may_commit(m: Arrays, pages: int) -> bool:
    """Whether the kernel promises `pages` more (Linux 6.12 `__vm_enough_memory`).

    Mode 0 refuses a single request larger than memory and swap together, mode 1 nothing, mode 2
    what would take `Committed_AS` above `CommitLimit`.
    """
    pool = m.pool[0]
    if pool.overcommit == OVERCOMMIT_ALWAYS:
        return True
    if pool.overcommit == OVERCOMMIT_GUESS:
        return bool(pages <= pool.total)
    return bool(pool.committed + pages <= pool.commit_limit)


@compiled
def commit(m: Arrays, space: int, pages: int) -> None:
    """Book a promise of `pages` (negative: take it back)."""
    m.spaces[space].committed += pages
    m.pool[0].committed += pages


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
    if t.bits & A_ACCOUNT != 0 and not may_commit(m, int(t.pages)):
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
    if not area_room(m, 1):
        return GROW
    note(m, BRK_CALL, 1)
    brk = int(s.brk)
    if pages < 0:
        if brk + pages < s.heap_start:
            t.errno = EINVAL
            return DONE
        s.brk = brk + pages
        heap = int(s.heap)
        if m.areas[heap].start < brk + pages:
            split_area(m, heap, brk + pages)
        t.start = brk + pages
        t.at = t.start
        t.result = t.start
        t.stage = 2
        return MORE
    t.result = brk
    if pages == 0:
        return DONE
    if not may_commit(m, pages) or not is_free(m, space, brk, brk + pages):
        t.errno = ENOMEM
        t.result = NONE
        return DONE
    if s.heap == NONE:
        flags = A_READ | A_WRITE | A_ACCOUNT | A_HEAP
        s.heap = insert_area(m, space, brk, brk + pages, brk, flags)
    else:
        m.areas[int(s.heap)].end += pages
        s.pages += pages
        s.generation += 1
    s.brk = brk + pages
    commit(m, space, pages)
    t.start = brk
    t.at = 0
    t.stage = 1
    return MORE if m.pool[0].eager_zero == 1 else DONE
