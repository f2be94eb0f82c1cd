"""Buffers go from one machine to the next, and bring nothing along."""

import mmap

import numpy as np
import pytest

from sim.machine import memory

LARGE = 6 << 20

needs_huge_pages = pytest.mark.skipif(
    not hasattr(mmap, "MADV_HUGEPAGE"), reason="this system has no huge pages to advise"
)


@pytest.fixture(autouse=True)
def no_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_spare", [])


@needs_huge_pages
def test_a_buffer_used_again_is_zero() -> None:
    first = memory.zeroed(LARGE, np.uint8)
    first[:] = 7
    address = first.ctypes.data
    memory.recycle(first)
    again = memory.zeroed(LARGE // 8, np.int64)
    assert again.ctypes.data == address
    assert not again.any()


@needs_huge_pages
def test_a_buffer_that_is_too_small_is_left_alone() -> None:
    small = memory.zeroed(LARGE, np.uint8)
    address = small.ctypes.data
    memory.recycle(small)
    assert memory.zeroed(2 * LARGE, np.uint8).ctypes.data != address
    assert len(memory._spare) == 1


@needs_huge_pages
def test_only_a_few_are_kept_and_the_largest() -> None:
    arrays = [memory.zeroed(LARGE + 4096 * n, np.uint8) for n in range(7)]
    for array in arrays:
        memory.recycle(array)
    assert [len(pages) for pages in memory._spare] == [LARGE + 4096 * n for n in (3, 4, 5, 6)]


def test_small_arrays_are_not_kept() -> None:
    memory.recycle(memory.zeroed(100, np.int64))
    assert memory._spare == []
