"""All arrays of a machine: one `Arrays` object crosses into compiled code."""

from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from sim.base.cache import CHECKED
from sim.machine.layout.areas import ANON_ROOT, AREA
from sim.machine.layout.clock import (
    BATCHING,
    CLOCK,
    GROUP_SERIES,
    LATENCY,
    MOST_SAMPLES,
    N_QUANTILES,
    PEAK,
    SAMPLE,
)
from sim.machine.layout.config import CONFIG
from sim.machine.layout.cpus import CPU
from sim.machine.layout.files import FILE, NODE, REQUEST
from sim.machine.layout.frames import FOLIO, FRAME
from sim.machine.layout.groups import EVENTS, GROUP, N_KINDS, STOCK
from sim.machine.layout.images import IMAGE, SEGMENT
from sim.machine.layout.lru import BATCH_WORDS, LRU_LIST, LRUVEC, SCAN
from sim.machine.layout.operations import OPERATION
from sim.machine.layout.pool import LIST, N_ORDERS, POOL, SLOTS, ZONE
from sim.machine.layout.processes import PROCESS
from sim.machine.layout.psi import N_AVERAGES, PSI, PSI_CPU
from sim.machine.layout.sched import ENTITY, QUEUE, SCHED
from sim.machine.layout.spaces import SPACE
from sim.machine.layout.swap import SWAP, SWAP_AREA
from sim.machine.layout.tables import TABLE, TABLE_ENTRIES
from sim.machine.layout.tasks import TASK
from sim.machine.memory import checked, grown, zeroed
from sim.machine.work import N_DRAWS, N_LINES
from sim.stats.quantile import N_BUCKETS

INT: Final = np.dtype(np.int64)

COLUMNS: Final[dict[str, tuple[np.dtype[Any], tuple[int, ...]]]] = {
    "frames": (FRAME, ()),
    "folios": (FOLIO, ()),
    "tables": (INT, (TABLE_ENTRIES,)),
    "table_info": (TABLE, ()),
    "swap": (SWAP, ()),
    "swap_area": (SWAP_AREA, ()),
    "spaces": (SPACE, ()),
    "areas": (AREA, ()),
    "anon_roots": (ANON_ROOT, ()),
    "files": (FILE, ()),
    "cached": (INT, ()),
    "nodes": (NODE, ()),
    "requests": (REQUEST, ()),
    "lrus": (LRU_LIST, ()),
    "lruvecs": (LRUVEC, ()),
    "ages": (INT, ()),
    "batches": (INT, (BATCH_WORDS,)),
    "scans": (SCAN, ()),
    "images": (IMAGE, ()),
    "segments": (SEGMENT, ()),
    "touches": (INT, ()),
    "tasks": (TASK, ()),
    "operations": (OPERATION, ()),
    "processes": (PROCESS, ()),
    "cpus": (CPU, ()),
    "entities": (ENTITY, ()),
    "queues": (QUEUE, ()),
    "sched": (SCHED, ()),
    "turns": (INT, ()),
    "timers": (INT, ()),
    "left": (INT, (2,)),
    "zones": (ZONE, ()),
    "buddy": (LIST, (N_ORDERS,)),
    "percpu": (LIST, ()),
    "config": (CONFIG, ()),
    "pool": (POOL, ()),
    "slots": (SLOTS, ()),
    "groups": (GROUP, ()),
    "charged": (INT, (N_KINDS,)),
    "events": (INT, (len(EVENTS),)),
    "stocks": (STOCK, ()),
    "psi": (PSI, ()),
    "psi_cpus": (PSI_CPU, ()),
    "averages": (INT, (N_AVERAGES,)),
    "clock": (CLOCK, ()),
    "peak": (PEAK, ()),
    "samples": (SAMPLE, ()),
    "group_samples": (INT, (MOST_SAMPLES, len(GROUP_SERIES))),
    "counts": (INT, (N_LINES,)),
    "draws": (INT, (N_DRAWS, 3)),
    "lists": (INT, ()),
    "receipt": (INT, (2,)),
    "prices": (INT, (N_QUANTILES,)),
    "spent_ps": (INT, (2,)),
    "histograms": (INT, (N_BUCKETS,)),
    "latencies": (LATENCY, ()),
    "batching": (BATCHING, ()),
    "request_sums": (INT, ()),
}
"""Every array of a machine: what its elements are, and its shape behind the first axis."""


MACHINES: Final[WeakValueDictionary[int, "Arrays"]] = WeakValueDictionary()
"""All machines by address, for code that is not compiled (`sim.machine.native.arrays_at`)."""


class Words:
    """Hot records as Python reads and writes them: flat, a word a column.

    A word of a view takes some 50 ns, an attribute of a NumPy record 1,300 to 2,100.  Where a
    column lies is told by `sim.machine.words`.  Views are made anew when arrays grow: keep none.
    """

    __slots__ = (
        "clock", "cpus", "entities", "operations", "pool", "processes", "sched", "tasks", "timers",
    )  # fmt: skip

    clock: memoryview
    cpus: memoryview
    entities: memoryview
    operations: memoryview
    pool: memoryview
    processes: memoryview
    sched: memoryview
    tasks: memoryview
    timers: memoryview


class Arrays:
    """Everything compiled code can see: one array per entry of `COLUMNS`, its rows allocated here.

    Compiled code gets `address`, that of a table of the arrays' addresses (`sim.machine.native`).
    """

    frames: Any
    folios: Any
    tables: NDArray[np.int64]
    table_info: Any
    swap: Any
    swap_area: Any
    spaces: Any
    areas: Any
    anon_roots: Any
    files: Any
    cached: NDArray[np.int64]
    """What the page cache knows of files' pages, see `sim.machine.cached`."""
    nodes: Any
    requests: Any
    lrus: Any
    lruvecs: Any
    ages: NDArray[np.int64]
    """When each frame came to its list: a row a frame, where a textbook chooses who leaves."""
    batches: NDArray[np.int64]
    """Folios on their way to a list, ``cpu * N_BATCHES + which``."""
    scans: Any
    images: Any
    segments: Any
    touches: NDArray[np.int64]
    """Pages times 2, plus 1 to write them."""
    tasks: Any
    operations: Any
    """What each task is doing: rows as in `tasks`."""
    processes: Any
    cpus: Any
    entities: Any
    queues: Any
    sched: Any
    turns: NDArray[np.int64]
    """Tournaments between CPUs, see `sim.machine.turns`."""
    timers: NDArray[np.int64]
    """A heap of tasks that wait for an arrival, the next one first."""
    left: NDArray[np.int64]
    """(CPUs, 2): tasks that have left their CPUs, and CPU time used, for a plug-in's policy."""
    zones: Any
    buddy: Any
    percpu: Any
    config: Any
    pool: Any
    slots: Any
    """Rows `SLOTS_TABLES` and so on."""
    groups: Any
    charged: NDArray[np.int64]
    """(groups, kinds): frames in use, those of the groups in a group included."""
    events: NDArray[np.int64]
    """(groups, `EVENTS`): what happened to each, and to the groups in it."""
    stocks: Any
    """`N_STOCKS` for each CPU."""
    psi: Any
    psi_cpus: Any
    averages: NDArray[np.int64]
    """(groups, `N_AVERAGES`): of pressure, in percent, times 2048."""
    clock: Any
    peak: Any
    samples: Any
    group_samples: NDArray[np.int64]
    """(groups, samples, `GROUP_SERIES`)."""
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
    batching: Any
    request_sums: NDArray[np.int64]
    """``sum_low`` of request latencies at the end of each batch (`sim.observe.histogram`)."""

    def __init__(self, rows: Mapping[str, int]) -> None:
        """Allocate `rows[name]` zero rows of every array."""
        self.words = Words()
        self._bases = np.zeros((len(COLUMNS), 2), np.int64)  # address, rows
        self.address = int(self._bases.ctypes.data)
        MACHINES[self.address] = self
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
        if name in Words.__slots__:
            setattr(self.words, name, np.asarray(rows).view(np.int64).data)

    def grow(self, name: str) -> None:
        """Double the rows of the array called `name`."""
        old = getattr(self, name)
        self.replace(name, grown(old, 2 * len(old)))
