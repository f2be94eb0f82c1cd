import numpy as np
import pytest
from scipy import special

from sim.base.errors import InsufficientDataError
from sim.stats.paired import least_pairs, looks, median_limits


@pytest.mark.parametrize("n", [6, 7, 12, 30, 100, 257])
@pytest.mark.parametrize("error", [0.05, 0.01])
def test_limits_miss_the_median_as_rarely_as_they_say(n, error):
    if n < least_pairs(error):
        pytest.skip("too few values for these limits")
    found = median_limits([float(v) for v in range(n)], error=error)
    rank = int(found.low)
    assert special.bdtr(rank, n, 0.5) <= error / 2
    assert special.bdtr(rank + 1, n, 0.5) > error / 2
    assert found.high == n - 1 - rank


@pytest.mark.parametrize("law", ["lognormal", "rare", "equal", "normal"])
def test_limits_hold_the_median_whatever_the_law(law):
    random, held, tries = np.random.default_rng(3), 0, 4000
    draw, median = {
        "lognormal": (lambda: random.lognormal(0, 1.5, 12), 1.0),
        "rare": (lambda: 20.0 * (random.random(12) < 0.02), 0.0),
        "equal": (lambda: np.full(12, 4.0), 4.0),
        "normal": (lambda: random.normal(2, 1, 12), 2.0),
    }[law]
    for _ in range(tries):
        found = median_limits(draw().tolist(), error=0.05)
        held += found.low <= median <= found.high
    assert held / tries >= 0.95 - 5 * np.sqrt(0.05 * 0.95 / tries)


def test_too_few_pairs_have_no_limits():
    with pytest.raises(InsufficientDataError, match="it takes 6"):
        median_limits([1.0] * 5, error=0.05)


@pytest.mark.parametrize(
    ("low", "high", "finding"),
    [(1.2, 1.5, "more"), (0.5, 0.9, "less"), (0.995, 1.005, "same"), (0.9, 1.1, "cannot tell")],
)
def test_findings(low, high, finding):
    middle = (low + high) / 2
    found = median_limits([low, low, middle, middle, high, high], error=0.05)
    assert found.finding(1.0, 0.01) == finding


def test_looks_are_fixed_beforehand_and_double():
    assert looks(0.05, 4) == [8, 16, 32, 64]
