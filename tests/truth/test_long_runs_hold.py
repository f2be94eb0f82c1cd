"""Does what one long run tells of its mean hold, and a percentile that was pooled over runs?

These are approximate: the measured coverage stands in docs/statistics.md, and the tests hold what
is claimed there.  A wrong interval is to be told by at most 6 % of runs, however short they are;
where nine runs in ten tell one at all, it is to hold in 93 %.  A count with a chance of a millionth
if that is so is red; negative controls show that the checks are what does it.
"""

import numpy as np
import pytest
from scipy import stats
from support.long_runs import CLUSTERED, TRUTHS, counted, pooled_hits, unchecked
from support.samples import sample

from sim.stats.batch_means import mser

pytestmark = [pytest.mark.truth, pytest.mark.stress]

FALSE_ALARM = 1e-6
MOST_WRONG, LEAST_HELD = 0.06, 0.93
LENGTHS = [2_000, 20_000, 80_000]


def runs_of(n):
    return sample(40, 500) if n > 20_000 else sample(120, 2_000)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("truth", TRUTHS)
def test_few_runs_tell_an_interval_that_is_wrong(truth, n):
    found = counted(truth, runs_of(n), n)
    assert stats.binom.sf(found.wrong - 1, found.runs, MOST_WRONG) >= FALSE_ALARM
    if found.told > 0.9 * found.runs:
        assert stats.binom.cdf(found.held, found.told, LEAST_HELD) >= FALSE_ALARM


@pytest.mark.parametrize(
    ("truth", "n", "told"),
    [
        ("independent, exponential", 2_000, True),
        ("AR(1), .9", 2_000, False),
        ("AR(1), .9", 20_000, True),
        ("M/M/1, load .5", 20_000, True),
        ("M/M/1, load .8", 2_000, False),
        ("M/M/1, load .8", 80_000, True),
        ("M/M/1, load .9", 20_000, False),
    ],
)
def test_it_is_refused_below_the_length_that_it_takes_and_told_above(truth, n, told):
    found = counted(truth, runs_of(n), n)
    share = found.told / found.runs
    assert share > 0.9 if told else share < 0.05


def test_without_the_check_of_correlation_it_would_be_wrong():
    """Negative control: the same interval told by every run, and the usual one."""
    r = sample(200, 2_000)
    by_means, usual = unchecked("M/M/1, load .9", r, 2_000)
    for held in (by_means, usual):
        assert stats.binom.sf(round((1 - held) * r) - 1, r, MOST_WRONG) < FALSE_ALARM


@pytest.mark.parametrize("settles", [20, 100, 200])
def test_mser_finds_where_a_level_has_settled(settles):
    """Cut is what is away from the level by more than its noise, and little of the rest."""
    random = np.random.default_rng(settles)
    cuts = [
        mser(random.normal(size=500) + 30 * np.exp(-np.arange(500) / (settles / 5)))
        for _ in range(sample(50, 1_000))
    ]
    assert 0.5 * settles < np.median(cuts) < 1.5 * settles
    assert np.quantile(cuts, 0.9) < settles + 50


@pytest.mark.parametrize("truth", CLUSTERED)
@pytest.mark.parametrize(("quantile", "runs"), [(0.5, 25), (0.99, 60)])
def test_limits_of_a_pooled_percentile_hold(truth, quantile, runs):
    r = sample(50, 1_000)
    told, held, _ = pooled_hits(truth, quantile, runs, r)
    assert told > 0.9 * r
    assert stats.binom.cdf(held, told, 0.92) >= FALSE_ALARM


def test_to_take_values_of_a_run_for_independent_would_be_noticed():
    """Negative control: where a run has its level, that holds in a fifth of studies."""
    r = sample(50, 1_000)
    _, _, naive = pooled_hits("each run has its level", 0.5, 25, r)
    assert stats.binom.cdf(naive, r, 0.92) < FALSE_ALARM
