"""jemalloc: size classes, slabs, the thread's cache, what becomes of freed pages."""

import pytest
from support.heaps import FakeKernel

from sim.alloc.calls import Dontneed, Mmap
from sim.alloc.jemalloc.decay import EPOCHS, Decay
from sim.alloc.jemalloc.malloc import JemallocMalloc
from sim.alloc.jemalloc.sizes import (
    CLASSES,
    PAGE_CLASSES,
    SMALL_CLASSES,
    ceiling_bin,
    floor_bin,
    slab_bytes,
)
from sim.alloc.jemalloc.slabs import empty_cache
from sim.base.units import KIB, MIB


def begun(**parameters):
    kernel = FakeKernel(JemallocMalloc(cache_oblivious=False, **parameters))
    kernel.run(kernel.heap.begin())
    return kernel


def given_back(kernel):
    return sum(call.size_bytes for call in kernel.calls if isinstance(call, Dontneed))


def test_there_are_36_small_classes_four_a_doubling():
    assert SMALL_CLASSES == 36
    assert CLASSES[:12] == [8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224]
    assert CLASSES[SMALL_CLASSES - 1] == 14 * KIB
    assert PAGE_CLASSES[:9] == [n * 4 * KIB for n in (1, 2, 3, 4, 5, 6, 7, 8, 10)]


@pytest.mark.parametrize(
    ("size", "pages"), [(8, 1), (16, 1), (48, 3), (112, 7), (1024, 1), (1280, 5), (14336, 7)]
)
def test_a_slab_is_filled_exactly(size, pages):
    assert slab_bytes(size) == pages * 4096
    assert slab_bytes(size) % size == 0


@pytest.mark.parametrize("pad", [0, 4096])
def test_every_stretch_of_a_bin_meets_the_request_it_is_searched_for(pad):
    for request in (4096, 12288, 20480 + pad, 45056 + pad, MIB + pad):
        for size in range(4096, 2 * MIB, 4096):
            if floor_bin(size, pad) >= ceiling_bin(request, pad):
                assert size >= request


def test_a_cache_holds_two_slabs_full_at_least_20_at_most_200():
    limits = {CLASSES[n]: cached.limit for n, cached in enumerate(empty_cache())}
    assert (limits[16], limits[48], limits[1024], limits[4096], limits[32 * KIB]) == (
        200,
        200,
        20,
        20,
        20,
    )
    assert limits[320] == 2 * 64


def test_no_allocation_is_touched():
    kernel = begun()
    address = kernel.malloc(3 * MIB)
    first = address // 4096
    assert not any(first <= touch.first_page < first + 768 for touch in kernel.touches)


def test_addresses_come_in_growing_mappings():
    kernel = begun()
    kernel.malloc(1 * MIB)
    assert kernel.calls == []  # out of the first 2 MiB
    sizes = []
    for _ in range(6):
        kernel.malloc(2 * MIB)
        sizes += [call.size_bytes for call in kernel.calls if isinstance(call, Mmap)]
    assert sizes == [int(n * MIB) for n in (2.5, 3, 3.5, 4, 5)][: len(sizes)]
    assert len(sizes) >= 4


def test_freed_places_are_used_again_last_first_and_slabs_from_below():
    kernel = begun()
    blocks = [kernel.malloc(1000) for _ in range(5)]
    assert blocks == sorted(blocks)
    kernel.free(blocks[1])
    kernel.free(blocks[3])
    assert [kernel.malloc(1000), kernel.malloc(1000)] == [blocks[3], blocks[1]]


def test_freed_pages_stay_until_they_decay():
    kernel = begun()
    kernel.free(kernel.malloc(1 * MIB))
    assert given_back(kernel) == 0
    kernel.run(kernel.heap.trim())
    assert given_back(kernel) >= 1 * MIB
    for decay_ms, bytes_back in ((0, 1 * MIB), (-1, 0)):
        other = begun(dirty_decay_ms=decay_ms)
        other.free(other.malloc(1 * MIB))
        assert given_back(other) == bytes_back


def test_what_is_8_mib_and_larger_goes_back_at_once():
    kernel = begun()
    kernel.free(kernel.malloc(8 * MIB))
    assert given_back(kernel) >= 8 * MIB


def test_dirty_pages_may_stay_along_a_smooth_step():
    decay = Decay(10_000, 0)
    interval_ns = 50_000_000
    assert decay.limit(interval_ns - 1, 1000) == 1000
    shares = [decay.limit(interval_ns * n, 1000) / 1000 for n in range(1, EPOCHS + 2)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(1.0, abs=0.01)
    assert shares[EPOCHS // 2] == pytest.approx(0.5, abs=0.02)
    assert shares[-1] == 0.0


def test_decay_follows_the_clock():
    kernel = begun(dirty_decay_ms=1000)
    now = [0]
    kernel.heap.clock = lambda: now[0]
    kernel.free(kernel.malloc(4 * MIB))
    back = 0
    for now[0] in (2_000_000_000, 4_000_000_000):
        for _ in range(600):
            block = kernel.malloc(40 * KIB)
            back += given_back(kernel)
            kernel.free(block)
            back += given_back(kernel)
    assert back >= 3 * MIB


def test_a_child_has_the_same_heap_and_its_own_future():
    kernel = begun()
    block = kernel.malloc(1000)
    large = kernel.malloc(100 * KIB)
    child = FakeKernel(kernel.heap.fork())
    child.free(block)
    child.free(large)
    assert child.malloc(1000) == block
    assert child.malloc(100 * KIB) == large
    assert kernel.malloc(1000) != block
