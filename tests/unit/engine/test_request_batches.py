"""Batches of successive requests: whole, in order, and in all what the requests took."""

import numpy as np
import pytest
from support.machines import machine

from sim.engine.latency import forget_latencies, latencies, request_batches
from sim.machine.layout import FIRST_BATCH, MOST_BATCHES
from sim.observe.histogram import REQUEST, SUM_LIMIT, observe_request


def told(values):
    box = machine(memory_pages=64)
    for value in values:
        observe_request(box.arrays, value)
    return request_batches(box.arrays), box


@pytest.mark.parametrize("n", [0, 4, 5, 3999, 4000, 4009, 4010, 9000])
def test_batches_are_sums_of_successive_requests(n):
    values = np.random.default_rng(n).integers(0, 10**9, n).tolist()
    found, box = told(values)
    each, sums = found["each"], found["sums_ns"]
    assert sums == [sum(values[at * each : (at + 1) * each]) for at in range(n // each)]
    assert len(sums) < MOST_BATCHES
    assert each == FIRST_BATCH or len(sums) >= MOST_BATCHES // 2
    assert latencies(box.arrays, REQUEST).sum_ns == sum(values)


def test_sums_go_on_where_the_total_is_carried():
    found, _ = told([SUM_LIMIT // 8] * 40)
    assert found["sums_ns"] == [SUM_LIMIT // 8 * 5] * 8


def test_the_end_of_warm_up_begins_anew():
    _, box = told([7] * 5000)
    forget_latencies(box.arrays)
    assert request_batches(box.arrays) == {"each": FIRST_BATCH, "sums_ns": []}
    for value in range(10):
        observe_request(box.arrays, value)
    assert request_batches(box.arrays) == {"each": FIRST_BATCH, "sums_ns": [10, 35]}
