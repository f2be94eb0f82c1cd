import numpy as np
import pytest

from sim.alloc.jemalloc.layout import size_class
from sim.base.units import GIB, MIB
from sim.program.shipped.redis import redis
from sim.program.shipped.redis_heap import redis_heap


def heap(value_bytes=1000, dataset_bytes=64 * MIB, fragmentation=1.0, version=7.2):
    return redis_heap(
        dataset_bytes=dataset_bytes,
        value_bytes=value_bytes,
        key_bytes=16,
        fragmentation=fragmentation,
        version=version,
    )


@pytest.mark.parametrize("value_bytes", [1, 44, 45, 100, 1000, 1030, 3900, 5000, 20_000, 100_000])
def test_the_data_set_is_what_was_asked_for(value_bytes):
    found = heap(value_bytes)
    # One key more may double the hash table, which is at most a sixteenth here.
    assert 0.93 * 64 * MIB < found.used_bytes <= 64 * MIB
    assert found.payload_bytes < found.used_bytes
    untouched = size_class(value_bytes) // 4096 - -(-value_bytes // 4096)
    untouched_pages = found.keys * untouched if value_bytes > 16_384 else 0
    assert found.pages + untouched_pages == pytest.approx(found.used_bytes / 4096, rel=0.01)


def test_a_thousand_bytes_by_hand():
    """1000 + header 5 + zero 1 = 1006: class 1024; object 16, entry 24, key 16 + 3 + 1: 24."""
    found = heap(1000, dataset_bytes=GIB)
    one = 1024 + 16 + 24 + 24
    assert found.keys == (GIB - 8 * 2**20) // one
    assert found.used_bytes == found.keys * one + 8 * 2**20
    assert found.payload_bytes == found.keys * 1016


def test_a_short_value_lies_in_its_object():
    assert heap(44).objects is None
    assert heap(45).objects is not None
    assert heap(44).values.stride_bytes == 64


@pytest.mark.parametrize("value_bytes", [10, 100, 1000, 1030, 5000, 20_000])
@pytest.mark.parametrize("fragmentation", [1.0, 1.3])
def test_a_set_dirties_a_page_of_each_area(value_bytes, fragmentation):
    found = heap(value_bytes, fragmentation=fragmentation)
    pages = found.pages_of(np.arange(found.keys, dtype=np.int64))
    assert pages.shape == (found.keys, found.pages_per_set)
    start = 0
    column = 0
    for area in found.written_areas:
        width = area.span if area is found.values else 1
        own = pages[:, column : column + width]
        assert own.min() == start
        assert start + 0.98 * area.pages - 2 < own.max() < start + area.pages
        start += area.pages
        column += width
    assert column == found.pages_per_set
    assert start < found.pages


def test_fragmentation_is_resident_over_used():
    assert heap(fragmentation=1.5).pages / heap().pages == pytest.approx(1.5, rel=0.01)
    assert heap(fragmentation=1.5).keys == heap().keys


def test_large_values_are_page_aligned_from_7_2_on():
    old, new = heap(20_000, version=7.0), heap(20_000, version=7.2)
    assert old.used_bytes == new.used_bytes
    assert new.values.pages == 5 * new.keys
    assert old.values.pages == pytest.approx((6 - 8 / 64) * old.keys, rel=1e-3)
    assert heap(1000, version=7.0) == heap(1000, version=7.2)


def test_a_data_set_too_small_for_one_value_is_refused():
    with pytest.raises(ValueError, match="holds no value of 100000000"):
        heap(100_000_000)


@pytest.mark.parametrize(("key", "value"), [(16, 1000), (1, 1), (40, 100_000)])
def test_the_page_says_what_a_set_takes_in_the_aof(key, value):
    """Before 7.0 a rewrite keeps SETs as the protocol has them."""
    command = b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
        key,
        b"k" * key,
        value,
        b"v" * value,
    )
    assert 25 <= len(command) - key - value <= 35
    assert "key, value and some 30 B for each SET" in " ".join((redis.__doc__ or "").split())
