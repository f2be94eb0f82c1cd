import numpy as np
import pytest

from sim.alloc.jemalloc.layout import layout, size_class, slab_pages

# jemalloc(3), "Size classes", with the quantum spacing of 8 that Redis builds with.
CLASSES = [
    *(8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512),
    *(640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096),
    *(5120, 6144, 7168, 8192, 10240, 12288, 14336, 16384, 20480, 24576, 28672, 32768),
]


def test_size_classes_are_those_of_the_manual():
    found = [size_class(1)]
    while found[-1] < CLASSES[-1]:
        found.append(size_class(found[-1] + 1))
    assert found == CLASSES


@pytest.mark.parametrize("class_bytes", CLASSES)
def test_a_class_is_its_own_class(class_bytes):
    assert size_class(class_bytes) == class_bytes


def test_no_allocation_is_empty():
    with pytest.raises(ValueError, match="size_bytes must be >= 1, got 0"):
        size_class(0)


def test_slabs_are_filled_exactly():
    assert {c: slab_pages(c) for c in (8, 48, 80, 1792, 8192)} == {
        8: 1,
        48: 3,
        80: 5,
        1792: 7,
        8192: 2,
    }


@pytest.mark.parametrize("used_bytes", [8, 20, 90, 1006, 1030, 3906, 4200, 13_000, 17_000, 33_000])
def test_pages_are_those_of_the_bytes_in_use(used_bytes):
    """Against an oracle that goes through every byte's page."""
    places = layout(200, used_bytes)
    pages = places.pages_of(np.arange(200))
    assert pages.shape == (200, places.span)
    for number, listed in enumerate(pages.tolist()):
        start = number * places.stride_bytes
        assert set(listed) == set(range(start // 4096, (start + used_bytes - 1) // 4096 + 1))
    assert pages.max() < places.pages
    period = np.gcd(places.stride_bytes, 4096)
    whole_period = layout(4096 // period, used_bytes)
    touched = [len(set(p)) for p in whole_period.pages_of(np.arange(whole_period.count)).tolist()]
    assert whole_period.mean_span == pytest.approx(np.mean(touched))


def test_pages_of_a_large_value_that_are_never_touched_take_no_frame():
    assert size_class(33_000) == 40_960
    assert layout(10, 33_000).pages == 90


def test_only_large_values_are_shifted():
    assert layout(10, 13_000, shifted=True) == layout(10, 13_000)
    assert layout(10, 20_009, shifted=True) != layout(10, 20_009)


def given_back(start_bytes, class_bytes):
    """`zmadvise_dontneed` in Redis's src/zmalloc.c, line by line; pages from the first one."""
    page_size_mask = 4096 - 1
    aligned_ptr = (start_bytes + page_size_mask) & ~page_size_mask
    real_size = class_bytes - (aligned_ptr - start_bytes)
    if real_size < 4096:
        return set()
    length = real_size & ~page_size_mask
    return set(range(aligned_ptr // 4096, (aligned_ptr + length) // 4096))


@pytest.mark.parametrize("used_bytes", [16_384, 17_000, 20_009, 20_480, 33_000, 40_900, 100_010])
@pytest.mark.parametrize("shifted", [False, True])
def test_large_values_touch_and_give_back_what_they_should(used_bytes, shifted):
    """Against an oracle that goes through all 64 cache lines where jemalloc may begin."""
    class_bytes = size_class(used_bytes)
    places = layout(130, used_bytes, shifted=shifted)
    pages = places.pages_of(np.arange(130))
    whole = places.whole_pages(0, places.pages)
    next_page = touched_pages = whole_pages = 0
    for number, listed in enumerate(pages.tolist()):
        start = number % 64 * 64 if shifted else 0
        touched = range((start + used_bytes - 1) // 4096 + 1)
        assert sorted(set(listed)) == [next_page + page for page in touched]
        back = {next_page + page for page in given_back(start, class_bytes) if page in touched}
        assert {page for page in listed if whole[page]} == back
        next_page += len(touched)
        if number < 64:
            touched_pages += len(touched)
            whole_pages += len(back)
    assert next_page == places.pages
    assert places.span == pages.shape[1] == max(len(set(p)) for p in pages.tolist())
    assert places.mean_span == touched_pages / 64
    assert places.mean_whole_pages == whole_pages / 64
    later = 3 * places.span + 1
    assert places.whole_pages(later, 50).tolist() == whole[later : later + 50].tolist()


def test_a_shifted_value_keeps_its_first_page_and_mostly_its_last():
    """20,009 bytes in a class of 20,480: 6 pages touched from 56 of the 64 lines, 4 given back."""
    places = layout(64, 20_009, shifted=True)
    assert places.pages == 56 * 6 + 8 * 5
    assert places.whole_pages(0, places.pages).sum() == 63 * 4 + 5


@pytest.mark.parametrize(
    ("used_bytes", "whole"),
    [
        (2000, [False] * 4),
        (3906, [True] * 4),
        (5000, [True, False, False, False, True, True]),
        (20_009, [True] * 5),
    ],
)
def test_only_whole_pages_of_one_value_can_be_given_back(used_bytes, whole):
    places = layout(10, used_bytes)
    assert places.whole_pages(0, len(whole)).tolist() == whole
    assert (places.mean_whole_pages > 0) == any(whole)
