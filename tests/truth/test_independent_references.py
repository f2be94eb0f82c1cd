"""Hit ratios under independent references: FIFO and RANDOM have the product form.

First exactly, from every state of small memories, each step of which the policy itself takes; then
by simulation of more pages, at a stated rate of false alarms.
"""

from itertools import combinations, permutations
from math import prod, sqrt
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from support.samples import sample

from sim.base.rng import stream
from sim.policy.replacement import policy_for
from sim.policy.replacement.fifo import Fifo
from sim.policy.replacement.lru import Lru
from sim.policy.replacement.random import Random
from sim.program.zipf import zipf_shares
from sim.stats.independent import log_symmetric, product_form_hit_ratio

pytestmark = pytest.mark.truth

FALSE_ALARM = 1e-6  # of each test that draws
SKEWED = [0.4, 0.25, 0.2, 0.1, 0.05]


def filled(make, pages):
    """Return a policy whose pages came in this order, each touched once."""
    policy = make()
    for page in pages:
        assert policy.touch(page) is None
    return policy


def long_run(states, transitions):
    """Return the chance of each state of a chain in the long run: balance, and a sum of 1."""
    index = {state: n for n, state in enumerate(states)}
    chances = np.zeros((len(states), len(states)))
    for before, after, chance in transitions:
        chances[index[before], index[after]] += chance
    assert np.allclose(chances.sum(axis=1), 1)
    equations = np.vstack([chances.T - np.eye(len(states)), np.ones(len(states))])
    right = np.append(np.zeros(len(states)), 1)
    found = np.linalg.lstsq(equations, right, rcond=None)[0]
    return dict(zip(states, found, strict=True))


def queue_steps(make, used, shares, frames):
    """Steps of a policy whose state is an order of pages, the next to leave first.

    `used` says what the order is after a use of a page in memory.
    """
    for pages in permutations(range(len(shares)), frames):
        for page, share in enumerate(shares):
            policy = filled(make, pages)
            victim = policy.touch(page)
            if page in pages:
                assert victim is None
                after = used(pages, page)
            else:
                assert victim == pages[0]
                after = (*pages[1:], page)
            yield pages, after, share


def unmoved(pages, page):
    return pages


def moved_back(pages, page):
    return (*(p for p in pages if p != page), page)


def random_steps(shares, frames):
    """Steps of RANDOM, whose state is a set; each number that it may draw is as likely."""
    for pages in combinations(range(len(shares)), frames):
        for page, share in enumerate(shares):
            for drawn in range(frames):
                chosen = SimpleNamespace(integers=lambda most, drawn=drawn: drawn)
                victim = filled(lambda chosen=chosen: Random(frames, chosen), pages).touch(page)
                kept = [p for p in pages if p != victim]
                yield pages, tuple(sorted({*kept, page})), share / frames


def hit_ratio(chances, shares):
    return sum(chance * sum(shares[p] for p in pages) for pages, chance in chances.items())


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
@pytest.mark.parametrize("shares", [SKEWED, [0.2] * 5, [0.96, 0.01, 0.01, 0.01, 0.01]])
def test_fifo_has_the_product_form_exactly(shares, frames):
    states = list(permutations(range(5), frames))
    chances = long_run(states, queue_steps(lambda: Fifo(frames), unmoved, shares, frames))
    whole = sum(prod(shares[p] for p in state) for state in states)
    for state in states:
        assert chances[state] == pytest.approx(prod(shares[p] for p in state) / whole, abs=1e-12)
    assert hit_ratio(chances, shares) == pytest.approx(
        product_form_hit_ratio(shares, frames), abs=1e-12
    )


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_random_has_the_product_form_exactly(frames):
    states = list(combinations(range(5), frames))
    chances = long_run(states, random_steps(SKEWED, frames))
    assert hit_ratio(chances, SKEWED) == pytest.approx(
        product_form_hit_ratio(SKEWED, frames), abs=1e-12
    )


@pytest.mark.parametrize("frames", [2, 3, 4])
def test_lru_has_kings_form_instead(frames):
    """And so not the product form: a negative control of the two tests above."""

    def kings(pages):
        left, found = 1.0, 1.0
        for page in reversed(pages):
            found *= SKEWED[page] / left
            left -= SKEWED[page]
        return found

    states = list(permutations(range(5), frames))
    chances = long_run(states, queue_steps(lambda: Lru(frames), moved_back, SKEWED, frames))
    assert chances == pytest.approx({state: kings(state) for state in states}, abs=1e-12)
    assert hit_ratio(chances, SKEWED) > product_form_hit_ratio(SKEWED, frames) + 0.01


def test_the_polynomials_are_sums_of_products():
    weights = [0.5, 2.0, 3.0, 0.25]
    expected = [sum(prod(c) for c in combinations(weights, k)) for k in range(6)]
    assert np.exp(log_symmetric(weights, 5)) == pytest.approx(expected)
    assert product_form_hit_ratio(zipf_shares(100_000, 1.0), 10) == pytest.approx(0.1, abs=0.1)
    assert product_form_hit_ratio([0.5, 0.5], 2) == 1.0


@pytest.mark.parametrize("chances", [[0.5, 0.6], [1.0, 0.0], [[1.0]]])
def test_chances_that_are_none_are_refused(chances):
    with pytest.raises(ValueError, match="above 0 and add to 1"):
        product_form_hit_ratio(chances, 1)


# -- by simulation -------------------------------------------------------------------------------

PAGES, FRAMES, STEPS = 30, 8, 1_000
SHARES = zipf_shares(PAGES, 0.8)


def in_the_long_run(rng):
    """Draw the pages in memory from the product form, in any order: no warm-up is needed.

    A page at a time is taken or left, by the polynomials of those that are still to come.
    """
    weights = SHARES * PAGES
    rest = [np.exp(log_symmetric(weights[n:], FRAMES)) for n in range(PAGES + 1)]
    taken, missing = [], FRAMES
    for page in range(PAGES):
        if not missing:
            break
        if rng.random() < weights[page] * rest[page + 1][missing - 1] / rest[page][missing]:
            taken.append(page)
            missing -= 1
    return [int(page) for page in rng.permutation(taken)]


def statistic(name, runs):
    """Return Student's t of the hit ratios of independent runs, against the product form.

    A run begins with memory drawn from the product form, so that each ratio has exactly that mean
    if the policy keeps to it; a ratio is of 1,000 references, and their mean near normal.
    """
    ratios = []
    for run in range(runs):
        rng = stream(1, run, "independent references", name)
        policy = policy_for(name, FRAMES, (), seed=run)
        pages = in_the_long_run(rng)
        for page in pages:
            policy.touch(page)
        resident, hits = set(pages), 0
        for page in rng.choice(PAGES, STEPS, p=SHARES).tolist():
            victim = policy.touch(page)
            hits += page in resident
            resident.discard(victim)
            resident.add(page)
        ratios.append(hits / STEPS)
    expected = product_form_hit_ratio(SHARES, FRAMES)
    return (np.mean(ratios) - expected) / (np.std(ratios, ddof=1) / sqrt(runs))


@pytest.mark.parametrize("name", ["fifo", "random"])
def test_fifo_and_random_hit_as_the_product_form_says(name):
    runs = sample(300, 5_000)
    assert abs(statistic(name, runs)) < stats.t.isf(FALSE_ALARM / 2, runs - 1)


@pytest.mark.parametrize("name", ["lru", "clock"])
def test_the_test_notices_another_policy(name):
    """Negative control, with the fewer runs; LRU and CLOCK keep popular pages longer."""
    assert statistic(name, 300) > stats.t.isf(FALSE_ALARM / 2, 299)
