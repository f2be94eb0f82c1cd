"""One step of whatever operation a task is in, and the access streams of programs."""

from typing import Final

from sim.jit import compiled, inlined
from sim.kernel.areas import brk_step, mmap_step
from sim.kernel.fault import access
from sim.kernel.process import exec_step, exit_step, fork_step, vfork_step
from sim.kernel.unmap import dontneed_step, unmap_step, zap_leaf
from sim.kernel.work import DONE, DRAW_HOT, DRAW_PAGE, MORE, WAIT_CALL, note
from sim.machine.draw import peek
from sim.machine.layout import Arrays

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
def call_step(m: Arrays, cpu: int, task: int) -> int:
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
    if op == OP_MMAP:
        return mmap_step(m, cpu, task)
    if op == OP_MUNMAP:
        return unmap_step(m, cpu, task)
    if op == OP_BRK:
        return brk_step(m, cpu, task)
    if op == OP_DONTNEED:
        return dontneed_step(m, cpu, task)
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
