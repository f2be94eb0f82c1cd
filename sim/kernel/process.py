"""vfork, exec and exit: address spaces borrowed, built, and dropped a leaf table a step.

Read in Linux 6.12 `kernel/fork.c`, `fs/exec.c` (`exec_mmap`), `kernel/exit.c`.
"""

from sim.jit import compiled
from sim.kernel.filemap import evict_step, release_file
from sim.kernel.lend import let_go
from sim.kernel.lock import release
from sim.kernel.overcommit import commit
from sim.kernel.pages import count_resident, family_of, fresh_page
from sim.kernel.task import drop_reserve, drop_stack, space_room, take_stack
from sim.kernel.unmap import teardown_step
from sim.kernel.work import (
    DONE,
    EXEC_BASE,
    EXIT_BASE,
    FRAME_FREE,
    GROW,
    MORE,
    SHORT,
    TABLE_FREE,
    UNMAP_AREA,
    VFORK_BASE,
    note,
)
from sim.machine.areas import (
    MMAP_TOP_VPN,
    STACK_TOP_VPN,
    TEXT_VPN,
    area_room,
    free_space,
    insert_area,
    new_space,
)
from sim.machine.frames import secure
from sim.machine.layout import (
    A_ACCOUNT,
    A_GROWSDOWN,
    A_READ,
    A_WRITE,
    NONE,
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_DIRTY,
    PTE_PRESENT,
    PTE_WRITE,
    TABLE_MASK,
    VPN_BITS,
    Arrays,
)
from sim.machine.tables import free_tables, make_table, table_room

ALL_PAGES = 1 << VPN_BITS


@compiled
def vfork_step(m: Arrays, cpu: int, task: int) -> int:
    """Start a child that borrows the address space."""
    t = m.tasks[task]
    wanted = int(m.pool[0].stack_frames)
    if not secure(m, cpu, task, wanted):
        t.need = wanted
        return SHORT
    child = int(t.other)
    take_stack(m, cpu, child)
    m.tasks[child].space = t.space
    m.spaces[int(t.space)].users += 1
    note(m, VFORK_BASE, 1)
    return DONE


@compiled
def build_image(m: Arrays, cpu: int, space: int, image: int, stack_limit: int) -> None:
    """Lay out a new program: `image` pages of data and bss, an empty heap, a stack of one page."""
    flags = A_READ | A_WRITE | A_ACCOUNT
    s = m.spaces[space]
    s.stack_limit = stack_limit
    s.mmap_top = MMAP_TOP_VPN
    if image > 0:
        insert_area(m, space, TEXT_VPN, TEXT_VPN + image, TEXT_VPN, flags)
    s.heap_start = TEXT_VPN + image
    s.brk = s.heap_start
    stack = insert_area(
        m, space, STACK_TOP_VPN - 33, STACK_TOP_VPN, STACK_TOP_VPN - 33, flags | A_GROWSDOWN
    )
    commit(m, space, image + 33)
    leaf = make_table(m, cpu, space, STACK_TOP_VPN - 1, 0)
    pfn = fresh_page(m, cpu, family_of(m, stack), STACK_TOP_VPN - 1)
    m.tables[leaf, (STACK_TOP_VPN - 1) & TABLE_MASK] = (
        (pfn << PFN_SHIFT) | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY
    )
    count_resident(m, space, 1)


@compiled
def exec_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of exec: build the new address space and commit, then drop the old one."""
    t = m.tasks[task]
    if t.stage == 0:
        if not space_room(m) or not table_room(m, 4) or not area_room(m, 2):
            return GROW
        wanted = 5 + (int(m.pool[0].stack_frames) if t.stack == NONE else 0)
        if not secure(m, cpu, task, wanted):
            t.need = wanted
            return SHORT
        if t.stack == NONE:
            take_stack(m, cpu, task)
        new = new_space(m, cpu)
        build_image(m, cpu, new, int(t.pages), int(t.count))
        t.old_space = t.space
        t.space = new
        t.at = 0
        t.stage = 1
        note(m, EXEC_BASE, 1)
        return MORE if t.old_space != NONE else DONE
    if t.old_space == NONE:
        evict_step(m, cpu, task)
    elif leave_space(m, cpu, task, int(t.old_space)) == MORE:
        return MORE
    t.old_space = NONE
    return MORE if t.evict != NONE else DONE


@compiled
def leave_space(m: Arrays, cpu: int, task: int, space: int) -> int:
    """Do one step of dropping an address space, or give back a borrowed one."""
    s = m.spaces[space]
    if s.users > 1:
        s.users -= 1
        m.pool[0].released += 1
        return DONE
    let_go(m, space)
    if teardown_step(m, cpu, task, space) == MORE:
        return MORE
    note(m, TABLE_FREE, free_tables(m, cpu, space, 0, ALL_PAGES, 0, ALL_PAGES))
    note(m, UNMAP_AREA, int(s.n_areas))
    area = int(s.first)
    while area != NONE:
        release_file(m, task, area)
        area = int(m.areas[area].next)
    free_space(m, cpu, space)
    return DONE


@compiled
def exit_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of exit: drop the address space (and one that exec was dropping), the stack."""
    t = m.tasks[task]
    if t.stage == 0:
        drop_reserve(m, task)
        release(m, task)
        t.at = 0
        t.stage = 1
        note(m, EXIT_BASE, 1)
        if t.space != NONE:
            return MORE
    if t.old_space != NONE:
        if leave_space(m, cpu, task, int(t.old_space)) == DONE:
            t.old_space = NONE
            t.at = 0
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
    note(m, FRAME_FREE, drop_stack(m, cpu, task))
    return DONE
