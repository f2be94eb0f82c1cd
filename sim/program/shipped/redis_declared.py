"""What the program `redis` says of its parameters, of what it leaves out, and of what to set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import MIB, format_bytes
from sim.program.declared import HEADROOM, LeftOut, Line, Uncertain

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAP_PARAMETERS: Final = (
    "dataset_bytes", "value_bytes", "key_bytes", "fragmentation", "version"
)  # fmt: skip
"""Parameters that decide how the data lies in memory."""
VALUE: Final = Uncertain(
    "assumed: a mean that stands for values of many lengths",
    times=(0.5, 2),
    measure="the mean of `redis-cli --memkeys` (MEMORY USAGE of a sample of keys)",
    says="value size",
)
FRAGMENTATION: Final = Uncertain(
    "assumed: 1.0 to 1.2 is what a server without trouble shows",
    low=1.0,
    high=1.2,
    measure="mem_fragmentation_ratio of INFO memory",
)
WRITES: Final = Uncertain(
    "assumed: the same server on a quieter and on a busier day",
    times=(0.8, 1.25),
    measure="calls of cmdstat_set of INFO commandstats, over a minute of the busiest hour",
    says="write rate",
)
KEYS: Final = Uncertain(
    "assumed: real keys are hit unevenly; YCSB's zipf of exponent 0.99 is one way",
    instead=("uniform", "zipf"),
    measure="how many different keys a minute of MONITOR writes to",
    says="keys",
)
SAVE_SPEED: Final = Uncertain(
    "assumed: half as fast to a slow disk, twice as fast without compression to a fast one",
    times=(0.5, 2),
    measure="rdb_last_bgsave_time_sec of INFO persistence",
)
CLIENTS: Final = LeftOut(
    "client buffers", "data", "mem_clients_normal of INFO memory, in the busiest hour"
)
REPLICAS: Final = LeftOut(
    "replica buffers", "data", "mem_total_replication_buffers of INFO memory, in a full sync"
)
AOF: Final = LeftOut(
    "AOF buffers",
    "data",
    "mem_aof_buffer of INFO memory, during a save; before 7.0 also aof_rewrite_buffer_length of"
    " INFO persistence, during a rewrite",
)
DUMP: Final = LeftOut(
    "page cache of the dump", "page_cache", "size of dump.rdb; clean pages that can be taken back"
)
LOADING: Final = LeftOut(
    "memory while loading",
    "data",
    "used_memory_peak less used_memory of INFO memory after a start; with repl-diskless-load swapdb"
    " as much as the data",
    passes=True,
)


def lines_to_set(arguments: Mapping[str, Any]) -> list[Line]:
    """Return what to set on a server with these arguments; see `advised_by`."""
    data_bytes = int(arguments["dataset_bytes"])
    room = f"{100 * HEADROOM:g} % headroom"
    return [
        Line(
            "redis.conf",
            f"# Sized for {format_bytes(data_bytes)} of data.\nmaxmemory {data_bytes // MIB}mb",
            f"more data than this does not fit the host while it saves; {room} for growth is left"
            f" while used_memory is below {format_bytes(data_bytes / (1 + HEADROOM))}",
        ),
        Line(
            "/etc/sysctl.conf",
            "vm.overcommit_memory = 1",
            "else the kernel may refuse the fork of a large process although memory suffices",
        ),
    ]
