"""Programs as customers of a CPU: their waits are those of M/M/1, M/D/1 and M/M/2.

Twice over.  Every single wait must be what Lindley's recursion (for two CPUs, Kiefer and
Wolfowitz's) makes of the same arrivals and demands, to the nanosecond; and the mean must be that of
the closed form.  For this the waits are cut into busy periods, which are independent of each other,
so that the central limit theorem holds: two-sided false alarm 1e-6.
"""

import heapq
import math
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.machines import flat_prices, run

from sim.base.rng import stream
from sim.base.units import MS
from sim.engine.verbs.process import Process
from sim.stats.queueing import md1_mean_wait, mm1_mean_wait, mm1_wait_beyond, mmc_mean_wait

pytestmark = pytest.mark.truth

Z_LIMIT = 4.8916  # two-sided, false alarm 1e-6
SERVICE_NS = MS
LOAD = 0.5
CUSTOMERS = 8_000
WINDOWS = 64
"""Tasks that serve the arrivals in turn: so many never wait at once (0.5**64)."""

Times = NDArray[np.int64]


class Queue:
    """One run: arrivals, demands, and how long each customer waited."""

    def __init__(
        self,
        kind: str,
        load: float = LOAD,
        cpus: int = 1,
        customers: int = CUSTOMERS,
        **prices_ns: int,
    ) -> None:
        self.customers = customers
        dice = stream(11, 0, "customers")
        gaps = dice.exponential(SERVICE_NS / (load * cpus), customers)
        self.arrivals = MS + np.cumsum(np.rint(gaps).astype(np.int64) + 1)
        mean = np.full(customers, SERVICE_NS)
        self.demands = mean if kind == "D" else dice.exponential(mean)
        self.demands = np.rint(self.demands).astype(np.int64) + 1
        self.waits = np.zeros(customers, np.int64)
        self.document = run(
            {
                f"w{first}": lambda task, first=first: self._serve(task, first)
                for first in range(WINDOWS)
            },
            host={"memory_pages": 20 * WINDOWS, "cpus": cpus},
            prices=flat_prices(**prices_ns),
            scheduler="fifo",
        )

    def _serve(self, task: Process, first: int) -> Generator[Any, Any, None]:
        for n in range(first, self.customers, WINDOWS):
            yield from task.sleep_until(int(self.arrivals[n]))
            yield from task.compute(int(self.demands[n]))
            self.waits[n] = task.now_ns - self.arrivals[n] - self.demands[n]

    def by_recursion(self, cpus: int = 1) -> Times:
        """Return the waits that follow from arrivals and demands, first come, first served."""
        free = [0] * cpus
        waits = []
        for arrival, demand in zip(self.arrivals.tolist(), self.demands.tolist(), strict=True):
            start = max(arrival, heapq.heappop(free))
            heapq.heappush(free, start + demand)
            waits.append(start - arrival)
        return np.array(waits)

    def z_of(self, values: NDArray[Any], mean: float) -> float:
        """Return how many standard errors the mean of `values` is from `mean`.

        A busy period begins with a customer who finds every CPU idle.
        """
        leaves = np.maximum.accumulate(self.arrivals + self.waits + self.demands)
        begins = np.flatnonzero(np.concatenate([[True], self.arrivals[1:] > leaves[:-1]]))
        excess = np.add.reduceat(values - mean, begins)
        return float(excess.sum() / (excess.std(ddof=1) * math.sqrt(len(excess))))


@pytest.fixture(scope="module")
def mm1() -> Queue:
    return Queue("M")


@pytest.fixture(scope="module")
def md1() -> Queue:
    return Queue("D")


@pytest.fixture(scope="module")
def mm2() -> Queue:
    return Queue("M", cpus=2)


@pytest.mark.parametrize(("kind", "cpus"), [("mm1", 1), ("md1", 1), ("mm2", 2)])
def test_every_wait_is_that_of_the_recursion(
    kind: str, cpus: int, request: pytest.FixtureRequest
) -> None:
    queue = request.getfixturevalue(kind)
    assert (queue.waits == queue.by_recursion(cpus)).all()
    assert queue.document["ending"] == "idle"


def test_mm1_waits_as_long_as_the_closed_form_says(mm1: Queue) -> None:
    assert abs(mm1.z_of(mm1.waits, mm1_mean_wait(LOAD / SERVICE_NS, SERVICE_NS))) < Z_LIMIT


def test_md1_waits_half_as_long(md1: Queue) -> None:
    assert abs(md1.z_of(md1.waits, md1_mean_wait(LOAD / SERVICE_NS, SERVICE_NS))) < Z_LIMIT


def test_mm2_waits_as_erlang_says(mm2: Queue) -> None:
    mean = mmc_mean_wait(2 * LOAD / SERVICE_NS, SERVICE_NS, servers=2)
    assert abs(mm2.z_of(mm2.waits, mean)) < Z_LIMIT


@pytest.mark.parametrize("beyond", [0, 1, 3])
def test_mm1_waits_are_distributed_as_the_closed_form_says(mm1: Queue, beyond: int) -> None:
    share = mm1_wait_beyond(beyond * SERVICE_NS, LOAD / SERVICE_NS, SERVICE_NS)
    assert abs(mm1.z_of(mm1.waits > beyond * SERVICE_NS, share)) < Z_LIMIT


def test_the_test_can_fail(mm1: Queue, md1: Queue) -> None:
    """Negative control: a load of 0.6 is not one of 0.5, nor constant service exponential."""
    longer = Queue("M", load=0.6)
    assert longer.z_of(longer.waits, mm1_mean_wait(LOAD / SERVICE_NS, SERVICE_NS)) > Z_LIMIT
    assert abs(md1.z_of(md1.waits, mm1_mean_wait(LOAD / SERVICE_NS, SERVICE_NS))) > Z_LIMIT
    assert abs(mm1.z_of(mm1.waits, md1_mean_wait(LOAD / SERVICE_NS, SERVICE_NS))) > Z_LIMIT


def test_the_recursion_notices_the_price_of_a_switch() -> None:
    """Negative control: a microsecond that the recursion does not know of."""
    queue = Queue("D", customers=1000, context_switch=1000)
    assert (queue.waits >= queue.by_recursion()).all()
    assert (queue.waits > queue.by_recursion()).mean() > 0.9


def test_the_metric_is_the_mean_of_the_waits(mm1: Queue) -> None:
    """Beside the customers' waits it counts those for start and exit, which are nought here."""
    metric = mm1.document["metrics"]["runqueue_wait_ns"]
    total = int(mm1.waits.sum())
    assert metric["count"] >= CUSTOMERS
    assert metric["mean"] * metric["count"] == pytest.approx(total, rel=0.01)
    assert metric["max"] == pytest.approx(mm1.waits.max(), rel=0.01)


@pytest.mark.parametrize("kind", ["mm1", "md1", "mm2"])
def test_littles_law_is_an_identity(kind: str, request: pytest.FixtureRequest) -> None:
    queue = request.getfixturevalue(kind)
    assert queue.document["littles_law_residual"] == 0
    busy = queue.document["metrics"]["cpu_busy_fraction"] * (2 if kind == "mm2" else 1)
    assert busy * queue.document["simulated_ns"] == pytest.approx(queue.demands.sum())
