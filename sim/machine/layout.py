"""The machine as arrays of records, shaped like the hardware.

One `Arrays` object crosses into compiled code.  Records are plain signed integers; times are in
ns, sizes in pages, prices in ps.  A link or an identifier of -1 means "none".  Fields narrower
than 64 bits are widened with ``int()`` before arithmetic, so that compiled and plain Python agree.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sim.base.cache import CHECKED
from sim.machine.memory import checked, grown, zeroed
from sim.stats.quantile import N_BUCKETS

NONE: Final = -1
N_ORDERS: Final = 11
"""Buddy orders 0 to 10, as in Linux (`MAX_PAGE_ORDER` 10)."""
TABLE_ENTRIES: Final = 512
TABLE_SHIFT: Final = 9
TABLE_MASK: Final = 511
VPN_BITS: Final = 36

# --- page-table entries: the bits of x86-64, the frame number above bit 12 -------------------
PTE_PRESENT: Final = 1
PTE_WRITE: Final = 2
PTE_ACCESSED: Final = 32
PTE_DIRTY: Final = 64
PTE_HUGE: Final = 128
PTE_BLANK: Final = 256
"""Software bit: made dirty by the kernel; a program has not written to the page, it holds zeros."""
PTE_ZERO: Final = 512
"""Software bit: the shared zero page, which counts in no resident set."""
PTE_SWAP: Final = 1024
"""Not present, bits above 12 are a swap slot (reserved for swap)."""
PMD_READONLY: Final = 2048
"""Software bit, one level above the leaf tables: this address space may not change the leaf table,
which others use as well (on-demand-fork) or still have to copy (Async-fork)."""
PFN_SHIFT: Final = 12
FLAG_MASK: Final = 4095
ZERO_PFN: Final = 0
"""Frame 0 is the shared zero page, as Linux keeps one for all."""

# --- frame flags -------------------------------------------------------------------------
F_ANON: Final = 1
F_EXCLUSIVE: Final = 2
F_DIRTY: Final = 4
F_REFERENCED: Final = 8
F_ZEROED: Final = 16
F_TABLE: Final = 32
F_STACK: Final = 64
F_FILE: Final = 128
F_BUDDY: Final = 256
F_PERCPU: Final = 512
F_RESERVED: Final = 1024
F_LARGE: Final = 2048
"""Part of a huge page, mapped whole or by small entries: Linux's large folio."""
F_WRITTEN: Final = 4096
"""A program has written to it, though its entry may be clean: it may hold more than zeros."""
F_LOCKED: Final = 1 << 16
"""Of a page of a file: the device is reading it, nobody may use it yet (`PG_locked`)."""
F_AHEAD: Final = 1 << 17
"""Of a page of a file: who comes here has the next pages read (`PG_readahead`)."""

# --- area flags ----------------------------------------------------------------------------
A_READ: Final = 1
A_WRITE: Final = 2
A_SHARED: Final = 4
A_GROWSDOWN: Final = 8
A_DONTFORK: Final = 16
A_WIPEONFORK: Final = 32
A_ACCOUNT: Final = 64
A_HEAP: Final = 128
A_HUGEPAGE: Final = 256
A_NOHUGEPAGE: Final = 512
A_NORESERVE: Final = 1024
A_LOCKED: Final = 2048
A_RANDOM: Final = 1 << 16
"""MADV_RANDOM (`VM_RAND_READ`): faults read no page but their own."""
A_SEQUENTIAL: Final = 1 << 17
"""MADV_SEQUENTIAL (`VM_SEQ_READ`)."""

HEED_QUEUE: Final = 1
"""In ``pool.heed``: tasks wait for memory, first come first served."""
HEED_READS: Final = 2
"""In ``pool.heed``: requests wait for the device to take them."""
HEED_LOCKS: Final = 4
"""In ``pool.heed``: some who wait for an mmap lock may have it now, in the middle of a call."""

KIND_ANON: Final = 0
KIND_FILE: Final = 1
KIND_SHMEM: Final = 2
"""Shared anonymous memory: a file that only its mappings know of."""

FORK_COW: Final = 0
FORK_EAGER: Final = 1
FORK_ON_DEMAND: Final = 2
"""Leaf tables are shared, and copied at the first change below one."""
FORK_ASYNC: Final = 3
"""The child copies the leaf tables; the parent those it wants to change before that."""

THP_NEVER: Final = 0
THP_MADVISE: Final = 1
THP_ALWAYS: Final = 2
HUGE_ORDER: Final = 9
HUGE_PAGES: Final = 512
"""Pages of a huge page, 2 MiB: what one leaf table maps."""

FRAME = np.dtype(
    [
        ("index", "i8"),  # Linux page offset: with `family` the reverse map
        ("refs", "i4"),  # references: mappings, and one for the page cache
        ("maps", "i4"),  # page-table entries that map it
        ("next", "i4"),  # links of the free list it is on
        ("prev", "i4"),
        ("twin_next", "i4"),  # ring of frames that are versions of one page: COW copies
        ("twin_prev", "i4"),
        ("family", "i4"),  # anon_vma root; of a page in the page cache, its file
        ("bits", "i4"),
        ("group", "i2"),  # control group that is charged
        ("order", "i1"),
        ("zone", "i1"),
        ("swap", "i4"),  # swap slot, once it has one
    ],
    align=True,
)

FOLIO = np.dtype(
    [
        ("first", "i4"),  # an address space that maps it, or NONE
        ("first_maps", "i4"),  # by how many entries, as far as the folio knows
        ("second", "i4"),  # another
        ("second_maps", "i4"),
        ("total", "i4"),  # entries that map any page of it, a huge one once
        ("shared", "i4"),  # 1 if more than one address space may map it
    ],
    align=True,
)
"""What a large folio remembers of who maps it (`sim.kernel.mappers`)."""

TABLE = np.dtype(
    [
        ("frame", "i8"),
        ("refs", "i8"),  # address spaces that use it (on-demand-fork shares tables)
        ("level", "i8"),  # 0 leaf .. 3 top
        # the next free slot; of a table of level 1 in use, the first leaf table set aside for a
        # huge entry of it, and of each of those the next
        ("next", "i8"),
    ]
)

SPACE = np.dtype(
    [
        (name, "i8")
        for name in (
            "top",  # table slot of level 3
            "first",  # first area, in address order
            "n_areas",
            "users",  # tasks that share it (Linux mm_users)
            "pages",  # virtual size (VmSize)
            "rss_anon",
            "rss_file",
            "rss_shmem",
            "peak_rss",
            "swapped",
            "tables",  # page-table pages it holds
            "committed",
            "generation",  # raised whenever cached areas or leaf tables go stale
            "heap",  # area of the heap, or NONE
            "heap_start",
            "brk",  # first page behind the heap
            "mmap_top",  # mappings are placed below this page
            "stack_limit",  # pages
            "locked_by",  # the task that holds the mmap lock for writing, or NONE
            "readers",  # tasks that hold it for reading
            "areas_of",  # the task that has locked areas, or NONE
            "lock_start",  # from here
            "lock_end",  # to here
            "area_users",  # tasks that hold the lock of an area, for reading
            "area_start",  # all of them from here
            "area_end",  # to here
            "lock_waiters",  # calls that wait for the mmap lock
            "fault_waiters",  # faults, and calls on one area, that wait
            "leaving",  # 1 while it is being torn down
            "lent",  # leaf tables it may not change
            "heir",  # the address space that still copies leaf tables from it, or NONE
            "lender",  # the one it still copies leaf tables from, or NONE
            "next",
        )
    ]
)

AREA = np.dtype(
    [
        (name, "i8")
        for name in (
            "start",
            "end",
            "offset",
            "space",
            "next",
            "prev",
            "family",  # root of its anon_vma, or NONE: no page of it was ever written privately
            "own",  # its anon_vma: one of several of a root
            "inherited",  # 1 if its anon_vma came from a parent process
            "bits",  # Linux vm_flags
            "kind",
            "file",  # what it maps from page `offset` on, or NONE
        )
    ]
)

FILE = np.dtype(
    [
        (name, "i8")
        for name in (
            "kind",  # 0: no file
            "pages",
            "first",  # where its pages lie in `cached`
            "users",  # areas that map it
            "resident",  # pages in the page cache
            "known",  # 1 if it stays in the page cache when nobody maps it any more
            "committed",  # pages promised to it (shared anonymous memory)
            "at",  # the next page to evict
            "next",  # the next file to evict
            "fills",  # 1 if mapping it brings all of it into the page cache, as if read before
            "writing",  # pages that the device is writing, or has been asked to
            "random",  # 1 after POSIX_FADV_RANDOM: read() reads nothing ahead
            "kept",  # 1 once a call that drops pages has found some in use
            "guessed",  # 1 once what its faults map is no function of who did what
            # what is read ahead, see `sim.kernel.readahead`
            "ra_pages",
            "ra_start",
            "ra_size",
            "ra_async",
            "ra_order",
            "ra_prev",
            "ra_miss",
        )
    ]
)

REQUEST = np.dtype([(name, "i8") for name in ("file", "first", "end", "write")])
"""Pages [first, end) of a file that a device is to read, or to write."""

IMAGE = np.dtype(
    [
        (name, "i8")
        for name in (
            "first",  # of its segments, in `segments`
            "n_segments",
            "heap",  # first page of its heap
            "first_touch",  # of the pages it touches when it starts, in `touches`
            "n_touches",
        )
    ]
)
"""A program as exec knows it.  Row 0 is anonymous memory of whatever size, and nothing else."""

SEGMENT = np.dtype(
    [
        (name, "i8")
        for name in (
            "start",
            "end",
            "bits",
            "file",  # what it maps from page `offset` on, or NONE
            "offset",
            "clears",  # 1 if exec zeroes the rest of its last page: bss begins there
        )
    ]
)

TASK = np.dtype(
    [
        (name, "i8")
        for name in (
            "state",
            "space",
            "cpu",  # the CPU it runs on, or NONE
            "pin",  # the only CPU it may use, or NONE
            "parent",
            "killed",
            "holds",  # how it holds the mmap lock, one of the locks of `sim.kernel.ops`
            "stack",  # first frame of the kernel stack (linked by `next`)
            "oom_score_adj",
            "cpu_ns",
            "created_ns",
            # the operation under way, and how far it has come
            "op",
            "stage",
            "write",
            "start",  # first page
            "pages",
            "at",  # accesses done, or the next page
            "count",  # accesses wanted
            "span",  # pages per access
            "per_request",  # accesses per arrival
            "within",  # pages of this access done
            "waits",  # for a page: 1 in a minor fault, 2 in a major one, 3 in one not yet counted
            "fault_from_ns",  # when that fault began, or NONE
            "wait_file",  # the page of a file that is waited for
            "wait_index",  # NONE: all that is being written
            "page",  # first page of this access
            "drop",
            "pattern",
            "hot_groups",  # of `span` pages each, from the start
            "hot_share",
            "pages_at",  # first of its page numbers in `lists`
            "arrivals",  # 0 unpaced, 1 regular, 2 listed
            "arrival_first",
            "arrival_every",
            "arrivals_at",  # first of its arrival times in `lists`
            "access_cpu_ns",
            "demand_ns",
            "area",  # area under way
            "other",  # the child of a fork
            "old_space",  # what exec is dropping, or NONE
            "other_area",
            "bits",  # flags of the mapping wanted, or flags to set
            "drop_bits",  # flags to clear
            "kind",  # of the mapping wanted
            "file",
            "index",  # its first page in the file
            "limit",  # the end of the area under way
            "evict",  # files that nobody maps any more, for it to free
            "image",  # that exec puts in place
            "stack_pages",  # that exec fills with arguments and environment; 0 means 1
            "reserved",  # frames set aside for it
            "result",
            "errno",
            "refused_by",  # what the last refusal was by: BY_PROMISE, BY_LIMIT, BY_MEMORY
            "refused_pages",  # that were asked for
            "refused_with",  # pages promised to everybody (Committed_AS) at that moment
            "need",  # frames it was short of
            "fault_page",  # the page of the last access that was invalid, or has to wait
            "fault_write",  # 1 if it was a write
            # caches, good while `cached_generation` is that of the address space
            "cached_area",
            "cached_tag",
            "cached_leaf",
            "cached_generation",
            "cached_space",
            "next",
        )
    ]
)

CPU = np.dtype(
    [
        (name, "i8")
        for name in (
            "task",  # the task it runs, or NONE
            "last",  # the task it ran before
            "next_ns",  # end of the step under way: when its next step may start
            "slice_end_ns",
            "contended",  # 1 while another task could use this CPU
            "idle_from_ns",  # paced task waits for its arrival since then, or NONE
            "busy_ns",
            "steps",
        )
    ]
)

ZONE = np.dtype(
    [
        (name, "i8")
        for name in (
            "start",
            "end",
            "managed",
            "free",
            "min_pages",
            "low_pages",
            "high_pages",
            "batch",
            "pcp_high",
        )
    ]
)

LIST = np.dtype([("head", "i8"), ("count", "i8")])

POOL = np.dtype(
    [
        (name, "i8")
        for name in (
            "n_zones",
            "n_cpus",
            "free",  # buddy lists of all zones: MemFree without the per-CPU lists
            "reserved",  # frames promised to forks under the `wait` policy
            "heed",  # what there is for the engine to see to, as HEED_ bits
            "head",  # the one of them that may try, or NONE
            "queueing",  # 1 under the `wait` policy
            "released",  # frames freed and references dropped since last asked
            # frames in use, by purpose
            "anon",
            "table",
            "stack",
            "cache",
            "shmem",  # of the page cache: pages of shared anonymous memory
            "copies",  # anonymous frames beyond one per page of data
            "peak_total",
            "peak_data",
            "peak_copies",
            "peak_table",
            "peak_stack",
            "peak_cache",
            # promises
            "committed",
            "commit_limit",
            "admin_reserve",  # of the limit, for root
            "user_reserve",  # of the limit, so that a user can recover
            "overcommit",
            "ram",  # pages without the kernel's share: `totalram_pages`
            "stack_frames",  # frames of one kernel stack
            "fork_kind",
            "eager_zero",
            "thp",
            "folios_always",  # orders of folios for all anonymous memory, a bit each
            "folios_advised",  # and for memory with `A_HUGEPAGE`: these and more
            "khugepaged",  # 1 if it may want the mmap lock of any address space
            "folio_shift",  # rows of `folios` for each 2 MiB, as a power of 2; 0: no memory
            "rules",  # bits of `sim.machine.rules`: what this release of Linux does
            "read_ahead",  # pages that are read ahead at most, of a file that says nothing else
            "largest_read",  # pages of the largest request that the device takes
            "under_way",  # pages that the device is reading, or has been asked for
            "requests",  # rows of `requests` that the device has not taken yet
            "room_requests",
            "next_family",
            # slots of the arrays
            "room_tables",
            "room_areas",
            "room_spaces",
            "free_table",
            "used_tables",
            "free_area",
            "used_areas",
            "free_space",
            "used_spaces",
        )
    ]
)

CLOCK = np.dtype(
    [
        (name, "i8")
        for name in (
            "tick_ns",
            "level_ns",  # the integrals below reach up to here
            "level_free",  # free pages since then
            "free_low",  # integral of free pages x ns, below 2**61
            "free_high",  # and its multiples of 2**61
            "free_min",
            "sample_next_ns",
            "sample_every_ns",
            "samples",
            "runnable",  # tasks that wait for a CPU
            # the receipt of the step under way
            "lines",
            "kind",  # fault kind of this step, or NONE
            "fault_ps",
            # memory pressure
            "stalled",  # tasks that wait for memory
            "ran_until_ns",  # while some do: when the last step so far ends
            "full_ns",  # how long some waited and nobody ran
        )
    ]
)

SAMPLE = np.dtype(
    [
        (name, "i8")
        for name in ("t_ns", "free", "anon", "table", "stack", "cache", "copies", "runnable")
    ]
)

LATENCY = np.dtype(
    [
        ("sum_low", "i8"),  # sum of all values, below 2**61
        ("sum_high", "i8"),  # and its multiples of 2**61
        ("largest", "i8"),
    ]
)

MOST_SAMPLES: Final = 1000
"""Most rows of a time series; an even number."""
N_LINES: Final = 42
"""Kinds of work, each with a price."""
RECEIPT_LINES: Final = 16
"""Lines of a receipt that are kept apart, each priced by a draw of its own."""
RECEIPT_ROWS: Final = RECEIPT_LINES + N_LINES
"""Rows of a receipt: lines behind the first are added up by kind, so it cannot run over."""
N_DRAWS: Final = N_LINES + 2
"""Purposes of random draws: one a price, and two that choose pages."""
N_LATENCIES: Final = N_LINES + 3
"""Latency histograms: one a fault kind, then request, fork and run queue."""
N_QUANTILES: Final = 1217
"""Knots of a table of prices (`sim.cost.quantiles`)."""
INT: Final = np.dtype(np.int64)

COLUMNS: Final[dict[str, tuple[np.dtype[Any], tuple[int, ...]]]] = {
    "frames": (FRAME, ()),
    "folios": (FOLIO, ()),
    "tables": (INT, (TABLE_ENTRIES,)),
    "table_info": (TABLE, ()),
    "spaces": (SPACE, ()),
    "areas": (AREA, ()),
    "files": (FILE, ()),
    "cached": (INT, ()),
    "requests": (REQUEST, ()),
    "images": (IMAGE, ()),
    "segments": (SEGMENT, ()),
    "touches": (INT, ()),
    "tasks": (TASK, ()),
    "cpus": (CPU, ()),
    "zones": (ZONE, ()),
    "buddy": (LIST, (N_ORDERS,)),
    "percpu": (LIST, ()),
    "pool": (POOL, ()),
    "clock": (CLOCK, ()),
    "samples": (SAMPLE, ()),
    "counts": (INT, (N_LINES,)),
    "draws": (INT, (N_DRAWS, 3)),
    "lists": (INT, ()),
    "receipt": (INT, (2,)),
    "prices": (INT, (N_QUANTILES,)),
    "spent_ps": (INT, (2,)),
    "histograms": (INT, (N_BUCKETS,)),
    "latencies": (LATENCY, ()),
}
"""Every array of a machine: what its elements are, and its shape behind the first axis."""


class Arrays:
    """Everything compiled code can see: one array per entry of `COLUMNS`, its rows allocated here.

    Compiled code gets `address`, that of a table of the arrays' addresses (`sim.machine.native`).
    """

    frames: Any
    folios: Any
    tables: NDArray[np.int64]
    table_info: Any
    spaces: Any
    areas: Any
    files: Any
    cached: NDArray[np.int64]
    """Frames of files' pages, 0 where a page is not in the page cache."""
    requests: Any
    images: Any
    segments: Any
    touches: NDArray[np.int64]
    """Pages times 2, plus 1 to write them."""
    tasks: Any
    cpus: Any
    zones: Any
    buddy: Any
    percpu: Any
    pool: Any
    clock: Any
    samples: Any
    counts: NDArray[np.int64]
    """(tasks, lines): what happened to each task."""
    draws: NDArray[np.int64]
    """(tasks, purposes, 3): key, key, draws made."""
    lists: NDArray[np.int64]
    """Page numbers and arrival times that programs hand in."""
    receipt: NDArray[np.int64]
    """(lines, 2): price and units of the step under way."""
    prices: NDArray[np.int64]
    """(lines, N_QUANTILES): quantiles in ps."""
    spent_ps: NDArray[np.int64]
    """(lines, 2): units charged and time, for all tasks."""
    histograms: NDArray[np.int64]
    """(latencies, buckets)."""
    latencies: Any
    """What is exact of the same values: their sum and the largest."""

    def __init__(self, rows: Mapping[str, int]) -> None:
        """Allocate `rows[name]` zero rows of every array."""
        self._bases = np.zeros((len(COLUMNS), 2), np.int64)  # address, rows
        self.address = int(self._bases.ctypes.data)
        for name, (dtype, inner) in COLUMNS.items():
            self.replace(name, zeroed((rows[name], *inner) if inner else rows[name], dtype))

    def replace(self, name: str, array: NDArray[Any]) -> None:
        """Put `array` in the place of the one called `name`; it must be contiguous."""
        dtype, inner = COLUMNS[name]
        if array.dtype.itemsize != dtype.itemsize or array.shape[1:] != inner:
            raise ValueError(f"{name} cannot be of {array.dtype} {array.shape}")
        rows = np.ascontiguousarray(array) if not dtype.names else array
        setattr(self, name, checked(rows) if CHECKED else rows)
        self._bases[list(COLUMNS).index(name)] = rows.ctypes.data, len(rows)

    def grow(self, name: str) -> None:
        """Double the rows of the array called `name`."""
        old = getattr(self, name)
        self.replace(name, grown(old, 2 * len(old)))
