"""vfork and exit: address spaces borrowed, and dropped a leaf table a step.

Read in Linux 6.12 `kernel/fork.c`, `kernel/exit.c`.
"""

from sim.base.jit import compiled
from sim.kernel.calls.unmap import teardown_step
from sim.kernel.files.evict import evict_step, remove_vma
from sim.kernel.fork.shared_tables import end_async_parent
from sim.kernel.fork.task import drop_stack, inherit, take_stack
from sim.kernel.lock import release, tell
from sim.kernel.ops import NO_LOCK
from sim.kernel.work import DONE, MORE, SHORT, note, note_freed
from sim.machine.areas import free_space
from sim.machine.layout import NONE, VPN_BITS, Arrays
from sim.machine.pool import drop_reserve, secure
from sim.machine.swap import stop_swapoff
from sim.machine.tables import free_tables
from sim.machine.work import EXIT_BASE, FRAME_FREE, TABLE_FREE, UNMAP_AREA, VFORK_BASE, WAIT_CALL

ALL_PAGES = 1 << VPN_BITS


@compiled
def vfork_step(m: Arrays, cpu: int, task: int) -> int:
    """Start a child that borrows the address space."""
    t = m.tasks[task]
    o = m.operations[task]
    wanted = int(m.config[0].stack_frames)
    if not secure(m, cpu, task, wanted):
        return SHORT
    child = int(o.child)
    take_stack(m, cpu, child)
    inherit(m, task, child)
    m.tasks[child].space = t.space
    m.spaces[int(t.space)].users += 1
    note(m, VFORK_BASE, 1)
    return DONE


@compiled
def leave_space(m: Arrays, cpu: int, task: int, space: int) -> int:
    """Do one step of dropping an address space, or give back a borrowed one."""
    s = m.spaces[space]
    if s.users > 1:
        s.users -= 1
        m.pool[0].released += 1
        return DONE
    end_async_parent(m, space)
    if teardown_step(m, cpu, task, space) == MORE:
        return MORE
    note_freed(m, TABLE_FREE, free_tables(m, cpu, space, 0, ALL_PAGES, 0, ALL_PAGES))
    note(m, UNMAP_AREA, int(s.n_areas))
    while s.head != NONE:
        remove_vma(m, task, int(s.head))
    free_space(m, cpu, space)
    return DONE


@compiled
def reap_step(m: Arrays, cpu: int, task: int) -> int:
    """Reap a child that has ended, in one step."""
    note(m, WAIT_CALL, 1)
    return DONE


@compiled
def exit_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of exit: drop the address space (and one that exec was dropping), the stack."""
    t = m.tasks[task]
    o = m.operations[task]
    if o.stage == 0:
        drop_reserve(m, task)
        stop_swapoff(m, task)
        if t.holds != NO_LOCK:
            release(m, task)
            tell(m, int(t.space))
        o.at = 0
        o.stage = 1
        note(m, EXIT_BASE, 1)
        if t.space != NONE:
            return MORE
    if t.old_space != NONE:
        if leave_space(m, cpu, task, int(t.old_space)) == DONE:
            t.old_space = NONE
            o.at = 0
        return MORE
    if t.space != NONE:
        if leave_space(m, cpu, task, int(t.space)) == MORE:
            return MORE
        t.space = NONE
        if t.evict != NONE:
            return MORE
    if t.evict != NONE:
        evict_step(m, cpu, task)
        if t.evict != NONE:
            return MORE
    note_freed(m, FRAME_FREE, drop_stack(m, cpu, task))
    return DONE
