"""The mmap lock, which matters where tasks share an address space: threads, and vfork's child.

How a call holds it is in one table, `sim.kernel.ops`.  Who changes areas holds it for writing; once
that is done, and pages are only filled or given back, the lock is kept for reading: others fault,
give pages back and populate meanwhile, and only who wants to change areas waits.  Whoever unmaps
keeps the range locked to the end.

Page faults take a lock of their area only (since Linux 6.4; on files since 6.7), so they wait where
a call has locked the areas: fork locks each area when it comes to it, and all stay locked to its
end; other calls lock their range.  A fault that grows a stack, or is the first write to an area,
waits for who holds the mmap lock for writing, or waits for it, all the same.  Before, every fault
did.  An access
that needs no fault waits for nobody.

Read in Linux 6.12 `include/linux/mm.h` (`vma_start_write`, `vma_start_read`), `kernel/fork.c`
(`dup_mmap`), and `mm/memory.c` (`lock_vma_under_rcu`).
"""

from sim.base.jit import compiled, rare
from sim.kernel.fault.pmd import huge_entry
from sim.kernel.fork.shared_tables import is_shared_table
from sim.kernel.ops import (
    AREA_LOCK,
    BLOCK_LOCK,
    NO_LOCK,
    OP_DONTNEED,
    OP_FREE,
    READ_LOCK,
    WRITE_LOCK,
)
from sim.machine.areas import find_area
from sim.machine.entries import pte_present
from sim.machine.layout import (
    A_SHARED,
    KIND_ANON,
    KIND_HUGETLB,
    NONE,
    PENDING_LOCKS,
    PTE_WRITE,
    TABLE_MASK,
    Arrays,
)
from sim.machine.rules.files import R_FILE_LOCKS
from sim.machine.rules.locks import R_AREA_LOCKS
from sim.machine.tables import find_table


@compiled
def lock_wanted(m: Arrays, task: int, mode: int, start: int, end: int) -> int:
    """Return what a call on [start, end) that holds the lock as `mode` says has yet to take."""
    t = m.tasks[task]
    if mode == AREA_LOCK and spans_areas(m, int(t.space), start, end):
        mode = READ_LOCK
    mode = WRITE_LOCK if mode == BLOCK_LOCK else mode
    return (
        NO_LOCK
        if t.holds == mode or (t.holds in (READ_LOCK, WRITE_LOCK) and mode == AREA_LOCK)
        else mode
    )


@compiled
def acquire(m: Arrays, task: int, mode: int, start: int, end: int, queued: bool) -> bool:
    """Take the mmap lock as `mode` says, for a call on [start, end); False if that must wait.

    Calls that want all of it are served in the order in which they came, `queued` ones first.  Who
    has it for writing and wants it for reading from now on lets others in.
    """
    t = m.tasks[task]
    s = m.spaces[int(t.space)]
    mode = lock_wanted(m, task, mode, start, end)
    if mode == NO_LOCK:
        return True
    if t.holds == WRITE_LOCK:
        s.locked_by = NONE
        s.readers += 1
        t.holds = READ_LOCK
        tell(m, int(t.space))
        return True
    if mode == AREA_LOCK:
        if s.areas_of != NONE and start < s.lock_end and end > s.lock_start:
            return False
        s.area_start = min(start, int(s.area_start)) if s.area_users > 0 else start
        s.area_end = max(end, int(s.area_end)) if s.area_users > 0 else end
        s.area_users += 1
        t.holds = AREA_LOCK
        return True
    if s.locked_by != NONE or (s.lock_waiters > 0 and not queued):
        return False
    if mode == READ_LOCK:
        s.readers += 1
        t.holds = READ_LOCK
        return True
    if s.readers > 0 or (s.area_users > 0 and start < s.area_end and end > s.area_start):
        return False
    lock_space(m, task, int(t.space), start, end)
    t.holds = WRITE_LOCK
    return True


@compiled
def spans_areas(m: Arrays, space: int, start: int, end: int) -> bool:
    """Whether [start, end) is not all in one area."""
    area = find_area(m, space, start)
    return bool(area == NONE or m.areas[area].start > start or m.areas[area].end < end)


@compiled
def may_lock(m: Arrays, space: int) -> bool:
    """Whether nobody holds the mmap lock of an address space in any way, or waits for it."""
    s = m.spaces[space]
    return bool(
        s.locked_by == NONE and s.readers == 0 and s.area_users == 0 and s.lock_waiters == 0
    )


@compiled
def lock_space(m: Arrays, task: int, space: int, start: int, end: int) -> None:
    """Take the mmap lock of an address space for writing, and the areas of [start, end) with it."""
    s = m.spaces[space]
    s.locked_by = task
    s.areas_of = task
    s.lock_start = start
    s.lock_end = end
    s.generation += 1  # every access of the others looks at the lock from now on


@compiled
def unlock_space(m: Arrays, task: int, space: int) -> None:
    """Give back what a task holds of an address space for writing, areas included."""
    s = m.spaces[space]
    if s.locked_by == task:
        s.locked_by = NONE
    if s.areas_of == task:
        s.areas_of = NONE


@compiled
def release(m: Arrays, task: int) -> None:
    """Give the mmap lock back, however the task has it."""
    t = m.tasks[task]
    space = int(t.space)
    if space == NONE or t.holds == NO_LOCK:
        return
    s = m.spaces[space]
    if t.holds == READ_LOCK:
        s.readers -= 1
    elif t.holds == AREA_LOCK:
        s.area_users -= 1
    t.holds = NO_LOCK
    unlock_space(m, task, space)


@compiled
def release_areas(m: Arrays, task: int) -> None:
    """Let faults into the range of a call that only fills pages from now on."""
    s = m.spaces[int(m.tasks[task].space)]
    if s.areas_of == task and s.locked_by != task:
        s.areas_of = NONE


@compiled
def tell(m: Arrays, space: int) -> None:
    """Have the engine look whether somebody who waits for the lock may have it now."""
    if m.spaces[space].lock_waiters + m.spaces[space].fault_waiters > 0:
        m.pool[0].pending |= PENDING_LOCKS


@compiled
def lock_up_to(m: Arrays, task: int, end: int) -> None:
    """Have fork, which goes from area to area, lock those below `end`."""
    s = m.spaces[int(m.tasks[task].space)]
    if s.areas_of == task:
        s.lock_end = max(s.lock_end, end)


@compiled
def needs_all(m: Arrays, space: int, vpn: int, write: int) -> bool:
    """Whether a fault needs the mmap lock for reading, whatever areas are locked.

    So it is where a stack grows, and where an area gets its anon_vma, which may be a neighbour's
    (Linux `__vmf_anon_prepare`); before Linux 6.7, in mappings of files; before 6.4, everywhere.
    """
    rules = m.config[0].rules
    if rules & R_AREA_LOCKS == 0:
        return True
    area = find_area(m, space, vpn)
    if area == NONE or m.areas[area].start > vpn:
        return True
    a = m.areas[area]
    if a.kind != KIND_ANON and rules & R_FILE_LOCKS == 0:
        return True
    takes_page = write == 1 or a.kind == KIND_HUGETLB
    return bool(takes_page and a.vm_flags & A_SHARED == 0 and a.anon_root == NONE)


@rare
def must_wait(m: Arrays, task: int, vpn: int, write: int) -> bool:
    """Whether an access would fault, and would have to wait for its area or for the mmap lock."""
    space = int(m.tasks[task].space)
    s = m.spaces[space]
    if s.areas_of == task or m.tasks[task].holds in (READ_LOCK, WRITE_LOCK):
        in_turn = True
    else:
        in_turn = s.locked_by == NONE and s.lock_waiters == 0
    in_range = s.areas_of not in (NONE, task) and vpn >= s.lock_start and vpn < s.lock_end
    if not in_range and (in_turn or not needs_all(m, space, vpn, write)):
        return False
    leaf = find_table(m, space, vpn, 0)
    if leaf == NONE:
        entry = huge_entry(m, space, vpn)
    else:
        entry = int(m.tables[leaf, vpn & TABLE_MASK])
        if write == 1 and s.shared_tables != 0 and is_shared_table(m, space, vpn):
            return True
    return bool(not pte_present(entry) or (write == 1 and entry & PTE_WRITE == 0))


@compiled
def may_retry(m: Arrays, task: int) -> bool:
    """Whether a fault, or a call on one area, that had to wait may go on."""
    t = m.tasks[task]
    o = m.operations[task]
    s = m.spaces[int(t.space)]
    if o.op in (OP_DONTNEED, OP_FREE):
        start = int(o.start)
        end = start + int(o.pages)
        return bool(s.areas_of == NONE or start >= s.lock_end or end <= s.lock_start)
    return not must_wait(m, task, int(o.fault_page), int(o.fault_write))
