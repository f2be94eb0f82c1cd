"""Do intervals and bounds cover as often as they say?  Seeds are fixed; see each test's rate.

Each compares a count of successes with its binomial expectation; the limit makes a false alarm
once in a million, and a negative control shows that a known mistake is noticed.
"""

import math

import numpy as np
import pytest
from scipy import special, stats

from sim.rng import stream
from sim.stats.estimate import mean_over_replications
from sim.stats.proportion import exact_limits
from sim.stats.tolerance import normal_bound, normal_factor, order_bound

Z_LIMIT = 4.8916  # two-sided, false alarm 1e-6

pytestmark = pytest.mark.truth


def z_of(successes, trials, probability):
    """Return how many standard deviations a binomial count is from its mean."""
    spread = math.sqrt(trials * probability * (1 - probability))
    return (successes - trials * probability) / spread


class TestMean:
    """Student's interval covers the mean of normal values exactly as often as it says."""

    REPLICATIONS = 4_000

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls):
        return stream(1, 0, "coverage of the mean").normal(10.0, 3.0, (cls.REPLICATIONS, 5))

    def test_it_covers_as_often_as_it_says(self, samples):
        intervals = [mean_over_replications(sample) for sample in samples]
        covered = sum(i.low <= 10.0 <= i.high for i in intervals)
        assert abs(z_of(covered, self.REPLICATIONS, 0.95)) < Z_LIMIT

    def test_the_test_can_fail(self, samples):
        """Negative control: the normal quantile, 1.96, in place of Student's 2.78."""
        half_width = 1.959964 * samples.std(axis=1, ddof=1) / math.sqrt(5)
        covered = int((abs(samples.mean(axis=1) - 10.0) <= half_width).sum())
        assert abs(z_of(covered, self.REPLICATIONS, 0.95)) > Z_LIMIT


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

    def test_the_test_can_fail(self):
        """Negative control: Wilson's upper limit for no event in three, 56.2 %, is too low."""
        z2 = special.ndtri(0.975) ** 2
        too_low = (z2 / (2 * 3) + z2 / (2 * 3)) / (1 + z2 / 3)
        assert too_low == pytest.approx(0.5615, abs=1e-4)
        assert 1 - (1 - too_low) ** 3 < 0.95
        assert exact_limits(0, 3).high > too_low


class TestNormalTolerance:
    """A normal-theory bound lies above the 99 % quantile in 95 % of samples of normal values."""

    REPLICATIONS = 4_000
    N = 10
    QUANTILE = 2.3263479

    def test_it_holds_as_often_as_it_says(self):
        generator = stream(1, 0, "normal tolerance bound")
        held = sum(
            normal_bound(generator.normal(size=self.N), content=0.99, confidence=0.95).bound
            >= self.QUANTILE
            for _ in range(self.REPLICATIONS)
        )
        assert abs(z_of(held, self.REPLICATIONS, 0.95)) < Z_LIMIT

    def test_the_test_can_fail(self):
        """Negative control: the quantile itself, 2.33 standard deviations, in place of k."""
        samples = stream(1, 0, "normal tolerance bound").normal(size=(self.REPLICATIONS, self.N))
        bounds = samples.mean(axis=1) + self.QUANTILE * samples.std(axis=1, ddof=1)
        held = int((bounds >= self.QUANTILE).sum())
        assert abs(z_of(held, self.REPLICATIONS, 0.95)) > Z_LIMIT

    def test_normal_theory_is_an_assumption(self):
        """It fails for values with a heavy tail: the reason why the bound names its method."""
        samples = np.exp(
            stream(1, 0, "heavy tail").normal(0.0, 1.5, size=(self.REPLICATIONS, self.N))
        )
        k = normal_factor(self.N, content=0.99, confidence=0.95)
        bounds = samples.mean(axis=1) + k * samples.std(axis=1, ddof=1)
        held = int((bounds >= math.exp(1.5 * self.QUANTILE)).sum())
        assert z_of(held, self.REPLICATIONS, 0.95) < -Z_LIMIT


class TestOrderTolerance:
    """The bound from order statistics holds for any distribution: here, an exponential one."""

    REPLICATIONS = 4_000
    N = 473  # the second largest is the bound
    QUANTILE = -math.log(0.01)

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls):
        return stream(1, 0, "order bound").exponential(size=(cls.REPLICATIONS, cls.N))

    @property
    def promised(self):
        """P(Binomial(473, 0.99) <= 471), 0.9502."""
        return float(special.bdtr(self.N - 2, self.N, 0.99))

    def test_it_holds_as_often_as_it_says(self, samples):
        bounds = np.array(
            [order_bound(sample, content=0.99, confidence=0.95).bound for sample in samples]
        )
        held = int((bounds >= self.QUANTILE).sum())
        assert abs(z_of(held, self.REPLICATIONS, self.promised)) < Z_LIMIT

    def test_the_test_can_fail(self, samples):
        """Negative control: one rank lower, an off-by-one."""
        third = np.sort(samples, axis=1)[:, -3]
        held = int((third >= self.QUANTILE).sum())
        assert abs(z_of(held, self.REPLICATIONS, self.promised)) > Z_LIMIT
