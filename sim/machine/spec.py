"""What of a host decides the shape of its machine, and what the machine is set to."""

import math
from dataclasses import dataclass
from typing import Any

from sim.base.units import PAGE_BYTES
from sim.machine.layout import (
    FORK_COW,
    FORK_EAGER,
    HUGE_ORDER,
    HUGE_PAGES,
    N_STOCKS,
    REPLACE_LINUX,
    SWAP_NONE,
    THP_ALWAYS,
    THP_MADVISE,
    THP_NEVER,
    ZERO_IN_FAULTS,
)
from sim.machine.rules import rules_of
from sim.machine.rules.cgroup import cgroup_rules
from sim.machine.rules.pages import R_FOLIO_REUSE
from sim.machine.rules.pressure import R_SEVEN_STOCKS
from sim.machine.watermarks import percpu_batch, percpu_high


@dataclass(frozen=True, slots=True)
class HostSpec:
    """What of a host decides the shape of the machine; sizes in pages.

    `percpu_batch_pages` None takes Linux's formula, 0 has no per-CPU lists.  `zones` are name and
    size; their sum is `memory_pages`.  `fork_kind` is one of `FORK_COW` and its like, `thp` one of
    `THP_NEVER` and its like; `thp_sizes` are sizes of other folios, powers of 2 from 4 to 256
    pages, and for whom: "always", "inherit", "madvise" or "never"; `kernel` is the release of Linux
    whose rules hold, such as "6.12" (`sim.machine.rules`).  `read_ahead_pages` are read ahead of a
    file at most, and `largest_read_pages` in one request.  `cgroup` is the version of its control
    groups, "v1" or "v2".  `swap_pages` are slots of a swap device of `swap_kind`, one of
    `SWAP_IN_MEMORY` and its like; that one takes `zram_page_bytes` of memory for a page it has;
    2**`page_cluster` of them are read at once at most.  `swap_zeros` is the share of pages that are
    all zeros when they are swapped out.  `swappiness` is that of groups that say
    nothing else.  `replacement` says which page leaves, `REPLACE_LINUX`
    and its like; `zeroing` who zeroes frames, `ZERO_IN_FAULTS` and its like, at most
    `zero_stock_pages` ahead, `zero_ns` for each.  `nr_huge_pages`, of 2
    MiB, are in the pool of huge pages.
    """

    memory_pages: int
    cpus: int = 1
    kernel_pages: int = 1
    min_free_pages: int = 0
    scale_factor: int = 10
    percpu_batch_pages: int | None = 0
    percpu_high_pages: int | None = None
    zones: tuple[tuple[str, int], ...] = ()
    stack_pages: int = 4
    hz: int = 250
    overcommit: int = 0
    commit_limit_pages: int = 0
    queueing: bool = False
    fork_kind: int = FORK_COW
    eager_zero: bool = False
    zeroing: int = ZERO_IN_FAULTS
    zero_stock_pages: int = 0
    zero_ns: int = 1
    thp: int = THP_NEVER
    thp_sizes: tuple[tuple[int, str], ...] = ()
    kernel: str = "6.12"
    read_ahead_pages: int = 32
    largest_read_pages: int = 320
    cgroup: str = "v2"
    swap_pages: int = 0
    swap_kind: int = SWAP_NONE
    zram_page_bytes: int = 0
    swap_zeros: float = 0.0
    swappiness: int = 60
    replacement: int = REPLACE_LINUX
    page_cluster: int = 3
    dirty_ratio: int = 20
    dirty_background_ratio: int = 10
    nr_huge_pages: int = 0

    @property
    def ram_pages(self) -> int:
        """Pages without the kernel's share: what it counts as memory (`totalram_pages`)."""
        return self.memory_pages - self.kernel_pages


def zram_page_bytes(compression_ratio: float) -> int:
    """Return what zram takes for a page, in whole bytes, where pages become so much smaller."""
    return math.ceil(PAGE_BYTES / compression_ratio)


def folio_masks(host: HostSpec) -> tuple[int, int]:
    """Return the sizes of folios for all anonymous memory, and for advised: a bit each, its pages.

    Read in Linux 6.12 `thp_vma_allowable_orders`: "inherit" does as huge pages do.
    """
    inherited = {THP_ALWAYS: "always", THP_MADVISE: "madvise", THP_NEVER: "never"}[host.thp]
    modes = [(pages, inherited if mode == "inherit" else mode) for pages, mode in host.thp_sizes]
    always = sum(pages for pages, mode in modes if mode == "always")
    return always, always + sum(pages for pages, mode in modes if mode == "madvise")


def folio_shift(host: HostSpec) -> int:
    """Return the power of 2 of rows that `folios` has for each 2 MiB; 0 if nobody is remembered.

    From Linux 6.15 on large folios remember who maps them, as far as forks copy entries.
    """
    if not rules_of(host.kernel) & R_FOLIO_REUSE or host.fork_kind not in (FORK_COW, FORK_EAGER):
        return 0
    sizes = [pages for pages, mode in host.thp_sizes if mode != "never"]
    return HUGE_ORDER + 2 - min([*sizes, HUGE_PAGES]).bit_length()


def percpu_sizes(host: HostSpec, z: Any, largest: Any) -> tuple[int, int]:
    """Return what a per-CPU list of zone `z` takes at once, and how long it may be.

    What the host says is of the largest zone; others have less as far as by Linux's formulas.
    """
    if host.percpu_batch_pages == 0:
        return 1, 0
    own, most = percpu_batch(int(z.managed)), percpu_batch(int(largest.managed))
    batch = max(1, (host.percpu_batch_pages or most) * own // most)
    if not host.percpu_high_pages:
        return batch, percpu_high(int(z.low_pages), host.cpus, batch)
    high = host.percpu_high_pages
    share = high * int(z.low_pages) // max(1, int(largest.low_pages))
    return batch, max(share, min(high, 4 * batch))


def configuration(host: HostSpec) -> dict[str, int]:
    """Return what a machine is set to, by column of `CONFIG`; reserves follow from its zones."""
    always, advised = folio_masks(host)
    return {
        "n_zones": max(1, len(host.zones)),
        "n_cpus": host.cpus,
        "dirty_ratio": host.dirty_ratio,
        "dirty_background_ratio": host.dirty_background_ratio,
        "stocks": N_STOCKS if rules_of(host.kernel) & R_SEVEN_STOCKS else 1,
        "ram": host.ram_pages,
        "rules": rules_of(host.kernel),
        "cgroup": cgroup_rules(host.cgroup),
        "total_swap_pages": host.swap_pages,
        "zram_page_bytes": host.zram_page_bytes,
        "zero_pages_of_2_32": round(host.swap_zeros * 2**32),
        "page_cluster": host.page_cluster,
        "replacement": host.replacement,
        "queueing": int(host.queueing),
        "overcommit": host.overcommit,
        "commit_limit": host.commit_limit_pages,
        "stack_frames": host.stack_pages,
        "fork_kind": host.fork_kind,
        "eager_zero": int(host.eager_zero),
        "zeroing": host.zeroing,
        "zero_stock": host.zero_stock_pages,
        "zero_ns": host.zero_ns,
        "thp": host.thp,
        "folios_always": always,
        "folios_advised": advised,
        "folio_shift": folio_shift(host),
        "read_ahead": host.read_ahead_pages,
        "largest_read": host.largest_read_pages,
    }
