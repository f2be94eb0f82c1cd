"""Do intervals, bounds and verdicts hold as often as they say?

Each test counts over many samples how often what is printed is true.  A count so low that it has a
chance of one in a million if the claim holds is red; with all 100,000 samples (`make stress`) so is
a share more than half a point below the claim.  A negative control in each class shows that a known
mistake is noticed.  Seeds are fixed.
"""

import math
import re

import numpy as np
import pytest
from scipy import special, stats
from support import covering_own, pools
from support.covering import (
    RATIOS,
    TRUTHS,
    exceeded,
    half_widths,
    normal_bounds,
    normal_hits,
    supported_hits,
    two_look_hits,
)
from support.samples import sample

from sim.base.rng import stream
from sim.program import PROGRAMS
from sim.program.declared import near_normal_of
from sim.stats.estimate import mean_over_replications
from sim.stats.proportion import exact_limits
from sim.stats.tolerance import (
    GUARD_LEVEL,
    normal_bound,
    order_rank,
    shapiro_p,
    upper_bound,
)
from sim.study.answer import need_sentences
from sim.study.near_normal import FEWEST
from sim.study.need import need_of
from sim.study.trials import judged

pytestmark = [pytest.mark.truth, pytest.mark.stress]

R = sample(20_000, 100_000)
SLOW_R = sample(1_000, 100_000)
"""Samples of what is not vectorised: the functions themselves, called one by one."""
WHOLE = 100_000
FALSE_ALARM = 1e-6


def holds(hits, claimed=0.95):
    """Return whether so many hits, an array of True and False, agree with a claim."""
    n = hits.size
    rare = stats.binom.cdf(int(hits.sum()), n, claimed) < FALSE_ALARM
    return not rare and (n < WHOLE or hits.mean() >= claimed - 0.005)


def two_sided(hits, expected):
    """Return whether so many hits agree with a known probability."""
    k, n = int(hits.sum()), hits.size
    tail = min(stats.binom.cdf(k, n, expected), stats.binom.sf(k - 1, n, expected))
    return tail >= FALSE_ALARM / 2


class TestMean:
    """Student's interval covers the mean of normal values exactly as often as it says."""

    @pytest.mark.parametrize("n", [3, 10, 30])
    def test_it_covers_as_often_as_it_says(self, n):
        samples = stream(1, 0, "coverage of the mean", n).normal(10.0, 3.0, (R, n))
        assert two_sided(abs(samples.mean(axis=1) - 10.0) <= half_widths(samples), 0.95)

    def test_what_is_vectorised_here_is_what_the_function_does(self):
        samples = stream(1, 0, "mean").normal(10.0, 3.0, (200, 5))
        own = [mean_over_replications(values).half_width for values in samples]
        assert own == pytest.approx(half_widths(samples))

    def test_the_test_can_fail(self):
        """Negative control: degrees of freedom n in place of n - 1, or a variance over n."""
        samples = stream(1, 0, "coverage of the mean", 3).normal(10.0, 3.0, (R, 3))
        for factor in (
            special.stdtrit(3, 0.975) / special.stdtrit(2, 0.975),
            math.sqrt(2 / 3),
        ):
            hits = abs(samples.mean(axis=1) - 10.0) <= factor * half_widths(samples)
            assert not two_sided(hits, 0.95)


POOLS = pools.load()


POOL_OF = {"redis": "redis_16", "prefork_web": "prefork_web"}
"""The pool of runs of each program that has near-normal metrics."""


class TestNearNormal:
    """The means that are printed with an interval, of stored runs of the scenarios that ship."""

    @pytest.mark.parametrize("n", [FEWEST, 10, 30])
    @pytest.mark.parametrize(
        ("metric", "program"),
        [(metric, name) for name in PROGRAMS for metric in sorted(near_normal_of(PROGRAMS[name]))],
    )
    def test_the_interval_covers_in_the_scenarios_that_ship(self, metric, program, n):
        values = POOLS[POOL_OF[program]][metric]
        samples = stream(1, 0, program, metric, n).choice(values, (R, n))
        assert holds(abs(samples.mean(axis=1) - values.mean()) <= half_widths(samples))

    @pytest.mark.parametrize(
        ("pool", "metric"),
        [
            ("prefork_web", "fork_latency_ns.mean"),
            ("heap_growth", "memory_need_bytes.total"),
            ("build_storm", "cow_copies"),
        ],
    )
    def test_the_test_can_fail(self, pool, metric):
        """Negative control: metrics that are not on the list, and why they are not."""
        assert metric not in near_normal_of(PROGRAMS[pool])
        values = POOLS[pool][metric]
        samples = stream(1, 0, pool, metric).choice(values, (R, 10))
        assert not holds(abs(samples.mean(axis=1) - values.mean()) <= half_widths(samples))


class TestProportion:
    """Each exact limit is right with probability 0.95 at least, whatever the probability."""

    P = np.linspace(0.0005, 0.9995, 1999)

    @pytest.mark.parametrize("trials", [1, 2, 3, 5, 10, 30, 100])
    @pytest.mark.parametrize("looks", [1, 2])
    def test_each_limit_holds_as_often_as_it_says(self, trials, looks):
        """By enumeration, so without Monte Carlo error."""
        limits = [exact_limits(k, trials, looks=looks) for k in range(trials + 1)]
        for ends in ([x.high >= self.P for x in limits], [x.low <= self.P for x in limits]):
            covered = sum(
                stats.binom.pmf(k, trials, self.P) * inside for k, inside in enumerate(ends)
            )
            assert covered.min() >= 1 - 0.05 / looks - 1e-9

    @pytest.mark.parametrize(("least", "most"), [(1, 10), (3, 10), (2, 5)])
    @pytest.mark.parametrize("looks", [1, 2])
    def test_results_that_decide_on_more_trials_keep_the_level(self, least, most, looks):
        """Run on if the first runs disagree: at one look's level the limits would miss too often.

        Not for every pair of numbers, so what fails with one look is only noticed over all `P`.
        """
        missed = np.zeros_like(self.P)
        for first in range(least + 1):
            chance = stats.binom.pmf(first, least, self.P)
            if first in (0, least):
                missed += chance * (exact_limits(first, least, looks=looks).high < self.P)
                continue
            for more in range(most - least + 1):
                limits = exact_limits(first + more, most, looks=looks)
                both = chance * stats.binom.pmf(more, most - least, self.P)
                missed += both * (limits.high < self.P)
        if looks == 2:
            assert missed.max() <= 0.05 + 1e-9

    def test_the_test_can_fail(self):
        """Negative control: Wilson's upper limit for no event in three, 56.2 %, is too low."""
        z2 = special.ndtri(0.975) ** 2
        too_low = (z2 / (2 * 3) + z2 / (2 * 3)) / (1 + z2 / 3)
        assert too_low == pytest.approx(0.5615, abs=1e-4)
        assert 1 - (1 - too_low) ** 3 < 0.95
        assert exact_limits(0, 3).high > too_low


class TestTolerance:
    """What n values support without an assumption, and with one that was declared."""

    @pytest.mark.parametrize("truth", TRUTHS)
    @pytest.mark.parametrize("n", [1, 3, 10, 30])
    def test_without_an_assumption_it_holds_for_any_distribution(self, truth, n):
        assert holds(supported_hits(truth, R, n))

    @pytest.mark.parametrize("n", [299, 473])
    def test_with_enough_values_it_holds_for_the_share_asked_for(self, n):
        rank = order_rank(n, content=0.99, confidence=0.95)
        generator = stream(1, 0, "order bound", n)
        parts = (
            np.sort(generator.random((1000, n)), axis=1)[:, rank - 1] for _ in range(R // 1000)
        )
        hits = np.concatenate(list(parts)) >= 0.99
        assert two_sided(hits, float(special.bdtr(rank - 1, n, 0.99)))

    @pytest.mark.parametrize("n", [2, 3, 10, 30])
    def test_normal_theory_holds_for_normal_values(self, n):
        assert two_sided(normal_hits("normal", R, n), 0.95)

    def test_what_is_vectorised_here_is_what_the_functions_do(self):
        samples = stream(1, 0, "tolerance").normal(size=(200, 10))
        own = [normal_bound(values, content=0.99, confidence=0.95).bound for values in samples]
        assert own == pytest.approx(normal_bounds(samples))
        own = [upper_bound(values, content=0.99, confidence=0.95).bound for values in samples]
        assert own == pytest.approx(samples.max(axis=1))

    @pytest.mark.parametrize("n", [3, 10, 30])
    def test_the_guard_does_not_spoil_what_it_guards(self, n):
        """Declared rightly: the normal bound, or in 5 % of samples what n values support.

        Those that the guard rejects are a little more often too low: 94.6 % in all with 30 runs.
        """
        samples = stream(1, 0, "guard", n).normal(size=(SLOW_R, n))
        bounds = [upper_bound(x, content=0.99, confidence=0.95, normal=True) for x in samples]
        hits = np.array([stats.norm.cdf(b.bound) >= b.content for b in bounds])
        accepted = np.array([b.method == "normal theory" for b in bounds])
        for seen, least in ((hits, 0.945), (accepted, 0.995 - GUARD_LEVEL)):
            assert stats.binom.cdf(int(seen.sum()), SLOW_R, least) >= FALSE_ALARM

    @pytest.mark.parametrize(("rank", "n"), [(471, 473), (298, 299)])
    def test_the_test_can_fail(self, rank, n):
        """Negative control: one rank lower, an off-by-one."""
        hits = np.sort(stream(1, 0, "rank").random((1000, n)), axis=1)[:, rank - 1] >= 0.99
        assert not holds(hits)

    @pytest.mark.parametrize("truth", ["lognormal, s = 1", "exponential", "+20 sd in 2 % of runs"])
    def test_normal_theory_is_an_assumption(self, truth):
        """Negative control: where the values are others, it does not hold."""
        assert not holds(normal_hits(truth, R, 10))


class TestOwn:
    """On runs of cowpool's own, and over the looks of a comparison, without an assumption."""

    @pytest.mark.parametrize("name", covering_own.OWN)
    @pytest.mark.parametrize("n", [1, 3, 10, 30])
    def test_what_n_runs_support_holds(self, name, n):
        assert holds(covering_own.supported_hits(name, R, n))

    @pytest.mark.parametrize("name", covering_own.OWN)
    @pytest.mark.parametrize("n", covering_own.MEDIAN_NS)
    def test_limits_of_a_median_hold(self, name, n):
        assert holds(covering_own.median_hits(name, R, n))

    @pytest.mark.parametrize("truth", TRUTHS)
    def test_limits_hold_at_all_looks_together(self, truth):
        assert holds(covering_own.look_hits(truth, sample(5_000, 100_000)))

    @pytest.mark.parametrize("name", ["its longest fault", "mean fork of a web server"])
    def test_the_test_can_fail(self, name):
        """Negative control: Student's interval, which is for normal values."""
        assert not holds(covering_own.mean_hits(name, R, 10))


class TestTwoLooks:
    """Three runs, up to ten if the bound is not within `precision`: the level is kept."""

    @pytest.mark.parametrize("ratio", RATIOS)
    def test_it_holds_as_often_as_it_says(self, ratio):
        assert holds(two_look_hits(ratio, R, looks=2))

    def test_the_test_can_fail(self):
        """Negative control: factors for a fixed number of runs; 91.2 % instead of 95 %."""
        assert not holds(two_look_hits(0.3, R, looks=1))


class TestCheck:
    """Ten fresh runs against a bound made from ten others."""

    @pytest.mark.parametrize(
        ("truth", "share"), [("lognormal, s = 1", 0.286), ("+20 sd in 2 % of runs", 0.164)]
    )
    def test_a_wrong_assumption_is_seen_in_fresh_runs(self, truth, share):
        """One run of ten or more above the bound; the same ten runs never are (Samuelson 1968)."""
        seen = (exceeded(truth, R) > 0).mean()
        error = math.sqrt(share * (1 - share) / R)
        assert abs(seen - share) < 4.9 * error + 0.0005  # `share` has three digits
        draw, _ = TRUTHS[truth]
        samples = draw(stream(1, 0, "same luck", truth), (R, 10))
        assert not (samples.max(axis=1) > normal_bounds(samples)).any()

    def test_a_claim_that_holds_is_refuted_in_5_per_cent_at_most(self):
        """Also where the bound is too low by chance, as one in twenty is."""
        refuted = exceeded("normal", R) >= judged(10, 0, content=0.99).refuting
        assert refuted.mean() <= 0.05

    @pytest.mark.parametrize("content", [0.741, 0.9, 0.95, 0.99])
    @pytest.mark.parametrize("runs", [10, 59, 299])
    def test_its_level_and_its_power_are_as_stated(self, content, runs):
        found = judged(runs, 0, content=content)
        counts = np.arange(runs + 1)
        refuted = np.array([judged(runs, int(k), content=content).refuted for k in counts])
        assert stats.binom.pmf(counts, runs, 1 - content)[refuted].sum() <= 0.05
        power = stats.binom.pmf(counts, runs, found.noticed)[refuted].sum()
        assert power == pytest.approx(found.power)


def with_rare_job(values):
    """Return a pool in which every fiftieth run needs 8 MiB more."""
    rare = np.repeat(values, 50)
    rare[::50] += 8 << 20
    return rare


STUDIES = {
    "redis_16": POOLS["redis_16"]["memory_need_bytes.total"],
    "prefork_web": POOLS["prefork_web"]["memory_need_bytes.total"],
    "heap_growth": POOLS["heap_growth"]["memory_need_bytes.total"],
    "redis_16 and a rare job": with_rare_job(POOLS["redis_16"]["memory_need_bytes.total"]),
}
UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


class TestChain:
    """From a study's runs, drawn from stored ones, to the sentence that it prints."""

    def printed(self, totals, *, normal):
        """Return the share and the size that a study of these needs prints."""
        needs = [{"total": total} for total in totals]
        need = need_of(needs, content=0.99, confidence=0.95, normal=normal)
        words = {"subject": "a host", "event": "saves", "condition": ""}
        text = " ".join(need_sentences(need, 2**40, {}, None, "here", words))
        share = re.search(r"([\d.]+) % of simulated saves", text)[1]
        size, unit = re.search(r"Processes may use ([\d.,]+) ([KMG]iB) of it", text).groups()
        return float(share) / 100, float(size.replace(",", "")) * UNITS[unit]

    def hits(self, name, n, *, normal):
        pool = np.sort(STUDIES[name])
        drawn = stream(1, 0, "chain", name, n).choice(pool, (SLOW_R, n))
        told = np.array([self.printed(list(totals), normal=normal) for totals in drawn])
        covered = np.searchsorted(pool, told[:, 1], side="right") / len(pool)
        return covered >= told[:, 0] - 1e-12

    @pytest.mark.parametrize("n", [3, 10])
    @pytest.mark.parametrize("name", STUDIES)
    def test_what_is_printed_holds_as_often_as_it_says(self, name, n):
        assert holds(self.hits(name, n, normal=False))

    @pytest.mark.parametrize("n", [3, 10])
    @pytest.mark.parametrize("name", ["redis_16", "prefork_web", "heap_growth"])
    def test_so_it_does_where_normal_theory_is_declared_with_reason(self, name, n):
        assert holds(self.hits(name, n, normal=True))

    def test_the_test_can_fail(self):
        """Negative control: a need of which 2 % of runs have a job more is not normal."""
        pool = STUDIES["redis_16 and a rare job"]
        drawn = stream(1, 0, "chain", "rare").choice(pool, (SLOW_R, 10))
        bounds = normal_bounds(drawn)
        covered = np.searchsorted(np.sort(pool), bounds, side="right") / len(pool)
        assert not holds(covered >= 0.99)

    def test_the_guard_sees_a_rare_job_once_it_is_among_the_runs(self):
        pool = STUDIES["redis_16 and a rare job"]
        drawn = stream(1, 0, "guard", "rare").choice(pool, (200, 10))
        with_job = [x for x in drawn if np.ptp(x) > 4 << 20]
        assert len(with_job) > 10
        assert all(shapiro_p(x) < GUARD_LEVEL for x in with_job)
