"""Levels over time, kept inside the burst: integrals, peaks and the samples of a time series.

A level changes at the start of a step only, so it is enough to bring integrals up to date there.
"""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.machine.layout import (
    HUGE_PAGES,
    KIND_ANON,
    KIND_FILE,
    KIND_SHMEM,
    KIND_STACK,
    KIND_TABLE,
    MOST_SAMPLES,
    ROOT,
    Arrays,
)

_LIMIT: Final = 1 << 61
_STRETCH_NS: Final = 1 << 33
"""So long that 2**28 pages (1 TiB) times it stay below `_LIMIT`."""


@compiled
def sample(m: Arrays, until_ns: int) -> None:
    """Write a row for every sampling time up to `until_ns`.

    When the series is full every second row goes, and rows are twice as far apart from then on.
    """
    clock = m.clock[0]
    pool = m.pool[0]
    while clock.sample_next_ns <= until_ns:
        if clock.samples == MOST_SAMPLES:
            drop_every_second(m)
        at = int(clock.samples)
        row = m.samples[at]
        row.t_ns = clock.sample_next_ns
        row.free_pages = pool.free
        row.anon_pages = m.charged[ROOT, KIND_ANON]
        row.page_tables_pages = m.charged[ROOT, KIND_TABLE]
        row.kernel_stacks_pages = m.charged[ROOT, KIND_STACK]
        row.page_cache_pages = m.charged[ROOT, KIND_FILE]
        row.shared_memory_pages = m.charged[ROOT, KIND_SHMEM]
        row.hugetlb_pages = HUGE_PAGES * (pool.nr_huge_pages - pool.free_huge_pages)
        row.cow_copies_pages = pool.cow_copies
        row.runnable = clock.runnable
        clock.samples = at + 1
        clock.sample_next_ns += clock.sample_every_ns


@compiled
def drop_every_second(m: Arrays) -> None:
    """Thin out a full series: the rows that stay are twice as far apart, as later ones will be."""
    clock = m.clock[0]
    clock.samples = MOST_SAMPLES // 2
    clock.sample_every_ns *= 2
    for kept in range(MOST_SAMPLES // 2):
        old = m.samples[2 * kept]  # field by field: compiled code cannot assign a whole row
        row = m.samples[kept]
        row.t_ns = old.t_ns
        row.free_pages = old.free_pages
        row.anon_pages = old.anon_pages
        row.page_tables_pages = old.page_tables_pages
        row.kernel_stacks_pages = old.kernel_stacks_pages
        row.page_cache_pages = old.page_cache_pages
        row.shared_memory_pages = old.shared_memory_pages
        row.hugetlb_pages = old.hugetlb_pages
        row.cow_copies_pages = old.cow_copies_pages
        row.runnable = old.runnable


@compiled
def integrate(m: Arrays, now_ns: int) -> None:
    """Carry the integral of free pages forward to `now_ns`, at the level since `level_ns`.

    It is kept in two words, because pages x ns outgrow 63 bits.
    """
    clock = m.clock[0]
    elapsed = now_ns - clock.level_ns
    while elapsed > 0:
        part = min(elapsed, _STRETCH_NS)
        low = clock.free_low + clock.level_free * part
        while low >= _LIMIT:
            low -= _LIMIT
            clock.free_high += 1
        clock.free_low = low
        clock.level_ns += part
        elapsed -= part
    clock.level_free = m.pool[0].free


@inlined
def follow_peaks(m: Arrays) -> None:
    """Take note of a new peak of memory in use, with its parts, and of a new low of free pages."""
    pool = m.pool[0]
    peak = m.peak[0]
    anon = m.charged[ROOT, KIND_ANON]
    cache = m.charged[ROOT, KIND_FILE]
    shared = m.charged[ROOT, KIND_SHMEM]
    table = m.charged[ROOT, KIND_TABLE]
    stack = m.charged[ROOT, KIND_STACK]
    hugetlb = HUGE_PAGES * pool.nr_huge_pages
    used = anon + cache + shared + table + stack + hugetlb
    if used > peak.total:
        peak.total = used
        peak.cow_copies = pool.cow_copies
        peak.data = anon - pool.cow_copies
        peak.page_tables = table
        peak.kernel_stacks = stack
        peak.page_cache = cache
        peak.shared_memory = shared
        peak.hugetlb = hugetlb
    if pool.free < m.clock[0].free_min:
        m.clock[0].free_min = pool.free
