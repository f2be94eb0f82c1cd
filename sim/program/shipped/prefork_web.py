"""A preloading web server (gunicorn, puma, uwsgi): one master, many forked workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from sim.base.errors import Refused
from sim.base.units import MIB, MINUTE, MS, PAGE_BYTES, Range, S, pages_for
from sim.program.arrivals import ArrivalKind, ArrivalStream, arrival_stream
from sim.program.declared import Uncertain, near_normal, without_files
from sim.program.offer import program
from sim.program.patterns import HotCold

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.program.api import Process, Region

BATCH: Final = 1024
"""Most requests a worker takes at a time; those it holds are lost if it is killed."""

LEAK_STEP_BYTES: Final = MIB
"""What a worker leaks at a time, unless one request leaks more."""

RETRY_NS: Final = S
"""How long the master waits after a refused fork."""

WORKER_HEAP: Final = Uncertain(
    "assumed: half and twice the heap",
    times=(0.5, 2),
    measure="Private_Dirty in /proc/PID/smaps_rollup of a worker that has just started",
)
REQUESTS: Final = Uncertain(
    "assumed: the same service on a quieter and on a busier day",
    times=(0.8, 1.25),
    measure="requests a second in the access log, over the workers",
    says="requests a worker",
)
ERODED: Final = Uncertain(
    "assumed: half and twice as many",
    times=(0.5, 2),
    measure="how much Private_Dirty of a worker (smaps_rollup) grows in its first requests",
)
HOT: Final = Uncertain(
    "assumed: writes that fall on half and on twice as many pages",
    times=(0.5, 2),
    measure="where Private_Dirty of a worker levels off, as a share of the application",
)
COLLECTED: Final = Uncertain(
    "assumed: a collection that writes to less, and to more, of the application",
    low=0.3,
    high=0.8,
    measure="how much Private_Dirty of a worker (smaps_rollup) grows in one full collection",
)


@near_normal(
    "cow_copies",
    "memory_need_bytes.cow_copies",
    "minor_faults",
    "fault_latency_ns.count",
    "request_latency_ns.count",
)
@without_files()
@program("prefork_web", events={"request": "requests_per_s"})
def prefork_web(
    task: Process,
    *,
    app_bytes: Annotated[int, Range(PAGE_BYTES, None)] = 256 * MIB,
    workers: Annotated[int, Range(1, 10_000)] = 8,
    worker_heap_bytes: Annotated[int, Range(0, None), WORKER_HEAP] = 16 * MIB,
    requests_per_s: Annotated[float, Range(0, 1_000_000), REQUESTS] = 10.0,
    arrivals: ArrivalKind = "poisson",
    arrivals_file: str = "",
    arrivals_sha256: str = "",
    request_cpu_ns: Annotated[int, Range(0, MINUTE)] = 10 * MS,
    eroded_pages: Annotated[int, Range(1, 1_000_000), ERODED] = 50,
    hot_fraction: Annotated[float, Range(0.000_001, 1.0), HOT] = 0.1,
    hot_share: Annotated[float, Range(0.0, 1.0)] = 0.9,
    collect_every: Annotated[int, Range(0, None)] = 0,
    collected_fraction: Annotated[float, Range(0.0, 1.0), COLLECTED] = 0.5,
    max_requests: Annotated[int, Range(0, None)] = 0,
    max_requests_jitter: Annotated[int, Range(0, None)] = 0,
    leak_bytes: Annotated[int, Range(0, None)] = 0,
    preload: bool = True,
    duration_ns: Annotated[int, Range(0, None)] = MINUTE,
) -> Generator[Any, Any, None]:
    """Preload an application, fork workers that serve requests, and replace those that end.

    The master writes `app_bytes` and forks; without `preload` each worker loads the application for
    itself, and nothing of it is shared.  Each worker fills a heap of its own, then
    serves requests; each request writes to pages of the preloaded application, because
    reference counts, marks of a collector and caches lie among its data: so what was shared
    is copied, page by page (erosion).  The resident set before the fork is the ceiling on
    what that can cost.  Reads change nothing (the pages stay resident and shared); their
    time is part of `request_cpu_ns`.

    Parameters
    ----------
    app_bytes
        The application: memory written before the workers are forked.  Frappe with 24 workers:
        about 1,800 MB in all, 1,240 MB with the collector frozen (frappe/frappe#21474).
    workers
        How many are kept.
    worker_heap_bytes
        What each worker writes for itself when it starts.
    requests_per_s
        Offered rate to **each** worker.
    arrivals, arrivals_file, arrivals_sha256
        ``poisson``, ``fixed`` distances, or ``file``: the times in `arrivals_file`, counted
        from the first fork on, the same to each worker; its SHA-256 is `arrivals_sha256`.
    request_cpu_ns
        CPU time of a request besides its faults.
    eroded_pages
        Writes of a request to the preloaded application, to pages drawn with replacement.
    hot_fraction, hot_share
        Which pages: the first `hot_fraction` of them take `hot_share` of the writes.
    collect_every, collected_fraction
        Requests between two full garbage collections, each of which writes to the first
        `collected_fraction` of the application; 0: frozen before the fork, or none.
    max_requests
        Requests after which a worker exits and the master forks another; 0: never.
    max_requests_jitter
        Most of what each worker draws to add to its `max_requests`, so that they do not all end
        together (gunicorn's setting of that name).
    leak_bytes
        Memory that each request leaves behind, until its worker ends: how much Private_Dirty of a
        worker (smaps_rollup) still grows a request, after its first thousand.
    preload
        Whether the application is loaded before the workers are forked (``preload_app``).
    duration_ns
        How long after the first fork requests arrive.

    Notes
    -----
    Records by the master, one number a fork: ``fork_ns``; and at the end ``recycled``,
    ``killed`` (workers that ended otherwise) and ``forks_refused``.  By each worker when it
    ends: ``requests`` and ``eroded_copies``.
    """
    app = (yield from _load(task, app_bytes)) if preload else None
    start_ns = task.now_ns
    end_ns = start_ns + duration_ns
    streams = [
        arrival_stream(
            arrivals,
            task.rng(f"arrivals {slot}"),
            rate_per_s=requests_per_s,
            first_ns=start_ns,
            path=arrivals_file,
            sha256=arrivals_sha256,
        )
        for slot in range(workers)
    ]
    for stream in streams:
        task.offers(stream, end_ns)
    life = _Life(
        app_bytes=app_bytes,
        heap_bytes=worker_heap_bytes,
        write_cpu_ns=request_cpu_ns // eroded_pages,
        writes=HotCold(eroded_pages, hot_fraction, hot_share),
        collect_every=collect_every,
        collected_pages=int(pages_for(app_bytes) * collected_fraction),
        max_requests=max_requests,
        jitter=max_requests_jitter if max_requests else 0,
        leak_bytes=leak_bytes,
        end_ns=end_ns,
    )
    yield from _keep_workers(task, app, streams, life)


@dataclass(frozen=True, slots=True)
class _Life:
    """What every worker does."""

    app_bytes: int
    heap_bytes: int
    write_cpu_ns: int
    writes: HotCold
    collect_every: int
    collected_pages: int
    max_requests: int
    jitter: int
    leak_bytes: int
    end_ns: int

    def next_stop(self, served: int, most: int) -> int:
        """Return how many requests a worker may take before it collects, leaks a lot, or ends."""
        room = BATCH
        if self.leak_bytes:
            room = min(room, max(1, LEAK_STEP_BYTES // self.leak_bytes))
        if self.collect_every:
            room = min(room, self.collect_every - served % self.collect_every)
        if most:
            room = min(room, most - served)
        return room


def _keep_workers(
    task: Process, app: Region | None, streams: list[ArrivalStream], life: _Life
) -> Generator[Any, Any, None]:
    slots: dict[int, int] = {}
    generations = [0] * len(streams)
    wanted = list(range(len(streams)))
    counts = {"recycled": 0, "killed": 0, "forks_refused": 0}
    while wanted or slots:
        while wanted:
            slot = wanted[0]
            before_ns = task.now_ns
            try:
                child = yield from task.fork(
                    _worker,
                    app,
                    streams[slot],
                    life,
                    name=f"{task.name}/{slot}.{generations[slot]}",
                )
            except Refused:
                counts["forks_refused"] += 1
                if task.now_ns + RETRY_NS >= life.end_ns:
                    wanted.clear()
                    break
                yield from task.sleep(RETRY_NS)
                continue
            task.record("fork_ns", task.now_ns - before_ns)
            generations[slot] += 1
            slots[child.pid] = slot
            wanted.pop(0)
        if not slots:
            break
        exited = yield from task.wait()
        slot = slots.pop(exited.pid)
        if exited.status == 0:
            if task.now_ns < life.end_ns:
                counts["recycled"] += 1
        else:
            counts["killed"] += 1
        if task.now_ns < life.end_ns:
            wanted.append(slot)
    for key, count in counts.items():
        task.record(key, count)


def _worker(
    task: Process, app: Region | None, requests: ArrivalStream, life: _Life
) -> Generator[Any, Any, None]:
    if app is None:
        app = yield from _load(task, life.app_bytes)
    if life.heap_bytes:
        yield from _load(task, life.heap_bytes)
    most = life.max_requests
    if life.jitter:
        most += int(task.rng("max_requests").integers(life.jitter, endpoint=True))
    leak = _Leak(task, life.leak_bytes)
    served = 0
    writes = life.writes
    while True:
        due_ns = requests.take(life.end_ns, life.next_stop(served, most))
        if not due_ns.size:
            yield from task.sleep_until(life.end_ns)
            break
        yield from task.write(
            app,
            pattern=HotCold(writes.count * due_ns.size, writes.hot_fraction, writes.hot_share),
            arrivals=due_ns,
            per_request=writes.count,
            cpu_ns=life.write_cpu_ns,
        )
        served += due_ns.size
        yield from leak.grow(served)
        if life.collect_every and served % life.collect_every == 0 and life.collected_pages:
            yield from task.write(app, pages=life.collected_pages)
        if served == most:
            break
    task.record("requests", served)
    task.record("eroded_copies", task.faults("cow_copy"))


class _Leak:
    """What requests leave behind: mapped in pieces, and written as they are served."""

    def __init__(self, task: Process, request_bytes: int) -> None:
        self._task = task
        self._request_bytes = request_bytes
        self._piece: Region | None = None
        self._pages = 0  # written, of all pieces
        self._mapped = 0

    def grow(self, served: int) -> Generator[Any, Any, None]:
        """Have leaked what `served` requests leak."""
        due = pages_for(served * self._request_bytes)
        while self._pages < due:
            if self._piece is None or self._pages == self._mapped:
                pages = max(due - self._pages, pages_for(LEAK_STEP_BYTES))
                self._piece = yield from self._task.mmap(pages * PAGE_BYTES)
                self._mapped += pages
            first = self._piece.pages - (self._mapped - self._pages)
            pages = min(due, self._mapped) - self._pages
            yield from self._task.write(self._piece, first=first, pages=pages)
            self._pages += pages


def _load(task: Process, size_bytes: int) -> Generator[Any, Any, Region]:
    """Map memory and write all of it."""
    region = yield from task.mmap(size_bytes)
    yield from task.write(region)
    return region
