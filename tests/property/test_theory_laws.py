"""Laws of the closed forms: bounds, orders and limits that hold for all arguments."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim.stats.level import Level
from sim.stats.queueing import (
    little_residual,
    machine_repair,
    md1_mean_wait,
    mg1_shared_time,
    mm1_mean_wait,
    mmc_mean_wait,
)
from sim.stats.theory import (
    TABLE_ENTRIES,
    cow_copies,
    distinct_pages_written,
    distinct_weighted,
    distinct_weighted_poisson,
    hot_cold_probabilities,
    page_table_pages,
    snapshot_copies,
    snapshot_copies_weighted,
    snapshot_peak_pages,
    zipf_probabilities,
)

pages = st.integers(1, 10**7)
writes = st.integers(0, 10**8)
loads = st.floats(0.001, 0.99)


@given(pages, writes)
def test_no_more_pages_are_hit_than_there_are_or_were_written(n, w):
    mean, variance = distinct_pages_written(n, w)
    assert 0 <= mean <= min(n, w) * (1 + 1e-9)
    assert 0 <= variance <= mean * (1 + 1e-9)
    more, _ = distinct_pages_written(n, w + 1)
    assert more >= mean


@given(st.integers(2, 300), st.floats(0, 3), st.integers(0, 2000))
def test_uneven_writes_hit_fewer_pages(n, exponent, w):
    uneven = distinct_weighted(zipf_probabilities(n, exponent), w)
    assert uneven <= distinct_pages_written(n, w)[0] * (1 + 1e-9)


@given(st.integers(1, 300), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2000))
def test_a_poisson_number_of_writes_hits_a_little_less_on_average(n, fraction, share, w):
    chances = hot_cold_probabilities(n, fraction, share)
    assert math.isclose(chances.sum(), 1.0, abs_tol=1e-9)
    poisson, variance = distinct_weighted_poisson(chances, w)
    assert poisson <= distinct_weighted(chances, w) + 1e-9
    assert 0 <= variance <= poisson + 1e-12


@given(st.integers(1, 10**6), st.floats(0, 10**8))
def test_giving_back_never_needs_more(n, w):
    kept = snapshot_copies(n, w, gives_back=False)
    given_back = snapshot_copies(n, w, gives_back=True)
    peak = snapshot_peak_pages(n, w, gives_back=True)
    slack = 1e-6 * n + 1e-9
    assert peak <= given_back + slack
    assert given_back <= kept + slack
    assert kept <= min(n, w) + slack
    assert peak <= n


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=50), st.floats(0, 1000))
def test_giving_back_spares_copies_whatever_is_hot(weights, w):
    chances = np.array(weights) / sum(weights)
    given_back = snapshot_copies_weighted(chances, w, gives_back=True)
    kept = snapshot_copies_weighted(chances, w, gives_back=False)
    assert 0 <= given_back <= kept <= len(weights)


@given(st.integers(0, 50), st.integers(0, 50))
def test_copies_stay_below_the_sharers(a, b):
    sharers, writers = max(a, b), min(a, b)
    assert cow_copies(sharers, writers) <= writers
    assert cow_copies(sharers, writers) < max(sharers, 1)


@given(st.integers(1, 2**36))
def test_tables_take_about_a_512th(n):
    tables = page_table_pages(n)
    assert n / TABLE_ENTRIES <= tables <= n / (TABLE_ENTRIES - 1) + 4
    assert page_table_pages(n + 1) >= tables


@given(loads, st.floats(0.001, 1000))
def test_order_of_the_queues(load, service):
    rate = load / service
    wait = mm1_mean_wait(rate, service)
    assert md1_mean_wait(rate, service) <= wait
    assert math.isclose(mg1_shared_time(rate, service), wait + service, rel_tol=1e-9)
    assert mmc_mean_wait(2 * rate, service, 2) <= wait


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_closed_population_obeys_littles_law(population, servers, think, service):
    system = machine_repair(population, servers, think, service)
    thinking = system.throughput * think
    assert math.isclose(thinking + system.mean_present, population, rel_tol=1e-6)
    cycle = think + system.mean_wait + service
    assert math.isclose(system.throughput * cycle, population, rel_tol=1e-6)
    assert system.busy_fraction <= 1 + 1e-9


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=20),
    st.integers(0, 100),
    st.integers(0, 100),
)
def test_littles_law_holds_for_any_history(visits, a, b):
    start, end = min(a, b), max(a, b)
    visits = sorted((arrived, arrived + stay) for arrived, stay in visits)
    visits.sort(key=lambda visit: visit[1] > end)
    gone = [left for _, left in visits if left <= end]
    changes = sorted(
        [(arrived, 1) for arrived, _ in visits if arrived <= end] + [(left, -1) for left in gone]
    )
    present = Level(0, 0)
    restarted = False
    for now, change in changes:
        if now >= start and not restarted:
            present.restart(start)
            restarted = True
        present.add(now, change)
    if not restarted:
        present.restart(start)
    arrivals = [arrived for arrived, _ in visits]
    assert little_residual(present.area(end), arrivals, gone, start, end) == 0
