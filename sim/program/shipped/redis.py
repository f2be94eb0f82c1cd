"""Redis: serves SETs from one thread, and saves by fork (BGSAVE)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from sim.base.errors import Refused
from sim.base.units import GIB, MIB, MS, PAGE_BYTES, US, InBytes, Range, S, pages_for
from sim.program.arrivals import ArrivalKind, ArrivalStream, arrival_stream
from sim.program.declared import advised_by, near_normal, without_files
from sim.program.offer import program
from sim.program.patterns import Listed
from sim.program.shipped.redis_data import Data, load
from sim.program.shipped.redis_declared import (
    AOF,
    CLIENTS,
    DUMP,
    FRAGMENTATION,
    HEAP_PARAMETERS,
    KEYS,
    LOADING,
    REPLICAS,
    SAVE_SPEED,
    VALUE,
    WRITES,
    lines_to_set,
)
from sim.program.shipped.redis_heap import RedisHeap, redis_heap
from sim.program.shipped.redis_saver import CHUNK_PAGES, Dump, Saver
from sim.program.shipped.redis_version import does, read_version
from sim.program.signature import checked_by
from sim.program.zipf import KeyDistribution, KeyStream

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from sim.program.api import Child, Process, Region

CRON_NS: Final = 100 * MS
"""How often the server looks whether its child has ended (``hz 10``)."""

RETRY_NS: Final = 5 * S
"""How long it waits after a failed save (``CONFIG_BGSAVE_RETRY_DELAY``)."""


def _check(arguments: Mapping[str, Any]) -> None:
    redis_heap(**{name: arguments[name] for name in HEAP_PARAMETERS})


@advised_by(lines_to_set)
@near_normal(
    "cow_copies",
    "cow_reuses",
    "memory_need_bytes.cow_copies",
    "minor_faults",
    "fault_latency_ns.count",
    "request_latency_ns.count",
)
@without_files("dump")
@program("redis", events={"save": "saves"})
@checked_by(_check)
def redis(
    task: Process,
    *,
    version: Annotated[str, read_version] = "7.2",
    dataset_bytes: Annotated[int, Range(64 * 1024, None)] = GIB,
    value_bytes: Annotated[int, Range(1, 512 * MIB), InBytes(), VALUE] = 1000,
    key_bytes: Annotated[int, Range(1, 65_536), InBytes()] = 16,
    fragmentation: Annotated[float, Range(1.0, 10.0), FRAGMENTATION] = 1.0,
    writes_per_s: Annotated[float, Range(0, 10_000_000), WRITES] = 5000.0,
    arrivals: ArrivalKind = "poisson",
    arrivals_file: str = "",
    arrivals_sha256: str = "",
    key_distribution: Annotated[KeyDistribution, KEYS] = "uniform",
    zipf_exponent: Annotated[float, Range(0.0, 10.0)] = 0.99,
    request_cpu_ns: Annotated[int, Range(0, S)] = 10 * US,
    save_every_ns: Annotated[int, Range(0, None)] = 10 * S,
    save_speed_bytes_per_s: Annotated[float, Range(1, None), SAVE_SPEED] = 200.0 * MIB,
    saves: Annotated[int, Range(0, None)] = 1,
    save_for: Literal["disk", "replica"] = "disk",
    phase: Literal["together", "random"] = "together",
    client_buffers_bytes: Annotated[int, Range(0, None), CLIENTS] = 0,
    replica_buffers_bytes: Annotated[int, Range(0, None), REPLICAS] = 0,
    aof_buffers_bytes: Annotated[int, Range(0, None), AOF] = 0,
    dump_bytes: Annotated[int, Range(0, None), DUMP] = 0,
    loading_bytes: Annotated[int, Range(0, None), LOADING] = 0,
) -> Generator[Any, Any, None]:
    """Load a data set, then serve SETs and save by fork until the last save has ended.

    The server is one thread.  It writes the data set once; the allocator maps extents for it, each
    larger than the one before (`sim.program.shipped.redis_data`).  Then each SET of an existing key
    dirties the pages of its value, its object and its hash-table entry
    (`sim.program.shipped.redis_heap`).  `save_every_ns` after loading, and after each save,
    it forks a child that reads the whole data set, and goes on serving; every 100 ms it
    looks whether the child has ended.  A save that the kernel refuses or kills is tried again after
    5 s and counts as one of `saves`.

    What it does by `version`: from 6.2 on it has no huge pages (``disable-thp``).  From 7.0 on the
    child gives back (MADV_DONTNEED) the pages that belong to one saved value alone; from Valkey 8.1
    on it frees saved values, so that the pages of a slab go when all its values have been saved.
    From 7.2 on, and in Valkey, the dump is synced every 4 MiB and dropped from the page cache,
    unless the save is for a replica; before, it stays there until the next one replaces it.

    A rewrite of the AOF is a save to the disk, and its base file the dump: written in the format of
    one (``aof-use-rdb-preamble``), synced every 4 MiB (``aof-rewrite-incremental-fsync``), from 7.2
    on dropped from the page cache.  What is written meanwhile goes to an ``incr`` file from 7.0 on,
    whose pages in the page cache are left out; before, it stays in memory until the rewrite ends:
    give `aof_buffers_bytes` key, value and some 30 B for each SET meanwhile.  Read in
    `rewriteAppendOnlyFile` and `aofRewriteBufferAppend`, ``src/aof.c`` of Redis 6.2.6, 7.0 and
    7.4.5, and in pull request 11248.

    Give it two CPUs, or the child takes the server's time.

    Buffers, the dump and memory while loading are not worked out: what is given is taken.

    Not modelled: reads (they change no page that is resident), rehashing, eviction, and the
    defragmenter.

    Parameters
    ----------
    version
        Of Redis, or of Valkey: ``7.0``, ``7.2.4``, ``valkey 8.1``.
    dataset_bytes
        Memory in use by the data, as ``used_memory`` counts it: keys, values, objects and
        hash table in jemalloc's size classes.
    value_bytes, key_bytes
        Length of each value and each key.
    fragmentation
        Resident over used memory (``mem_fragmentation_ratio``), besides what large values
        leave untouched of their size class.
    writes_per_s
        Offered rate of SETs, from the end of loading on.
    arrivals, arrivals_file, arrivals_sha256
        ``poisson``, ``fixed`` distances, or ``file``: the times in `arrivals_file`, counted
        from the end of loading, whose SHA-256 is `arrivals_sha256`.
    key_distribution, zipf_exponent
        Which keys: each alike, or the k-th most popular in proportion to k**-exponent.
        YCSB's default exponent is 0.99 (Cooper et al. 2010, section 5.1).
    request_cpu_ns
        CPU time of a SET besides its faults.  Assumed: about 100,000 requests a second and
        core, as redis-benchmark shows without pipelining.
    save_every_ns
        From the end of a save to the start of the next.
    save_speed_bytes_per_s
        How fast a child saves, besides waiting for the disk where it syncs.  Assumed: 200 MiB/s of
        data set, compressed and written.
    saves
        How many; with 0 it ends after loading.
    save_for
        ``disk``, or ``replica``: a full synchronisation by way of a dump, which then stays in the
        page cache.
    phase
        When the first save comes: ``together``, `save_every_ns` after loading, or ``random``: each
        copy draws a share of that, and serves the rest after its last save.
    client_buffers_bytes, replica_buffers_bytes, aof_buffers_bytes
        What these hold at their fullest.  The server fills them during the first half of each
        save and gives them back at its end.
    dump_bytes
        Size of the dump's file.  It is written as the save goes on; that of the save before stays
        until it is complete.  A synchronisation without a dump (``repl-diskless-sync``) has none.
    loading_bytes
        What the server holds besides its data when it has loaded that, and gives back then.

    Notes
    -----
    Records, one number a save: ``fork_ns``, ``save_ns``, ``cow_pages_during_save`` (copies
    that the server made), ``saves_failed`` (1 if the child died, was refused, else 0); and
    once, after loading: ``load_ns``, ``payload_bytes``, ``used_bytes``, ``resident_pages``.
    Marks: ``save_start``, ``save_end``.
    """
    heap = redis_heap(
        dataset_bytes=dataset_bytes,
        value_bytes=value_bytes,
        key_bytes=key_bytes,
        fragmentation=fragmentation,
        version=version,
    )
    started_ns = task.now_ns
    if does(version, "no_huge_pages"):
        yield from task.prctl("thp_disable", 1)
    data = yield from load(task, heap.pages)
    loading = _Buffers(task, loading_bytes)
    yield from loading.begin()
    yield from loading.fill(1.0)
    yield from loading.end()
    task.record("load_ns", task.now_ns - started_ns)
    task.record("payload_bytes", heap.payload_bytes)
    task.record("used_bytes", heap.used_bytes)
    task.record("resident_pages", heap.pages)

    requests = arrival_stream(
        arrivals,
        task.rng("arrivals"),
        rate_per_s=writes_per_s,
        first_ns=task.now_ns,
        path=arrivals_file,
        sha256=arrivals_sha256,
    )
    task.offers(requests)
    keys = KeyStream(task.rng("keys"), heap.keys, key_distribution, zipf_exponent)
    server = _Server(task, data, heap, requests, keys, request_cpu_ns)
    buffers = _Buffers(task, client_buffers_bytes + replica_buffers_bytes + aof_buffers_bytes)
    page_ns = round(heap.used_bytes * S / save_speed_bytes_per_s / heap.pages)
    wait_ns = save_every_ns
    if phase == "random":
        wait_ns = int(save_every_ns * task.rng("phase").random())
    drops = does(version, "drops_dump") and save_for == "disk"
    next_save_ns, done = task.now_ns + wait_ns, 0
    for _ in range(saves):
        yield from server.serve_until(next_save_ns)
        files = [f"{task.name}: dump.{number}.rdb" for number in (done % 2, 1 - done % 2)]
        dump = Dump(files[0], files[1] if done else "", pages_for(dump_bytes), drops)
        saver = Saver(data, heap, version, page_ns, dump)
        saved = yield from _save(task, server, saver, buffers)
        done += saved
        task.record("saves_failed", 0 if saved else 1)
        next_save_ns = task.now_ns + (save_every_ns if saved else RETRY_NS)
    if saves and wait_ns < save_every_ns:
        yield from server.serve_until(task.now_ns + save_every_ns - wait_ns)


class _Server:
    """The thread that serves requests."""

    def __init__(
        self,
        task: Process,
        data: Data,
        heap: RedisHeap,
        requests: ArrivalStream,
        keys: KeyStream,
        request_cpu_ns: int,
    ) -> None:
        self._task = task
        self.data = data
        self.heap = heap
        self._requests = requests
        self._keys = keys
        self._touches = heap.pages_per_set
        self._limit = max(1, CHUNK_PAGES // self._touches)
        self._touch_ns = request_cpu_ns // self._touches

    def serve_until(self, until_ns: int) -> Generator[Any, Any, None]:
        """Serve every request that arrives before `until_ns`; return then, or when done."""
        task = self._task
        while True:
            arrivals_ns = self._requests.take(until_ns, self._limit)
            if not arrivals_ns.size:
                break
            pages = self.heap.pages_of(self._keys.take(arrivals_ns.size))
            yield from task.write(
                self.data.region,
                pattern=Listed(self.data.place(pages.reshape(-1))),
                arrivals=arrivals_ns,
                per_request=self._touches,
                cpu_ns=self._touch_ns,
            )
        if task.now_ns < until_ns:
            yield from task.sleep_until(until_ns)


class _Buffers:
    """Memory that the server holds for a time, besides its data."""

    def __init__(self, task: Process, size_bytes: int) -> None:
        self._task = task
        self._pages = pages_for(size_bytes)
        self._region: Region | None = None
        self._filled = 0

    def begin(self) -> Generator[Any, Any, None]:
        """Map them; they take no frame yet."""
        self._filled = 0
        if self._pages:
            self._region = yield from self._task.mmap(self._pages * PAGE_BYTES)

    def fill(self, share: float) -> Generator[Any, Any, None]:
        """Write them up to this share of their size, at most all of it."""
        pages = min(self._pages, math.ceil(self._pages * share))
        if self._region is not None and pages > self._filled:
            yield from self._task.write(
                self._region, first=self._filled, pages=pages - self._filled
            )
            self._filled = pages

    def end(self) -> Generator[Any, Any, None]:
        """Give them back."""
        if self._region is not None:
            yield from self._task.munmap(self._region)
            self._region = None


def _save(
    task: Process, server: _Server, saver: Saver, buffers: _Buffers
) -> Generator[Any, Any, bool]:
    """Save by fork while serving; return whether it succeeded."""
    copies_before = task.faults("cow_copy")
    started_ns = task.now_ns
    task.begin("save")
    try:
        child: Child = yield from task.fork(saver.run)
    except Refused:
        task.end("save", failed=True)
        return False
    task.record("fork_ns", task.now_ns - started_ns)
    yield from buffers.begin()
    while not task.child_exited(child):
        yield from server.serve_until(task.now_ns + CRON_NS)
        yield from buffers.fill(2 * (task.now_ns - started_ns) / saver.expected_ns)
    exited = yield from task.wait(child)
    yield from buffers.end()
    task.end("save", failed=exited.status != 0)
    task.record("save_ns", task.now_ns - started_ns)
    task.record("cow_pages_during_save", task.faults("cow_copy") - copies_before)
    return exited.status == 0
