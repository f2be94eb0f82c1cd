"""glibc's malloc: when it asks the kernel, for how much, and what that does to its thresholds."""

import pytest
from support.heaps import FakeKernel

from sim.alloc.calls import Brk, Dontneed, Mmap, Mremap, Munmap, Protect
from sim.alloc.glibc.chunk import chunk_bytes
from sim.alloc.glibc.malloc import GlibcMalloc
from sim.base.errors import Refused
from sim.base.units import KIB, MIB


@pytest.fixture
def kernel():
    return FakeKernel(GlibcMalloc())


def test_the_first_malloc_moves_the_break_by_request_and_pad(kernel):
    kernel.malloc(100)
    assert kernel.calls == [Brk(132 * KIB)]  # 656 for the thread's cache, 32, the pad of 128 KiB
    assert kernel.pages() == 1


@pytest.mark.parametrize(
    ("size", "chunk"),
    [(1, 32), (24, 32), (25, 48), (40, 48), (41, 64), (1032, 1040), (1033, 1056)],
)
def test_a_chunk_is_the_request_and_8_bytes_rounded_up_to_16(size, chunk):
    assert chunk_bytes(size) == chunk


@pytest.mark.parametrize(
    ("size", "mapped"),
    [
        (128 * KIB - 25, None),  # a chunk of 128 KiB - 16
        (128 * KIB - 24, None),
        (128 * KIB - 23, 132 * KIB),  # of 128 KiB: from here on a mapping
        (128 * KIB, 132 * KIB),
        (132 * KIB - 24, 132 * KIB),
        (132 * KIB - 23, 136 * KIB),
        (10 * MIB, 10 * MIB + 4 * KIB),
    ],
)
def test_from_128_kib_on_an_allocation_has_a_mapping_of_its_own(kernel, size, mapped):
    kernel.malloc(100 * KIB)  # or the top that the first malloc got would do
    address = kernel.malloc(size)
    maps = [call for call in kernel.calls if isinstance(call, Mmap)]
    assert maps == ([] if mapped is None else [Mmap(mapped)])
    assert address % 4096 == 16 or mapped is None


@pytest.mark.parametrize(
    ("size", "threshold"),
    [
        (200 * KIB, 204 * KIB),
        (128 * KIB, 132 * KIB),
        (32 * MIB - 4 * KIB - 24, 32 * MIB - 4 * KIB),
        (32 * MIB - 16, 128 * KIB),  # a mapping of 32 MiB changes nothing
        (64 * MIB, 128 * KIB),
    ],
)
def test_freeing_a_mapping_raises_the_thresholds_up_to_32_mib(kernel, size, threshold):
    kernel.malloc(100 * KIB)
    kernel.free(kernel.malloc(size))
    assert isinstance(kernel.calls[-1], Munmap)
    assert kernel.heap.mmap_threshold == threshold
    assert kernel.heap.trim_threshold == (128 * KIB if threshold == 128 * KIB else 2 * threshold)


def test_after_that_the_same_size_comes_from_the_heap(kernel):
    kernel.free(kernel.malloc(200 * KIB))
    kernel.malloc(200 * KIB - 24)
    assert not any(isinstance(call, Mmap) for call in kernel.calls)
    kernel.malloc(204 * KIB)
    assert kernel.calls == [Mmap(208 * KIB)]


@pytest.mark.parametrize("option", ["top_pad", "trim_threshold", "mmap_threshold", "mmap_max"])
def test_a_threshold_that_was_set_does_not_move(kernel, option):
    kernel.run(kernel.heap.mallopt(option, 128 * KIB))
    kernel.free(kernel.malloc(200 * KIB))
    assert kernel.heap.mmap_threshold == 128 * KIB


def test_at_most_so_many_mappings(kernel):
    kernel.run(kernel.heap.mallopt("mmap_max", 1))
    kernel.malloc(1 * MIB)
    assert kernel.calls[-1] == Mmap(1 * MIB + 4 * KIB)
    kernel.malloc(1 * MIB)
    assert [type(call) for call in kernel.calls] == [Brk]


def test_the_top_is_trimmed_from_128_kib_on_and_keeps_its_pad(kernel):
    blocks = [kernel.malloc(100 * KIB) for _ in range(3)]
    kernel.free(blocks[0])
    kernel.free(blocks[1])
    assert kernel.calls == []  # a hole: the last block lies above it
    kernel.free(blocks[2])
    [call] = kernel.calls
    assert isinstance(call, Brk)
    assert 128 * KIB <= kernel.heap._main.top_bytes <= 132 * KIB + 32


def test_a_hole_is_given_back_by_malloc_trim_alone(kernel):
    hole = kernel.malloc(100 * KIB)
    kernel.malloc(100)
    kernel.free(hole)
    assert kernel.calls == []
    kernel.run(kernel.heap.trim())
    assert [type(call) for call in kernel.calls] == [Dontneed, Brk]
    assert kernel.calls[0].size_bytes == 96 * KIB


def test_without_a_pad_the_break_moves_by_the_request(kernel):
    kernel.run(kernel.heap.mallopt("top_pad", 0))
    kernel.malloc(100)
    assert kernel.calls[0] == Brk(4 * KIB)


def test_malloc_touches_the_chunk_s_header_and_the_top_s(kernel):
    kernel.malloc(1)
    kernel.malloc(100 * KIB)
    assert kernel.pages() == 2
    kernel.malloc(64 * MIB)
    assert kernel.pages() == 1


def test_calloc_clears_what_may_be_old_and_nothing_else(kernel):
    kernel.malloc(1)
    kernel.calloc(100 * KIB)  # out of the top, which the kernel gave when the first came
    assert kernel.pages() >= 25
    kernel.calloc(1 * MIB)
    assert kernel.pages() == 1
    kernel.calloc(100 * KIB)  # the break moves: only what the top had before is cleared
    assert kernel.pages() < 15


def test_realloc_in_place_touches_headers_elsewhere_everything(kernel):
    first = kernel.malloc(40 * KIB)
    assert kernel.realloc(first, 80 * KIB) == first
    assert kernel.pages() <= 2
    kernel.malloc(100)
    second = kernel.realloc(first, 100 * KIB)
    assert second != first
    assert kernel.pages() >= 40  # 80 KiB read, 80 KiB written


def test_realloc_of_a_mapping_remaps_it(kernel):
    block = kernel.malloc(1 * MIB)
    kernel.realloc(block, 2 * MIB)
    assert kernel.calls == [Mremap(block - 16, 1 * MIB + 4 * KIB, 2 * MIB + 4 * KIB)]
    kernel.realloc(block, 2 * MIB + 100)
    assert kernel.calls == []


def test_freed_small_chunks_are_used_again_last_first(kernel):
    blocks = [kernel.malloc(100) for _ in range(3)]
    for block in blocks:
        kernel.free(block)
    assert [kernel.malloc(100) for _ in range(3)] == blocks[::-1]


def test_only_seven_of_a_size_are_kept_apart(kernel):
    blocks = [kernel.malloc(1000) for _ in range(9)]
    kernel.malloc(1)
    for block in blocks:
        kernel.free(block)
    assert kernel.heap._main.bins.chunks(1) == [blocks[7] - 16]  # two joined


def test_another_thread_has_an_arena_of_its_own(kernel):
    kernel.malloc(1)
    address = kernel.malloc(100, thread=1)
    assert kernel.calls == [
        Mmap(64 * MIB, reserved=True, alignment=64 * MIB),
        Protect(address // (64 * MIB) * 64 * MIB, 132 * KIB),
    ]
    assert address % (64 * MIB) == 2256 + 656 + 16
    kernel.malloc(200 * KIB - 24, thread=1)
    assert kernel.calls == [Mmap(200 * KIB)]


def test_a_child_has_the_same_heap_and_its_own_future(kernel):
    block = kernel.malloc(100)
    child = FakeKernel(kernel.heap.fork())
    child.brk = kernel.brk
    child.free(block)
    assert child.malloc(100) == block
    assert kernel.malloc(100) != block


def test_out_of_memory_is_said_by_whoever_asked(kernel):
    kernel.malloc(1)
    kernel.refuse = (Mmap, Brk)
    with pytest.raises(Refused, match="malloc: ENOMEM"):
        kernel.malloc(1 * MIB)
    kernel.refuse = (Mmap,)
    kernel.malloc(1 * MIB)
    assert [type(call) for call in kernel.calls] == [Mmap, Brk]
