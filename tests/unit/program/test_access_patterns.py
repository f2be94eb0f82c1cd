import numpy as np
import pytest

from sim.program.api import Child, Image, Region
from sim.program.offer import program
from sim.program.patterns import Every, HotCold, Listed, Uniform, check_arrivals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(-1), "Uniform count must be >= 0, got -1"),
        (lambda: HotCold(-1, 0.5, 0.5), "HotCold count must be >= 0"),
        (lambda: HotCold(1, 0.0, 0.5), r"hot_fraction must be in \(0, 1\], got 0.0"),
        (lambda: HotCold(1, 1.1, 0.5), "hot_fraction"),
        (lambda: HotCold(1, 0.5, -0.1), r"hot_share must be in \[0, 1\], got -0.1"),
        (lambda: Listed([1, 2]), "Listed needs an int64 array, got list"),
        (lambda: Listed(np.array([1.5])), "got float64"),
        (lambda: Listed(np.array([[1]])), r"with shape \(1, 1\)"),
        (lambda: Listed(np.array([3, -2])), "Listed pages must be >= 0, got -2"),
        (lambda: Every(-1, 5), "first_ns must be >= 0"),
        (lambda: Every(0, 0), "interval_ns must be >= 1"),
        (lambda: check_arrivals(np.array([-1])), "arrivals must be >= 0 ns"),
        (lambda: check_arrivals(np.array([5, 4])), "number 1 is at 4 ns, after one at 5 ns"),
        (lambda: Region(-1, 3), "start_vpn must be >= 0"),
        (lambda: Region(1, -3), "pages must be >= 0"),
        (lambda: Image(1, 2, -3, 4), "bss_bytes must be >= 0, got -3"),
        (lambda: program("a-b"), "letters, digits and underscores, got 'a-b'"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_makes_sense_is_taken():
    check_arrivals(np.array([], dtype=np.int64))
    check_arrivals(np.array([0, 0, 7]))
    assert Listed(np.array([], dtype=np.int64)).pages.size == 0
    assert Uniform(0) == Uniform(0)
    assert Child(3, "a") == Child(3, "a")
    assert Every(0, 1) != Every(0, 2)


@pytest.mark.parametrize(
    ("pages", "fraction", "hot"), [(10, 0.1, 1), (10, 0.01, 1), (10, 1.0, 10), (256, 0.1, 26)]
)
def test_some_page_is_always_hot(pages, fraction, hot):
    assert HotCold(1, fraction, 0.9).hot_pages(pages) == hot
