"""What a program should do, from closed forms, before it is run.

`EXPECTATIONS` names a function for each program that has something to expect.  It takes the
program's arguments and returns pairs of a label and a text, for ``explain``.  Whatever is
said is a mean or a bound of the model without waiting: faults, queues and a short pool take
time that is not in it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.stats.theory import TABLE_ENTRIES, page_table_pages, snapshot_copies
from sim.units import PAGE_BYTES, S, format_bytes, format_duration, pages_for
from sim.workload.redis_heap import GIVES_BACK_SINCE, RedisHeap, redis_heap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.workload.zipf import KeyDistribution

Expectation = tuple[str, str]
"""A label and a text."""


def saved_copies(
    heap: RedisHeap, *, writes: float, gives_back: bool, distribution: KeyDistribution, s: float
) -> float:
    """Return the pages that a Redis server copies during one save, on average.

    `writes` SETs arrive while the child saves, at even speed, values before all else.  A page
    that the child gives back is at risk only until then (`sim.stats.theory.snapshot_copies`).
    """
    values_time = heap.values.pages / heap.pages
    copies = 0.0
    for area in heap.written_areas:
        dirtied = area.mean_span if area is heap.values else 1.0
        whole = area.mean_whole_pages if gives_back and area is heap.values else 0.0
        given = round(whole * area.count)
        kept = area.pages - given
        if kept:
            keys_a_page = (dirtied - whole) * area.count / kept
            copies += _copies(kept, keys_a_page, area.count, writes, False, distribution, s)
        if given:
            copies += _copies(given, 1.0, area.count, writes * values_time, True, distribution, s)
    return copies


def _copies(
    pages: int,
    keys_a_page: float,
    keys: int,
    writes: float,
    gives_back: bool,
    distribution: KeyDistribution,
    s: float,
) -> float:
    """Return how many of `pages` are copied that `keys_a_page` of all `keys` dirty."""
    if distribution == "uniform":
        return snapshot_copies(pages, writes * keys_a_page * pages / keys, gives_back=gives_back)
    if not gives_back:
        return pages * float(1.0 - _missed(keys, s, writes) ** keys_a_page)
    share = 1.0
    points, weights = np.polynomial.legendre.leggauss(24)
    for point, weight in zip(0.5 * (points + 1.0), 0.5 * weights, strict=True):
        share -= float(weight) * _missed(keys, s, writes * float(point)) ** keys_a_page
    return float(pages * share)


def _missed(keys: int, exponent: float, writes: float) -> float:
    """Return the share of keys that none of `writes` writes hits, by Zipf's law.

    The sum over ranks is exact for the first ten thousand and an integral on a logarithmic
    grid after that.
    """
    head = np.arange(1, min(keys, 10_000) + 1, dtype=np.float64)
    if keys <= head.size:
        weights = head**-exponent
        return float(np.exp(-writes * weights / weights.sum()).mean())
    grid = np.geomspace(head[-1] + 0.5, keys + 0.5, 2_000)
    tail = float(np.trapezoid(grid**-exponent, grid))
    total = float((head**-exponent).sum()) + tail
    missed = float(np.exp(-writes * head**-exponent / total).sum())
    missed += float(np.trapezoid(np.exp(-writes * grid**-exponent / total), grid))
    return missed / keys


def _redis(arguments: Mapping[str, Any]) -> list[Expectation]:
    heap = redis_heap(
        **{
            name: arguments[name]
            for name in ("dataset_bytes", "value_bytes", "key_bytes", "fragmentation", "version")
        }
    )
    save_s = heap.used_bytes / arguments["save_speed_bytes_per_s"]
    gives_back = arguments["version"] >= GIVES_BACK_SINCE and heap.values.mean_whole_pages > 0
    writes = arguments["writes_per_s"] * save_s
    copies = saved_copies(
        heap,
        writes=writes,
        gives_back=gives_back,
        distribution=arguments["key_distribution"],
        s=arguments["zipf_exponent"],
    )
    tables = page_table_pages(heap.pages)
    values_a_page = PAGE_BYTES / heap.values.class_bytes
    per_page = f"{values_a_page:.3g} a page" if values_a_page >= 1 else "each on pages of its own"
    load = arguments["writes_per_s"] * arguments["request_cpu_ns"] / S
    return [
        ("keys", f"{heap.keys:,}; values take {heap.values.class_bytes:,} B each, {per_page}"),
        (
            "of the data set",
            f"{_pages(pages_for(heap.payload_bytes))} is what users stored,"
            f" {format_bytes(heap.used_bytes - heap.payload_bytes)} is slack and bookkeeping",
        ),
        ("resident before a save", _pages(heap.pages)),
        ("a SET dirties", f"{_touched(heap):.3g} pages"),
        ("a save takes", f"{format_duration(round(save_s * S))} without waiting"),
        ("writes during a save", f"{writes:,.0f}"),
        (
            "a save copies",
            f"{_pages(round(copies))}, {copies / heap.pages:.1%} of the resident set"
            + ("; the child gives saved values back" if gives_back else ""),
        ),
        ("page tables", f"{_pages(tables)} for the server, as much again for a saving child"),
        ("offered load", f"{load:.1%} of a CPU, besides faults"),
    ]


def _touched(heap: RedisHeap) -> float:
    return heap.values.mean_span + len(heap.written_areas) - 1


def _prefork_web(arguments: Mapping[str, Any]) -> list[Expectation]:
    pages = pages_for(arguments["app_bytes"])
    workers = arguments["workers"]
    heap_pages = pages_for(arguments["worker_heap_bytes"])
    requests = arguments["requests_per_s"] * arguments["duration_ns"] / S
    if arguments["max_requests"]:
        requests = min(requests, arguments["max_requests"])
    eroded = _hot_cold_pages(
        pages,
        requests * arguments["eroded_pages"],
        arguments["hot_fraction"],
        arguments["hot_share"],
    )
    collected = pages * arguments["collected_fraction"]
    if arguments["collect_every"] and requests >= arguments["collect_every"]:
        eroded = collected + (pages - collected) * eroded / pages
    load = workers * arguments["requests_per_s"] * arguments["request_cpu_ns"] / S
    tables = page_table_pages(pages) + page_table_pages(heap_pages)
    return [
        ("shared at the start", _pages(pages)),
        ("private from the start", f"{_pages(heap_pages + tables)} a worker, page tables included"),
        ("eroded in a worker's life", f"{_pages(round(eroded))}, {eroded / pages:.1%} of it"),
        ("memory when eroded", _pages(round(pages + workers * (heap_pages + tables + eroded)))),
        ("ceiling", _pages(pages + workers * (heap_pages + tables + pages))),
        ("offered load", f"{load:.3g} CPUs, besides faults"),
    ]


def _hot_cold_pages(pages: int, writes: float, hot_fraction: float, hot_share: float) -> float:
    hot = min(pages, max(1, round(pages * hot_fraction)))
    cold = pages - hot
    if not cold:
        return -pages * math.expm1(-writes / pages)
    hit = -hot * math.expm1(-writes * hot_share / hot)
    return hit - cold * math.expm1(-writes * (1.0 - hot_share) / cold)


def _build_storm(arguments: Mapping[str, Any]) -> list[Expectation]:
    pages = pages_for(arguments["parent_bytes"])
    heap_pages = pages_for(arguments["job_heap_bytes"])
    tables = -(-pages // TABLE_ENTRIES)
    said = []
    if arguments["method"] == "fork_exec":
        said.append(("a start copies", f"{pages:,} entries in {tables:,} leaf tables"))
    else:
        said.append(("a start copies", "no page table: the child borrows the parent's"))
    work_ns = arguments["jobs"] * arguments["job_cpu_ns"]
    return [
        *said,
        ("zero-fills of the jobs", f"{arguments['jobs'] * heap_pages:,} besides their images"),
        ("heaps at a time", _pages(arguments["concurrency"] * heap_pages)),
        ("CPU time of the jobs", f"{format_duration(work_ns)} besides faults"),
    ]


def _heap_growth(arguments: Mapping[str, Any]) -> list[Expectation]:
    touched = int(pages_for(arguments["step_bytes"]) * arguments["touched_fraction"])
    a_cycle = arguments["processes"] * arguments["steps"] * touched
    return [
        ("zero-fills", f"{arguments['cycles'] * a_cycle:,} if no step is refused"),
        ("frames when all are full", _pages(a_cycle)),
        (
            "promised when all are full",
            format_bytes(arguments["processes"] * arguments["steps"] * arguments["step_bytes"]),
        ),
    ]


def _shell_pipeline(arguments: Mapping[str, Any]) -> list[Expectation]:
    blocks = -(-arguments["stream_bytes"] // arguments["block_bytes"])
    stream_ns = blocks * max(arguments["block_every_ns"], arguments["block_cpu_ns"])
    heap_pages = pages_for(arguments["stage_heap_bytes"]) + pages_for(arguments["block_bytes"])
    return [
        ("processes started", f"{arguments['pipelines'] * arguments['stages']:,}"),
        ("a pipeline's stream", f"{format_duration(stream_ns)} with a CPU for each stage"),
        ("heaps of a pipeline", _pages(arguments["stages"] * heap_pages)),
    ]


def _pages(pages: int) -> str:
    return f"{format_bytes(pages * PAGE_BYTES)} ({pages:,} pages)"


EXPECTATIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[Expectation]]]] = {
    "build_storm": _build_storm,
    "heap_growth": _heap_growth,
    "prefork_web": _prefork_web,
    "redis": _redis,
    "shell_pipeline": _shell_pipeline,
}
"""By program: takes its arguments as `sim.workload.signature.keyword_arguments` returns them."""
