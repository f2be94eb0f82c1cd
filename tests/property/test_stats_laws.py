"""Laws of the estimators: what holds for all data."""

import math
import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from sim.engine.latency import Latencies
from sim.stats.estimate import mean_over_replications, paired
from sim.stats.level import Level
from sim.stats.proportion import exact_limits, refuting_count
from sim.stats.quantile import (
    RELATIVE_ERROR,
    bucket_bounds,
    bucket_middle,
    bucket_of,
    histogram,
    merge,
    percentile,
)
from sim.stats.tolerance import normal_factor, order_bound, upper_bound, values_needed

values = st.integers(0, 2**63 - 1)
samples = st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=40)
fractions = st.floats(0.01, 0.99)


@given(values)
def test_a_value_lies_in_its_bucket(value):
    low, high = bucket_bounds(bucket_of(value))
    assert low <= value <= high
    assert abs(bucket_middle(bucket_of(value)) - value) <= RELATIVE_ERROR * value


@given(values, values)
def test_buckets_are_monotone(a, b):
    assert (bucket_of(a) <= bucket_of(b)) or a > b
    assert bucket_of(min(a, b)) <= bucket_of(max(a, b))


@given(st.lists(values, min_size=1, max_size=50))
def test_arrays_and_single_values_fall_into_the_same_buckets(drawn):
    counts = histogram(drawn)
    assert counts.sum() == len(drawn)
    one_by_one = np.zeros_like(counts)
    for value in drawn:
        one_by_one[bucket_of(value)] += 1
    assert (counts == one_by_one).all()


@given(st.lists(values, min_size=1, max_size=50), st.integers(1, 1000))
def test_a_percentile_is_within_one_percent_of_the_nearest_rank(drawn, per_mille):
    exact = sorted(drawn)[-(-len(drawn) * per_mille // 1000) - 1]
    assert abs(percentile(histogram(drawn), per_mille / 10) - exact) <= 0.01 * exact


@given(st.lists(values, min_size=1, max_size=50), st.integers(1, 1000))
def test_latencies_keep_sum_and_largest_exactly_and_percentiles_within_one_percent(drawn, mille):
    seen = Latencies(histogram(drawn), sum(drawn), max(drawn))
    summary = seen.summary()
    assert (summary["count"], summary["max"]) == (len(drawn), max(drawn))
    assert summary["mean"] == sum(drawn) / len(drawn)
    exact = sorted(drawn)[-(-len(drawn) * mille // 1000) - 1]
    (found,) = seen.percentiles([mille / 10])
    assert abs(found - exact) <= 0.01 * exact
    table = seen.distribution()
    assert table["ns"] == sorted(table["ns"])
    assert (table["ns"][-1], table["sum_ns"], table["n"]) == (max(drawn), sum(drawn), len(drawn))
    if len(drawn) == 1:
        assert set(table["ns"]) == set(drawn)


@given(st.lists(st.lists(values, max_size=10), max_size=5))
def test_merging_equals_counting_together(parts):
    together = histogram([value for part in parts for value in part])
    assert (merge([histogram(part) for part in parts]) == together).all()


@given(samples, st.floats(-1e6, 1e6), fractions)
def test_a_mean_moves_with_its_values(sample, shift, confidence):
    plain = mean_over_replications(sample, confidence=confidence)
    moved = mean_over_replications([x + shift for x in sample], confidence=confidence)
    assert math.isclose(moved.mean, plain.mean + shift, abs_tol=1e-3)
    assert math.isclose(moved.half_width, plain.half_width, rel_tol=1e-6, abs_tol=1e-3)


by_replication = st.dictionaries(st.integers(0, 2_000_000), st.integers(-1000, 1000), max_size=30)


@given(by_replication, by_replication)
def test_each_pair_is_of_one_replication_whatever_was_lost(treatment, baseline):
    pairs = paired(treatment, baseline)
    both = sorted(set(treatment) & set(baseline))
    assert list(pairs) == [treatment[r] - baseline[r] for r in both]


@given(st.integers(1, 2000), st.floats(0.001, 0.999))
def test_a_claim_that_holds_is_refuted_in_one_of_twenty_at_most(trials, share):
    count = refuting_count(trials, share)
    assert 1 <= count <= trials + 1
    assert special.bdtrc(count - 1, trials, share) <= 0.05
    assert special.bdtrc(count - 2, trials, share) > 0.05


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_exact_limits_hold_what_was_seen(counts):
    events, trials = counts
    seen = exact_limits(events, trials)
    assert 0 <= seen.low <= events / trials <= seen.high <= 1
    assert seen.low < seen.high
    mirror = exact_limits(trials - events, trials)
    assert math.isclose(mirror.high, 1 - seen.low, abs_tol=1e-12)
    printed = [float(x) / 100 for x in re.findall(r"([\d.]+) %(?= to|,| at)", str(seen))]
    low, high = (printed[0], printed[-1]) if 0 < events < trials else (0.0, 1.0)
    low = printed[0] if events == trials else low
    high = printed[0] if events == 0 else high
    assert low <= seen.low + 1e-12
    assert high >= seen.high - 1e-12
    assert " 0 %" not in str(seen)
    assert " 0.0 %" not in str(seen)
    assert "100" not in str(seen).split("(")[1]


@given(st.integers(2, 500), st.floats(0.6, 0.98), st.floats(0.6, 0.99))
def test_a_tolerance_factor_grows_with_content_and_shrinks_with_n(n, content, confidence):
    factor = normal_factor(n, content=content, confidence=confidence)
    assert normal_factor(n, content=content + 0.01, confidence=confidence) > factor
    assert normal_factor(n + 50, content=content, confidence=confidence) < factor


@given(st.floats(0.5, 0.999), st.floats(0.5, 0.99))
def test_one_value_fewer_would_not_do(content, confidence):
    n = values_needed(content=content, confidence=confidence)
    assert 1 - content**n >= confidence
    assert n == 1 or 1 - content ** (n - 1) < confidence


@given(st.lists(st.floats(-1e9, 1e9), min_size=22, max_size=60), st.randoms())
def test_an_order_bound_is_one_of_the_values_in_any_order(sample, random):
    bound = order_bound(sample, content=0.9, confidence=0.9).bound
    assert bound in sample
    shuffled = list(sample)
    random.shuffle(shuffled)
    assert upper_bound(shuffled, content=0.9, confidence=0.9).bound == bound


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(-50, 50)), max_size=20),
    st.integers(0, 1000),
)
def test_a_restart_splits_the_integral(steps, cut_ns):
    steps = sorted(steps)
    whole, parted = Level(0, 3), Level(0, 3)
    before = None
    for now_ns, value in steps:
        if before is None and now_ns >= cut_ns:
            before = parted.area(cut_ns)
            parted.restart(cut_ns)
        whole.set(now_ns, value)
        parted.set(now_ns, value)
    if before is None:
        before = parted.area(cut_ns)
        parted.restart(cut_ns)
    assert before + parted.area(1000) == whole.area(1000)
