"""The mmap lock, which matters where tasks share an address space: threads, and vfork's child.

Calls that change areas hold it for writing from their first step to their last; a task that makes
such a call meanwhile waits.  Page faults take a lock of their area only (since Linux 6.4), so they
wait where the call has locked the areas: fork locks each area when it comes to it, and all stay
locked to its end; other calls lock their range.  A fault that grows a stack, or is the first write
to an area, needs the mmap lock all the same.  Before, every fault waited for the whole call.
An access that needs no fault waits for nobody.

Read in Linux 6.12 `include/linux/mm.h` (`vma_start_write`, `vma_start_read`), `kernel/fork.c`
(`dup_mmap`), and `mm/memory.c` (`lock_vma_under_rcu`).
"""

from sim.jit import compiled
from sim.kernel.huge import huge_entry
from sim.kernel.lend import is_lent
from sim.machine.areas import find_area
from sim.machine.layout import A_SHARED, NONE, PTE_PRESENT, PTE_WRITE, TABLE_MASK, VPN_BITS, Arrays
from sim.machine.rules import R_AREA_LOCKS
from sim.machine.tables import find_table

ALL_PAGES = 1 << VPN_BITS


@compiled
def acquire(m: Arrays, task: int, start: int, end: int) -> bool:
    """Take the mmap lock for writing, and the areas of [start, end) with it; False if it is taken.

    Who has it already keeps it.
    """
    space = int(m.tasks[task].space)
    s = m.spaces[space]
    if s.locked_by == task:
        return True
    if s.locked_by != NONE:
        return False
    lock_space(m, task, space, start, end)
    return True


@compiled
def lock_space(m: Arrays, task: int, space: int, start: int, end: int) -> None:
    """Take the mmap lock of an address space, which nobody has, as `acquire` does."""
    s = m.spaces[space]
    s.locked_by = task
    whole = m.pool[0].rules & R_AREA_LOCKS == 0
    s.lock_start = 0 if whole else start
    s.lock_end = ALL_PAGES if whole else end
    s.generation += 1  # every access of the others looks at the lock from now on


@compiled
def release(m: Arrays, task: int) -> None:
    """Give the mmap lock back, if the task has it."""
    space = int(m.tasks[task].space)
    if space != NONE and m.spaces[space].locked_by == task:
        m.spaces[space].locked_by = NONE


@compiled
def lock_up_to(m: Arrays, task: int, end: int) -> None:
    """Have fork, which goes from area to area, lock those below `end`."""
    s = m.spaces[int(m.tasks[task].space)]
    if s.locked_by == task:
        s.lock_end = max(s.lock_end, end)


@compiled
def needs_all(m: Arrays, space: int, vpn: int, write: int) -> bool:
    """Whether a fault needs the mmap lock, whatever areas are locked.

    So it is where a stack grows, and where an area gets its family, which may be a neighbour's
    (Linux `__vmf_anon_prepare`).
    """
    area = find_area(m, space, vpn)
    if area == NONE or m.areas[area].start > vpn:
        return True
    a = m.areas[area]
    return bool(write == 1 and a.bits & A_SHARED == 0 and a.family == NONE)


@compiled
def must_wait(m: Arrays, task: int, vpn: int, write: int) -> bool:
    """Whether an access would fault where another task has locked the area."""
    space = int(m.tasks[task].space)
    s = m.spaces[space]
    if s.locked_by == task:
        return False
    if (vpn < s.lock_start or vpn >= s.lock_end) and not needs_all(m, space, vpn, write):
        return False
    leaf = find_table(m, space, vpn, 0)
    if leaf == NONE:
        entry = huge_entry(m, space, vpn)
    else:
        entry = int(m.tables[leaf, vpn & TABLE_MASK])
        if write == 1 and s.lent != 0 and is_lent(m, space, vpn):
            return True
    return bool(entry & PTE_PRESENT == 0 or (write == 1 and entry & PTE_WRITE == 0))
