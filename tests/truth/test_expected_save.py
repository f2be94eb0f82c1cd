"""What `explain` expects of a save against playing it: writes to a heap, a child that reads it.

The play has no kernel: it draws the SETs of one save, notes when the child has passed each
page, and counts pages that are written before that (or at all, if the child keeps them).
z limits at a false-alarm rate of 1e-6 a test, fixed seeds.  The closed form leaves out that a
value's pages are written together, which moves no mean.
"""

import math

import numpy as np
import pytest

from sim.base.rng import stream
from sim.base.units import MIB
from sim.program.shipped.redis_expect import saved_copies
from sim.program.shipped.redis_heap import redis_heap
from sim.program.zipf import KeyStream

Z_LIMIT = 4.8916
PLAYS = 60


def played(heap, kind, writes, version, replication):
    """Return how many pages one save copies."""
    rng = stream(1, replication, "play")
    keys = KeyStream(stream(1, replication, "keys"), heap.keys, kind, 0.99).take(
        rng.poisson(writes)
    )
    at_share = np.sort(rng.random(keys.size))
    pages = heap.pages_of(keys)
    values = heap.values.pages
    passed = np.ones(heap.pages)
    if version == "valkey 8.1" and heap.objects is not None:
        passed[:values] = freed(heap, rng) * values / heap.pages
    elif version != "6.2":
        whole = heap.values.whole_pages(0, values)
        passed[:values][whole] = ((np.arange(values) + 1) / heap.pages)[whole]
    copied = pages[at_share[:, None] < passed[pages]]
    return np.unique(copied).size


def freed(heap, rng):
    """Return when each page of values is given back: with the last value of its slab.

    Values are saved in the order of a hash table; a slab is the fewest pages without a straddler.
    """
    saved = rng.permutation(heap.keys) / heap.keys
    touched = heap.values.pages_of(np.arange(heap.keys, dtype=np.int64))
    slab = math.lcm(heap.values.stride_bytes, 4096) // 4096
    last = np.zeros(-(-heap.values.pages // slab))
    np.maximum.at(last, touched[:, 0] // slab, saved)
    return np.repeat(last, slab)[: heap.values.pages]


def z_of(observed, expected):
    sd = np.std(observed, ddof=1) / np.sqrt(len(observed))
    return (np.mean(observed) - expected) / sd


@pytest.mark.truth
@pytest.mark.parametrize("kind", ["uniform", "zipf"])
@pytest.mark.parametrize(
    ("value_bytes", "version"),
    [
        (30, "7.2"),
        (1030, "7.2"),
        (1900, "6.2"),
        (3900, "7.2"),
        (5000, "7.2"),
        (20_000, "7.0"),
        (20_000, "7.2"),
        (30, "valkey 8.1"),
        (1030, "valkey 8.1"),
        (1900, "valkey 8.1"),
        (5000, "valkey 8.1"),
        (20_000, "valkey 8.1"),
    ],
)
def test_a_save_copies_what_is_expected(kind, value_bytes, version):
    heap = redis_heap(
        dataset_bytes=32 * MIB,
        value_bytes=value_bytes,
        key_bytes=16,
        fragmentation=1.0,
        version=version,
    )
    writes = heap.values.pages / heap.values.mean_span / 2
    expected = saved_copies(heap, writes=writes, version=version, distribution=kind, s=0.99)
    observed = [played(heap, kind, writes, version, r) for r in range(PLAYS)]
    if kind == "uniform":
        assert abs(z_of(observed, expected)) < Z_LIMIT
    else:  # the keys' places are one draw of a permutation, not an average over all
        assert np.mean(observed) == pytest.approx(expected, rel=0.01)


@pytest.mark.truth
@pytest.mark.parametrize("version", ["6.2", "valkey 8.1"])
def test_two_percent_fewer_writes_would_be_noticed(version):
    heap = redis_heap(
        dataset_bytes=32 * MIB, value_bytes=1900, key_bytes=16, fragmentation=1.0, version=version
    )
    writes = heap.keys / 4
    expected = saved_copies(heap, writes=writes, version=version, distribution="uniform", s=0.0)
    observed = [played(heap, "uniform", 0.98 * writes, version, r) for r in range(PLAYS)]
    assert abs(z_of(observed, expected)) > Z_LIMIT
