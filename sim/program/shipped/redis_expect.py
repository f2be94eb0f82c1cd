"""How many pages a Redis server copies during a save, in closed form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sim.program.shipped.redis_saver import frees_strings, gives_back
from sim.stats.theory import snapshot_copies

if TYPE_CHECKING:
    from sim.program.shipped.redis_heap import RedisHeap
    from sim.program.zipf import KeyDistribution


def saved_copies(
    heap: RedisHeap,
    *,
    writes: float,
    version: str,
    distribution: KeyDistribution,
    s: float,
    values_time: float | None = None,
) -> float:
    """Return the pages that a Redis server copies during one save, on average.

    `writes` SETs arrive while the child saves, values before all else: for a share `values_time`
    of the time, by default their share of the pages.  A page that the child gives back is at risk
    only until then (`sim.stats.theory.snapshot_copies`); one whose slab of n values it frees, until
    the last of them is saved.  Where the heap is fragmented, places without a key are never
    written.
    """
    if values_time is None:
        values_time = heap.values.pages / heap.pages
    copies = 0.0
    for area in heap.written_areas:
        dirtied, whole, alone, shared = 1.0, 0.0, 0.0, 0.0
        if area is heap.values:
            dirtied = area.mean_span
            if frees_strings(version, heap):
                whole, alone, shared = area.mean_whole_pages, heap.slab[1], heap.slab[1]
            elif gives_back(version, heap):
                whole, alone = area.mean_whole_pages, 1.0
        given = round(whole * area.count)
        kept = area.pages - given
        groups = [(given, 1.0, alone)]
        if kept:
            groups.append((kept, (dirtied - whole) * area.count / kept, shared))
        for pages, places, together in groups:
            at_risk = writes * (values_time if together else 1.0)
            copies += _copies(heap, pages, places, at_risk, together, distribution, s)
    return copies


def _copies(
    heap: RedisHeap,
    pages: int,
    places: float,
    writes: float,
    together: float,
    distribution: KeyDistribution,
    s: float,
) -> float:
    """Return how many of `pages` are copied, on each of which `places` places for keys lie.

    They are given back once `together` values have been saved; 0: never.
    """
    return pages * sum(
        share * _copied(keys_a_page, heap.keys, writes, together, distribution, s)
        for keys_a_page, share in _keys_of(places, heap.keys / heap.slots)
        if keys_a_page
    )


def _keys_of(places: float, used: float) -> list[tuple[float, float]]:
    """Return how many keys a page has where a share `used` of its `places` is in use.

    Pairs of a number of keys and the share of pages that have so many: places in use are evenly
    spread, so a page has the next whole number below the mean, or above.
    """
    if used == 1.0:
        return [(places, 1.0)]
    pages: dict[float, float] = {}
    for whole, share in _around(places):
        for keys, part in _around(whole * used):
            pages[keys] = pages.get(keys, 0.0) + share * part
    return list(pages.items())


def _around(mean: float) -> list[tuple[float, float]]:
    """Return the whole numbers around `mean` with the shares that make it.

    >>> _around(1.25), _around(2.0)
    ([(1.0, 0.75), (2.0, 0.25)], [(2.0, 1.0)])
    """
    below = math.floor(mean)
    above = mean - below
    return [(float(below), 1.0 - above), *([(below + 1.0, above)] if above else [])]


def _copied(
    keys_a_page: float,
    keys: int,
    writes: float,
    together: float,
    distribution: KeyDistribution,
    s: float,
) -> float:
    """Return the share of pages with so many of all `keys` that are copied.

    The time until n values have all been saved, each at an even time, is even to the n-th power.
    """
    hits = writes * keys_a_page / keys
    if distribution == "uniform" and together == 1.0:
        return snapshot_copies(1_000_000, 1e6 * hits, gives_back=True) / 1e6

    def missed(writes: float) -> float:
        if distribution == "uniform":
            return math.exp(-writes * keys_a_page / keys)
        return float(_missed(keys, s, writes) ** keys_a_page)

    if not together:
        return -math.expm1(-hits) if distribution == "uniform" else 1.0 - missed(writes)
    share = 1.0
    points, weights = np.polynomial.legendre.leggauss(24)
    for point, weight in zip(0.5 * (points + 1.0), 0.5 * weights, strict=True):
        share -= float(weight) * missed(writes * float(point) ** (1.0 / together))
    return share


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
