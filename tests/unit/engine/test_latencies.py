"""Latencies of a run: sums and maxima are exact, the percentiles of one value are that value."""

from typing import Any

import pytest
from support.machines import flat_prices, machine, run

from sim.base.units import MIB, MS
from sim.engine.latency import forget_latencies, latencies
from sim.engine.verbs.process import Process
from sim.observe.histogram import FORK, REQUEST, observe
from sim.stats.enough import enough_for, percentile_needs

PRICES = {"fork_base": 31_000, "fork_pte": 7, "zero_fill": 777, "cow_copy": 899}


def forking(forks: int) -> Any:
    """Return a program that forks `forks` times, and records how long each fork took it."""

    def child(task: Process) -> Any:
        yield from task.compute(MS)

    def program(task: Process) -> Any:
        for _ in range(forks):
            data = yield from task.mmap(MIB)
            yield from task.write(data)
            started_ns = task.now_ns
            yield from task.fork(child)
            task.record("fork_ns", task.now_ns - started_ns)
            yield from task.write(data, pages=100)
            yield from task.wait()

    return program


def forked(forks: int) -> tuple[list[int], dict[str, Any]]:
    host = {"memory_pages": 3000, "cpus": 2}
    document = run({"p": forking(forks)}, host=host, prices=flat_prices(**PRICES))
    assert document["ending"] == "idle"
    return document["programs"]["p"]["fork_ns"], document


def test_the_latency_of_one_fork_is_what_the_program_saw_in_every_column() -> None:
    (took,), document = forked(1)
    fork = document["metrics"]["fork_latency_ns"]
    assert took > 31_000
    assert fork == {"count": 1, **dict.fromkeys(("mean", "p50", "p90", "p99", "p999", "max"), took)}
    assert set(document["distributions"]["fork"]["ns"]) == {took}


def test_the_mean_and_the_largest_of_many_are_those_of_what_the_program_saw() -> None:
    took, document = forked(7)
    fork = document["metrics"]["fork_latency_ns"]
    assert len(set(took)) > 1
    assert (fork["count"], fork["mean"], fork["max"]) == (7, sum(took) / 7, max(took))
    assert document["distributions"]["fork"]["sum_ns"] == sum(took)


def test_fault_latencies_add_up_to_the_time_spent_in_faults() -> None:
    """Whole ns a fault, and no fault with another cost besides: two books of one thing."""
    _, document = forked(1)
    spent = document["work"]
    fault = document["metrics"]["fault_latency_ns"]
    assert fault["count"] == spent["zero_fill"]["units"] + spent["cow_copy"]["units"]
    times = spent["zero_fill"]["ns"] + spent["cow_copy"]["ns"]
    assert fault["mean"] * fault["count"] == pytest.approx(times, rel=1e-12)


def test_sums_beyond_64_bits_are_carried() -> None:
    box = machine(memory_pages=64)
    values = [2**62 - 1] * 9 + [1, 2**61, 2**61 - 1, 12345]
    for value in values:
        observe(box.arrays, REQUEST, value)
    seen = latencies(box.arrays, REQUEST)
    assert seen.sum_ns == sum(values) > 2**63
    assert seen.largest_ns == 2**62 - 1
    assert 0 <= box.arrays.latencies[REQUEST].sum_low < 2**61
    observe(box.arrays, FORK, 5)
    both = latencies(box.arrays, REQUEST, FORK)
    assert (both.count, both.sum_ns, both.largest_ns) == (14, sum(values) + 5, 2**62 - 1)


def test_the_end_of_warm_up_forgets_sums_and_maxima() -> None:
    box = machine(memory_pages=64)
    observe(box.arrays, FORK, 2**62 - 1)
    observe(box.arrays, FORK, 2**62 - 1)
    forget_latencies(box.arrays)
    assert latencies(box.arrays, FORK).summary()["count"] == 0
    observe(box.arrays, FORK, 7)
    seen = latencies(box.arrays, FORK)
    assert (seen.sum_ns, seen.largest_ns, seen.percentiles([50])) == (7, 7, [7])


@pytest.mark.parametrize(
    ("percent", "count"), [(0, 5), (50, 10), (90, 50), (99, 500), (99.9, 5000), (99.99, 50_000)]
)
def test_a_percentile_needs_five_values_beyond_it(percent: float, count: int) -> None:
    assert percentile_needs(percent) == count
    assert enough_for(percent, count)
    assert not enough_for(percent, count - 1)


@pytest.mark.parametrize("percent", [-1, 100, 101])
def test_the_largest_is_no_percentile_that_any_count_supports(percent: float) -> None:
    with pytest.raises(ValueError, match=r"percent must lie in \[0, 100\)"):
        percentile_needs(percent)
