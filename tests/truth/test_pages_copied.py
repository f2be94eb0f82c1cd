"""After a fork, uniform writes copy as many pages as the occupancy problem says.

Every child draws its own pages by its name; the copies are counted by the machine.  Two-sided false
alarm 1e-6; a page in fifty that is never written is noticed.
"""

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from support.machines import flat_prices, run

from sim.base.units import PAGE_BYTES
from sim.engine.verbs.process import Process
from sim.program.api import Region
from sim.program.patterns import HotCold, Pattern, Uniform
from sim.stats.theory import distinct_pages_written, hot_cold_probabilities

pytestmark = pytest.mark.truth

Z_LIMIT = 4.8916  # two-sided, false alarm 1e-6
PAGES, WRITES, CHILDREN = 50, 40, 3_000


def copies(
    pattern: Pattern, pages: int = PAGES, *, parent_writes: bool = False, seed: int = 3
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return how many pages were copied after each of many forks of one parent."""
    found: list[int] = []

    def parent(task: Process) -> Generator[Any, Any, None]:
        region = yield from task.mmap(PAGES * PAGE_BYTES)
        yield from task.write(region)
        for _ in range(CHILDREN):
            child = yield from task.fork(idler if parent_writes else writer, region)
            if parent_writes:
                before = task.faults("cow_copy")
                yield from task.write(region, pages=pages, pattern=pattern)
                found.append(task.faults("cow_copy") - before)
            yield from task.wait(child)
            if parent_writes:
                yield from task.write(region)  # own everything again

    def writer(task: Process, region: Region) -> Generator[Any, Any, None]:
        yield from task.write(region, pages=pages, pattern=pattern)
        found.append(task.faults("cow_copy"))

    def idler(task: Process, region: Region) -> Generator[Any, Any, None]:
        yield from task.sleep(1)

    document = run(
        {"parent": parent},
        host={"memory_pages": 400, "cpus": 1},
        prices=flat_prices(),
        seed=seed,
    )
    assert document["metrics"]["cow_copies"] == sum(found)
    assert document["littles_law_residual"] == 0
    return np.array(found)


def z_of(sample: Any, mean: float, variance: float) -> float:
    """Return how many standard errors the mean of `sample` is from `mean`."""
    return float((np.mean(sample) - mean) / math.sqrt(variance / len(sample)))


@pytest.fixture(scope="module")
def uniform() -> np.ndarray[Any, np.dtype[np.int64]]:
    return copies(Uniform(WRITES))


def test_the_mean_is_that_of_the_occupancy_problem(uniform: Any) -> None:
    assert abs(z_of(uniform, *distinct_pages_written(PAGES, WRITES))) < Z_LIMIT


def test_the_variance_too(uniform: Any) -> None:
    mean, variance = distinct_pages_written(PAGES, WRITES)
    squares = (uniform - mean) ** 2
    assert abs(z_of(squares, variance, float(squares.var(ddof=1)))) < Z_LIMIT


def test_a_writing_parent_copies_as_many() -> None:
    """Who writes does not matter while the other holds on to its pages."""
    found = copies(Uniform(WRITES), parent_writes=True)
    assert abs(z_of(found, *distinct_pages_written(PAGES, WRITES))) < Z_LIMIT


def test_hot_pages_are_copied_more_often() -> None:
    found = copies(HotCold(WRITES, hot_fraction=0.2, hot_share=0.8))
    chances = hot_cold_probabilities(PAGES, 0.2, 0.8)
    missed = (1 - chances) ** WRITES
    both = (1 - chances[:, None] - chances[None, :]) ** WRITES
    covariances = both - missed[:, None] * missed[None, :]
    np.fill_diagonal(covariances, missed * (1 - missed))
    assert abs(z_of(found, float((1 - missed).sum()), float(covariances.sum()))) < Z_LIMIT


def test_the_test_can_fail() -> None:
    """Negative control: one page in fifty is never written."""
    found = copies(Uniform(WRITES), PAGES - 1)
    assert abs(z_of(found, *distinct_pages_written(PAGES, WRITES))) > Z_LIMIT
