"""One step of whatever operation a task is in, and the access streams of programs."""

from typing import Final

from sim.jit import compiled, inlined
from sim.kernel.areas import STAGE_POPULATE, brk_step, mmap_step
from sim.kernel.fault import access
from sim.kernel.fork import fork_step
from sim.kernel.lend import adopt_step, is_lent, own_range_step, own_step
from sim.kernel.lock import acquire, release
from sim.kernel.process import exec_step, exit_step, vfork_step
from sim.kernel.protect import advise_step, mprotect_step
from sim.kernel.unmap import dontneed_step, unmap_step, zap_leaf
from sim.kernel.work import (
    DONE,
    DRAW_HOT,
    DRAW_PAGE,
    EINVAL,
    ENOMEM,
    LOCKED,
    MADVISE_CALL,
    MORE,
    WAIT_CALL,
    note,
)
from sim.machine.areas import find_area
from sim.machine.draw import peek
from sim.machine.layout import (
    A_READ,
    A_SHARED,
    A_WRITE,
    F_DIRTY,
    NONE,
    PFN_SHIFT,
    PTE_DIRTY,
    PTE_PRESENT,
    PTE_WRITE,
    TABLE_MASK,
    Arrays,
)
from sim.machine.tables import find_table

OP_NONE: Final = 0
OP_ACCESS: Final = 1
OP_COMPUTE: Final = 2
OP_MMAP: Final = 3
OP_MUNMAP: Final = 4
OP_BRK: Final = 5
OP_DONTNEED: Final = 6
OP_FORK: Final = 7
OP_VFORK: Final = 8
OP_EXEC: Final = 9
OP_EXIT: Final = 10
OP_REAP: Final = 11
OP_MPROTECT: Final = 12
OP_MADVISE: Final = 13
OP_POPULATE: Final = 14
OP_ADOPT: Final = 15
"""What an Async-fork leaves to the child: copying leaf tables."""

UNLOCKED: Final = (OP_VFORK, OP_EXEC, OP_EXIT, OP_REAP, OP_ADOPT, OP_COMPUTE)
"""Calls that do without the mmap lock of the address space they start in."""
READERS: Final = (OP_DONTNEED, OP_POPULATE)
"""Calls that hold it for reading only; the others may change areas."""

READ: Final = 0
WRITE: Final = 1
AS_ALLOWED: Final = 2

SEQUENTIAL: Final = 0
UNIFORM: Final = 1
HOT_COLD: Final = 2
LISTED: Final = 3


@inlined
def choose_page(m: Arrays, task: int) -> int:
    """Return the first page of the next access of the stream; a retry chooses the same.

    Random accesses of several pages go to aligned groups of that many.
    """
    t = m.tasks[task]
    span = int(t.span)
    if t.pattern == SEQUENTIAL:
        return int(t.start + t.at * span)
    if t.pattern == LISTED:
        return int(t.start + m.lists[int(t.pages_at + t.at)])
    groups = int(t.pages) // span
    first = 0
    if t.pattern == HOT_COLD:
        hot = int(t.hot_pages) // span
        if peek(m, task, DRAW_HOT) < t.hot_share:
            groups = hot
        else:
            first = hot
            groups -= hot
    return int(t.start) + (first + ((peek(m, task, DRAW_PAGE) * groups) >> 32)) * span


@inlined
def access_step(m: Arrays, cpu: int, task: int) -> int:
    """Touch the next page of the stream; an access of `span` pages is that many steps."""
    t = m.tasks[task]
    if t.within == 0:
        t.page = choose_page(m, task)
    vpn = int(t.page + t.within)
    if t.drop == 1 and m.spaces[int(t.space)].lent > 0:
        status = own_page(m, cpu, task, vpn)
        if status != DONE:
            return status
    status = access(m, cpu, task, vpn, int(t.write))
    if status != DONE:
        return status
    if t.drop == 1:
        zap_leaf(m, cpu, int(t.space), vpn, vpn + 1)
    if t.within == 0 and t.pattern != SEQUENTIAL:
        m.draws[task, DRAW_PAGE, 2] += 1
        m.draws[task, DRAW_HOT, 2] += 1
    t.within += 1
    if t.within < t.span:
        return MORE
    t.within = 0
    t.at += 1
    return MORE if t.at < t.count else DONE


@compiled
def populate_step(m: Arrays, cpu: int, task: int, mode: int) -> int:
    """Fault in the next page of a range, as MAP_POPULATE, MADV_POPULATE_READ and _WRITE do.

    `mode` is READ, WRITE, or AS_ALLOWED: write private memory that may be written, read the rest.
    Holes and pages that may not be accessed end it with an error.
    """
    t = m.tasks[task]
    if t.at >= t.pages:
        return DONE
    if t.op == OP_POPULATE and t.at == 0:
        note(m, MADVISE_CALL, 1)
    space = int(t.space)
    vpn = int(t.start + t.at)
    area = find_area(m, space, vpn)
    if area == NONE or m.areas[area].start > vpn:
        t.errno = ENOMEM
        return DONE
    bits = int(m.areas[area].bits)
    write = mode
    if mode == AS_ALLOWED:
        write = WRITE if bits & A_WRITE != 0 and bits & A_SHARED == 0 else READ
    if bits & (A_WRITE if write == WRITE else A_READ) == 0:
        t.errno = ENOMEM if mode == AS_ALLOWED else EINVAL
        return DONE
    if write == READ or not make_dirty(m, space, vpn):
        status = access(m, cpu, task, vpn, write)
        if status != DONE:
            return status
        m.clock[0].lines -= 1  # the program itself touches nothing: no ACCESS
    t.at += 1
    return MORE if t.at < t.pages else DONE


@compiled
def make_dirty(m: Arrays, space: int, vpn: int) -> bool:
    """Make a page dirty whose entry is writable and clean: only a program makes entries dirty.

    False if the page has no such entry.
    """
    leaf = find_table(m, space, vpn, 0)
    if leaf == NONE or (m.spaces[space].lent > 0 and is_lent(m, space, vpn)):
        return False
    entry = int(m.tables[leaf, vpn & TABLE_MASK])
    if entry & PTE_PRESENT == 0 or entry & PTE_WRITE == 0 or entry & PTE_DIRTY != 0:
        return False
    m.frames[entry >> PFN_SHIFT].bits |= F_DIRTY
    return True


@compiled
def own_page(m: Arrays, cpu: int, task: int, vpn: int) -> int:
    """Get the leaf table of `vpn` back, to remove an entry; SHORT or GROW if that cannot be."""
    space = int(m.tasks[task].space)
    if find_table(m, space, vpn, 0) == NONE or not is_lent(m, space, vpn):
        return DONE
    status = own_step(m, cpu, task, space, vpn, 1)
    return DONE if status == MORE else status


@compiled
def own_tables(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of getting back the leaf tables that the call under way may change."""
    t = m.tasks[task]
    if t.op in (OP_REAP, OP_POPULATE, OP_COMPUTE):
        return DONE
    start = int(t.start)
    pages = int(t.pages)
    if t.op == OP_BRK:
        start = int(m.spaces[int(t.space)].brk) + min(pages, 0)
        pages = abs(pages)
    elif start == NONE:  # a mapping where no other is
        return DONE
    return own_range_step(m, cpu, task, start, start + pages)


@compiled
def may_go_on(m: Arrays, task: int) -> bool:
    """Take the mmap lock if the call under way needs it; False if another task has it."""
    t = m.tasks[task]
    op = int(t.op)
    s = m.spaces[int(t.space)]
    if op in UNLOCKED or (op == OP_MMAP and t.stage == STAGE_POPULATE):
        return True
    if op in READERS:
        return bool(s.locked_by in (NONE, task))
    start = 0
    end = 0
    if op == OP_BRK:
        start = int(s.brk) + min(int(t.pages), 0)
        end = int(s.brk)
    elif op not in (OP_FORK, OP_MMAP):
        start = int(t.start)
        end = start + int(t.pages)
    return acquire(m, task, start, end)


@compiled
def call_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of a system call; where threads share the address space, under the mmap lock."""
    space = int(m.tasks[task].space)
    if space == NONE or m.spaces[space].users == 1:
        return dispatch(m, cpu, task)
    if not may_go_on(m, task):
        return LOCKED
    status = dispatch(m, cpu, task)
    if status == DONE:
        release(m, task)
    return status


@compiled
def dispatch(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of a system call."""
    t = m.tasks[task]
    op = int(t.op)
    if op == OP_FORK:
        return fork_step(m, cpu, task)
    if op == OP_EXIT:
        return exit_step(m, cpu, task)
    if op == OP_EXEC:
        return exec_step(m, cpu, task)
    if op == OP_VFORK:
        return vfork_step(m, cpu, task)
    if op == OP_ADOPT:
        return adopt_step(m, cpu, task)
    if t.stage == 0 and t.space != NONE and m.spaces[int(t.space)].lent > 0:
        status = own_tables(m, cpu, task)
        if status != DONE:
            return status
    if op in (OP_MMAP, OP_BRK) and t.stage == STAGE_POPULATE:
        return populate_step(m, cpu, task, AS_ALLOWED)
    if op == OP_POPULATE:
        return populate_step(m, cpu, task, int(t.write))
    if op == OP_MMAP:
        return mmap_step(m, cpu, task)
    if op == OP_MUNMAP:
        return unmap_step(m, cpu, task)
    if op == OP_BRK:
        return brk_step(m, cpu, task)
    if op == OP_DONTNEED:
        return dontneed_step(m, cpu, task)
    if op == OP_MPROTECT:
        return mprotect_step(m, cpu, task)
    if op == OP_MADVISE:
        return advise_step(m, cpu, task)
    if op == OP_REAP:
        note(m, WAIT_CALL, 1)
    return DONE


@compiled
def step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of the task's operation, and start a new receipt for it."""
    clock = m.clock[0]
    clock.lines = 0
    clock.kind = -1
    if m.tasks[task].op == OP_ACCESS:
        return access_step(m, cpu, task)
    return call_step(m, cpu, task)
