"""The bucket layout, value by value where it matters."""

from itertools import pairwise

import numpy as np
import pytest

from sim.base.errors import InsufficientDataError
from sim.stats.quantile import (
    N_BUCKETS,
    bucket_bounds,
    bucket_middle,
    bucket_of,
    histogram,
    merge,
    percentile,
    percentiles,
)


def test_every_bucket_follows_the_one_before():
    ends = [bucket_bounds(index) for index in range(N_BUCKETS)]
    assert ends[0] == (0, 0)
    assert ends[-1][1] == 2**63 - 1
    assert all(low == before + 1 for (_, before), (low, _) in pairwise(ends))


def test_a_bucket_is_found_from_either_end():
    for index in range(N_BUCKETS):
        low, high = bucket_bounds(index)
        assert bucket_of(low) == bucket_of(high) == bucket_of(bucket_middle(index)) == index


def test_small_values_are_exact():
    assert [bucket_bounds(v) for v in range(128)] == [(v, v) for v in range(128)]


def test_percentiles_of_small_values_are_nearest_ranks():
    counts = histogram(range(1, 101))
    assert percentiles(counts, [1, 50, 90, 99, 99.9, 100]) == [1, 50, 90, 99, 100, 100]
    assert percentile(histogram(list(range(1, 101)) * 10), 99.9) == 100
    assert percentile(histogram([3]), 0.001) == 3


def test_a_thousand_values_put_the_999th_at_99_9_percent():
    """99.9 has no binary fraction: 0.999 * 1000 must not round up to the 1000th."""
    counts = histogram([1] * 999 + [100])
    assert percentile(counts, 99.9) == 1
    assert percentile(counts, 99.90001) == 100


def test_merging_is_adding():
    a, b = histogram([1, 2]), histogram([[2, 2**40], [5, 5]])
    merged = merge([a, b])
    assert (merged == a + b).all()
    assert merged.sum() == 6
    assert merge([]).sum() == 0


def test_nothing_has_no_percentile():
    empty = np.zeros(N_BUCKETS, dtype=np.int64)
    with pytest.raises(InsufficientDataError, match="an empty histogram has no percentiles"):
        percentile(empty, 50)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bucket_of(-1), "a histogram holds values in 0"),
        (lambda: bucket_of(2**63), "a histogram holds values in 0"),
        (lambda: histogram([-1]), "a histogram holds values in 0"),
        (lambda: bucket_bounds(-1), "a histogram has buckets 0"),
        (lambda: bucket_bounds(N_BUCKETS), "a histogram has buckets 0"),
        (lambda: percentile(histogram([1]), 0), r"percent must lie in \(0, 100\], got 0"),
        (lambda: percentile(histogram([1]), 101), r"percent must lie in \(0, 100\], got 101"),
        (lambda: percentile(np.zeros(3, dtype=np.int64), 50), r"has shape \(3712,\), got \(3,\)"),
    ],
)
def test_misuse_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
