"""Pages of the page cache: how they get into it, and what maps them."""

from sim.base.jit import compiled
from sim.machine.entries import mk_pte, set_pte
from sim.machine.layout import (
    F_DIRTY,
    F_FILE,
    F_LOCKED,
    KIND_SHMEM,
    Arrays,
)
from sim.machine.pool import give_back, take


@compiled
def cache_page(m: Arrays, cpu: int, file: int, index: int) -> int:
    """Put a fresh frame into the page cache as page `index` of `file`; one must be secured."""
    f = m.files[file]
    pfn = take(m, cpu, int(f.kind))
    frame = m.frames[pfn]
    frame.index = index
    frame.maps = 0
    frame.copy_next = pfn
    frame.copy_prev = pfn
    frame.mapping = file
    frame.bits = F_FILE
    m.cached[int(f.first) + index] = pfn
    f.resident += 1
    return pfn


@compiled
def uncache_page(m: Arrays, cpu: int, file: int, index: int) -> None:
    """Take page `index` of `file`, which nobody maps, out of the page cache and free its frame."""
    f = m.files[file]
    at = int(f.first) + index
    give_back(m, cpu, int(m.cached[at]), int(f.kind))
    m.cached[at] = 0
    f.resident -= 1


@compiled
def count_cached(m: Arrays, space: int, kind: int, pages: int) -> None:
    """Add pages of the page cache to the resident set of an address space."""
    s = m.spaces[space]
    if kind == KIND_SHMEM:
        s.rss_shmem += pages
    else:
        s.rss_file += pages
    resident = s.rss_anon + s.rss_file + s.rss_shmem
    if resident > s.peak_rss:
        s.peak_rss = resident


@compiled
def dirty_folio(m: Arrays, pfn: int) -> None:
    """Take note that a page of the page cache was written: its folio is dirty, and all of it.

    Where a dropping call found pages in use, Linux marks those that are dirty by the time a CPU's
    batch is full (`lru_deactivate_file`), by the bit that also says "read ahead": fault-around
    passes over them.
    """
    frame = m.frames[pfn]
    frame.bits |= F_DIRTY
    f = m.files[int(frame.mapping)]
    if f.kept == 1:
        f.guessed = 1
    if frame.order != 0:
        size = 1 << int(frame.order)
        first = int(f.first) + int(frame.index) // size * size
        for at in range(first, first + size):
            other = m.frames[int(m.cached[at])]
            if other.bits & F_LOCKED == 0:
                other.bits |= F_DIRTY


@compiled
def map_cached(m: Arrays, leaf: int, at: int, pfn: int, entry_bits: int) -> None:
    """Let an entry map a frame of the page cache."""
    frame = m.frames[pfn]
    frame.refs += 1
    frame.maps += 1
    set_pte(m, leaf, at, mk_pte(pfn, entry_bits))
