"""One step of whatever operation a task is in, and the access streams of programs."""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.kernel.calls.areas import STAGE_POPULATE, brk_step, mmap_step
from sim.kernel.calls.collapse import collapse_step
from sim.kernel.calls.execve import exec_step, start_step
from sim.kernel.calls.lazyfree import free_step
from sim.kernel.calls.mlock import mlock_step
from sim.kernel.calls.mremap import STAGE_GROWN, mremap_step
from sim.kernel.calls.populate import AS_ALLOWED, populate_step
from sim.kernel.calls.populate import READ as READ
from sim.kernel.calls.populate import WRITE as WRITE
from sim.kernel.calls.protect import advise_step, mprotect_step
from sim.kernel.calls.unmap import dontneed_step, unmap_step, zap_leaf
from sim.kernel.fault.fault import access
from sim.kernel.files.fadvise import fadvise_step
from sim.kernel.files.fileio import file_read_step, file_write_step, fsync_step, msync_step
from sim.kernel.fork.fork import fork_step
from sim.kernel.fork.lend import ALL_PAGES, adopt_step, is_lent, own_range_step, own_step
from sim.kernel.fork.process import exit_step, vfork_step
from sim.kernel.lock import acquire, lock_wanted, release, release_areas, tell
from sim.kernel.ops import AREA_LOCK, FIRST, NO_LOCK, READ_LOCK, THEN, WRITE_LOCK
from sim.kernel.ops import OP_ACCESS as OP_ACCESS
from sim.kernel.ops import OP_ADOPT as OP_ADOPT
from sim.kernel.ops import OP_BRK as OP_BRK
from sim.kernel.ops import OP_COLLAPSE as OP_COLLAPSE
from sim.kernel.ops import OP_COMPUTE as OP_COMPUTE
from sim.kernel.ops import OP_DONTNEED as OP_DONTNEED
from sim.kernel.ops import OP_EXEC as OP_EXEC
from sim.kernel.ops import OP_EXIT as OP_EXIT
from sim.kernel.ops import OP_FADVISE as OP_FADVISE
from sim.kernel.ops import OP_FILE_READ as OP_FILE_READ
from sim.kernel.ops import OP_FILE_WRITE as OP_FILE_WRITE
from sim.kernel.ops import OP_FORK as OP_FORK
from sim.kernel.ops import OP_FREE as OP_FREE
from sim.kernel.ops import OP_FSYNC as OP_FSYNC
from sim.kernel.ops import OP_KHUGEPAGED as OP_KHUGEPAGED
from sim.kernel.ops import OP_MADVISE as OP_MADVISE
from sim.kernel.ops import OP_MLOCK as OP_MLOCK
from sim.kernel.ops import OP_MMAP as OP_MMAP
from sim.kernel.ops import OP_MPROTECT as OP_MPROTECT
from sim.kernel.ops import OP_MREMAP as OP_MREMAP
from sim.kernel.ops import OP_MSYNC as OP_MSYNC
from sim.kernel.ops import OP_MUNMAP as OP_MUNMAP
from sim.kernel.ops import OP_NONE as OP_NONE
from sim.kernel.ops import OP_POPULATE as OP_POPULATE
from sim.kernel.ops import OP_REAP as OP_REAP
from sim.kernel.ops import OP_START as OP_START
from sim.kernel.ops import OP_VFORK as OP_VFORK
from sim.kernel.reclaim.khugepaged import khugepaged_step
from sim.kernel.work import DONE, LOCKED, MORE, UNDER_WAY, note
from sim.machine.draw import peek
from sim.machine.layout import NONE, PFN_SHIFT, TABLE_MASK, Arrays
from sim.machine.native import prefetch
from sim.machine.rules import R_ADVICE_LOCKS, R_UNMAP_SHARED
from sim.machine.tables import find_table
from sim.machine.work import DRAW_HOT, DRAW_PAGE, MADVISE_CALL, WAIT_CALL

ENTRY_CALLS: Final = (OP_MUNMAP, OP_BRK, OP_DONTNEED, OP_MPROTECT, OP_MREMAP, OP_FREE, OP_COLLAPSE)
"""Calls that change entries which are there; new ones come by faults."""

SEQUENTIAL: Final = 0
UNIFORM: Final = 1
HOT_COLD: Final = 2
LISTED: Final = 3


@inlined
def choose_page(m: Arrays, task: int, ahead: int) -> int:
    """Return the first page of the next access of the stream, or of one `ahead` behind it.

    A retry chooses the same.  Random accesses of several pages go to aligned groups of that many.
    """
    t = m.tasks[task]
    span = int(t.span)
    if t.pattern == SEQUENTIAL:
        return int(t.start + (t.at + ahead) * span)
    if t.pattern == LISTED:
        return int(t.start + m.lists[int(t.pages_at + t.at) + ahead])
    groups = int(t.pages) // span
    first = 0
    if t.pattern == HOT_COLD:
        hot = int(t.hot_groups)
        if peek(m, task, DRAW_HOT, ahead) < t.hot_share:
            groups = hot
        else:
            first = hot
            groups -= hot
    return int(t.start) + (first + ((peek(m, task, DRAW_PAGE, ahead) * groups) >> 32)) * span


@compiled
def look_ahead(m: Arrays, task: int) -> None:
    """Fetch what the next accesses of a random stream need: an entry for one, a frame for another.

    A random write waits for main memory again and again; this overlaps the waiting.
    """
    space = int(m.tasks[task].space)
    vpn = choose_page(m, task, 2)
    leaf = find_table(m, space, vpn, 0)
    if leaf != NONE:
        prefetch(m.tables, (leaf, vpn & TABLE_MASK))
    vpn = choose_page(m, task, 1)
    leaf = find_table(m, space, vpn, 0)
    if leaf != NONE:
        prefetch(m.frames, int(m.tables[leaf, vpn & TABLE_MASK]) >> PFN_SHIFT)


@inlined
def access_step(m: Arrays, cpu: int, task: int) -> int:
    """Touch the next page of the stream; an access of `span` pages is that many steps."""
    t = m.tasks[task]
    if t.within == 0:
        t.page = choose_page(m, task, 0)
    vpn = int(t.page + t.within)
    if t.pattern != SEQUENTIAL and t.within == 0 and t.at + 2 < t.count:
        look_ahead(m, task)
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
def own_page(m: Arrays, cpu: int, task: int, vpn: int) -> int:
    """Get the leaf table of `vpn` back, to remove an entry; SHORT or GROW if that cannot be."""
    space = int(m.tasks[task].space)
    if find_table(m, space, vpn, 0) == NONE or not is_lent(m, space, vpn):
        return DONE
    status = own_step(m, cpu, task, space, vpn, 1)
    return DONE if status == MORE else status


@compiled
def range_of_call(m: Arrays, task: int) -> tuple[int, int]:
    """Return the pages that are there already and that the call under way may change."""
    t = m.tasks[task]
    start = int(t.start)
    if t.op == OP_BRK:
        brk = int(m.spaces[int(t.space)].brk)
        return brk + min(int(t.pages), 0), brk
    if t.op in (OP_FORK, OP_MMAP):  # fork says how far it has come; a mapping is new
        return 0, 0
    return start, start + int(t.pages)


@compiled
def own_tables(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of getting back the leaf tables that the call under way may change."""
    start, end = range_of_call(m, task)
    if m.tasks[task].op == OP_MREMAP:  # where it goes is not known yet
        start, end = 0, ALL_PAGES
    return own_range_step(m, cpu, task, start, end)


@compiled
def second_part(m: Arrays, task: int) -> bool:
    """Whether a call is through with areas, and fills pages or gives them back (`ops.Call`)."""
    t = m.tasks[task]
    if t.op == OP_MREMAP:
        return bool(t.stage == STAGE_GROWN or (t.stage in (1, 2) and t.within == 1))
    if t.op == OP_MLOCK:
        return bool(t.stage == STAGE_POPULATE)
    return bool(t.stage != 0)


@compiled
def unmaps(m: Arrays, task: int) -> bool:
    """Whether the second part of a call gives pages back, and not fills them."""
    t = m.tasks[task]
    return bool(
        t.op == OP_MUNMAP
        or (t.op == OP_BRK and t.stage == 2)
        or (t.op == OP_MREMAP and t.stage != STAGE_GROWN)
    )


@compiled
def lock_mode(m: Arrays, task: int) -> int:
    """Return how the call under way holds the mmap lock now, by the rules of the release."""
    op = int(m.tasks[task].op)
    rules = m.config[0].rules
    mode = FIRST[op]
    if mode == AREA_LOCK and rules & R_ADVICE_LOCKS == 0:
        return READ_LOCK
    if mode == WRITE_LOCK and THEN[op] == READ_LOCK and second_part(m, task):
        return READ_LOCK if rules & R_UNMAP_SHARED != 0 or not unmaps(m, task) else WRITE_LOCK
    return mode


@compiled
def take_lock(m: Arrays, task: int, queued: bool) -> bool:
    """Take the mmap lock as the call under way needs it; False if others have it."""
    start, end = range_of_call(m, task)
    return acquire(m, task, lock_mode(m, task), start, end, queued)


@compiled
def waits_for_lock(m: Arrays, task: int) -> bool:
    """Whether a task that was refused waits for the whole mmap lock, not for one area."""
    t = m.tasks[task]
    if t.op == OP_ACCESS:
        return False
    start, end = range_of_call(m, task)
    return lock_wanted(m, task, lock_mode(m, task), start, end) in (READ_LOCK, WRITE_LOCK)


@compiled
def call_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of a system call; under the mmap lock where others may want it.

    Those are threads that share the address space, and khugepaged.
    """
    t = m.tasks[task]
    space = int(t.space)
    if space == NONE or (
        m.spaces[space].users == 1 and m.config[0].khugepaged == 0 and t.holds == NO_LOCK
    ):
        return dispatch(m, cpu, task)
    if t.op == OP_COLLAPSE and t.holds == WRITE_LOCK and m.spaces[space].lock_waiters > 0:
        release(m, task)  # and behind those who wait
        tell(m, space)
        return LOCKED
    if FIRST[int(t.op)] != NO_LOCK:
        if not take_lock(m, task, False):
            return LOCKED
        if t.holds == READ_LOCK and not unmaps(m, task):
            release_areas(m, task)
    status = dispatch(m, cpu, task)
    if status == DONE or (status == UNDER_WAY and t.holds == READ_LOCK):
        release(m, task)
        if status == UNDER_WAY:
            tell(m, space)
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
    if op == OP_START:
        return start_step(m, cpu, task)
    if op == OP_VFORK:
        return vfork_step(m, cpu, task)
    if op == OP_ADOPT:
        return adopt_step(m, cpu, task)
    if op in ENTRY_CALLS and t.stage == 0 and m.spaces[int(t.space)].lent > 0:
        status = own_tables(m, cpu, task)
        if status != DONE:
            return status
    if op in (OP_MMAP, OP_BRK, OP_MLOCK) and t.stage == STAGE_POPULATE:
        return populate_step(m, cpu, task, AS_ALLOWED)
    if op == OP_POPULATE:
        if t.at == 0:
            note(m, MADVISE_CALL, 1)
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
    return further_call_step(m, cpu, task, op)


@compiled
def further_call_step(m: Arrays, cpu: int, task: int, op: int) -> int:
    """Do one step of a system call that programs make less often."""
    t = m.tasks[task]
    if op == OP_MLOCK:
        return mlock_step(m, cpu, task)
    if op == OP_MREMAP:
        if t.stage == STAGE_GROWN:
            status = populate_step(m, cpu, task, AS_ALLOWED)
            t.errno = 0  # it has grown, whether its pages may be touched or not
            return status
        return mremap_step(m, cpu, task)
    if op == OP_FREE:
        return free_step(m, cpu, task)
    if op == OP_COLLAPSE:
        return collapse_step(m, cpu, task)
    if op == OP_KHUGEPAGED:
        return khugepaged_step(m, cpu, task)
    if op == OP_MSYNC:
        return msync_step(m, cpu, task)
    if op == OP_FSYNC:
        return fsync_step(m, cpu, task)
    if op == OP_FILE_READ:
        return file_read_step(m, cpu, task)
    if op == OP_FILE_WRITE:
        return file_write_step(m, cpu, task)
    if op == OP_FADVISE:
        return fadvise_step(m, cpu, task)
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
