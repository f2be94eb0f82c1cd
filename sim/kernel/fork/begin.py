"""How fork begins: what it may need and promises, the child's first frames, and its areas.

Read in Linux 6.12 `kernel/fork.c` (`copy_process`, `dup_mmap`), `mm/memory.c` (`vma_needs_copy`).
"""

from sim.base.jit import compiled
from sim.kernel.calls.unmap import committed_by
from sim.kernel.fork.shared_tables import (
    end_async_child,
)
from sim.kernel.fork.task import inherit, take_stack
from sim.kernel.lock import lock_up_to
from sim.kernel.overcommit import commit, promised
from sim.kernel.work import DONE, ENOMEM, GROW, MORE, SHORT, note
from sim.machine.areas import area_room, insert_area, link_anon_vma, map_file, new_space, space_room
from sim.machine.layout import (
    A_DONTFORK,
    A_LOCKED,
    A_RESV_OWNER,
    A_RESV_UNMAPPED,
    A_WIPEONFORK,
    FORK_ASYNC,
    FORK_EAGER,
    NONE,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.pool import reserve, secure, use_reserve
from sim.machine.tables import next_present, table_room
from sim.machine.work import (
    FORK_AREA,
    FORK_BASE,
)


@compiled
def needs_copy(m: Arrays, area: int) -> bool:
    """Whether fork copies the area's page tables: only where a page was ever written privately."""
    a = m.areas[area]
    return bool(a.anon_root != NONE and a.vm_flags & A_WIPEONFORK == 0)


@compiled
def fork_needs(m: Arrays, space: int) -> int:
    """Return the most frames that fork of `space` can take, without its kernel stack."""
    config = m.config[0]
    needs = 1
    if config.fork_kind == FORK_EAGER:
        needs += int(m.spaces[space].rss_anon)
    for level in range(3):
        span = 1 << (TABLE_SHIFT * (level + 1))
        last = NONE
        area = int(m.spaces[space].head)
        while area != NONE:
            a = m.areas[area]
            if a.vm_flags & A_DONTFORK == 0 and needs_copy(m, area):
                vpn = next_present(m, space, int(a.start), int(a.end), level)
                while vpn < a.end:
                    if vpn // span != last:
                        needs += 1
                        last = vpn // span
                    vpn = next_present(m, space, (vpn // span + 1) * span, int(a.end), level)
            area = int(a.next)
    return needs


@compiled
def begin_fork(m: Arrays, cpu: int, task: int) -> int:
    """Give the child its task's frames and an empty address space; promise what fork promises."""
    t = m.tasks[task]
    o = m.operations[task]
    config = m.config[0]
    space = int(t.space)
    s = m.spaces[space]
    if not space_room(m) or not table_room(m, 1):
        return GROW
    if config.overcommit != 1:
        total = 0
        area = int(s.head)
        while area != NONE:
            pages = committed_by(m, area)
            if m.areas[area].vm_flags & A_DONTFORK == 0 and pages > 0:
                total = total + pages if config.overcommit == 2 else pages
                if not promised(m, task, space, total):
                    o.errno = ENOMEM
                    o.result = NONE
                    note(m, FORK_BASE, 1)
                    return DONE
            area = int(m.areas[area].next)
    wanted = 1 + int(config.stack_frames)
    if config.queueing == 1 and t.reserved == 0:
        all_frames = fork_needs(m, space) + int(config.stack_frames)
        if not reserve(m, task, all_frames):
            return SHORT
    if not secure(m, cpu, task, wanted):
        return SHORT
    use_reserve(m, task, wanted)
    child = int(o.child)
    take_stack(m, cpu, child)
    inherit(m, task, child)
    new = new_space(m, cpu)
    m.tasks[child].space = new
    n = m.spaces[new]
    n.heap_start = s.heap_start
    n.brk = s.brk
    n.mmap_top = s.mmap_top
    n.thp_disabled = s.thp_disabled
    if config.fork_kind == FORK_ASYNC:
        end_async_child(m, space)  # a child forked before has all it is to have
        n.async_parent = space
        s.async_child = new
    o.area = s.head
    o.child_area = NONE
    o.stage = 1
    note(m, FORK_BASE, 1)
    return MORE


@compiled
def copy_area(m: Arrays, task: int) -> int:
    """Duplicate the area under way in the child's address space."""
    t = m.tasks[task]
    o = m.operations[task]
    if not area_room(m, 1):
        return GROW
    new = int(m.tasks[int(o.child)].space)
    a = m.areas[int(o.area)]
    flags = int(a.vm_flags) & ~(A_LOCKED | A_RESV_OWNER | A_RESV_UNMAPPED)
    copy = insert_area(m, new, int(a.start), int(a.end), int(a.offset), flags)
    map_file(m, copy, int(a.kind), int(a.file))
    m.areas[copy].swap_readahead = a.swap_readahead
    if needs_copy(m, int(o.area)):
        family = int(m.pool[0].next_anon_vma)
        link_anon_vma(m, copy, int(a.anon_root), family, int(a.inherited) + 1)
        m.pool[0].next_anon_vma += 1
    if m.spaces[int(t.space)].heap == o.area:
        m.spaces[new].heap = copy
    commit(m, new, committed_by(m, copy))
    o.child_area = copy
    o.at = a.start
    lock_up_to(m, task, int(a.end))
    note(m, FORK_AREA, 1)
    return MORE
