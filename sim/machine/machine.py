"""A machine: its arrays, made from a description of the host, and their growth."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sim.base.errors import KernelPanicError
from sim.base.jit import plain
from sim.base.units import PAGE_BYTES
from sim.machine.audit.audit import audit
from sim.machine.buddy import add_free_range
from sim.machine.cached import forget_shadows
from sim.machine.groups import move_process
from sim.machine.hugetlb import set_aside
from sim.machine.images import ImageStore
from sim.machine.layout import (
    COLUMNS,
    ENTITY,
    F_RESERVED,
    FILE,
    FIRST_BATCH,
    FOREVER,
    HUGE_PAGES,
    KIND_SWAP,
    MOST_BATCHES,
    MOST_SAMPLES,
    N_BATCHES,
    N_LATENCIES,
    N_LRU,
    N_SLOTS,
    N_STOCKS,
    NICE_0_WEIGHT,
    NICE_WEIGHTS,
    NO_OPERATION,
    NONE,
    PROCESS,
    RECEIPT_ROWS,
    REPLACE_LINUX,
    ROOT,
    SLOTS_ANON_ROOTS,
    SLOTS_AREAS,
    SLOTS_FILES,
    SLOTS_SPACES,
    SLOTS_SWAP,
    SLOTS_TABLES,
    STACK_LIMIT_PAGES,
    TASK,
    Arrays,
)
from sim.machine.lru import FLUSH_NS, new_lruvec
from sim.machine.memory import recycle
from sim.machine.page_counter import set_limits
from sim.machine.segments import Segments
from sim.machine.slots import give_row, has_room, take_row
from sim.machine.spec import HostSpec, configuration, folio_shift, percpu_sizes
from sim.machine.swap import swapon
from sim.machine.tree import tree_nodes
from sim.machine.turns import FREE, N_TOURNAMENTS
from sim.machine.watermarks import (
    commit_reserves,
    total_reserve_pages,
    zone_watermarks,
)
from sim.machine.words import PROCESS_TASKS, PROCESS_WORDS, T_PROCESS, T_STATE, T_WORDS
from sim.machine.work import N_LINES

_FIRST_TABLES: Final = 1024
"""Page tables there is room for at first, besides those that map all memory twice over."""
_FIRST_SLOTS: Final = 64
_OF_GROUPS: Final = "groups charged events lruvecs lrus psi psi_cpus averages group_samples"
"""Arrays with rows for each control group."""
_OF_SLOTS: Final = {
    SLOTS_TABLES: "table_info", SLOTS_AREAS: "areas", SLOTS_ANON_ROOTS: "anon_roots",
    SLOTS_SPACES: "spaces", SLOTS_FILES: "files", SLOTS_SWAP: "swap",
}  # fmt: skip
"""By row of `slots`: the array whose rows it hands out."""
_has_room, _take_row, _give_row = plain(has_room), plain(take_row), plain(give_row)
_FIRST_REQUESTS: Final = 512  # a window of a file is at most one a page


def _blank(record: np.dtype[Any], *none: str) -> Any:
    """Return a record of zeroes, but for columns that name nothing."""
    blank = np.zeros((), record)
    for name in none:
        blank[name] = NONE
    return blank


_NEW_FILE: Final = _blank(FILE, "next", "areas", "ra_prev", "dirty_since_ns")
_NEW_TASK: Final = _blank(
    TASK, "space", "old_space", "cpu", "pin", "stack", "evict", "cached_area", "cached_tag",
    "cached_leaf", "cached_space",
)  # fmt: skip
_NEW_TASK["state"] = 1
_NEW_ENTITY: Final = _blank(ENTITY, "home", "queue", "timer")
_NEW_ENTITY["weight"] = NICE_0_WEIGHT
_NEW_PROCESS: Final = _blank(PROCESS)
_NEW_PROCESS["group"], _NEW_PROCESS["stack_limit"] = ROOT, STACK_LIMIT_PAGES


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
        rows |= {"cpus": host.cpus, "percpu": host.cpus * zones, "zones": zones, "buddy": zones}
        one = ("config", "pool", "clock", "peak", "lists", "cached", "swap_area")
        rows |= dict.fromkeys((*one, *_OF_GROUPS.split()), 1)
        leaves = 1 << (host.cpus - 1).bit_length()
        rows |= {"queues": 1 + host.cpus, "sched": 1, "turns": 2 * N_TOURNAMENTS * leaves}
        rows |= {"stocks": N_STOCKS * host.cpus, "batches": N_BATCHES * host.cpus, "lrus": N_LRU}
        rows |= dict.fromkeys(("left", "scans", "psi_cpus"), host.cpus)
        rows["ages"] = host.memory_pages if host.replacement != REPLACE_LINUX else 1
        rows |= {"requests": _FIRST_REQUESTS, "swap": host.swap_pages + 1, "slots": N_SLOTS}
        rows |= {"receipt": RECEIPT_ROWS, "prices": N_LINES, "spent_ps": N_LINES}
        rows |= {"histograms": N_LATENCIES, "latencies": N_LATENCIES, "samples": MOST_SAMPLES}
        rows |= {"batching": 1, "request_sums": MOST_BATCHES}
        self.arrays = Arrays(rows)
        self.arrays.prices[:] = prices
        self.images = ImageStore(self.arrays)
        self._take_note_of_room()
        self._set_up_pool()
        self._set_up_zones()
        self._set_up_cpus(leaves)
        self._free_tasks = list(range(_FIRST_SLOTS - 1, -1, -1))
        self._free_processes = list(range(_FIRST_SLOTS - 1, -1, -1))
        self._cached = Segments()
        self._nodes = Segments()
        self._cached_at: dict[int, tuple[int, int]] = {}  # pages and nodes, by row of the file
        if host.swap_pages:
            swapon(self.arrays, self.new_file(KIND_SWAP, 0), host.swap_kind)

    def _set_up_pool(self) -> None:
        m = self.arrays
        pool = m.pool[0]
        for name, value in configuration(self.host).items():
            m.config[0][name] = value
        pool.head = pool.huge_head = pool.zram_head = NONE
        m.batching[0].each = FIRST_BATCH
        m.slots.free = m.slots.used = 1  # row 0 is nothing's: 0 says so in entries and links
        m.slots[SLOTS_FILES].free = m.slots[SLOTS_FILES].used = 0
        m.clock[0].tick_ns = 1_000_000_000 // self.host.hz
        m.clock.psi_period_ns = m.clock.psi_next_ns = (2 * self.host.hz + 1) * m.clock.tick_ns
        m.percpu.head = NONE
        m.buddy.head = NONE
        m.groups[ROOT].parent, m.swap_area.file = NONE, NONE
        set_limits(m, ROOT, swappiness=self.host.swappiness)
        pool.n_groups = 1
        pool.zeroed = self.host.zero_stock_pages
        plain(new_lruvec)(m, ROOT)
        m.clock[0].flush_ns = FLUSH_NS

    def _set_up_cpus(self, leaves: int) -> None:
        m = self.arrays
        m.cpus.task = m.cpus.last = m.cpus.idle_from_ns = NONE
        m.queues.head = m.queues.tail = m.queues.root = NONE
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
            z.min_pages, z.low_pages = marks.min_pages, marks.low_pages
            z.high_pages = marks.high_pages
            if z.managed > 0:
                add_free_range(m, number, first, start + pages)
            start += pages
        largest = m.zones[int(m.zones.managed.argmax())]
        for z in m.zones:
            z.batch, z.pcp_high = percpu_sizes(host, z, largest)
        own = m.zones[: len(zones)]
        m.config[0].total_reserve = total_reserve_pages(
            list(zip(own["managed"].tolist(), own["high_pages"].tolist(), strict=True))
        )
        reserves = commit_reserves(int(m.pool[0].free))
        m.config[0].admin_reserve, m.config[0].user_reserve = reserves
        if host.nr_huge_pages > 0 and set_aside(m, host.nr_huge_pages) < host.nr_huge_pages:
            raise KernelPanicError(
                "the huge pages do not fit into the zones", f"{host.nr_huge_pages} of 2 MiB"
            )
        self.free_at_start_pages = int(m.pool[0].free)
        m.clock[0].free_min = m.clock[0].level_free = m.pool[0].free

    # -- tasks ----------------------------------------------------------------------------

    def new_task(self, process: int = NONE) -> int:
        """Return the row of a new task that has no address space, no stack and nothing to do.

        It is of `process`, or of a new one.
        """
        if not self._free_tasks:
            rows = len(self.arrays.tasks)
            for name in ("tasks", "operations", "entities", "timers", "counts", "draws"):
                self.arrays.grow(name)
            self._free_tasks = list(range(2 * rows - 1, rows - 1, -1))
        row = self._free_tasks.pop()
        if process == NONE:
            process = self._new_process()
        m = self.arrays
        m.tasks[row], m.operations[row], m.entities[row] = _NEW_TASK, NO_OPERATION[0], _NEW_ENTITY
        m.counts[row] = m.draws[row] = 0
        m.words.tasks[row * T_WORDS + T_PROCESS] = process
        m.words.processes[process * PROCESS_WORDS + PROCESS_TASKS] += 1
        return row

    def free_task(self, row: int) -> None:
        """Give the row of a task that has ended back, and that of its process after its last."""
        words, task = self.arrays.words, row * T_WORDS
        words.tasks[task + T_STATE] = 0
        self._free_tasks.append(row)
        process = words.tasks[task + T_PROCESS]
        tasks = process * PROCESS_WORDS + PROCESS_TASKS
        words.processes[tasks] -= 1
        if words.processes[tasks] == 0:
            self._free_processes.append(process)

    def _new_process(self) -> int:
        """Return the row of a new process, which has no task yet, in the group of the machine."""
        if not self._free_processes:
            rows = len(self.arrays.processes)
            self.arrays.grow("processes")
            self._free_processes = list(range(2 * rows - 1, rows - 1, -1))
        row = self._free_processes.pop()
        self.arrays.processes[row] = _NEW_PROCESS
        return row

    def process_of(self, task: int) -> Any:
        """Return the attributes of the process that a task is of, to read and to write."""
        return self.arrays.processes[self.arrays.words.tasks[task * T_WORDS + T_PROCESS]]

    def attribute(self, task: int, column: int) -> int:
        """Return one of those, by its column (`sim.machine.words`)."""
        words = self.arrays.words
        return words.processes[words.tasks[task * T_WORDS + T_PROCESS] * PROCESS_WORDS + column]

    def set_nice(self, task: int, nice: int) -> None:
        """Give a process, all its tasks and their children another weight; `nice`: -20 to 19."""
        m = self.arrays
        self.process_of(task).nice = nice
        of_it = (m.tasks["state"] != 0) & (m.tasks["process"] == m.tasks[task].process)
        m.entities["weight"][of_it] = NICE_WEIGHTS[nice + 20]

    # -- control groups -------------------------------------------------------------------

    def new_group(self, parent: int = ROOT, *, oom_group: bool = False, **limits: int) -> int:
        """Return the row of a new control group; its `limits` are those of `set_limits`."""
        m = self.arrays
        row = int(m.pool[0].n_groups)
        if row == len(m.groups):
            for name in _OF_GROUPS.split():
                m.grow(name)
        g = m.groups[row]
        g.parent, g.oom_group = parent, int(oom_group)
        set_limits(m, row, **{"swappiness": self.host.swappiness, **limits})
        new_lruvec(m, row)
        m.pool[0].n_groups += 1
        return row

    def put_into_group(self, task: int, group: int) -> None:
        """Put a process into a control group; see `sim.machine.groups.move_process`."""
        move_process(self.arrays, task, group)

    # -- files ----------------------------------------------------------------------------

    def new_file(self, kind: int, pages: int, *, known: bool = False, cold: bool = False) -> int:
        """Return the row of a new file of `pages` pages, none of them in the page cache.

        A `known` one stays in the page cache when nobody maps it; others are freed by who last did.
        Whoever maps it brings all of it into the page cache, unless it is `cold`.  One of
        `KIND_HUGETLB` has huge pages.
        """
        m = self.arrays
        if not _has_room(m.slots[SLOTS_FILES], 1):
            m.grow("files")
            self._take_note_of_room()
        row = _take_row(m.slots[SLOTS_FILES], m.files)
        m.files[row] = _NEW_FILE
        f = m.files[row]
        f.first, f.nodes = self._room_in_cache(row, pages)
        f.kind = kind
        f.pages = pages
        f.known = int(known)
        f.fills = int(not cold)
        f.ra_pages = m.config[0].read_ahead
        return row

    def _room_in_cache(self, row: int, pages: int) -> tuple[int, int]:
        """Return where a file's pages and nodes lie, in place of those that its row had before."""
        m = self.arrays
        stores = ("cached", self._cached, pages), ("nodes", self._nodes, tree_nodes(pages))
        for (_, segments, _), start in zip(stores, self._cached_at.get(row, ()), strict=False):
            segments.give(start)
        starts = []
        for name, segments, elements in stores:
            starts.append(segments.take(elements))
            while segments.end > len(getattr(m, name)):
                m.grow(name)
            getattr(m, name)[starts[-1] : starts[-1] + elements] = 0
        self._cached_at[row] = starts[0], starts[1]
        return self._cached_at[row]

    def drop_file(self, row: int) -> None:
        """Forget a file that was never mapped."""
        f = self.arrays.files[row]
        if f.users == 0 and f.resident == 0 and f.known == 0:
            forget_shadows(self.arrays, 0, row, 0, int(f.pages))
            f.kind = 0
            _give_row(self.arrays.slots[SLOTS_FILES], self.arrays.files, row)

    # -- growth ---------------------------------------------------------------------------

    def _take_note_of_room(self) -> None:
        m = self.arrays
        for number, name in _OF_SLOTS.items():
            m.slots[number].room = len(getattr(m, name))
        m.pool[0].room_requests = len(m.requests)

    def make_room(self) -> None:
        """Double whichever arrays are nearly full, so that the step refused may be made again."""
        m = self.arrays
        pool = m.pool[0]
        config = m.config[0]
        if not _has_room(m.slots[SLOTS_TABLES], 8):
            m.grow("tables")
            m.grow("table_info")
        if not _has_room(m.slots[SLOTS_AREAS], 8 + self.images.most_segments):
            m.grow("areas")
            m.grow("anon_roots")  # each has an area
        if not _has_room(m.slots[SLOTS_SPACES], 8):
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

    def huge_pages(self) -> dict[str, int]:
        """Return the pool of huge pages as ``/proc/meminfo`` has it; nothing if there is none."""
        pool = self.arrays.pool[0]
        if pool.nr_huge_pages == 0:
            return {}
        return {
            "HugePages_Total": int(pool.nr_huge_pages),
            "HugePages_Free": int(pool.free_huge_pages),
            "HugePages_Rsvd": int(pool.resv_huge_pages),
        }

    @staticmethod
    def pages(size_bytes: int) -> int:
        """Return whole pages for a size, rounded up."""
        return -(-size_bytes // PAGE_BYTES)
