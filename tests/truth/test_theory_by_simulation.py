"""The closed forms against the simplest simulation of what they describe, without a machine."""

import math

import numpy as np
import pytest

from sim.base.rng import stream
from sim.stats.queueing import md1_mean_wait, mm1_mean_wait
from sim.stats.theory import distinct_pages_written, snapshot_copies, snapshot_peak_pages

Z_LIMIT = 4.8916  # two-sided, false alarm 1e-6

pytestmark = pytest.mark.truth


def z_of(sample, mean, variance=None):
    """Return how many standard errors the mean of `sample` is from `mean`."""
    variance = np.var(sample, ddof=1) if variance is None else variance
    return (np.mean(sample) - mean) / math.sqrt(variance / len(sample))


class TestOccupancy:
    PAGES, WRITES, REPLICATIONS = 50, 40, 4_000

    def hits(self, pages):
        written = stream(2, 0, "occupancy").integers(pages, size=(self.REPLICATIONS, self.WRITES))
        return np.array([len(np.unique(row)) for row in written])

    def test_mean_and_variance(self):
        hits = self.hits(self.PAGES)
        mean, variance = distinct_pages_written(self.PAGES, self.WRITES)
        assert abs(z_of(hits, mean, variance)) < Z_LIMIT
        assert abs(z_of((hits - mean) ** 2, variance)) < Z_LIMIT

    def test_the_test_can_fail(self):
        """Negative control: one page in fifty is never written."""
        mean, variance = distinct_pages_written(self.PAGES, self.WRITES)
        assert abs(z_of(self.hits(self.PAGES - 1), mean, variance)) > Z_LIMIT


class TestSnapshot:
    """A child saves 400 pages in order, while 600 writes are expected, and gives them back."""

    PAGES, WRITES, REPLICATIONS = 400, 600, 2_000

    @pytest.fixture(scope="class")
    @classmethod
    def saves(cls):
        """Copies, and frames held twice at the time of the predicted peak, one per save."""
        generator = stream(2, 0, "snapshot")
        a = cls.WRITES / cls.PAGES
        share = np.linspace(0, 1, 10_001)
        peak_at = share[np.argmax((1 - share) * -np.expm1(-a * share))]
        first = generator.exponential(1 / a, size=(cls.REPLICATIONS, cls.PAGES))
        given_back = (np.arange(cls.PAGES) + 1) / cls.PAGES
        copied = first < given_back
        held = (first <= peak_at) & (given_back > peak_at)
        return copied.sum(axis=1), held.sum(axis=1)

    def test_copies(self, saves):
        """The discrete order of 400 pages adds half a page's risk: at most a / 2."""
        expected = snapshot_copies(self.PAGES, self.WRITES, gives_back=True)
        steps = np.arange(1, self.PAGES + 1) / self.PAGES
        exact = -np.expm1(-self.WRITES / self.PAGES * steps).sum()
        assert abs(exact - expected) < 1
        assert abs(z_of(saves[0], exact)) < Z_LIMIT

    def test_peak(self, saves):
        expected = snapshot_peak_pages(self.PAGES, self.WRITES, gives_back=True)
        assert abs(np.mean(saves[1]) - expected) < 1 + Z_LIMIT * math.sqrt(
            np.var(saves[1]) / self.REPLICATIONS
        )

    def test_the_test_can_fail(self, saves):
        """Negative control: a child that keeps its pages."""
        kept = snapshot_copies(self.PAGES, self.WRITES, gives_back=False)
        assert abs(z_of(saves[0], kept)) > Z_LIMIT


class TestWaiting:
    """Lindley's recursion, many queues side by side, one customer of each after the start."""

    LOAD, REPLICATIONS, CUSTOMERS = 0.7, 20_000, 500

    @classmethod
    def waits(cls, draw_service):
        generator = stream(2, 0, "lindley")
        wait = np.zeros(cls.REPLICATIONS)
        for _ in range(cls.CUSTOMERS):
            service = draw_service(generator, cls.REPLICATIONS)
            gap = generator.exponential(1 / cls.LOAD, cls.REPLICATIONS)
            wait = np.maximum(0.0, wait + service - gap)
        return wait

    @pytest.fixture(scope="class")
    @classmethod
    def exponential(cls):
        return cls.waits(lambda generator, n: generator.exponential(1.0, n))

    @pytest.fixture(scope="class")
    @classmethod
    def constant(cls):
        return cls.waits(lambda _, n: np.ones(n))

    def test_mm1(self, exponential):
        assert abs(z_of(exponential, mm1_mean_wait(self.LOAD, 1.0))) < Z_LIMIT

    def test_md1(self, constant):
        assert abs(z_of(constant, md1_mean_wait(self.LOAD, 1.0))) < Z_LIMIT

    def test_the_test_can_fail(self, exponential, constant):
        """Negative control: a load that is 5 % off."""
        assert abs(z_of(exponential, mm1_mean_wait(0.95 * self.LOAD, 1.0))) > Z_LIMIT
        assert abs(z_of(constant, md1_mean_wait(0.95 * self.LOAD, 1.0))) > Z_LIMIT
