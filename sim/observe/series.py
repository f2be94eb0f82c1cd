"""Levels over time, kept inside the burst: integrals, peaks and the samples of a time series.

A level changes at the start of a step only, so it is enough to bring integrals up to date there.
"""

from typing import Final

from sim.base.jit import compiled, inlined, rare
from sim.kernel.zeroing import zeroed_pages
from sim.machine.layout import (
    GROUP_SERIES,
    HUGE_PAGES,
    KIND_ANON,
    KIND_FILE,
    KIND_SHMEM,
    KIND_STACK,
    KIND_TABLE,
    KIND_ZRAM,
    LRU_ACTIVE_ANON,
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    MOST_SAMPLES,
    NONE,
    PFN_SHIFT,
    ROOT,
    SERIES_ACTIVE_ANON,
    SERIES_ACTIVE_FILE,
    SERIES_ANON,
    SERIES_CURRENT,
    SERIES_FILE,
    SERIES_FULL,
    SERIES_INACTIVE_ANON,
    SERIES_INACTIVE_FILE,
    SERIES_REFAULTS,
    SERIES_SCANNED,
    SERIES_SOME,
    SERIES_STOLEN,
    SERIES_SWAP,
    SERIES_WORKING_SET,
    ZERO_WHEN_IDLE,
    Arrays,
)
from sim.machine.lru import lru_pages, next_group
from sim.machine.pool import listed
from sim.observe.pressure import so_far_us, update_averages

_LIMIT: Final = 1 << 61
_STRETCH_NS: Final = 1 << 33
"""So long that 2**28 pages (1 TiB) times it stay below `_LIMIT`."""


@compiled
def keep_up(m: Arrays, until_ns: int) -> None:
    """Write the rows that are due up to `until_ns`, and bring averages of pressure up to date."""
    clock = m.clock[0]
    while True:
        clock.due_ns = min(clock.sample_next_ns, clock.psi_next_ns)
        if clock.due_ns > until_ns:
            return
        if clock.psi_next_ns <= clock.sample_next_ns:
            update_averages(m, int(clock.psi_next_ns))
            clock.psi_next_ns += clock.psi_period_ns
        else:
            sample(m)


@rare
def sample(m: Arrays) -> None:
    """Write the row that is due.

    When the series is full every second row goes, and rows are twice as far apart from then on.
    """
    clock = m.clock[0]
    if clock.samples == MOST_SAMPLES:
        drop_every_second(m)
    pool = m.pool[0]
    row = m.samples[int(clock.samples)]
    row.t_ns = clock.sample_next_ns
    row.free_pages = pool.free
    row.percpu_pages = 0
    for cpu in range(int(m.config[0].n_cpus)):
        row.percpu_pages += listed(m, cpu)
    row.zeroed_pages = 0
    if m.config[0].zeroing == ZERO_WHEN_IDLE:
        row.zeroed_pages = zeroed_pages(m, int(clock.sample_next_ns))
    row.anon_pages = m.charged[ROOT, KIND_ANON]
    row.page_tables_pages = m.charged[ROOT, KIND_TABLE]
    row.kernel_stacks_pages = m.charged[ROOT, KIND_STACK]
    row.page_cache_pages = m.charged[ROOT, KIND_FILE]
    row.shared_memory_pages = m.charged[ROOT, KIND_SHMEM]
    row.hugetlb_pages = HUGE_PAGES * (pool.nr_huge_pages - pool.free_huge_pages)
    row.zram_pages = m.charged[ROOT, KIND_ZRAM]
    row.cow_copies_pages = pool.cow_copies
    row.runnable = clock.runnable
    row.dirty_pages = m.groups[ROOT].dirty
    row.writeback_pages = m.groups[ROOT].writeback
    slab_bytes = 0
    for group in range(int(pool.n_groups)):
        slab_bytes += int(m.groups[group].slab)
        sample_group(m, group)
    row.slab_pages = -(-slab_bytes >> PFN_SHIFT)
    clock.samples += 1
    clock.sample_next_ns += clock.sample_every_ns


@compiled
def sample_group(m: Arrays, group: int) -> None:
    """Write what the row that is due has of a group and of those in it."""
    at = int(m.clock[0].samples)
    now_ns = int(m.clock[0].sample_next_ns)
    usage = int(m.groups[group].usage)
    active = inactive = active_anon = inactive_anon = scanned = stolen = refaults = 0
    inner = next_group(m, group, NONE)
    while inner != NONE:
        v = m.lruvecs[inner]
        active += lru_pages(m, inner, LRU_ACTIVE_FILE)
        inactive += lru_pages(m, inner, LRU_INACTIVE_FILE)
        active_anon += lru_pages(m, inner, LRU_ACTIVE_ANON)
        inactive_anon += lru_pages(m, inner, LRU_INACTIVE_ANON)
        scanned += int(v.pgscan_direct + v.pgscan_kswapd)
        stolen += int(v.pgsteal_direct + v.pgsteal_kswapd)
        refaults += int(v.workingset_refault + v.workingset_refault_anon)
        inner = next_group(m, group, inner)
    told = m.group_samples
    told[group, at, SERIES_CURRENT] = usage
    told[group, at, SERIES_ANON] = m.charged[group, KIND_ANON]
    told[group, at, SERIES_FILE] = m.charged[group, KIND_FILE]
    told[group, at, SERIES_WORKING_SET] = max(0, usage - inactive)
    told[group, at, SERIES_ACTIVE_FILE] = active
    told[group, at, SERIES_INACTIVE_FILE] = inactive
    told[group, at, SERIES_ACTIVE_ANON] = active_anon
    told[group, at, SERIES_INACTIVE_ANON] = inactive_anon
    told[group, at, SERIES_SWAP] = m.groups[group].swap
    told[group, at, SERIES_SCANNED] = scanned
    told[group, at, SERIES_STOLEN] = stolen
    told[group, at, SERIES_REFAULTS] = refaults
    told[group, at, SERIES_SOME] = so_far_us(m, group, now_ns, SERIES_SOME)
    told[group, at, SERIES_FULL] = so_far_us(m, group, now_ns, SERIES_FULL)


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
        row.percpu_pages = old.percpu_pages
        row.zeroed_pages = old.zeroed_pages
        row.anon_pages = old.anon_pages
        row.page_tables_pages = old.page_tables_pages
        row.kernel_stacks_pages = old.kernel_stacks_pages
        row.page_cache_pages = old.page_cache_pages
        row.shared_memory_pages = old.shared_memory_pages
        row.hugetlb_pages = old.hugetlb_pages
        row.zram_pages = old.zram_pages
        row.cow_copies_pages = old.cow_copies_pages
        row.runnable = old.runnable
        row.slab_pages = old.slab_pages
        row.dirty_pages = old.dirty_pages
        row.writeback_pages = old.writeback_pages
        for group in range(int(m.pool[0].n_groups)):
            for column in range(len(GROUP_SERIES)):
                m.group_samples[group, kept, column] = m.group_samples[group, 2 * kept, column]


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
    if pool.used > peak.total:
        peak.total = pool.used
        peak.cow_copies = pool.cow_copies
        peak.data = m.charged[ROOT, KIND_ANON] - pool.cow_copies
        peak.page_tables = m.charged[ROOT, KIND_TABLE]
        peak.kernel_stacks = m.charged[ROOT, KIND_STACK]
        peak.page_cache = m.charged[ROOT, KIND_FILE]
        peak.shared_memory = m.charged[ROOT, KIND_SHMEM]
        peak.hugetlb = HUGE_PAGES * pool.nr_huge_pages
        peak.zram = m.charged[ROOT, KIND_ZRAM]
    if pool.free < m.clock[0].free_min:
        m.clock[0].free_min = pool.free
