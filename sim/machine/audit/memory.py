"""Frames and files: what they say of themselves beside what was counted."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.base.jit import compiled
from sim.machine.audit.complaints import OK
from sim.machine.cached import find_page, find_slot
from sim.machine.layout import (
    A_RESV_OWNER,
    F_ANON,
    F_BUDDY,
    F_DIRTY,
    F_FILE,
    F_HUGETLB,
    F_LOCKED,
    F_PERCPU,
    F_STACK,
    F_SWAPCACHE,
    F_TABLE,
    F_ZRAM,
    HUGE_PAGES,
    KIND_ANON,
    KIND_HUGETLB,
    KIND_SHMEM,
    KIND_STACK,
    KIND_TABLE,
    KIND_ZRAM,
    N_KINDS,
    N_ORDERS,
    N_STOCKS,
    NONE,
    ROOT,
    SLOTS_SWAP,
    STORED,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.zram import frames_for

HELD: Final = 1 << 20
"""Added to how often a huge page of the pool is mapped, where a file has it as well."""


@compiled
def audit_free(m: Arrays, seen: NDArray[np.int32]) -> tuple[int, int]:
    """Mark free frames with -1 (buddy) and -2 (per-CPU)."""
    for zone in range(int(m.config[0].n_zones)):
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
    cpus = int(m.config[0].n_cpus)
    for row in range(int(m.config[0].n_zones) * cpus):
        zone = int(m.config[0].n_zones) - 1 - row // cpus
        pfn = int(m.percpu[row].head)
        on_list = 0
        while pfn != NONE:
            if m.frames[pfn].bits != F_PERCPU or seen[pfn] != 0:
                return 3, pfn
            if pfn < m.zones[zone].start or pfn >= m.zones[zone].end or m.frames[pfn].zone != zone:
                return 33, pfn
            seen[pfn] = -2
            on_list += 1
            pfn = int(m.frames[pfn].next)
        if on_list != m.percpu[row].count:
            return 3, row
    return OK, 0


@compiled
def swap_reads(m: Arrays, slots: int) -> int:
    """Return how many pages the swap device is reading."""
    reads = 0
    for slot in range(1, slots):
        pfn = int(m.swap[slot].pfn)
        reads += 1 if pfn != 0 and m.frames[pfn].bits & F_LOCKED != 0 else 0
    return reads


@compiled
def count_shared_slots(m: Arrays, slots: NDArray[np.int64], files: int) -> None:
    """Add the slots that shared memory is in to those that are referred to."""
    for file in range(files):
        if m.files[file].kind == KIND_SHMEM:
            for index in range(int(m.files[file].pages)):
                slot = find_slot(m, file, index)
                if slot != 0:
                    slots[slot] += 1


@compiled
def audit_files(
    m: Arrays, users: NDArray[np.int64], seen: NDArray[np.int32], under_way: int
) -> tuple[int, int]:
    """Compare every file's pages and areas with what it says of itself.

    `under_way` pages are being read that are no file's.
    Huge pages that a file has are marked as `HELD`.
    """
    for file in range(len(users)):
        f = m.files[file]
        if f.kind == 0:
            if users[file] != 0:
                return 18, file
            continue
        resident = 0
        for index in range(int(f.pages)):
            pfn = (
                int(m.cached[int(f.first) + index])
                if f.kind == KIND_HUGETLB
                else find_page(m, file, index)
            )
            if pfn <= 0:
                continue
            frame = m.frames[pfn]
            if f.kind == KIND_HUGETLB:
                if frame.bits & F_HUGETLB == 0 or frame.index != index << TABLE_SHIFT:
                    return 17, pfn
                seen[pfn] += HELD
                resident += 1
                continue
            if frame.bits & F_FILE == 0 or frame.mapping != file or frame.index != index:
                return 17, pfn
            if frame.bits & F_LOCKED != 0:
                under_way += 1
                if frame.maps != 0 or frame.bits & F_DIRTY != 0:
                    return 26, pfn
            resident += 1
        if resident != f.resident or users[file] != f.users:
            return 18, file
    if under_way != m.pool[0].under_way:
        return 27, under_way
    return OK, 0


@compiled
def audit_frames(m: Arrays, seen: NDArray[np.int32], charged: NDArray[np.int64]) -> tuple[int, int]:
    """Compare every frame's counts with what was seen; add frames to those of groups, by kind."""
    copies = 0
    for zone in range(int(m.config[0].n_zones)):
        for pfn in range(int(m.zones[zone].start), int(m.zones[zone].end)):
            if seen[pfn] < 0:
                continue
            frame = m.frames[pfn]
            if frame.bits & F_HUGETLB != 0:
                continue
            kind = NONE
            if (frame.slot != 0) != (frame.bits & F_SWAPCACHE != 0):
                return 40, pfn
            if frame.bits & F_ANON != 0:
                if frame.maps != seen[pfn]:
                    return 7, pfn
                if frame.refs < frame.maps:
                    return 8, pfn
                kind = KIND_ANON
                if frame.copy_next > pfn or frame.copy_next < pfn:
                    other = int(frame.copy_next)
                    lowest = pfn
                    while other != pfn:
                        lowest = min(lowest, other)
                        other = int(m.frames[other].copy_next)
                    if lowest != pfn:
                        copies += 1
            elif frame.bits & F_FILE != 0:
                if frame.maps != seen[pfn]:
                    return 7, pfn
                if frame.refs != frame.maps + 1:
                    return 8, pfn
                kind = int(m.files[int(frame.mapping)].kind)
            elif frame.bits & F_TABLE != 0:
                kind = KIND_TABLE
            elif frame.bits & F_STACK != 0:
                kind = KIND_STACK
            elif frame.bits & F_ZRAM != 0:
                kind = KIND_ZRAM
            if frame.refs <= 0:
                return 9, pfn
            if kind != NONE:
                charged[int(frame.group), kind] += 1
    if copies != m.pool[0].cow_copies:
        return 16, copies
    return OK, 0


@compiled
def audit_hugetlb(m: Arrays, seen: NDArray[np.int32]) -> tuple[int, int]:
    """Compare the pool of huge pages with its free list, and with what was seen of the others.

    Reservations: those of shared files, and what private areas that own some have not used.
    """
    pool = m.pool[0]
    free = 0
    pfn = int(pool.huge_head)
    while pfn != NONE:
        if m.frames[pfn].bits != F_HUGETLB or m.frames[pfn].refs != 0 or seen[pfn] != 0:
            return 37, pfn
        seen[pfn] = -3
        free += 1
        pfn = int(m.frames[pfn].next)
    frames = 0
    for pfn in range(len(seen)):
        frame = m.frames[pfn]
        if frame.bits & F_HUGETLB == 0:
            continue
        frames += 1
        maps = max(int(seen[pfn]), 0) % HELD
        if frame.maps != maps and seen[pfn] != -3:
            return 7, pfn
        if seen[pfn] > 0 and frame.refs != maps + seen[pfn] // HELD:
            return 8, pfn
        if seen[pfn] == 0 and frame.refs != 0:
            return 37, pfn
        if seen[pfn] > 0:
            free += 1
    if free != pool.nr_huge_pages or frames != HUGE_PAGES * pool.nr_huge_pages:
        return 37, free
    return OK, 0


@compiled
def audit_reservations(m: Arrays, spaces: NDArray[np.int64], files: int) -> tuple[int, int]:
    """Compare the reserved huge pages with those of files and of areas that have not come."""
    reserved = 0
    for file in range(files):
        if m.files[file].kind == KIND_HUGETLB:
            reserved += int(m.files[file].reserved)
    for i in range(len(spaces)):
        area = int(m.spaces[spaces[i]].head)
        while area != NONE:
            a = m.areas[area]
            if a.vm_flags & A_RESV_OWNER != 0:
                first = int(m.files[int(a.file)].first) + (int(a.offset) >> TABLE_SHIFT)
                for at in range(first, first + (int(a.end - a.start) >> TABLE_SHIFT)):
                    reserved += 1 if m.cached[at] == 0 else 0
            area = int(a.next)
    pool = m.pool[0]
    if reserved != pool.resv_huge_pages or reserved > pool.free_huge_pages:
        return 38, reserved
    return OK, 0


@compiled
def audit_groups(m: Arrays, charged: NDArray[np.int64]) -> tuple[int, int]:
    """Compare what groups count with the frames charged to each, and to groups in it, by kind.

    The last column of `charged` is for what groups in it have beside frames: slab and stocks.
    What reclaim spares of them is compared as well.
    """
    protected_min = np.zeros(len(charged), np.int64)
    protected_low = np.zeros(len(charged), np.int64)
    for group in range(len(charged) - 1, -1, -1):  # a group comes before those in it
        g = m.groups[group]
        usage = int(g.slab_pages) + charged[group, N_KINDS]
        for kind in range(N_KINDS):
            if charged[group, kind] != m.charged[group, kind]:
                return 14, group
            usage += charged[group, kind]
            if group != ROOT:
                charged[int(g.parent), kind] += charged[group, kind]
        if group == ROOT:
            continue
        charged[int(g.parent), N_KINDS] += charged[group, N_KINDS] + g.slab_pages
        for at in range(int(m.config[0].n_cpus) * N_STOCKS):
            if m.stocks[at].group == group:
                if m.stocks[at].pages < max(0, m.stocks[at].secured):
                    return 14, group
                usage += m.stocks[at].pages
                charged[int(g.parent), N_KINDS] += m.stocks[at].pages
        if g.usage != usage or g.peak < usage:
            return 14, group
        protected_min[int(g.parent)] += max(0, min(usage, g.min_pages))
        protected_low[int(g.parent)] += max(0, min(usage, g.low_pages))
    for group in range(len(charged)):
        g = m.groups[group]
        if g.children_min != protected_min[group] or g.children_low != protected_low[group]:
            return 39, group
    frames = HUGE_PAGES * m.pool[0].nr_huge_pages
    for kind in range(N_KINDS):
        frames += charged[ROOT, kind]
    if frames != m.pool[0].used:
        return 14, ROOT
    return OK, 0


@compiled
def audit_swap(m: Arrays, slots: NDArray[np.int64], held: NDArray[np.int64]) -> tuple[int, int]:
    """Compare slots with what was seen: entries that refer to them, their pages, who is charged.

    `held` is 0 a group.
    """
    used = stored = 0
    for slot in range(1, len(slots)):
        row = m.swap[slot]
        if row.refs != slots[slot]:
            return 31, slot
        stored += int(row.stored == STORED)
        if row.refs == 0 and row.pfn == 0:
            if row.stored != 0:
                return 41, slot
            continue
        used += 1
        if row.pfn != 0 and (
            m.frames[int(row.pfn)].slot != slot or m.frames[int(row.pfn)].bits & F_ANON == 0
        ):
            return 40, slot
        if row.group != NONE:
            held[int(row.group)] += 1
    if m.slots[SLOTS_SWAP].used - 1 != used:
        return 31, 0
    frames = 0
    pfn = int(m.pool[0].zram_head)
    while pfn != NONE and frames <= m.charged[ROOT, KIND_ZRAM]:
        frames += 1
        pfn = int(m.frames[pfn].next)
    if stored != m.pool[0].zram_stored or frames != frames_for(m, stored):
        return 41, stored
    if frames != m.charged[ROOT, KIND_ZRAM]:
        return 41, frames
    for group in range(len(held) - 1, -1, -1):
        if m.groups[group].swap != held[group]:
            return 40, group
        if group != ROOT:
            held[int(m.groups[group].parent)] += held[group]
    return OK, 0
