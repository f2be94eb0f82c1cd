"""The audit: proof that the books balance.

Every frame is free or referenced, as often as it is mapped; tables are counted once each.  The
counts are taken anew from the page tables and the free lists and compared with what the machine
believes.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.base.errors import KernelPanicError
from sim.base.jit import compiled
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.audit_folios import audit_folios
from sim.machine.layout import (
    A_ACCOUNT,
    A_SHARED,
    F_ANON,
    F_BUDDY,
    F_DIRTY,
    F_EXCLUSIVE,
    F_FILE,
    F_LARGE,
    F_LOCKED,
    F_PERCPU,
    F_STACK,
    F_TABLE,
    KIND_ANON,
    KIND_FILE,
    KIND_SHMEM,
    N_ORDERS,
    NONE,
    PFN_SHIFT,
    PMD_READONLY,
    PTE_DIRTY,
    PTE_HUGE,
    PTE_PRESENT,
    PTE_WRITE,
    PTE_ZERO,
    TABLE_ENTRIES,
    TABLE_SHIFT,
    Arrays,
)

_OK: Final = 0
_COMPLAINTS: Final = {
    1: "a free block is on the wrong list",
    2: "a zone's free pages are not those of its buddy lists",
    3: "a frame is on a per-CPU list and somewhere else as well",
    4: "a page-table entry maps a frame that holds no page of memory",
    5: "an exclusive frame is mapped more than once",
    6: "a frame is mapped writable by one of several sharers",
    7: "a frame's map count is not the number of entries that map it",
    8: "a frame's references are fewer than its mappings",
    9: "a frame is neither free nor referenced",
    10: "page tables are not counted once each",
    11: "a resident set is not what its page tables hold",
    12: "areas overlap, or their list is broken",
    13: "an entry lies in no area of its address space",
    14: "a total of frames in use is wrong",
    15: "the promised pages are not the sum of the areas'",
    17: "a page of a file is not where the page cache has it",
    18: "a file's areas or its resident pages are miscounted",
    19: "as many leaf tables are not set aside as there are huge entries",
    20: "a frame of the page cache is mapped as if it were private",
    21: "a leaf table is not referenced by as many address spaces as use it",
    22: "an address space may change a leaf table that others use",
    23: "leaf tables that may not be changed are miscounted",
    24: "a frame of a huge page is not marked as part of one",
    25: "an entry of a file is dirty or writable, but its page is clean",
    26: "a page that the device is reading is mapped, or has been changed",
    27: "the pages that the device is reading are miscounted",
    28: "the parent and the child of an Async-fork do not name each other",
    16: "copies are not the frames beyond one per page of data",
}


@compiled
def _audit_free(m: Arrays, seen: NDArray[np.int32]) -> tuple[int, int]:
    """Mark free frames with -1 (buddy) and -2 (per-CPU)."""
    for zone in range(int(m.pool[0].n_zones)):
        free = 0
        for order in range(N_ORDERS):
            blocks = 0
            pfn = int(m.buddy[zone, order].head)
            while pfn != NONE:
                block = m.frames[pfn]
                if block.bits != F_BUDDY or int(block.order) != order or int(block.zone) != zone:
                    return 1, pfn
                for i in range(pfn, pfn + (1 << order)):
                    if seen[i] != 0:
                        return 1, i
                    seen[i] = -1
                free += 1 << order
                blocks += 1
                pfn = int(block.next)
            if blocks != m.buddy[zone, order].count:
                return 2, zone
        if free != m.zones[zone].free:
            return 2, zone
    for cpu in range(int(m.pool[0].n_cpus)):
        pfn = int(m.percpu[cpu].head)
        on_list = 0
        while pfn != NONE:
            if m.frames[pfn].bits != F_PERCPU or seen[pfn] != 0:
                return 3, pfn
            seen[pfn] = -2
            on_list += 1
            pfn = int(m.frames[pfn].next)
        if on_list != m.percpu[cpu].count:
            return 3, cpu
    return _OK, 0


@compiled
def _audit_entry(
    m: Arrays,
    area: int,
    page: int,
    entry: int,
    seen: NDArray[np.int32],
    resident: NDArray[np.int64],
    again: bool,
) -> int:
    """Count what an entry for `page` maps, by kind of memory; return a complaint."""
    pfn = entry >> PFN_SHIFT
    frame = m.frames[pfn]
    a = m.areas[area]
    if seen[pfn] < 0:
        return 4
    if not again:
        seen[pfn] += 1
    if frame.bits & F_FILE != 0:
        if frame.family != a.file or frame.index != a.offset + page - a.start:
            return 17
        if entry & PTE_WRITE != 0 and a.bits & A_SHARED == 0:
            return 20
        changed = entry & (PTE_WRITE | PTE_DIRTY) != 0 and a.kind == KIND_FILE
        if changed and frame.bits & F_DIRTY == 0:
            return 25
        resident[int(a.kind)] += 1
        return _OK
    if frame.bits & F_ANON == 0 or a.bits & A_SHARED != 0:
        return 4
    if frame.bits & F_EXCLUSIVE != 0 and frame.maps != 1:
        return 5
    if entry & PTE_WRITE != 0 and frame.maps != 1:
        return 6
    resident[KIND_ANON] += 1
    return _OK


@compiled
def _audit_leaf(
    m: Arrays,
    slot: int,
    huge: int,
    vpn: int,
    space: int,
    seen: NDArray[np.int32],
    resident: NDArray[np.int64],
    again: bool,
) -> tuple[int, int]:
    """Count what a leaf table maps, or the huge entry in its place; return a complaint, where.

    Of a leaf table met `again`, by way of another address space, the mappings are counted already.
    """
    area = NONE
    for i in range(TABLE_ENTRIES):
        entry = huge + (i << PFN_SHIFT) if huge != 0 else int(m.tables[slot, i])
        if entry & PTE_PRESENT == 0:
            continue
        page = vpn + i
        if area == NONE or page >= m.areas[area].end:
            area = int(m.spaces[space].first)
            while area != NONE and m.areas[area].end <= page:
                area = int(m.areas[area].next)
        if area == NONE or page < m.areas[area].start:
            return 13, page
        if entry & PTE_ZERO != 0:
            continue
        bad = _audit_entry(m, area, page, entry, seen, resident, again)
        if bad != _OK:
            return bad, page
        if huge != 0 and m.frames[entry >> PFN_SHIFT].bits & F_LARGE == 0:
            return 24, page
    return _OK, 0


@compiled
def _audit_areas(m: Arrays, space: int, users: NDArray[np.int64]) -> tuple[int, int]:
    """Check the list of areas and what they promise; count the areas of each file."""
    s = m.spaces[space]
    end = 0
    before = NONE
    pages = 0
    committed = 0
    area = int(s.first)
    while area != NONE:
        a = m.areas[area]
        if a.start < end or a.end <= a.start or a.prev != before or a.space != space:
            return 12, area
        end = int(a.end)
        pages += a.end - a.start
        if a.bits & A_ACCOUNT != 0:
            committed += a.end - a.start
        if a.file != NONE:
            users[int(a.file)] += 1
        before = area
        area = int(a.next)
    if pages != s.pages:
        return 12, space
    if committed != s.committed:
        return 15, space
    return _OK, 0


@compiled
def _audit_middle(
    m: Arrays,
    slot: int,
    base: int,
    space: int,
    seen: NDArray[np.int32],
    resident: NDArray[np.int64],
    uses: NDArray[np.int32],
) -> tuple[int, int, int, int]:
    """Audit what is below a table of level 1; return a complaint, where, leaf tables, lent ones."""
    huge = 0
    tables = 0
    lent = 0
    for i in range(TABLE_ENTRIES):
        entry = int(m.tables[slot, i])
        if entry & PTE_PRESENT == 0:
            continue
        below = 0
        leaf = entry >> PFN_SHIFT
        again = False
        if entry & PTE_HUGE != 0:
            huge += 1
            below = entry
        else:
            tables += 1
            again = uses[leaf] > 0
            uses[leaf] += 1
            if entry & PMD_READONLY != 0:
                lent += 1
            elif m.table_info[leaf].refs != 1:
                return 22, leaf, 0, 0
        vpn = (base | i) << TABLE_SHIFT
        bad, where = _audit_leaf(m, leaf, below, vpn, space, seen, resident, again)
        if bad != _OK:
            return bad, where, 0, 0
    aside = int(m.table_info[slot].next)
    while aside != NONE:
        huge -= 1
        tables += 1
        aside = int(m.table_info[aside].next)
    if huge != 0:
        return 19, base, 0, 0
    return _OK, 0, tables, lent


@compiled
def _audit_space(
    m: Arrays,
    space: int,
    seen: NDArray[np.int32],
    users: NDArray[np.int64],
    uses: NDArray[np.int32],
) -> tuple[int, int]:
    bad, where = _audit_areas(m, space, users)
    if bad != _OK:
        return bad, where
    s = m.spaces[space]
    resident = np.zeros(3, np.int64)
    tables = 1
    lent = 0
    top = int(s.top)
    for i3 in range(TABLE_ENTRIES):
        e3 = int(m.tables[top, i3])
        if e3 & PTE_PRESENT == 0:
            continue
        tables += 1
        for i2 in range(TABLE_ENTRIES):
            e2 = int(m.tables[e3 >> PFN_SHIFT, i2])
            if e2 & PTE_PRESENT == 0:
                continue
            base = (i3 << TABLE_SHIFT | i2) << TABLE_SHIFT
            bad, where, found, more = _audit_middle(
                m, e2 >> PFN_SHIFT, base, space, seen, resident, uses
            )
            if bad != _OK:
                return bad, where
            tables += 1 + found
            lent += more
    if tables != s.tables:
        return 10, space
    if lent != s.lent:
        return 23, space
    if (
        resident[KIND_ANON] != s.rss_anon
        or resident[KIND_FILE] != s.rss_file
        or resident[KIND_SHMEM] != s.rss_shmem
    ):
        return 11, space
    if (s.heir != NONE and m.spaces[int(s.heir)].lender != space) or (
        s.lender != NONE and m.spaces[int(s.lender)].heir != space
    ):
        return 28, space
    return _OK, 0


@compiled
def _audit_files(m: Arrays, users: NDArray[np.int64]) -> tuple[int, int]:
    """Compare every file's pages and areas with what it says of itself."""
    cached = 0
    shared = 0
    under_way = 0
    for file in range(len(users)):
        f = m.files[file]
        if f.kind == 0:
            if users[file] != 0:
                return 18, file
            continue
        resident = 0
        for index in range(int(f.pages)):
            pfn = int(m.cached[int(f.first) + index])
            if pfn == 0:
                continue
            frame = m.frames[pfn]
            if frame.bits & F_FILE == 0 or frame.family != file or frame.index != index:
                return 17, pfn
            if frame.bits & F_LOCKED != 0:
                under_way += 1
                if frame.maps != 0 or frame.bits & F_DIRTY != 0:
                    return 26, pfn
            resident += 1
        if resident != f.resident or users[file] != f.users:
            return 18, file
        cached += resident
        if f.kind == KIND_SHMEM:
            shared += resident
    if under_way != m.pool[0].under_way:
        return 27, under_way
    if cached != m.pool[0].cache or shared != m.pool[0].shmem:
        return 14, cached
    return _OK, 0


@compiled
def _audit_frames(m: Arrays, seen: NDArray[np.int32]) -> tuple[int, int]:
    """Compare every frame's counts with what was seen."""
    anon = 0
    tables = 0
    stacks = 0
    cached = 0
    copies = 0
    for zone in range(int(m.pool[0].n_zones)):
        for pfn in range(int(m.zones[zone].start), int(m.zones[zone].end)):
            if seen[pfn] < 0:
                continue
            frame = m.frames[pfn]
            if frame.bits & F_ANON != 0:
                if frame.maps != seen[pfn]:
                    return 7, pfn
                if frame.refs < frame.maps:
                    return 8, pfn
                anon += 1
                if frame.twin_next > pfn or frame.twin_next < pfn:
                    other = int(frame.twin_next)
                    lowest = pfn
                    while other != pfn:
                        lowest = min(lowest, other)
                        other = int(m.frames[other].twin_next)
                    if lowest != pfn:
                        copies += 1
            elif frame.bits & F_FILE != 0:
                if frame.maps != seen[pfn]:
                    return 7, pfn
                if frame.refs != frame.maps + 1:
                    return 8, pfn
                cached += 1
            elif frame.bits & F_TABLE != 0:
                tables += 1
            elif frame.bits & F_STACK != 0:
                stacks += 1
            if frame.refs <= 0:
                return 9, pfn
    pool = m.pool[0]
    if anon != pool.anon or tables != pool.table or stacks != pool.stack or cached != pool.cache:
        return 14, anon
    if copies != pool.copies:
        return 16, copies
    return _OK, 0


@compiled
def _run_audit(
    m: Arrays,
    seen: NDArray[np.int32],
    spaces: NDArray[np.int64],
    users: NDArray[np.int64],
    uses: NDArray[np.int32],
) -> tuple[int, int]:
    bad, where = _audit_free(m, seen)
    if bad != _OK:
        return bad, where
    tables = 0
    committed = 0
    for i in range(len(spaces)):
        bad, where = _audit_space(m, int(spaces[i]), seen, users, uses)
        if bad != _OK:
            return bad, where
        tables += m.spaces[spaces[i]].tables
        committed += m.spaces[spaces[i]].committed
    for slot in range(len(uses)):
        if uses[slot] > 0:
            if m.table_info[slot].refs != uses[slot]:
                return 21, slot
            tables -= int(uses[slot]) - 1
    if tables != m.pool[0].table:
        return 10, tables
    bad, where = _audit_files(m, users)
    if bad != _OK:
        return bad, where
    for file in range(len(users)):
        if m.files[file].kind != 0:
            committed += m.files[file].committed
    if committed != m.pool[0].committed:
        return 15, committed
    return _audit_frames(m, seen)


def audit(m: Arrays) -> None:
    """Raise `KernelPanicError` unless every frame is accounted for."""
    alive: set[int] = set()
    for task in m.tasks[m.tasks.state != 0]:
        alive |= {int(task.space), int(task.old_space)} - {NONE}
    spaces = np.array(sorted(alive), dtype=np.int64)
    seen = np.zeros(len(m.frames), dtype=np.int32)
    users = np.zeros(len(m.files), dtype=np.int64)
    uses = np.zeros(len(m.tables), dtype=np.int32)
    bad, where = _run_audit(m, seen, spaces, users, uses)
    if bad != _OK:
        raise KernelPanicError(_COMPLAINTS[bad], f"at {where}")
    audit_folios(m, spaces)
