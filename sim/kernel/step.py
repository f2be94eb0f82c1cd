"""One step of whatever operation a task is in, under the mmap lock as `sim.kernel.ops` says."""

from collections.abc import Mapping
from typing import Any

from sim.base.jit import compiled, rare
from sim.kernel.calls.areas import STAGE_POPULATE, brk_step, mmap_step
from sim.kernel.calls.collapse import collapse_step
from sim.kernel.calls.execve import exec_step, start_step
from sim.kernel.calls.lazyfree import free_step
from sim.kernel.calls.mlock import mlock_step
from sim.kernel.calls.mremap import STAGE_GROWN, mremap_step
from sim.kernel.calls.populate import madvise_populate_step
from sim.kernel.calls.protect import advise_step, mprotect_step
from sim.kernel.calls.swapoff import swapoff_step, swapon_step
from sim.kernel.calls.unmap import dontneed_step, unmap_step
from sim.kernel.chain import Step, chain
from sim.kernel.files.direct import direct_read_step, direct_write_step
from sim.kernel.files.fadvise import fadvise_step
from sim.kernel.files.fileio import file_read_step, file_write_step, fsync_step, msync_step
from sim.kernel.flush import tlb_finish_mmu
from sim.kernel.fork.fork import fork_step
from sim.kernel.fork.process import exit_step, reap_step, vfork_step
from sim.kernel.fork.shared_tables import ALL_PAGES, async_copy_step, own_range_step
from sim.kernel.lock import acquire, lock_wanted, release, release_areas, tell
from sim.kernel.ops import (
    AREA_LOCK,
    CHANGES,
    FIRST,
    NO_LOCK,
    OP_ACCESS,
    OP_ASYNC_COPY,
    OP_BRK,
    OP_COLLAPSE,
    OP_DIRECT_READ,
    OP_DIRECT_WRITE,
    OP_DONTNEED,
    OP_EXEC,
    OP_EXIT,
    OP_FADVISE,
    OP_FILE_READ,
    OP_FILE_WRITE,
    OP_FLUSH,
    OP_FORK,
    OP_FREE,
    OP_FSYNC,
    OP_KHUGEPAGED,
    OP_KSWAPD,
    OP_MADVISE,
    OP_MLOCK,
    OP_MMAP,
    OP_MPROTECT,
    OP_MREMAP,
    OP_MSYNC,
    OP_MUNMAP,
    OP_OOM_REAP,
    OP_POPULATE,
    OP_REAP,
    OP_START,
    OP_SWAPOFF,
    OP_SWAPON,
    OP_VFORK,
    READ_LOCK,
    THEN,
    WRITE_LOCK,
    Op,
)
from sim.kernel.reclaim.flusher import flush_step
from sim.kernel.reclaim.khugepaged import khugepaged_step
from sim.kernel.reclaim.kswapd import kswapd_step
from sim.kernel.reclaim.oom_reaper import oom_reap_step
from sim.kernel.stream import access_step
from sim.kernel.work import DONE, LOCKED, UNDER_WAY
from sim.machine.groups import act_for, settle_objects
from sim.machine.layout import NONE, Arrays
from sim.machine.rules.locks import R_ADVICE_LOCKS, R_UNMAP_SHARED

STEPS: Mapping[Op[Any], Step] = {
    OP_MUNMAP: unmap_step,
    OP_MMAP: mmap_step,
    OP_BRK: brk_step,
    OP_DONTNEED: dontneed_step,
    OP_FORK: fork_step,
    OP_EXIT: exit_step,
    OP_EXEC: exec_step,
    OP_START: start_step,
    OP_VFORK: vfork_step,
    OP_REAP: reap_step,
    OP_MPROTECT: mprotect_step,
    OP_MADVISE: advise_step,
    OP_POPULATE: madvise_populate_step,
    OP_MREMAP: mremap_step,
    OP_FREE: free_step,
    OP_MLOCK: mlock_step,
    OP_COLLAPSE: collapse_step,
    OP_KHUGEPAGED: khugepaged_step,
    OP_KSWAPD: kswapd_step,
    OP_FLUSH: flush_step,
    OP_ASYNC_COPY: async_copy_step,
    OP_FILE_READ: file_read_step,
    OP_FILE_WRITE: file_write_step,
    OP_FSYNC: fsync_step,
    OP_MSYNC: msync_step,
    OP_FADVISE: fadvise_step,
    OP_SWAPOFF: swapoff_step,
    OP_SWAPON: swapon_step,
    OP_OOM_REAP: oom_reap_step,
    OP_DIRECT_READ: direct_read_step,
    OP_DIRECT_WRITE: direct_write_step,
}
"""What does a step of each operation, those first that programs make most often.

Access streams and computing are carried out by the burst itself, for speed.
"""

take_step_of = chain("take_step_of", STEPS)
"""Do one step of operation `op`: ``take_step_of(m, cpu, task, op)``."""


@compiled
def range_of_call(m: Arrays, task: int) -> tuple[int, int]:
    """Return the pages that are there already and that the call under way may change."""
    t = m.tasks[task]
    o = m.operations[task]
    start = int(o.start)
    if o.op == OP_BRK:
        brk = int(m.spaces[int(t.space)].brk)
        return brk + min(int(o.pages), 0), brk
    if o.op in (OP_FORK, OP_MMAP):  # fork says how far it has come; a mapping is new
        return 0, 0
    return start, start + int(o.pages)


@compiled
def own_tables(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of getting back the leaf tables that the call under way may change."""
    start, end = range_of_call(m, task)
    if m.operations[task].op == OP_MREMAP:  # where it goes is not known yet
        start, end = 0, ALL_PAGES
    return own_range_step(m, cpu, task, start, end)


@compiled
def second_part(m: Arrays, task: int) -> bool:
    """Whether a call is through with areas, and fills pages or gives them back (`ops.Call`)."""
    o = m.operations[task]
    if o.op == OP_MREMAP:
        return bool(o.stage == STAGE_GROWN or (o.stage in (1, 2) and o.only_tail == 1))
    if o.op == OP_MLOCK:
        return bool(o.stage == STAGE_POPULATE)
    return bool(o.stage != 0)


@compiled
def unmaps(m: Arrays, task: int) -> bool:
    """Whether the second part of a call gives pages back, and not fills them."""
    o = m.operations[task]
    return bool(
        o.op == OP_MUNMAP
        or (o.op == OP_BRK and o.stage == 2)
        or (o.op == OP_MREMAP and o.stage != STAGE_GROWN)
    )


@compiled
def lock_mode(m: Arrays, task: int) -> int:
    """Return how the call under way holds the mmap lock now, by the rules of the release."""
    op = int(m.operations[task].op)
    rules = m.config[0].rules
    mode = FIRST[op]
    if mode == AREA_LOCK and rules & R_ADVICE_LOCKS == 0:
        return READ_LOCK
    if mode == WRITE_LOCK and THEN[op] == READ_LOCK and second_part(m, task):
        return READ_LOCK if rules & R_UNMAP_SHARED != 0 or not unmaps(m, task) else WRITE_LOCK
    return mode


@rare
def take_lock(m: Arrays, task: int, queued: bool) -> bool:
    """Take the mmap lock as the call under way needs it; False if others have it."""
    start, end = range_of_call(m, task)
    return acquire(m, task, lock_mode(m, task), start, end, queued)


@compiled
def waits_for_lock(m: Arrays, task: int) -> bool:
    """Whether a task that was refused waits for the whole mmap lock, not for one area."""
    o = m.operations[task]
    if o.op == OP_ACCESS:
        return False
    start, end = range_of_call(m, task)
    return lock_wanted(m, task, lock_mode(m, task), start, end) in (READ_LOCK, WRITE_LOCK)


@compiled
def call_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of a system call; under the mmap lock where others may want it.

    Those are threads that share the address space, and khugepaged.
    """
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    if space == NONE or (
        m.spaces[space].users == 1 and m.config[0].khugepaged == 0 and t.holds == NO_LOCK
    ):
        return dispatch(m, cpu, task)
    if o.op == OP_COLLAPSE and t.holds == WRITE_LOCK and m.spaces[space].lock_waiters > 0:
        release(m, task)  # and behind those who wait
        tell(m, space)
        return LOCKED
    if FIRST[int(o.op)] != NO_LOCK:
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
    """Do one step of a system call; first of all, get the leaf tables back that it may change."""
    o = m.operations[task]
    op = int(o.op)
    if CHANGES[op] and o.stage == 0 and m.spaces[int(m.tasks[task].space)].shared_tables > 0:
        status = own_tables(m, cpu, task)
        if status != DONE:
            return status
    status = take_step_of(m, cpu, task, op)
    settle_objects(m, cpu)
    return status


@compiled
def step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of the task's operation, and start a new receipt for it."""
    clock = m.clock[0]
    clock.lines = 0
    clock.kind = -1
    clock.reclaims = 0
    act_for(m, cpu, task)
    is_access = m.operations[task].op == OP_ACCESS
    status = access_step(m, cpu, task) if is_access else call_step(m, cpu, task)
    if status <= DONE:
        m.operations[task].attempts = 0
    if clock.kind != NONE:
        settle_objects(m, cpu)
    tlb_finish_mmu(m)
    return status
