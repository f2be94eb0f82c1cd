"""fork, vfork, exec and exit, one leaf table's worth a step.

Read in Linux 6.12 `kernel/fork.c` (`dup_mmap`), `mm/memory.c` (`copy_page_range`,
`vma_needs_copy`), `fs/exec.c` (`exec_mmap`), `kernel/exit.c`.
"""

from sim.jit import compiled
from sim.kernel.filemap import count_cached, evict_step, release_file
from sim.kernel.huge import copy_huge, split_huge
from sim.kernel.overcommit import commit, may_commit
from sim.kernel.pages import count_resident, family_of, fresh_page, join_twins
from sim.kernel.unmap import committed_by, teardown_step
from sim.kernel.work import (
    DONE,
    ENOMEM,
    EXEC_BASE,
    EXIT_BASE,
    FORK_AREA,
    FORK_BASE,
    FORK_EAGER_COPY,
    FORK_FLUSH,
    FORK_FOLIO,
    FORK_PTE,
    FORK_TABLE,
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
    map_file,
    new_space,
)
from sim.machine.frames import drain_all, give_back, secure, take
from sim.machine.layout import (
    A_ACCOUNT,
    A_DONTFORK,
    A_GROWSDOWN,
    A_LOCKED,
    A_READ,
    A_WIPEONFORK,
    A_WRITE,
    F_EXCLUSIVE,
    F_FILE,
    F_STACK,
    KIND_ANON,
    NONE,
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_DIRTY,
    PTE_PRESENT,
    PTE_WRITE,
    PTE_ZERO,
    TABLE_MASK,
    TABLE_SHIFT,
    VPN_BITS,
    Arrays,
)
from sim.machine.tables import (
    find_table,
    free_tables,
    make_table,
    next_present,
    table_room,
    tables_missing,
)

ALL_PAGES = 1 << VPN_BITS
SPACE_ROOM = 1
AGAIN = -4
"""The step was carried out; what it stands at comes again."""


@compiled
def space_room(m: Arrays) -> bool:
    """Whether the array has a free slot for one more address space."""
    return bool(m.pool[0].used_spaces + SPACE_ROOM <= m.pool[0].room_spaces)


@compiled
def take_stack(m: Arrays, cpu: int, task: int) -> None:
    """Give a task its kernel stack; the frames must be secured."""
    pool = m.pool[0]
    head = NONE
    for _ in range(int(pool.stack_frames)):
        pfn = take(m, cpu)
        frame = m.frames[pfn]
        frame.bits = F_STACK
        frame.refs = 1
        frame.next = head
        head = pfn
    m.tasks[task].stack = head
    pool.stack += pool.stack_frames


@compiled
def drop_stack(m: Arrays, cpu: int, task: int) -> int:
    """Free the kernel stack of a task that has ended; return its frames."""
    pfn = int(m.tasks[task].stack)
    freed = 0
    while pfn != NONE:
        after = int(m.frames[pfn].next)
        m.frames[pfn].refs = 0
        give_back(m, cpu, pfn)
        pfn = after
        freed += 1
    m.tasks[task].stack = NONE
    m.pool[0].stack -= freed
    return freed


@compiled
def needs_copy(m: Arrays, area: int) -> bool:
    """Whether fork copies the area's page tables: only where a page was ever written privately."""
    a = m.areas[area]
    return bool(a.family != NONE and a.bits & A_WIPEONFORK == 0)


@compiled
def fork_needs(m: Arrays, space: int) -> int:
    """Return the most frames that fork of `space` can take, without its kernel stack."""
    pool = m.pool[0]
    needs = 1
    if pool.eager_fork == 1:
        needs += int(m.spaces[space].rss_anon)
    for level in range(3):
        span = 1 << (TABLE_SHIFT * (level + 1))
        last = NONE
        area = int(m.spaces[space].first)
        while area != NONE:
            a = m.areas[area]
            if a.bits & A_DONTFORK == 0 and needs_copy(m, area):
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
    pool = m.pool[0]
    space = int(t.space)
    s = m.spaces[space]
    if not space_room(m) or not table_room(m, 1):
        return GROW
    if pool.overcommit != 1:
        total = 0
        area = int(s.first)
        while area != NONE:
            pages = committed_by(m, area)
            if m.areas[area].bits & A_DONTFORK == 0 and pages > 0:
                total = total + pages if pool.overcommit == 2 else pages
                if not may_commit(m, space, total):
                    t.errno = ENOMEM
                    t.result = NONE
                    note(m, FORK_BASE, 1)
                    return DONE
            area = int(m.areas[area].next)
    wanted = 1 + int(pool.stack_frames)
    if pool.queueing == 1 and t.reserved == 0:
        all_frames = fork_needs(m, space) + int(pool.stack_frames)
        if pool.queue != 0 and pool.head != task:
            t.need = all_frames
            return SHORT
        drain_all(m)
        if spare_frames(m) - pool.reserved < all_frames:
            t.need = all_frames
            return SHORT
        t.reserved = all_frames
        pool.reserved += all_frames
    if not secure(m, cpu, task, wanted):
        t.need = wanted
        return SHORT
    use_reserve(m, task, wanted)
    child = int(t.other)
    take_stack(m, cpu, child)
    new = new_space(m, cpu)
    m.tasks[child].space = new
    n = m.spaces[new]
    n.heap_start = s.heap_start
    n.brk = s.brk
    n.mmap_top = s.mmap_top
    n.stack_limit = s.stack_limit
    t.area = s.first
    t.other_area = NONE
    t.stage = 1
    note(m, FORK_BASE, 1)
    return MORE


@compiled
def spare_frames(m: Arrays) -> int:
    """Return the frames on buddy lists above the min watermarks of their zones."""
    spare = 0
    for zone in range(int(m.pool[0].n_zones)):
        spare += max(0, m.zones[zone].free - m.zones[zone].min_pages)
    return spare


@compiled
def use_reserve(m: Arrays, task: int, frames: int) -> None:
    """Take note that `frames` of those set aside for this fork are now in use."""
    used = min(frames, int(m.tasks[task].reserved))
    m.tasks[task].reserved -= used
    m.pool[0].reserved -= used


@compiled
def drop_reserve(m: Arrays, task: int) -> None:
    """Let go of the frames set aside for a fork that are left over."""
    m.pool[0].reserved -= m.tasks[task].reserved
    m.tasks[task].reserved = 0


@compiled
def copy_area(m: Arrays, task: int) -> int:
    """Duplicate the area under way in the child's address space."""
    t = m.tasks[task]
    if not area_room(m, 1):
        return GROW
    new = int(m.tasks[int(t.other)].space)
    a = m.areas[int(t.area)]
    copy = insert_area(m, new, int(a.start), int(a.end), int(a.offset), int(a.bits) & ~A_LOCKED)
    map_file(m, copy, int(a.kind), int(a.file))
    if needs_copy(m, int(t.area)):
        b = m.areas[copy]
        b.family = a.family
        b.own = m.pool[0].next_family
        b.inherited = 1
        m.pool[0].next_family += 1
    if m.spaces[int(t.space)].heap == t.area:
        m.spaces[new].heap = copy
    commit(m, new, committed_by(m, copy))
    t.other_area = copy
    t.at = a.start
    note(m, FORK_AREA, 1)
    return MORE


@compiled
def copy_leaf(m: Arrays, cpu: int, task: int, vpn: int, end: int) -> int:
    """Copy the entries of [vpn, end), within one leaf table, to the child; share their frames."""
    t = m.tasks[task]
    space = int(t.space)
    new = int(m.tasks[int(t.other)].space)
    parent = find_table(m, space, vpn, 0)
    if parent == NONE:
        return fork_huge(m, cpu, task, vpn)
    first = vpn & TABLE_MASK
    last = first + end - vpn
    missing = tables_missing(m, new, vpn, 0)
    if not table_room(m, missing):
        return GROW
    if m.areas[int(t.area)].kind != KIND_ANON:
        return copy_mixed(m, cpu, task, parent, vpn, end)
    eager = m.pool[0].eager_fork == 1
    frames = 0
    if eager:
        for i in range(first, last):
            entry = m.tables[parent, i]
            if entry & PTE_PRESENT != 0 and entry & PTE_ZERO == 0:
                frames += 1
    if not secure(m, cpu, task, missing + frames):
        t.need = missing + frames
        return SHORT
    use_reserve(m, task, missing + frames)
    child = make_table(m, cpu, new, vpn, 0)
    family = family_of(m, int(t.area))
    entries = 0
    pages = 0
    for i in range(first, last):
        entry = int(m.tables[parent, i])
        if entry & PTE_PRESENT == 0:
            continue
        entries += 1
        if entry & PTE_ZERO != 0:
            m.tables[child, i] = entry & ~PTE_ACCESSED
            continue
        pages += 1
        pfn = entry >> PFN_SHIFT
        frame = m.frames[pfn]
        if eager:
            copy = fresh_page(m, cpu, family, int(frame.index))
            join_twins(m, pfn, copy)
            m.tables[child, i] = (copy << PFN_SHIFT) | PTE_PRESENT | PTE_WRITE | PTE_DIRTY
            continue
        frame.refs += 1
        frame.maps += 1
        frame.bits &= ~F_EXCLUSIVE
        if entry & PTE_WRITE != 0:
            entry &= ~PTE_WRITE
            m.tables[parent, i] = entry
        m.tables[child, i] = entry & ~PTE_ACCESSED
    count_resident(m, new, pages)
    note(m, FORK_TABLE, missing)
    if eager:
        note(m, FORK_EAGER_COPY, pages)
    else:
        note(m, FORK_FOLIO, pages)
    note(m, FORK_PTE, entries)
    return MORE


@compiled
def fork_huge(m: Arrays, cpu: int, task: int, vpn: int) -> int:
    """Copy a huge entry to the child; before an eager fork it is split."""
    t = m.tasks[task]
    new = int(m.tasks[int(t.other)].space)
    if m.pool[0].eager_fork == 1:
        split_huge(m, int(t.space), vpn)
        return AGAIN
    missing = tables_missing(m, new, vpn, 1) + 1
    status = copy_huge(m, cpu, task, int(t.space), new, vpn)
    if status == MORE:
        use_reserve(m, task, missing)
    return status


@compiled
def copy_mixed(m: Arrays, cpu: int, task: int, parent: int, vpn: int, end: int) -> int:
    """Do as `copy_leaf` in a private file mapping, whose pages are anonymous or the cache's.

    An eager fork copies the anonymous ones.
    """
    t = m.tasks[task]
    new = int(m.tasks[int(t.other)].space)
    first = vpn & TABLE_MASK
    last = first + end - vpn
    missing = tables_missing(m, new, vpn, 0)
    eager = m.pool[0].eager_fork == 1
    anonymous = 0
    cached = 0
    for i in range(first, last):
        entry = int(m.tables[parent, i])
        if entry & PTE_PRESENT != 0:
            if m.frames[entry >> PFN_SHIFT].bits & F_FILE != 0:
                cached += 1
            else:
                anonymous += 1
    wanted = missing + (anonymous if eager else 0)
    if not secure(m, cpu, task, wanted):
        t.need = wanted
        return SHORT
    use_reserve(m, task, wanted)
    child = make_table(m, cpu, new, vpn, 0)
    family = family_of(m, int(t.area))
    for i in range(first, last):
        entry = int(m.tables[parent, i])
        if entry & PTE_PRESENT == 0:
            continue
        pfn = entry >> PFN_SHIFT
        frame = m.frames[pfn]
        if eager and frame.bits & F_FILE == 0:
            copy = fresh_page(m, cpu, family, int(frame.index))
            join_twins(m, pfn, copy)
            m.tables[child, i] = (copy << PFN_SHIFT) | PTE_PRESENT | PTE_WRITE | PTE_DIRTY
            continue
        frame.refs += 1
        frame.maps += 1
        frame.bits &= ~F_EXCLUSIVE
        m.tables[parent, i] = entry & ~PTE_WRITE
        m.tables[child, i] = entry & ~(PTE_WRITE | PTE_ACCESSED)
    count_resident(m, new, anonymous)
    count_cached(m, new, int(m.areas[int(t.area)].kind), cached)
    note(m, FORK_TABLE, missing)
    note(m, FORK_EAGER_COPY, anonymous if eager else 0)
    note(m, FORK_FOLIO, cached if eager else cached + anonymous)
    note(m, FORK_PTE, cached + anonymous)
    return MORE


@compiled
def fork_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of fork: the beginning, an area, a leaf table, or the end."""
    t = m.tasks[task]
    if t.stage == 0:
        return begin_fork(m, cpu, task)
    while True:
        area = int(t.area)
        if area == NONE:
            drop_reserve(m, task)
            note(m, FORK_FLUSH, 1)
            return DONE
        a = m.areas[area]
        if t.other_area == NONE and a.bits & A_DONTFORK == 0:
            return copy_area(m, task)
        if t.other_area != NONE and needs_copy(m, area):
            end = int(a.end)
            vpn = next_present(m, int(t.space), int(t.at), end, 0)
            if vpn < end:
                upto = min(end, ((vpn >> TABLE_SHIFT) + 1) << TABLE_SHIFT)
                status = copy_leaf(m, cpu, task, vpn, upto)
                if status == AGAIN:
                    return MORE
                if status == MORE:
                    t.at = upto
                return status
        t.area = a.next
        t.other_area = NONE


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
