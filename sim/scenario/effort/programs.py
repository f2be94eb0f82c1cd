"""What the programs that ship will have done when they end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES, S, pages_for
from sim.machine import work
from sim.program.presets import program_image
from sim.program.shipped.prefork_web import BATCH, LEAK_STEP_BYTES
from sim.program.shipped.redis import CRON_NS
from sim.program.shipped.redis_data import extents
from sim.program.shipped.redis_declared import HEAP_PARAMETERS
from sim.program.shipped.redis_expect import saved_copies
from sim.program.shipped.redis_heap import redis_heap
from sim.program.shipped.redis_saver import CHUNK_PAGES, STRETCHES, frees_strings, gives_back
from sim.program.shipped.redis_version import does
from sim.program.steps.grammar import normal_image
from sim.program.steps.meant import said_image
from sim.scenario.effort.amount import Amount
from sim.scenario.forms.prefork_web import Web
from sim.scenario.forms.redis import data_pages, dump_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.program.shipped.redis_heap import RedisHeap
    from sim.scenario.forms.setting import Setting

LIFE: Final = Amount(processes=1, operations=3, dispatches=1)
"""A process is born, is reaped and exits."""

MALLOC_OPERATIONS: Final = 6.3
"""Operations a step of `heap_growth` with glibc's malloc: it writes what it keeps of blocks."""


def redis_effort(arguments: Mapping[str, Any], setting: Setting, horizon_ns: int) -> Amount:
    """Return the work of a server that loads, serves and saves."""
    heap = redis_heap(**{name: arguments[name] for name in HEAP_PARAMETERS})
    version, saves = arguments["version"], arguments["saves"]
    if does(version, "no_huge_pages"):
        setting = setting.without_huge_pages
    pages, loading = data_pages(heap, setting), pages_for(arguments["loading_bytes"])
    load = _written(pages) + _written(loading) + LIFE + Amount(
        operations=2 * (len(extents(heap.pages)) - 1) + 3 * bool(loading)
    )  # fmt: skip
    if not saves:
        return load
    dump = dump_of(arguments)
    save_ns = heap.used_bytes * S / arguments["save_speed_bytes_per_s"] + pages * setting.ns(
        work.ACCESS
    )
    save_ns += setting.disk_ns(dump.pages, dump.syncs)
    lasts_ns = saves * (arguments["save_every_ns"] + save_ns + CRON_NS / 2)
    share = min(1.0, horizon_ns / lasts_ns) if lasts_ns else 1.0
    rate = arguments["writes_per_s"] / S
    requests = rate * lasts_ns
    copies = saved_copies(
        heap,
        writes=rate * save_ns,
        version=version,
        distribution=arguments["key_distribution"],
        s=arguments["zipf_exponent"],
    )
    looks = -save_ns / CRON_NS * math.expm1(-rate * CRON_NS)  # those that find something to serve
    if setting.cpus == 1:  # each arrival takes the CPU from the child, or waits for a tick
        looks += min(rate * save_ns, 2 * save_ns / setting.slice_ns)
    buffers = sum(pages_for(arguments[f"{kind}_buffers_bytes"])
                  for kind in ("client", "replica", "aof"))  # fmt: skip
    reads, stretches = _saver_reads(heap, version, writes_dump=bool(dump.pages))
    writes = min(stretches, dump.pages) if not dump.drops else 3 * dump.syncs
    a_save = LIFE + _forked(pages, setting) + Amount(
        fills=buffers,
        copies=copies if setting.fork != "eager" else 0.0,
        accesses=pages + buffers,
        removed=buffers,
        cached=dump.pages,
        operations=looks + reads + writes + 2,
        reads=dump.syncs,
        dispatches=0.8 * looks + 3 + dump.syncs,
    )  # fmt: skip
    accesses = requests * heap.pages_per_set
    served = Amount(requests=requests, accesses=accesses, operations=accesses / CHUNK_PAGES)
    return load + (served + a_save.times(saves)).times(share)


def _saver_reads(heap: RedisHeap, version: str, *, writes_dump: bool) -> tuple[float, int]:
    """Return how often a saving child reads or computes, and in how many stretches it saves."""
    values = heap.values
    if frees_strings(version, heap):
        stretches = min(STRETCHES, -(-values.pages // heap.slab[0]))
        return 2.0 * stretches, stretches
    gives = gives_back(version, heap)
    length = -(-values.pages // STRETCHES) if gives or writes_dump else values.pages
    stretches = -(-values.pages // max(1, length))
    reads = float(stretches)
    if gives:  # one for pages that it keeps, one for those that it gives back
        whole = min(1.0, values.mean_whole_pages * values.count / values.pages)
        reads *= 2.0 - whole**length - (1.0 - whole) ** length
    return reads, stretches


def prefork_effort(arguments: Mapping[str, Any], setting: Setting, horizon_ns: int) -> Amount:
    """Return the work of a master and all its workers."""
    pages, heap = (pages_for(arguments[key]) for key in ("app_bytes", "worker_heap_bytes"))
    workers = arguments["workers"]
    duration_ns = min(arguments["duration_ns"], horizon_ns)
    requests = workers * arguments["requests_per_s"] * duration_ns / S
    need = arguments["requests_per_s"] * workers * arguments["request_cpu_ns"] / S
    if need > setting.cpus and horizon_ns < arguments["duration_ns"] * need / setting.cpus:
        requests *= max(setting.cpus / need, horizon_ns / arguments["duration_ns"] / need)
    lives = float(workers)
    web = Web(arguments, setting)
    if arguments["max_requests"] and need > setting.cpus:
        # Nobody is replaced after the end: what has arrived by then is not all served.
        life = arguments["max_requests"] + web.jitter / 2
        life_ns = life * workers * arguments["request_cpu_ns"] / setting.cpus
        requests = min(requests, workers * life * math.ceil(duration_ns / life_ns))
    if arguments["max_requests"]:
        lives += requests / (arguments["max_requests"] + web.jitter / 2)
    a_life = requests / lives
    writes = requests * arguments["eroded_pages"]
    collections = requests // arguments["collect_every"] if arguments["collect_every"] else 0
    collected = collections * int(pages * arguments["collected_fraction"])
    every = arguments["collect_every"]
    eroded = web.eroded(a_life, collects=bool(every and a_life >= every))
    leaks = 0.0  # times that a worker stops to leak
    if arguments["leak_bytes"]:
        leaks = requests / max(1, min(BATCH, LEAK_STEP_BYTES // arguments["leak_bytes"]))
    served = Amount(
        requests=requests,
        accesses=writes + collected,
        copies=0.0 if setting.fork == "eager" else lives * eroded,
        operations=2 * collections + requests / BATCH + leaks,
        dispatches=requests * _dispatches(workers, need / setting.cpus, arguments, setting),
    )
    served += _written(requests * arguments["leak_bytes"] / PAGE_BYTES)
    a_worker = LIFE + _written(heap) + Amount(operations=3)
    if not arguments["preload"]:
        return LIFE + (a_worker + _written(pages)).times(lives) + served
    a_worker += _forked(pages, setting)
    return _written(pages) + LIFE + a_worker.times(lives) + served


def _dispatches(workers: int, load: float, arguments: Mapping[str, Any], setting: Setting) -> float:
    """Return how often a request is given a CPU, at a load of so much of all CPUs.

    A worker keeps the CPU that it idles on, as long as there are CPUs for all.  A request that
    waits (as often as in a queue with so many servers, Sakasegawa 1977) is served in slices.
    """
    if workers + 1 < setting.cpus:
        return 0.0
    if workers <= setting.cpus:  # its own CPU, but for the moments that the master needs one
        return 0.15 if workers < setting.cpus else 0.3
    waits = min(1.0, load) ** (2 * (setting.cpus + 1)) ** 0.5
    slices = arguments["request_cpu_ns"] / setting.slice_ns  # it is left between two writes
    slices = max(1.0, min(float(slices), float(arguments["eroded_pages"])))
    moves = max(0.3, 1 - setting.cpus / (workers + 1))
    return float((1 - waits) * moves + waits * slices)


def growth_effort(arguments: Mapping[str, Any], setting: Setting, horizon_ns: int) -> Amount:
    """Return the work of heaps that grow and shrink."""
    processes = arguments["processes"]
    share = 1.0 if setting.fills else arguments["touched_fraction"]
    touched = int(pages_for(arguments["step_bytes"]) * share)
    steps = processes * arguments["cycles"] * arguments["steps"]
    malloc = arguments["method"] == "malloc"
    step = _written(touched) + Amount(
        accesses=arguments["rewrites"] if touched else 0,
        operations=(MALLOC_OPERATIONS - 2 if malloc else 1 + (arguments["method"] == "mmap"))
        + bool(touched) + bool(arguments["step_cpu_ns"]) + bool(arguments["rewrites"]),
        dispatches=0.2,
    )  # fmt: skip
    if malloc and arguments["step_bytes"] < 128 * 1024:
        step = _written(touched).times(1.0) + Amount(operations=MALLOC_OPERATIONS, dispatches=0.2)
    cpu_ns = arguments["step_cpu_ns"] + touched * setting.ns(work.ZERO_FILL)
    cycle_ns = arguments["steps"] * cpu_ns
    busy = processes * cycle_ns / max(1.0, cycle_ns + arguments["hold_ns"])
    if busy > setting.cpus:
        step += Amount(dispatches=cpu_ns / setting.slice_ns)
    return LIFE.times(processes) + step.times(steps)


def build_effort(arguments: Mapping[str, Any], setting: Setting, horizon_ns: int) -> Amount:
    """Return the work of a parent and its jobs."""
    pages, heap = (pages_for(arguments[key]) for key in ("parent_bytes", "job_heap_bytes"))
    writes = arguments["parent_writes"] if pages else 0
    job = _child(arguments, setting, pages) + _written(heap) + Amount(
        accesses=writes,
        operations=bool(heap) * 2 + bool(arguments["job_cpu_ns"]) + bool(writes),
        dispatches=1,
    )  # fmt: skip
    return LIFE + _written(pages) + job.times(arguments["jobs"])


def pipeline_effort(arguments: Mapping[str, Any], setting: Setting, horizon_ns: int) -> Amount:
    """Return the work of a shell and the stages of its pipelines."""
    pages, heap = (pages_for(arguments[key]) for key in ("shell_bytes", "stage_heap_bytes"))
    blocks = -(-arguments["stream_bytes"] // arguments["block_bytes"])
    block = pages_for(arguments["block_bytes"]) if blocks else 0
    stage = _child(arguments, setting, pages) + _written(heap) + _written(block) + Amount(
        requests=blocks,
        accesses=(blocks - 1) * block if blocks else 0,
        operations=bool(heap) * 2 + bool(blocks) + blocks,
        dispatches=1 + blocks * _block_dispatches(arguments, setting),
    )  # fmt: skip
    pipeline = stage.times(arguments["stages"])
    return LIFE + _written(pages) + pipeline.times(arguments["pipelines"])


def _block_dispatches(arguments: Mapping[str, Any], setting: Setting) -> float:
    """Return how often a stage is given a CPU for a block.

    A stage keeps the CPU that it idles on if there are enough; of more than two that were begun by
    a parent who waited some do, and some do not.  If not, it gives way after each block, unless
    there is more to do than CPUs: then it goes on until its slice is over.
    """
    stages, cpu_ns = arguments["stages"], arguments["block_cpu_ns"]
    if stages <= setting.cpus:
        waited = arguments["method"] != "fork_exec" and stages > 2
        return 0.45 if waited and cpu_ns < arguments["block_every_ns"] else 0.0
    if stages * cpu_ns < 0.95 * arguments["block_every_ns"] * setting.cpus:
        return 0.9
    return float(min(1.0, 0.1 + cpu_ns / setting.slice_ns))


def _written(pages: float) -> Amount:
    """Return pages that are filled, and given back at the end."""
    return Amount(fills=pages, accesses=pages, removed=pages)


def _forked(pages: float, setting: Setting) -> Amount:
    """Return what a child of a parent of `pages` costs besides its life: copied, and removed.

    Tables that it shares at first are soon written to, and then its own.
    """
    return Amount(copies=pages if setting.fork == "eager" else 0.0, removed=pages)


def _child(arguments: Mapping[str, Any], setting: Setting, pages: int) -> Amount:
    """Return a child that execs: its life, its image, and what it had of its parent."""
    image = program_image(said_image(normal_image(arguments["image"])))
    touched = Amount(cached=4 * len(image.touches), accesses=len(image.touches),
                     removed=4 * len(image.touches))  # fmt: skip
    life = LIFE + touched + Amount(operations=2)
    if arguments["method"] == "fork_exec":
        shared = setting.fork == "on_demand"  # until exec, and nothing is written before
        return life + (Amount(removed=pages / 512) if shared else _forked(pages, setting))
    return life + Amount(operations=3 if arguments["method"] == "posix_spawn" else 0, dispatches=1)
