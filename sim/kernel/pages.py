"""Anonymous pages: anon_vmas, frames, copies, and the resident set they count in."""

from sim.base.jit import compiled, inlined, rare
from sim.machine.areas import link_anon_vma, new_anon_root
from sim.machine.entries import ptep_get_and_clear, swp_offset
from sim.machine.layout import (
    F_ANON,
    F_BATCHED,
    F_EXCLUSIVE,
    F_LOCKED,
    F_LRU,
    KIND_ANON,
    NONE,
    Arrays,
)
from sim.machine.lru import folio_add_lru, lruvec_release
from sim.machine.pool import give_back, take
from sim.machine.swap import folio_free_swap, swap_free

ACCESS_BITS = 3
"""`A_READ` and `A_WRITE`: the flags in which areas of one anon_vma may differ."""


@inlined
def anon_vma_prepare(m: Arrays, area: int) -> int:
    """Return the root of an area's anon_vma, which it gets at its first private page."""
    a = m.areas[area]
    if a.anon_root == NONE:
        make_anon_vma(m, area)
    return int(a.anon_root)


@rare
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
def new_anon_page(m: Arrays, cpu: int, root: int, index: int) -> int:
    """Take a frame and make it an exclusive anonymous page, mapped once, on no list; return it."""
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
def fresh_page(m: Arrays, cpu: int, root: int, index: int) -> int:
    """Do as `new_anon_page`, and put it on the lists of its group, if anybody looks at them."""
    pfn = new_anon_page(m, cpu, root, index)
    if m.config[0].total_swap_pages != 0:
        folio_add_lru(m, cpu, pfn)
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
    if m.frames[pfn].bits & (F_LRU | F_BATCHED) != 0:
        lruvec_release(m, cpu, pfn)
    give_back(m, cpu, pfn, KIND_ANON)


# -- pages with a copy on the swap device ----------------------------------------------------------


@compiled
def free_swap_cache(m: Arrays, cpu: int, pfn: int) -> bool:
    """Free a page that only the swap cache has, and nobody can ask for any more; say if it went."""
    frame = m.frames[pfn]
    if frame.maps > 0 or frame.bits & F_LOCKED != 0 or not folio_free_swap(m, pfn):
        return False
    free_anon_page(m, cpu, pfn)
    return True


@rare
def zap_swap_pte(m: Arrays, cpu: int, space: int, table: int, at: int) -> None:
    """Remove an entry of an address space that is swapped out, and what only it could ask for.

    Read in Linux 6.18 `mm/swapfile.c` (`free_swap_and_cache_nr`).
    """
    slot = swp_offset(ptep_get_and_clear(m, table, at))
    m.spaces[space].swapents -= 1
    pfn = int(m.swap[slot].pfn)
    swap_free(m, slot)
    if pfn != 0:
        free_swap_cache(m, cpu, pfn)
