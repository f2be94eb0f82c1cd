"""Redis: serves SETs from one thread, and saves by fork (BGSAVE)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np

from sim.base.errors import Refused
from sim.base.units import GIB, MIB, MS, PAGE_BYTES, US, Range, S, pages_for
from sim.program.arrivals import ArrivalKind, ArrivalStream, arrival_stream
from sim.program.declared import advised_by, near_normal
from sim.program.offer import program
from sim.program.patterns import Listed
from sim.program.shipped.redis_declared import (
    AOF,
    CLIENTS,
    DUMP,
    FRAGMENTATION,
    HEAP_PARAMETERS,
    KEYS,
    REPLICAS,
    SAVE_SPEED,
    VALUE,
    WRITES,
    lines_to_set,
    read_version,
)
from sim.program.shipped.redis_heap import GIVES_BACK_SINCE, RedisHeap, redis_heap
from sim.program.signature import checked_by
from sim.program.zipf import KeyDistribution, KeyStream

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from sim.program.api import Child, Process, Region

CRON_NS: Final = 100 * MS
"""How often the server looks whether its child has ended (``hz 10``)."""

RETRY_NS: Final = 5 * S
"""How long it waits after a failed save (``CONFIG_BGSAVE_RETRY_DELAY``)."""

SAVER_STRETCHES: Final = 256
"""In how many stretches a child that gives pages back saves the values: in each of them it comes
to those that it keeps first, so few stretches would put the others off."""

DUMP_FILE: Final = "dump.rdb"

CHUNK_PAGES: Final = 65_536
"""Most pages that are listed in one call."""


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
@program("redis", events={"save": "saves"})
@checked_by(_check)
def redis(
    task: Process,
    *,
    version: Annotated[float, read_version, Range(2.4, 9.0)] = 7.2,
    dataset_bytes: Annotated[int, Range(64 * 1024, None)] = GIB,
    value_bytes: Annotated[int, Range(1, 512 * MIB), VALUE] = 1000,
    key_bytes: Annotated[int, Range(1, 65_536)] = 16,
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
    client_buffers_bytes: Annotated[int, Range(0, None), CLIENTS] = 0,
    replica_buffers_bytes: Annotated[int, Range(0, None), REPLICAS] = 0,
    aof_buffers_bytes: Annotated[int, Range(0, None), AOF] = 0,
    dump_cache_bytes: Annotated[int, Range(0, None), DUMP] = 0,
) -> Generator[Any, Any, None]:
    """Load a data set, then serve SETs and save by fork until the last save has ended.

    The server is one thread.  It writes the data set once, in order of address; then each
    SET of an existing key dirties the pages of its value, its object and its hash-table
    entry (`sim.program.shipped.redis_heap`).  `save_every_ns` after loading, and after each save,
    it forks a child that reads the whole data set, and goes on serving; every 100 ms it
    looks whether the child has ended.  From version 7 the child gives back (MADV_DONTNEED)
    the pages that belong to one saved value alone.  A save that the kernel refuses or kills
    is tried again after 5 s and counts as one of `saves`.

    Give it two CPUs, or the child takes the server's time.

    Buffers and the page cache of the dump are not worked out: what is given is taken.

    Not modelled: reads (they change no page that is resident), rehashing, eviction, and the
    defragmenter.

    Parameters
    ----------
    version
        Redis version: 7 and later give back saved values, 7.2 aligns large ones.
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
        How fast a child saves.  Assumed: 200 MiB/s of data set, compressed and written.
    saves
        How many; with 0 it ends after loading.
    client_buffers_bytes, replica_buffers_bytes, aof_buffers_bytes
        What these hold at their fullest.  The server fills them during the first half of each
        save and gives them back at its end.
    dump_cache_bytes
        How much of the dump's file is in the page cache at the end of a save.  It is written as
        the save goes on; the next save's takes its place.

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
    data = yield from task.mmap(heap.pages * PAGE_BYTES)
    yield from task.write(data)
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
    next_save_ns = task.now_ns + save_every_ns
    for _ in range(saves):
        yield from server.serve_until(next_save_ns)
        saver = _Saver(
            data, heap, page_ns, version >= GIVES_BACK_SINCE, pages_for(dump_cache_bytes)
        )
        saved = yield from _save(task, server, saver, buffers)
        task.record("saves_failed", 0 if saved else 1)
        next_save_ns = task.now_ns + (save_every_ns if saved else RETRY_NS)


class _Server:
    """The thread that serves requests."""

    def __init__(
        self,
        task: Process,
        data: Region,
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
                self.data,
                pattern=Listed(pages.reshape(-1)),
                arrivals=arrivals_ns,
                per_request=self._touches,
                cpu_ns=self._touch_ns,
            )
        if task.now_ns < until_ns:
            yield from task.sleep_until(until_ns)


class _Buffers:
    """Memory that the server holds during a save, besides its data."""

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
    task: Process, server: _Server, saver: _Saver, buffers: _Buffers
) -> Generator[Any, Any, bool]:
    """Save by fork while serving; return whether it succeeded."""
    copies_before = task.faults("cow_copy")
    started_ns = task.now_ns
    task.begin("save")
    try:
        child: Child = yield from task.fork(saver.run)
    except Refused:
        task.end("save")
        return False
    task.record("fork_ns", task.now_ns - started_ns)
    yield from buffers.begin()
    while not task.child_exited(child):
        yield from server.serve_until(task.now_ns + CRON_NS)
        yield from buffers.fill(2 * (task.now_ns - started_ns) / saver.expected_ns)
    exited = yield from task.wait(child)
    yield from buffers.end()
    task.end("save")
    task.record("save_ns", task.now_ns - started_ns)
    task.record("cow_pages_during_save", task.faults("cow_copy") - copies_before)
    return exited.status == 0


@dataclass(frozen=True, slots=True)
class _Saver:
    """The child: reads values, in order of address, then all else; perhaps gives values back.

    `dump_pages` of the dump's file come into the page cache as it goes on.
    """

    data: Region
    heap: RedisHeap
    page_ns: int
    gives_back: bool
    dump_pages: int

    @property
    def expected_ns(self) -> int:
        """How long a save takes if nothing holds it up."""
        return max(1, self.page_ns * self.heap.pages)

    def run(self, task: Process) -> Generator[Any, Any, None]:
        """Save everything once."""
        value_pages = self.heap.values.pages
        read = partial(task.read, self.data, cpu_ns=self.page_ns)
        stretches = self._stretches()
        for first, pages in stretches:
            if self._gives_some_back:
                whole = self.heap.values.whole_pages(first, pages)
                numbers = first + np.arange(pages, dtype=np.int64)
                for chosen, drop in ((~whole, False), (whole, True)):
                    if chosen.any():
                        yield from read(pattern=Listed(numbers[chosen]), drop=drop)
            else:
                yield from read(first=first, pages=pages)
            yield from self._write(task, first, pages)
        yield from read(first=value_pages)

    @property
    def _gives_some_back(self) -> bool:
        return self.gives_back and bool(self.heap.values.mean_whole_pages)

    def _stretches(self) -> list[tuple[int, int]]:
        """Return first page and length of what is read before the next is written."""
        value_pages = self.heap.values.pages
        if not value_pages:
            return []
        if not self._gives_some_back and not self.dump_pages:
            return [(0, value_pages)]
        length = min(CHUNK_PAGES, -(-value_pages // SAVER_STRETCHES))
        return [
            (first, min(length, value_pages - first)) for first in range(0, value_pages, length)
        ]

    def _write(self, task: Process, first: int, pages: int) -> Generator[Any, Any, None]:
        """Write the share of the dump that pages of values stand for.

        From the end of the file to its beginning: a file has the size that is asked for first.
        """
        values = self.heap.values.pages
        done = self.dump_pages * first // values
        then = self.dump_pages * (first + pages) // values
        if then > done:
            yield from task.pwrite(DUMP_FILE, then - done, self.dump_pages - then)
