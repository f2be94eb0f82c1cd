"""What `explain` expects of a save against playing it: writes to a heap, a child that reads it.

The play has no kernel: it draws the SETs of one save, notes when the child has passed each
page, and counts pages that are written before that (or at all, if the child keeps them).
z limits at a false-alarm rate of 1e-6 a test, fixed seeds.  The closed form leaves out that a
value's pages are written together, which moves no mean.
"""

import numpy as np
import pytest

from sim.base.rng import stream
from sim.base.units import MIB
from sim.program.shipped.redis_expect import saved_copies
from sim.program.shipped.redis_heap import redis_heap
from sim.program.zipf import KeyStream

Z_LIMIT = 4.8916
PLAYS = 60


def played(heap, kind, writes, gives_back, replication):
    rng = stream(1, replication, "play")
    keys = KeyStream(stream(1, replication, "keys"), heap.keys, kind, 0.99).take(
        rng.poisson(writes)
    )
    at_share = np.sort(rng.random(keys.size))
    pages = heap.pages_of(keys)
    passed = np.ones(heap.pages)
    if gives_back:
        values = heap.values.pages
        whole = heap.values.whole_pages(0, values)
        passed[:values][whole] = ((np.arange(values) + 1) / heap.pages)[whole]
    copied = pages[at_share[:, None] < passed[pages]]
    return np.unique(copied).size


def z_of(observed, expected):
    sd = np.std(observed, ddof=1) / np.sqrt(len(observed))
    return (np.mean(observed) - expected) / sd


@pytest.mark.truth
@pytest.mark.parametrize("kind", ["uniform", "zipf"])
@pytest.mark.parametrize(
    ("value_bytes", "version", "gives_back"),
    [
        (30, 7.2, False),
        (1030, 7.2, False),
        (1900, 7.2, False),
        (3900, 7.2, True),
        (5000, 7.2, True),
        (20_000, 7.0, True),
        (20_000, 7.2, True),
    ],
)
def test_a_save_copies_what_is_expected(kind, value_bytes, version, gives_back):
    heap = redis_heap(
        dataset_bytes=32 * MIB,
        value_bytes=value_bytes,
        key_bytes=16,
        fragmentation=1.0,
        version=version,
    )
    writes = heap.values.pages / heap.values.mean_span / 2
    expected = saved_copies(heap, writes=writes, gives_back=gives_back, distribution=kind, s=0.99)
    observed = [played(heap, kind, writes, gives_back, r) for r in range(PLAYS)]
    if kind == "uniform":
        assert abs(z_of(observed, expected)) < Z_LIMIT
    else:  # the keys' places are one draw of a permutation, not an average over all
        assert np.mean(observed) == pytest.approx(expected, rel=0.01)


@pytest.mark.truth
def test_two_percent_fewer_writes_would_be_noticed():
    heap = redis_heap(
        dataset_bytes=32 * MIB, value_bytes=1900, key_bytes=16, fragmentation=1.0, version=7.2
    )
    writes = heap.keys / 4
    expected = saved_copies(heap, writes=writes, gives_back=False, distribution="uniform", s=0.0)
    observed = [played(heap, "uniform", 0.98 * writes, False, r) for r in range(PLAYS)]
    assert abs(z_of(observed, expected)) > Z_LIMIT
