"""Anonymous pages: anon_vmas, frames, copies, and the resident set they count in."""

from sim.base.jit import compiled, inlined
from sim.machine.areas import link_anon_vma, new_anon_root
from sim.machine.layout import F_ANON, F_EXCLUSIVE, KIND_ANON, NONE, Arrays
from sim.machine.pool import give_back, take

ACCESS_BITS = 3
"""`A_READ` and `A_WRITE`: the flags in which areas of one anon_vma may differ."""


@inlined
def anon_vma_prepare(m: Arrays, area: int) -> int:
    """Return the root of an area's anon_vma, which it gets at its first private page."""
    a = m.areas[area]
    if a.anon_root == NONE:
        make_anon_vma(m, area)
    return int(a.anon_root)


@compiled
def make_anon_vma(m: Arrays, area: int) -> None:
    """Give an area an anon_vma: a neighbour's, if they could have been one area, or a new one.

    Read in Linux 6.12 `mm/vma.c`: `find_mergeable_anon_vma`.
    """
    a = m.areas[area]
    if not reuse_anon_vma(m, area, int(a.next), area, int(a.next)) and not reuse_anon_vma(
        m, area, int(a.prev), int(a.prev), area
    ):
        link_anon_vma(m, area, new_anon_root(m), int(m.pool[0].next_anon_vma), 0)
        m.pool[0].next_anon_vma += 1


@compiled
def reuse_anon_vma(m: Arrays, area: int, other: int, lower: int, upper: int) -> bool:
    """Take the anon_vma of a neighbour, of which `lower` and `upper` is which; say if that went."""
    if other == NONE:
        return False
    a = m.areas[area]
    b = m.areas[other]
    low = m.areas[lower]
    high = m.areas[upper]
    if (
        b.anon_vma == NONE
        or b.inherited > 0
        or low.end != high.start
        or low.offset + (low.end - low.start) != high.offset
        or a.kind != b.kind
        or a.file != b.file
        or (a.vm_flags ^ b.vm_flags) & ~ACCESS_BITS != 0
    ):
        return False
    link_anon_vma(m, area, int(b.anon_root), int(b.anon_vma), 0)
    return True


@inlined
def count_resident(m: Arrays, space: int, pages: int) -> None:
    """Add anonymous pages to the resident set of an address space."""
    s = m.spaces[space]
    s.rss_anon += pages
    resident = s.rss_anon + s.rss_file + s.rss_shmem
    if resident > s.peak_rss:
        s.peak_rss = resident


@inlined
def fresh_page(m: Arrays, cpu: int, root: int, index: int) -> int:
    """Take a frame and make it an exclusive anonymous page, mapped once; return it."""
    pfn = take(m, cpu, KIND_ANON)
    frame = m.frames[pfn]
    frame.index = index
    frame.maps = 1
    frame.copy_next = pfn
    frame.copy_prev = pfn
    frame.mapping = root
    frame.bits = F_ANON | F_EXCLUSIVE
    return pfn


@inlined
def link_copy(m: Arrays, old: int, new: int) -> None:
    """Put `new` into the ring of versions of the page that `old` holds."""
    after = int(m.frames[old].copy_next)
    m.frames[new].copy_next = after
    m.frames[new].copy_prev = old
    m.frames[after].copy_prev = new
    m.frames[old].copy_next = new
    m.pool[0].cow_copies += 1


@compiled
def unlink_copy(m: Arrays, pfn: int) -> None:
    """Take an anonymous frame out of the ring of versions of its page."""
    frame = m.frames[pfn]
    after = int(frame.copy_next)
    if after != pfn:
        before = int(frame.copy_prev)
        m.frames[after].copy_prev = before
        m.frames[before].copy_next = after
        m.pool[0].cow_copies -= 1


@compiled
def free_anon_page(m: Arrays, cpu: int, pfn: int) -> None:
    """Free an anonymous frame that has lost its last reference."""
    unlink_copy(m, pfn)
    give_back(m, cpu, pfn, KIND_ANON)
