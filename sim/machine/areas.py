"""Areas (VMAs) and address spaces: slots, the address-ordered list, split and merge."""

from sim.base.jit import compiled
from sim.machine.area_tree import find_area as find_area
from sim.machine.area_tree import find_gap, link_area, resized, unlink_area
from sim.machine.layout import (
    A_GROWSDOWN,
    A_SHARED,
    HUGE_PAGES,
    KIND_ANON,
    KIND_FILE,
    KIND_HUGETLB,
    NONE,
    SLOTS_ANON_ROOTS,
    SLOTS_AREAS,
    SLOTS_SPACES,
    TABLE_MASK,
    VPN_BITS,
    Arrays,
)
from sim.machine.rules.areas import R_ALIGN_FILES, R_ALIGN_LARGE, R_ALIGN_WHOLE, R_MERGE_EITHER
from sim.machine.slab import AREA_SLAB_BYTES, SPACE_SLAB_BYTES, anon_bytes, count_slab
from sim.machine.slots import give_row, has_room, take_row
from sim.machine.tables import free_table, new_table

MMAP_TOP_VPN = 0x7FFFF7FFF
"""Mappings are placed below this page, as on x86-64 without address randomisation."""
STACK_TOP_VPN = 0x7FFFFFFFF
TEXT_VPN = 0x555555554
"""Where a position-independent program's text starts without address randomisation."""


@compiled
def new_space(m: Arrays, cpu: int) -> int:
    """Return an empty address space with its top table; one frame must be secured."""
    slot = take_row(m.slots[SLOTS_SPACES], m.spaces)
    s = m.spaces[slot]
    s.head = NONE
    s.tail = NONE
    s.root = NONE
    s.n_areas = 0
    s.users = 1
    s.pages = 0
    s.rss_anon = 0
    s.rss_file = 0
    s.rss_shmem = 0
    s.peak_rss = 0
    s.swapents = 0
    s.tables = 0
    s.committed = 0
    s.generation += 1
    s.heap = NONE
    s.heap_start = 0
    s.brk = 0
    s.mmap_top = MMAP_TOP_VPN
    s.locked_by = NONE
    s.areas_of = NONE
    s.readers = 0
    s.area_users = 0
    s.lock_waiters = 0
    s.fault_waiters = 0
    s.thp_disabled = 0
    s.leaving = 0
    s.shared_tables = 0
    s.async_child = NONE
    s.async_parent = NONE
    s.group = m.cpus[cpu].group
    count_slab(m, int(s.group), SPACE_SLAB_BYTES)
    s.top = new_table(m, cpu, slot, 3)
    return slot


@compiled
def free_space(m: Arrays, cpu: int, slot: int) -> None:
    """Free an address space whose areas and lower tables are gone: its top table, its slot."""
    s = m.spaces[slot]
    free_table(m, cpu, slot, int(s.top))
    count_slab(m, int(s.group), -SPACE_SLAB_BYTES)
    m.pool[0].committed -= s.committed
    s.committed = 0
    s.users = 0
    s.generation += 1
    give_row(m.slots[SLOTS_SPACES], m.spaces, slot)


@compiled
def space_room(m: Arrays) -> bool:
    """Whether the array has a free slot for one more address space."""
    return has_room(m.slots[SLOTS_SPACES], 1)


@compiled
def area_room(m: Arrays, wanted: int) -> bool:
    """Whether the array has free slots for `wanted` areas without growing."""
    return has_room(m.slots[SLOTS_AREAS], wanted)


@compiled
def insert_area(m: Arrays, space: int, start: int, end: int, offset: int, flags: int) -> int:
    """Add an anonymous area and return its slot; the range must be free."""
    slot = take_row(m.slots[SLOTS_AREAS], m.areas)
    a = m.areas[slot]
    a.start = start
    a.end = end
    a.offset = offset
    a.space = space
    a.anon_root = NONE
    a.anon_vma = NONE
    a.inherited = 0
    a.vm_flags = flags
    a.kind = 0
    a.file = NONE
    a.swap_readahead = 0
    link_area(m, slot)
    s = m.spaces[space]
    count_slab(m, int(s.group), AREA_SLAB_BYTES)
    s.n_areas += 1
    s.pages += end - start
    s.generation += 1
    return slot


@compiled
def drop_area(m: Arrays, slot: int) -> None:
    """Take an area off its address space, its anon_vma and its file, and free its slot."""
    a = m.areas[slot]
    s = m.spaces[a.space]
    unlink_area(m, slot)
    if s.heap == slot:
        s.heap = NONE
    count_slab(m, int(s.group), -AREA_SLAB_BYTES)
    s.n_areas -= 1
    s.pages -= a.end - a.start
    s.generation += 1
    unlink_anon_vma(m, slot)
    leave_file(m, slot)
    a.space = NONE
    give_row(m.slots[SLOTS_AREAS], m.areas, slot)


# -- the lists of the reverse map (`sim.kernel.rmap`) ----------------------------------------------


@compiled
def new_anon_root(m: Arrays) -> int:
    """Return a root for a new anon_vma; there are as many rows for them as for areas."""
    root = take_row(m.slots[SLOTS_ANON_ROOTS], m.anon_roots)
    m.anon_roots[root].areas = NONE
    return root


@compiled
def link_anon_vma(m: Arrays, slot: int, root: int, anon_vma: int, inherited: int) -> None:
    """Give an area that has none an anon_vma, and its root; NONE leaves it without."""
    a = m.areas[slot]
    a.anon_root = root
    a.anon_vma = anon_vma
    a.inherited = inherited
    if root == NONE:
        return
    count_slab(m, int(m.spaces[int(a.space)].group), anon_bytes(inherited))
    after = int(m.anon_roots[root].areas)
    a.anon_prev = NONE
    a.anon_next = after
    if after != NONE:
        m.areas[after].anon_prev = slot
    m.anon_roots[root].areas = slot


@compiled
def unlink_anon_vma(m: Arrays, slot: int) -> None:
    """Take an area off its anon_vma; the last one frees the root."""
    a = m.areas[slot]
    if a.anon_root == NONE:
        return
    count_slab(m, int(m.spaces[int(a.space)].group), -anon_bytes(int(a.inherited)))
    row = m.anon_roots[int(a.anon_root)]
    if a.anon_prev == NONE:
        row.areas = a.anon_next
    else:
        m.areas[int(a.anon_prev)].anon_next = a.anon_next
    if a.anon_next != NONE:
        m.areas[int(a.anon_next)].anon_prev = a.anon_prev
    if row.areas == NONE:
        give_row(m.slots[SLOTS_ANON_ROOTS], m.anon_roots, int(a.anon_root))
    a.anon_root = NONE


@compiled
def map_file(m: Arrays, slot: int, kind: int, file: int) -> None:
    """Say what an area maps; a file counts and links its areas."""
    a = m.areas[slot]
    a.kind = kind
    a.file = file
    if file == NONE:
        return
    f = m.files[file]
    after = int(f.areas)
    a.file_prev = NONE
    a.file_next = after
    if after != NONE:
        m.areas[after].file_prev = slot
    f.areas = slot
    f.users += 1


@compiled
def leave_file(m: Arrays, slot: int) -> None:
    """Take an area off the file it maps."""
    a = m.areas[slot]
    if a.file == NONE:
        return
    f = m.files[int(a.file)]
    if a.file_prev == NONE:
        f.areas = a.file_next
    else:
        m.areas[int(a.file_prev)].file_next = a.file_next
    if a.file_next != NONE:
        m.areas[int(a.file_next)].file_prev = a.file_prev
    f.users -= 1
    a.file = NONE


# -- areas split and merge -------------------------------------------------------------------------


@compiled
def split_area(m: Arrays, slot: int, vpn: int) -> int:
    """Cut an area at `vpn`, inside it; return the slot of the upper part.

    Both parts keep anon_vma, flags and what is known of reading ahead; offsets go on.
    """
    a = m.areas[slot]
    start = int(a.start)
    end = int(a.end)
    a.end = vpn
    m.spaces[a.space].pages -= end - vpn
    upper = insert_area(m, int(a.space), vpn, end, int(a.offset) + vpn - start, int(a.vm_flags))
    link_anon_vma(m, upper, int(a.anon_root), int(a.anon_vma), int(a.inherited))
    map_file(m, upper, int(a.kind), int(a.file))
    m.areas[upper].swap_readahead = a.swap_readahead
    return upper


@compiled
def can_merge(m: Arrays, lower: int, upper: int, neighbour: int, anon_vma: int) -> bool:
    """Whether two areas could be one: adjacent, alike, offsets in line, anon_vmas compatible.

    These are if they are the same, or if only one area has one and it came from no parent; before
    Linux 6.16, only if that is the `neighbour` of the area that changes, which has `anon_vma`.
    """
    if lower == NONE or upper == NONE:
        return False
    a = m.areas[lower]
    b = m.areas[upper]
    return bool(
        a.end == b.start
        and a.vm_flags == b.vm_flags
        and a.kind == b.kind
        and a.kind != KIND_HUGETLB
        and a.file == b.file
        and a.offset + (a.end - a.start) == b.offset
        and (
            a.anon_vma == b.anon_vma
            or (a.anon_vma == NONE and b.inherited == 0)
            or (b.anon_vma == NONE and a.inherited == 0)
        )
        and a.vm_flags & A_GROWSDOWN == 0
        and (
            anon_vma == NONE
            or m.areas[neighbour].anon_vma != NONE
            or m.config[0].rules & R_MERGE_EITHER != 0
        )
    )


@compiled
def merge_area(m: Arrays, slot: int) -> int:
    """Merge an area with the neighbours it fits; return the slot that now covers it.

    With these two only: what they might merge with themselves stays apart, as in Linux.
    """
    anon_vma = int(m.areas[slot].anon_vma)
    lower = int(m.areas[slot].prev)
    if can_merge(m, lower, slot, lower, anon_vma):
        join_areas(m, lower, slot)
        slot = lower
    upper = int(m.areas[slot].next)
    if can_merge(m, slot, upper, upper, anon_vma):
        join_areas(m, slot, upper)
    return slot


@compiled
def join_areas(m: Arrays, lower: int, upper: int) -> None:
    """Let an area take over its upper neighbour, and its anon_vma if it has none."""
    a = m.areas[lower]
    b = m.areas[upper]
    s = m.spaces[a.space]
    end = int(b.end)
    if a.anon_vma == NONE:
        link_anon_vma(m, lower, int(b.anon_root), int(b.anon_vma), int(b.inherited))
    heap = s.heap == upper
    drop_area(m, upper)
    if heap:
        s.heap = lower
    s.pages += end - a.end
    a.end = end
    resized(m, lower)


@compiled
def place(m: Arrays, space: int, pages: int, kind: int, bits: int, offset: int) -> int:
    """Return where mmap puts a mapping of its own choice, or NONE if it fits nowhere.

    Large private anonymous ones begin at a 2 MiB boundary if there is room for it, and those of
    files where the file's page `offset` lets whole 2 MiB of it do (`__thp_get_unmapped_area`: a gap
    of 2 MiB more is looked for).  Those on huge pages of the pool always do.
    """
    if kind == KIND_HUGETLB:
        start = find_gap(m, space, pages + TABLE_MASK)
        return NONE if start == NONE else (start + TABLE_MASK) & ~TABLE_MASK
    rules = m.config[0].rules
    aligned = False
    if kind == KIND_ANON:
        offset = 0
        aligned = bits & A_SHARED == 0 and rules & R_ALIGN_LARGE != 0 and pages >= HUGE_PAGES
        if rules & R_ALIGN_WHOLE != 0 and pages & TABLE_MASK != 0:
            aligned = False
    elif kind == KIND_FILE:
        first = (offset + TABLE_MASK) & ~TABLE_MASK
        aligned = rules & R_ALIGN_FILES != 0 and offset + pages - first >= HUGE_PAGES
    if aligned:
        start = find_gap(m, space, pages + HUGE_PAGES)
        if start != NONE:
            return start + HUGE_PAGES - ((start - offset) & TABLE_MASK)
    return find_gap(m, space, pages)


@compiled
def is_free(m: Arrays, space: int, start: int, end: int) -> bool:
    """Whether no area overlaps [start, end)."""
    area = find_area(m, space, start)
    return area == NONE or bool(m.areas[area].start >= end)


@compiled
def may_lie(m: Arrays, space: int, start: int, pages: int) -> bool:
    """Whether a mapping of `pages` pages may begin at page `start`: free, in the address space."""
    last = (1 << VPN_BITS) - pages
    return bool(0 <= start <= last) and is_free(m, space, start, start + pages)
