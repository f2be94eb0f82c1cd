"""A machine: its arrays, made from a description of the host, and their growth."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sim.base.errors import KernelPanicError
from sim.base.units import PAGE_BYTES
from sim.machine.audit.audit import audit
from sim.machine.buddy import add_free_range
from sim.machine.images import ImageStore
from sim.machine.layout import (
    COLUMNS,
    F_RESERVED,
    FILE,
    FOREVER,
    FORK_COW,
    FORK_EAGER,
    HUGE_ORDER,
    HUGE_PAGES,
    MOST_SAMPLES,
    N_LATENCIES,
    NICE_0_WEIGHT,
    NONE,
    RECEIPT_ROWS,
    ROOT,
    TASK,
    THP_ALWAYS,
    THP_MADVISE,
    THP_NEVER,
    Arrays,
)
from sim.machine.memory import recycle
from sim.machine.rules import R_FOLIO_REUSE, rules_of
from sim.machine.turns import FREE, N_TOURNAMENTS
from sim.machine.watermarks import (
    commit_reserves,
    percpu_batch,
    percpu_high,
    zone_watermarks,
)
from sim.machine.work import N_LINES

_FIRST_TABLES: Final = 1024
"""Page tables there is room for at first, besides those that map all memory twice over."""
_FIRST_SLOTS: Final = 64
_FIRST_REQUESTS: Final = 512
"""Requests to the device that there is room for at first: a window's, at most one a page."""


@dataclass(frozen=True, slots=True)
class HostSpec:
    """What of a host decides the shape of the machine; sizes in pages.

    `percpu_batch_pages` None takes Linux's formula, 0 has no per-CPU lists.  `zones` are name and
    size; their sum is `memory_pages`.  `fork_kind` is one of `FORK_COW` and its like, `thp` one of
    `THP_NEVER` and its like; `thp_sizes` are sizes of other folios, powers of 2 from 4 to 256
    pages, and for whom: "always", "inherit", "madvise" or "never"; `kernel` is the release of Linux
    whose rules hold, such as "6.12" (`sim.machine.rules`).  `read_ahead_pages` are read ahead of a
    file at most, and `largest_read_pages` in one request.
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
    thp: int = THP_NEVER
    thp_sizes: tuple[tuple[int, str], ...] = ()
    kernel: str = "6.12"
    read_ahead_pages: int = 32
    largest_read_pages: int = 320

    @property
    def ram_pages(self) -> int:
        """Pages without the kernel's share: what it counts as memory (`totalram_pages`)."""
        return self.memory_pages - self.kernel_pages


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


class Machine:
    """All state of one simulated machine.  `arrays` is what compiled code works on."""

    def __init__(
        self,
        host: HostSpec,
        *,
        prices: NDArray[np.int64],
    ) -> None:
        self.host = host
        n_tables = min(_FIRST_TABLES + host.memory_pages // 256, host.memory_pages + 8)
        zones = max(1, len(host.zones))
        shift = folio_shift(host)
        rows = dict.fromkeys(COLUMNS, _FIRST_SLOTS)
        rows |= {"frames": host.memory_pages, "tables": n_tables, "table_info": n_tables}
        rows["folios"] = -(-host.memory_pages // HUGE_PAGES) << shift if shift else 1
        rows |= {"cpus": host.cpus, "percpu": host.cpus, "zones": zones, "buddy": zones}
        one = ("config", "pool", "groups", "charged", "clock", "peak", "lists", "cached")
        rows |= dict.fromkeys(one, 1) | {"samples": MOST_SAMPLES}
        leaves = 1 << (host.cpus - 1).bit_length()
        rows |= {"queues": 1 + host.cpus, "sched": 1, "turns": 2 * N_TOURNAMENTS * leaves}
        rows |= {"requests": _FIRST_REQUESTS}
        rows |= {"receipt": RECEIPT_ROWS, "prices": N_LINES, "spent_ps": N_LINES}
        rows |= {"histograms": N_LATENCIES, "latencies": N_LATENCIES}
        self.arrays = Arrays(rows)
        self.arrays.prices[:] = prices
        self.images = ImageStore(self.arrays)
        self._take_note_of_room()
        self._set_up_pool()
        self._set_up_zones()
        self._set_up_cpus(leaves)
        self.n_groups = 1  # the root
        self._free_tasks = list(range(_FIRST_SLOTS - 1, -1, -1))

    def _set_up_pool(self) -> None:
        host, m = self.host, self.arrays
        pool = m.pool[0]
        config = m.config[0]
        config.n_zones = len(m.zones)
        config.n_cpus = host.cpus
        pool.head = NONE
        config.queueing = int(host.queueing)
        config.overcommit = host.overcommit
        config.commit_limit = host.commit_limit_pages
        config.ram = host.ram_pages
        config.stack_frames = host.stack_pages
        config.fork_kind = host.fork_kind
        config.eager_zero = int(host.eager_zero)
        config.thp = host.thp
        config.folios_always, config.folios_advised = folio_masks(host)
        config.folio_shift = folio_shift(host)
        config.rules = rules_of(host.kernel)
        config.read_ahead = host.read_ahead_pages
        config.largest_read = host.largest_read_pages
        pool.free_table = pool.free_area = pool.free_space = 1  # slot 0 stays unused: a link of 0
        pool.used_tables = pool.used_areas = pool.used_spaces = 1  # means "never used before"
        m.clock[0].tick_ns = 1_000_000_000 // host.hz
        m.percpu.head = NONE
        m.buddy.head = NONE
        m.groups[ROOT].parent = NONE

    def _set_up_cpus(self, leaves: int) -> None:
        m = self.arrays
        m.cpus.task = m.cpus.last = m.cpus.idle_from_ns = NONE
        m.queues.head = m.queues.tail = NONE
        m.sched[0].leaves = leaves
        m.turns[:] = FOREVER
        root = 2 * FREE * leaves
        m.turns[root + leaves : root + leaves + self.host.cpus] = 0
        for node in range(leaves - 1, 0, -1):
            m.turns[root + node] = min(m.turns[root + 2 * node], m.turns[root + 2 * node + 1])

    def _set_up_zones(self) -> None:
        host, m = self.host, self.arrays
        zones = host.zones or (("Normal", host.memory_pages),)
        if sum(pages for _, pages in zones) != host.memory_pages:
            raise KernelPanicError("zones do not add up to the machine's memory", repr(zones))
        managed = max(1, host.ram_pages)
        start = 0
        reserved = max(1, host.kernel_pages)
        m.frames[:reserved].bits = F_RESERVED
        m.frames[:reserved].refs = 1
        for number, (_, pages) in enumerate(zones):
            z = m.zones[number]
            first = max(start, reserved)
            z.start, z.end = start, start + pages
            z.managed = max(0, start + pages - first)
            marks = zone_watermarks(host.min_free_pages, int(z.managed), managed, host.scale_factor)
            z.min_pages, z.low_pages, z.high_pages = (
                marks.min_pages,
                marks.low_pages,
                marks.high_pages,
            )
            if host.percpu_batch_pages == 0:
                z.batch, z.pcp_high = 1, 0
            else:
                batch = host.percpu_batch_pages or percpu_batch(int(z.managed))
                z.batch = batch
                z.pcp_high = host.percpu_high_pages or percpu_high(
                    marks.low_pages, host.cpus, batch
                )
            if z.managed > 0:
                add_free_range(m, number, first, start + pages)
            start += pages
        self.free_at_start_pages = int(m.pool[0].free)
        reserves = commit_reserves(self.free_at_start_pages)
        m.config[0].admin_reserve, m.config[0].user_reserve = reserves
        m.clock[0].free_min = m.clock[0].level_free = m.pool[0].free

    # -- tasks ----------------------------------------------------------------------------

    def new_task(self) -> int:
        """Return the row of a new task that has no address space, no stack and nothing to do."""
        if not self._free_tasks:
            rows = len(self.arrays.tasks)
            for name in ("tasks", "entities", "timers", "counts", "draws"):
                self.arrays.grow(name)
            self._free_tasks = list(range(2 * rows - 1, rows - 1, -1))
        row = self._free_tasks.pop()
        t = self.arrays.tasks[row]
        for name in TASK.names or ():
            t[name] = 0
        t.state = 1
        for name in (
            "space", "old_space", "cpu", "pin", "parent", "stack", "area", "other", "other_area",
            "file", "evict", "cached_area", "cached_tag", "cached_leaf", "cached_space",
            "fault_from_ns",
        ):  # fmt: skip
            t[name] = NONE
        e = self.arrays.entities[row]
        e.busy = 0
        e.weight = NICE_0_WEIGHT
        e.queue = e.timer = NONE
        self.arrays.counts[row] = 0
        self.arrays.draws[row] = 0
        return row

    def free_task(self, row: int) -> None:
        """Give the row of a task that has ended back."""
        self.arrays.tasks[row].state = 0
        self._free_tasks.append(row)

    # -- control groups -------------------------------------------------------------------

    def new_group(self, parent: int = ROOT) -> int:
        """Return the row of a new control group, nested in `parent`; nothing is charged to it."""
        m = self.arrays
        row = self.n_groups
        if row == len(m.groups):
            m.grow("groups")
            m.grow("charged")
        m.groups[row].parent = parent
        self.n_groups += 1
        return row

    def put_into_group(self, task: int, group: int) -> None:
        """Charge to `group` what a task and its children take from now on; the rest stays."""
        m = self.arrays
        t = m.tasks[task]
        t.group = group
        if t.space != NONE:
            m.spaces[int(t.space)].group = group

    # -- files ----------------------------------------------------------------------------

    def new_file(self, kind: int, pages: int, *, known: bool = False, cold: bool = False) -> int:
        """Return the row of a new file of `pages` pages, none of them in the page cache.

        A `known` one stays in the page cache when nobody maps it; others are freed by who last did.
        Whoever maps it brings all of it into the page cache, unless it is `cold`.
        """
        m = self.arrays
        free = [row for row in range(len(m.files)) if m.files[row].kind == 0]
        if not free:
            free = [len(m.files)]
            m.grow("files")
        f = m.files[free[0]]
        for name in FILE.names or ():
            f[name] = 0
        f.first = self._room_in_cache(pages)
        f.kind = kind
        f.pages = pages
        f.known = int(known)
        f.fills = int(not cold)
        f.next = f.ra_prev = NONE
        f.ra_pages = m.config[0].read_ahead
        return free[0]

    def _room_in_cache(self, pages: int) -> int:
        """Return where `pages` rows of `cached` are free: first fit."""
        m = self.arrays
        start = 0
        for first, size in sorted((int(f.first), int(f.pages)) for f in m.files if f.kind != 0):
            if first - start >= pages:
                break
            start = first + size
        while start + pages > len(m.cached):
            m.grow("cached")
        m.cached[start : start + pages] = 0
        return start

    def drop_file(self, row: int) -> None:
        """Forget a file that was never mapped."""
        f = self.arrays.files[row]
        if f.users == 0 and f.resident == 0 and f.known == 0:
            f.kind = 0

    # -- growth ---------------------------------------------------------------------------

    def _take_note_of_room(self) -> None:
        m = self.arrays
        m.pool[0].room_tables = len(m.table_info)
        m.pool[0].room_areas = len(m.areas)
        m.pool[0].room_spaces = len(m.spaces)
        m.pool[0].room_requests = len(m.requests)

    def make_room(self) -> None:
        """Double whichever arrays are nearly full, so that the step refused may be made again."""
        m = self.arrays
        pool = m.pool[0]
        config = m.config[0]
        if pool.used_tables + 8 > len(m.table_info):
            m.grow("tables")
            m.grow("table_info")
        if pool.used_areas + 8 + self.images.most_segments > len(m.areas):
            m.grow("areas")
        if pool.used_spaces + 8 > len(m.spaces):
            m.grow("spaces")
        most = max(int(m.files["ra_pages"].max()), int(config.largest_read), 2 * HUGE_PAGES) + 4
        while len(m.requests) < pool.requests + most:
            m.grow("requests")
        self._take_note_of_room()

    def set_lists(self, lists: NDArray[np.int64]) -> None:
        """Replace the store of page numbers and arrival times."""
        self.arrays.replace("lists", lists)

    def release(self) -> None:
        """Give the machine's memory to the next one; this one must not be used any more."""
        for name in COLUMNS:
            recycle(getattr(self.arrays, name))

    # -- what it says of itself -----------------------------------------------------------

    def audit(self) -> None:
        """Raise `KernelPanicError` unless the books balance."""
        audit(self.arrays)

    def watermark_pages(self) -> dict[str, int]:
        """Return min, low and high, summed over zones, in pages."""
        zones: Any = self.arrays.zones
        return {name: int(zones[f"{name}_pages"].sum()) for name in ("min", "low", "high")}

    @staticmethod
    def pages(size_bytes: int) -> int:
        """Return whole pages for a size, rounded up."""
        return -(-size_bytes // PAGE_BYTES)
