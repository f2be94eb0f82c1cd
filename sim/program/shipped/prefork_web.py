"""A preloading web server (gunicorn, puma, uwsgi): one master, many forked workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from sim.base.errors import Refused
from sim.base.units import MIB, MINUTE, MS, PAGE_BYTES, Range, S
from sim.program.arrivals import ArrivalKind, ArrivalStream, arrival_stream
from sim.program.declared import Uncertain, near_normal
from sim.program.offer import program
from sim.program.patterns import HotCold

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.program.api import Process, Region

BATCH: Final = 1024
"""Most requests a worker takes at a time; those it holds are lost if it is killed."""

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
    duration_ns: Annotated[int, Range(0, None)] = MINUTE,
) -> Generator[Any, Any, None]:
    """Preload an application, fork workers that serve requests, and replace those that end.

    The master writes `app_bytes` and forks.  Each worker fills a heap of its own, then
    serves requests; each request writes to pages of the preloaded application, because
    reference counts, marks of a collector and caches lie among its data: so what was shared
    is copied, page by page (erosion).  The resident set before the fork is the ceiling on
    what that can cost.  Reads change nothing (the pages stay resident and shared); their
    time is part of `request_cpu_ns`.

    Parameters
    ----------
    app_bytes
        Memory written before the workers are forked.  Frappe with 24 workers: about 1,800 MB
        in all, 1,240 MB with the collector frozen (frappe/frappe#21474).
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
    duration_ns
        How long after the first fork requests arrive.

    Notes
    -----
    Records by the master, one number a fork: ``fork_ns``; and at the end ``recycled``,
    ``killed`` (workers that ended otherwise) and ``forks_refused``.  By each worker when it
    ends: ``requests`` and ``eroded_copies``.
    """
    app = yield from task.mmap(app_bytes)
    yield from task.write(app)
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
        heap_bytes=worker_heap_bytes,
        write_cpu_ns=request_cpu_ns // eroded_pages,
        writes=HotCold(eroded_pages, hot_fraction, hot_share),
        collect_every=collect_every,
        collected_pages=int(app.pages * collected_fraction),
        max_requests=max_requests,
        end_ns=end_ns,
    )
    yield from _keep_workers(task, app, streams, life)


@dataclass(frozen=True, slots=True)
class _Life:
    """What every worker does."""

    heap_bytes: int
    write_cpu_ns: int
    writes: HotCold
    collect_every: int
    collected_pages: int
    max_requests: int
    end_ns: int

    def next_stop(self, served: int) -> int:
        """Return how many requests a worker may take before it collects or ends."""
        room = BATCH
        if self.collect_every:
            room = min(room, self.collect_every - served % self.collect_every)
        if self.max_requests:
            room = min(room, self.max_requests - served)
        return room


def _keep_workers(
    task: Process, app: Region, streams: list[ArrivalStream], life: _Life
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
    task: Process, app: Region, requests: ArrivalStream, life: _Life
) -> Generator[Any, Any, None]:
    if life.heap_bytes:
        heap = yield from task.mmap(life.heap_bytes)
        yield from task.write(heap)
    served = 0
    writes = life.writes
    while True:
        due_ns = requests.take(life.end_ns, life.next_stop(served))
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
        if life.collect_every and served % life.collect_every == 0 and life.collected_pages:
            yield from task.write(app, pages=life.collected_pages)
        if served == life.max_requests:
            break
    task.record("requests", served)
    task.record("eroded_copies", task.faults("cow_copy"))
