"""glibc's bins: which free chunk an allocation gets."""

import random

import pytest
from support.heaps import FakeKernel

from sim.alloc.calls import Trace
from sim.alloc.glibc.bins import Bins, bin_index
from sim.alloc.glibc.malloc import GlibcMalloc


@pytest.mark.parametrize(
    ("size", "index"),
    [
        (32, 2),
        (1008, 63),
        (1024, 64),
        (1087, 64),
        (1088, 65),
        (3136, 97),
        (3584, 98),
        (10752, 112),
        (12288, 113),
        (45056, 120),
        (65536, 121),
        (163840, 124),
        (262144, 125),
        (524288, 126),
        (1 << 30, 126),
    ],
)
def test_bins_are_16_bytes_wide_then_wider(size, index):
    assert bin_index(size) == index


def test_a_large_bin_is_sorted_and_gives_the_smallest_that_fits():
    bins = Bins(Trace())
    sizes = [(n + 1) * 4096 * 16 + (1 << 30) for n in (5, 1, 3, 1, 5, 2)]
    for number, size in enumerate(sizes):
        bins.add_unsorted(4096 * (number + 1), size)
        bins.sort(4096 * (number + 1))
    found = bins.chunks(126)
    assert [bins.size(chunk) for chunk in found] == sorted(sizes)
    best = bins.best_of_bin(126, sizes[2] - 1000)
    assert best is not None
    assert bins.size(best) == sizes[2]
    assert bins.best_of_bin(126, max(sizes) + 1) is None


def test_a_best_chunk_is_not_the_first_of_its_size():
    bins = Bins(Trace())
    for number in (1, 2, 3):
        bins.add_unsorted(4096 * number, 2048)
        bins.sort(4096 * number)
    assert bins.best_of_bin(bin_index(2048), 2040) == 4096 * 3  # the first is 4096
    for chunk in (4096, 4096 * 3):
        bins.remove(chunk)
    assert bins.best_of_bin(bin_index(2048), 2040) == 4096 * 2


@pytest.mark.parametrize("seed", range(5))
def test_allocations_never_overlap_and_all_memory_is_accounted_for(seed):
    """Property: chunks in use, free chunks and the top tile the heap."""
    rng = random.Random(seed)
    kernel = FakeKernel(GlibcMalloc())
    live: dict[int, int] = {}
    for _ in range(800):
        if live and rng.random() < 0.48:
            address = rng.choice(list(live))
            if rng.random() < 0.3:
                del live[address]
                size = rng.randint(1, 20_000)
                live[kernel.realloc(address, size)] = size
            else:
                del live[address]
                kernel.free(address)
        else:
            size = rng.choice((rng.randint(1, 200), rng.randint(1, 3000), rng.randint(1, 90_000)))
            live[kernel.malloc(size)] = size
    arena = kernel.heap._main
    for address, size in live.items():
        assert arena.sizes[address - 16] >= size + 8
    at = arena.start
    while at != arena.top:
        at += arena.sizes.get(at) or arena.bins.size(at)
    assert at + arena.top_bytes == kernel.brk
    free = set(arena.free_before.values())
    assert all(start in arena.bins and start not in arena.sizes for start in free)
