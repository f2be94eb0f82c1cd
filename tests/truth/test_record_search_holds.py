"""Does a plan's answer hold as often as it says, whatever the law of the thresholds?

"At least 99 % of runs meet the objectives at this size" is to be true in 95 % of plans.  The search
is made on laws that are known, so the share that meets them at its answer is known exactly.  A
count of failures with a chance of a thousandth if the claim holds is red; a search that stops after
100 replications is the negative control.
"""

import numpy as np
import pytest
from scipy import stats
from support.samples import sample
from support.searched import N_SIZES, TRUTHS, at_least, searched, thresholds_of

SHARE, CONFIDENCE, N_WANTED = 0.99, 0.95, 299
N_PLANS = sample(100, 500)
MOST_FAILED = {100: 13, 500: 41}
"""Plans whose answer may hold in a smaller share: more have a chance of a thousandth."""

LAWS = {
    "normal": stats.norm(120, 15).cdf,
    "lognormal": stats.lognorm(0.4, scale=40).cdf,
    "rare events": lambda size: 0.0 if size < 100 else 0.98 if size < 180 else 1.0,
    "step": lambda size: float(size >= 97),
    "ramp": stats.uniform(20, 200).cdf,
}
"""The share of replications that pass at a size: those of `support.searched.TRUTHS`."""


def failures(truth: str, n_replications: int, n_plans: int) -> int:
    """Return of how many plans the answer holds in a smaller share of runs than claimed."""
    failed = 0
    for seed in range(n_plans):
        random = np.random.default_rng([seed, len(truth)])
        thresholds = thresholds_of(truth, random, n_replications)
        found, _ = searched(at_least(thresholds), n_replications)
        size = N_SIZES - 1 if found.size is None else found.size
        beyond = size == N_SIZES - 1  # all that is larger was cut down to it
        failed += not beyond and LAWS[truth](size) < SHARE
    return failed


@pytest.mark.parametrize("truth", TRUTHS)
def test_the_answer_holds_as_often_as_it_says(truth):
    most = MOST_FAILED[N_PLANS]
    assert most == stats.binom.isf(1e-3, N_PLANS, 1 - CONFIDENCE)
    assert failures(truth, N_WANTED, N_PLANS) <= most


@pytest.mark.parametrize("truth", ["normal", "lognormal", "ramp"])
def test_a_search_of_too_few_replications_is_noticed(truth):
    most = stats.binom.isf(1e-3, 100, 1 - CONFIDENCE)
    assert failures(truth, 100, 100) > most
