"""Queueing formulas against each other, special cases and textbook figures."""

import math

import pytest

from sim.stats.queueing import (
    little_residual,
    machine_repair,
    md1_mean_wait,
    mg1_mean_wait,
    mg1_shared_time,
    mm1_mean_wait,
    mm1_wait_beyond,
    mm1_wait_quantile,
    mmc_mean_wait,
    offered_load,
)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9, 0.99])
def test_mm1_waits_load_over_one_minus_load_services(load):
    assert mm1_mean_wait(load / 3, 3.0) == pytest.approx(3 * load / (1 - load))
    assert md1_mean_wait(load / 3, 3.0) == pytest.approx(mm1_mean_wait(load / 3, 3.0) / 2)
    assert mg1_mean_wait(load / 3, 3.0, 3.0**2 * 5) == pytest.approx(
        md1_mean_wait(load / 3, 3.0) * 5
    )


def test_the_tail_of_mm1_has_its_mean():
    load, step = 0.8, 0.01
    mean = sum(mm1_wait_beyond(step * (k + 0.5), load, 1.0) * step for k in range(20_000))
    assert mean == pytest.approx(mm1_mean_wait(load, 1.0), rel=1e-4)
    assert mm1_wait_beyond(-1, load, 1.0) == 1.0


def test_a_quantile_inverts_the_tail():
    wait = mm1_wait_quantile(0.99, 0.8, 1.0)
    assert mm1_wait_beyond(wait, 0.8, 1.0) == pytest.approx(0.01)
    assert mm1_wait_quantile(0.2, 0.8, 1.0) == 0
    assert mm1_wait_quantile(0.1, 0.8, 1.0) == 0


def test_several_servers():
    """Erlang's C for 10 erlangs at 12 servers is 0.4494 (tables, e.g. Kleinrock, figure 3.8)."""
    assert mmc_mean_wait(0.7, 1.0, 1) == pytest.approx(mm1_mean_wait(0.7, 1.0))
    assert mmc_mean_wait(1.5, 1.0, 2) == pytest.approx(9 / 7)
    assert mmc_mean_wait(10.0, 1.0, 12) * (12 - 10) == pytest.approx(0.4494, abs=5e-5)


def test_processor_sharing_takes_as_long_as_mm1_altogether():
    assert mg1_shared_time(0.5, 1.0) == mm1_mean_wait(0.5, 1.0) + 1.0


def test_a_lone_customer_never_waits():
    system = machine_repair(1, 1, mean_think=3.0, mean_service=1.0)
    assert system.mean_wait == pytest.approx(0)
    assert system.throughput == pytest.approx(0.25)
    assert system.mean_present == pytest.approx(0.25)


def test_two_customers_at_one_server_by_hand():
    """Equal means: states 0, 1, 2 have weights 1, 2, 2, so busy 4/5 and present 6/5."""
    system = machine_repair(2, 1, mean_think=1.0, mean_service=1.0)
    assert system.busy_fraction == pytest.approx(0.8)
    assert system.mean_present == pytest.approx(1.2)
    assert system.mean_wait == pytest.approx((1.2 - 0.8) / 0.8)


def test_a_server_for_everyone_leaves_nobody_waiting():
    system = machine_repair(30, 30, mean_think=9.0, mean_service=1.0)
    assert system.mean_wait == pytest.approx(0, abs=1e-9)
    assert system.throughput == pytest.approx(3.0)


def test_a_large_population_saturates_the_server():
    system = machine_repair(5000, 1, mean_think=1.0, mean_service=1.0)
    assert system.busy_fraction == pytest.approx(1)
    assert system.throughput == pytest.approx(1)
    assert system.mean_present == pytest.approx(4999)


def test_littles_law_counts_those_who_are_still_there():
    # One from 2 to 6, one from 4 on; measured from 3 to 10.
    area = 1 * (4 - 3) + 2 * (6 - 4) + 1 * (10 - 6)
    assert little_residual(area, [2, 4], [6], start=3, end=10) == 0
    assert little_residual(area + 1, [2, 4], [6], start=3, end=10) == 1
    assert little_residual(0, [1, 20], [2], start=3, end=10) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: offered_load(1.0, 1.0), "offered load is 1, and must be below 1"),
        (lambda: mm1_mean_wait(-1, 1.0), "arrival_rate must be >= 0, got -1"),
        (lambda: mm1_mean_wait(1.0, 0.0), "mean_service must be > 0, got 0.0"),
        (lambda: mm1_mean_wait(math.nan, 1.0), "arrival_rate must be >= 0, got nan"),
        (lambda: mg1_mean_wait(0.5, 1.0, 0.9), "second_moment must be at least"),
        (lambda: mm1_wait_quantile(1.0, 0.5, 1.0), r"share must be in \[0, 1\), got 1.0"),
        (lambda: mmc_mean_wait(1.0, 0.5, 0), "servers must be >= 1, got 0"),
        (lambda: mmc_mean_wait(4.0, 0.5, 2), "offered load is 1,"),
        (lambda: machine_repair(0, 1, 1.0, 1.0), "population must be >= 1, got 0"),
        (lambda: machine_repair(1, 0, 1.0, 1.0), "servers must be >= 1, got 0"),
        (lambda: machine_repair(1, 1, 0.0, 1.0), "mean_think must be > 0, got 0.0"),
        (lambda: little_residual(0, [], [1], 0, 2), "1 departures of only 0 arrivals"),
        (lambda: little_residual(0, [3], [1], 0, 2), "leaves at 1, before it arrives at 3"),
        (lambda: little_residual(0, [], [], 2, 1), "the end, 1, lies before the start, 2"),
    ],
)
def test_misuse_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
