"""The watermark formulas give the figures that Linux shows."""

import pytest

from sim.machine import watermarks as w

GIB_PAGES = 2**30 // 4096


@pytest.mark.parametrize(
    ("gib", "expected_kb"), [(1, 4096), (4, 8192), (16, 16384), (64, 32768), (4096, 262144)]
)
def test_min_free_is_the_root_of_sixteen_times_memory(gib, expected_kb):
    assert w.min_free_kb(gib * GIB_PAGES) == expected_kb


@pytest.mark.parametrize(
    ("zones", "kept_back"),
    [
        ([(1000, 30)], 30),
        ([(1000, 30), (25_600, 400)], 30 + 100 + 400),
        ([(10, 1), (256_000, 400)], 10 + 400),  # a zone keeps no more than it has
        ([(3976, 9), (500_000, 700), (5_000_000, 7000)], 3976 + 700 + 19_531 + 7000),
    ],
)
def test_zones_keep_back_their_high_watermarks_and_from_requests_a_later_one_serves(
    zones, kept_back
):
    assert w.total_reserve_pages(zones) == kept_back


def test_min_free_is_clamped_at_both_ends():
    assert w.min_free_kb(16) == 128
    assert w.min_free_kb(2**40) == 262144


@pytest.mark.parametrize(("zones", "expected_kb"), [(3, 67_584), (2, 45_056)])
def test_khugepaged_raises_min_free(zones, expected_kb):
    assert w.khugepaged_min_free_kb(16 * GIB_PAGES, zones) == expected_kb
    assert w.default_min_free_kb(4 * GIB_PAGES, zones=zones, huge_pages=True) == expected_kb
    assert w.default_min_free_kb(4 * GIB_PAGES, zones=zones, huge_pages=False) == 8192


def test_khugepaged_takes_at_most_a_twentieth_and_never_lowers():
    small = 64 * 256  # 64 MiB
    assert w.khugepaged_min_free_kb(small, 2) == small // 20 * 4
    huge = 4096 * GIB_PAGES
    assert w.default_min_free_kb(huge, zones=3, huge_pages=True) == 262144


def test_zone_normal_begins_at_4_gib():
    assert w.x86_zones(4 * GIB_PAGES) == 2
    assert w.x86_zones(4 * GIB_PAGES + 1) == 3


def test_the_gap_is_a_quarter_of_min_or_a_thousandth_of_the_zone():
    by_scale = w.zone_watermarks(4096, 16 * GIB_PAGES, 16 * GIB_PAGES, 10)
    assert by_scale == w.Watermarks(4096, 4096 + 4194, 4096 + 2 * 4194)
    by_quarter = w.zone_watermarks(16896, GIB_PAGES, GIB_PAGES, 10)
    assert by_quarter == w.Watermarks(16896, 16896 + 4224, 16896 + 2 * 4224)


def test_a_zone_gets_its_share_of_min():
    assert w.zone_watermarks(1000, 250, 1000, 0).min_pages == 250
    assert w.zone_watermarks(1000, 0, 1000, 10) == w.Watermarks(0, 0, 0)


@pytest.mark.parametrize(
    ("pages", "batch"), [(GIB_PAGES, 63), (64 * GIB_PAGES, 63), (16384, 3), (8192, 1), (0, 1)]
)
def test_percpu_batch(pages, batch):
    assert w.percpu_batch(pages) == batch


def test_percpu_high_is_the_low_watermark_split_over_cpus():
    assert w.percpu_high(8290, 2, 63) == 4145
    assert w.percpu_high(100, 8, 63) == 252


@pytest.mark.parametrize(
    "call",
    [
        lambda: w.min_free_kb(0),
        lambda: w.khugepaged_min_free_kb(1, 0),
        lambda: w.zone_watermarks(1, 2, 1),
        lambda: w.zone_watermarks(-1, 1, 1),
        lambda: w.percpu_high(1, 0, 1),
    ],
)
def test_impossible_machines_are_refused(call):
    with pytest.raises(ValueError, match=r"must be|zone|negative"):
        call()
