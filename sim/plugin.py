"""What a plug-in may import: programs and policies of your own, and all they need.

This module is the one that stays: names are added, not moved or taken away.  Everything else in
`sim` may change its place from one release to the next.

Programs are decorated with `program`, schedulers with `scheduler` (``docs/extending.md``).  Sizes
are in bytes, times in ns.
"""

from sim.alloc.glibc.malloc import GlibcMalloc
from sim.alloc.jemalloc.malloc import JemallocMalloc
from sim.base.errors import Errno, Refused, ScenarioError
from sim.base.units import (
    GIB,
    HOUR,
    KIB,
    MIB,
    MINUTE,
    MS,
    NS,
    PAGE_BYTES,
    TIB,
    US,
    Pid,
    Range,
    S,
    Vpn,
    format_bytes,
    format_duration,
    pages_for,
)
from sim.policy.schedulers import (
    FOREVER_NS,
    PREEMPTED,
    WOKE,
    FullPolicy,
    Runnable,
    SchedulerPolicy,
    scheduler,
)
from sim.program import PROGRAMS
from sim.program.api import (
    BUS_ERROR_STATUS,
    OOM_KILLED_STATUS,
    SEGFAULT_STATUS,
    Child,
    Exited,
    Image,
    Mutex,
    Process,
    Program,
    Region,
    Thread,
    Verb,
)
from sim.program.arrivals import (
    ArrivalKind,
    ArrivalStream,
    arrival_stream,
    fixed,
    from_file,
    poisson,
)
from sim.program.declared import HEADROOM, Advice, LeftOut, Line, Uncertain, advised_by
from sim.program.heap import Block, Heap
from sim.program.offer import program
from sim.program.patterns import (
    SEQUENTIAL,
    Every,
    HotCold,
    Listed,
    Pattern,
    Sequential,
    Uniform,
)
from sim.program.signature import checked_by
from sim.program.zipf import KeyDistribution, KeyStream, Scatter, ZipfRanks, zipf_shares

__all__ = [
    "BUS_ERROR_STATUS",
    "FOREVER_NS",
    "GIB",
    "HEADROOM",
    "HOUR",
    "KIB",
    "MIB",
    "MINUTE",
    "MS",
    "NS",
    "OOM_KILLED_STATUS",
    "PAGE_BYTES",
    "PREEMPTED",
    "PROGRAMS",
    "SEGFAULT_STATUS",
    "SEQUENTIAL",
    "TIB",
    "US",
    "WOKE",
    "Advice",
    "ArrivalKind",
    "ArrivalStream",
    "Block",
    "Child",
    "Errno",
    "Every",
    "Exited",
    "FullPolicy",
    "GlibcMalloc",
    "Heap",
    "HotCold",
    "Image",
    "JemallocMalloc",
    "KeyDistribution",
    "KeyStream",
    "LeftOut",
    "Line",
    "Listed",
    "Mutex",
    "Pattern",
    "Pid",
    "Process",
    "Program",
    "Range",
    "Refused",
    "Region",
    "Runnable",
    "S",
    "Scatter",
    "ScenarioError",
    "SchedulerPolicy",
    "Sequential",
    "Thread",
    "Uncertain",
    "Uniform",
    "Verb",
    "Vpn",
    "ZipfRanks",
    "advised_by",
    "arrival_stream",
    "checked_by",
    "fixed",
    "format_bytes",
    "format_duration",
    "from_file",
    "pages_for",
    "poisson",
    "program",
    "scheduler",
    "zipf_shares",
]
