"""Percentiles in studies: of all values of all runs, or refused."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.base.errors import InsufficientDataError
from sim.stats.quantile import histogram, percentiles
from sim.study.curves import pooled_shares
from sim.study.percentiles import (
    Distributions,
    percent_of,
    percentile_limits,
    pooled_percentile,
)
from sim.study.records import Record
from sim.study.stored import Place
from sim.study.summary import summary_of, summary_text

P = [*np.arange(0.1, 100, 0.1), 99.99, 100]


def run(values, *, forks=0):
    """Return a run's record and what it says of its latencies: requests of these times."""
    table = {"p": P, "ns": percentiles(histogram(values), P), "n": len(values)}
    record = Record(
        place=Place("runs", 0, 0, 0),
        key="",
        scenario="",
        memory_bytes=0,
        usable_bytes=0,
        scalars={"request_latency_ns.count": len(values), "forks": forks},
        stages_ns={},
        resident_bytes=0,
        ran_out=False,
        ending="idle",
    )
    return record, {"request": table, "fork": {"p": [100], "ns": [7], "n": forks}}


def pooled(runs, metric):
    records, distributions = zip(*runs, strict=True)
    return pooled_percentile(Distributions(distributions), records, metric)


@pytest.mark.parametrize(
    ("metric", "percent"),
    [
        ("request_latency_ns.p50", 50),
        ("fork_latency_ns.p999", 99.9),
        ("request_latency_ns.mean", None),
        ("request_latency_ns.max", None),
        ("reports.p99", None),
    ],
)
def test_which_metrics_are_percentiles(metric, percent):
    assert percent_of(metric) == percent


@pytest.mark.parametrize(("name", "percent"), [("p50", 50), ("p90", 90), ("p99", 99)])
def test_a_percentile_is_that_of_all_values_of_all_runs(name, percent):
    """Runs that differ: the mean of their own percentiles would be far off."""
    luck = np.random.default_rng(1)
    own = [luck.exponential(scale, 2000).astype(int) for scale in (1e4, 1e5, 1e6)]
    truth = np.percentile(np.concatenate(own), percent)
    mean = np.mean([np.percentile(values, percent) for values in own])
    found = pooled([run(values) for values in own], f"request_latency_ns.{name}")
    assert found == pytest.approx(truth, rel=0.05)
    assert abs(mean - truth) > 0.2 * truth


def test_runs_count_by_their_values():
    few, many = np.full(600, 10), np.full(6000, 1000)
    assert pooled([run(few), run(many)], "request_latency_ns.p50") == pytest.approx(1000, rel=0.01)


def test_p999_takes_5000_forks_not_requests():
    values = np.arange(1, 6001)
    with pytest.raises(InsufficientDataError, match="needs 5,000 forks, 10 runs have 10"):
        pooled([run(values, forks=1)] * 10, "request_latency_ns.p999")
    assert pooled([run(values, forks=500)] * 10, "request_latency_ns.p999") == pytest.approx(
        5994, rel=0.01
    )


def test_where_nothing_forks_requests_count():
    with pytest.raises(InsufficientDataError, match="needs 5,000 values, 2 runs have 4,998"):
        pooled([run(np.arange(2499))] * 2, "request_latency_ns.p999")
    assert pooled([run(np.arange(2500))] * 2, "request_latency_ns.p999") > 2450


@pytest.mark.parametrize(("name", "needed"), [("p50", 10), ("p90", 50), ("p99", 500)])
def test_other_percentiles_take_5_values_beyond_them(name, needed):
    assert pooled([run(np.arange(needed))], f"request_latency_ns.{name}") > 0
    with pytest.raises(InsufficientDataError, match=f"needs {needed} values, 1 runs have"):
        pooled([run(np.arange(needed - 1))], f"request_latency_ns.{name}")


def test_limits_are_those_of_runs_not_of_requests():
    luck = np.random.default_rng(7)
    runs = [run((1e5 * luck.lognormal(0, 0.5) * luck.exponential(size=500)).astype(int) + 1)
            for _ in range(40)]  # fmt: skip
    _, distributions = zip(*runs, strict=True)
    low, high = percentile_limits(Distributions(distributions), "request_latency_ns.p90", 0.95)
    middle = pooled(runs, "request_latency_ns.p90")
    assert 0.6 * middle < low < 0.95 * middle < 1.05 * middle < high < 1.6 * middle
    with pytest.raises(InsufficientDataError, match="19 runs have values, limits take 20"):
        percentile_limits(Distributions(distributions[:19]), "request_latency_ns.p90", 0.95)


def test_a_summary_has_the_limits_where_there_are_any():
    luck = np.random.default_rng(7)
    runs = [run((1e5 * luck.lognormal(0, 0.5) * luck.exponential(size=500)).astype(int) + 1)
            for _ in range(40)]  # fmt: skip
    records, distributions = zip(*runs, strict=True)
    for record, at in zip(records, range(40), strict=True):
        record.scalars["request_latency_ns.p90"] = 2e5 + at
    found = summary_of(records, "request_latency_ns.p90", 0.95, Distributions(distributions))
    assert found.limits == percentile_limits(
        Distributions(distributions), "request_latency_ns.p90", 0.95
    )
    assert re.fullmatch(
        r"\d+ us \(\d+ us to \d+ us, by a bootstrap over 40 runs\)",
        summary_text("request_latency_ns.p90", found),
    )
    few = summary_of(
        records[:10], "request_latency_ns.p90", 0.95, Distributions(distributions[:10])
    )
    assert few.limits is None


def test_limits_are_worked_out_only_where_they_are_wanted():
    runs = [run(np.arange(1, 501) * (n + 100)) for n in range(30)]
    records, distributions = zip(*runs, strict=True)
    for n, record in enumerate(records):
        record.scalars["request_latency_ns.p90"] = 450.0 * (n + 1)
    told = Distributions(distributions)
    whole = summary_of(records, "request_latency_ns.p90", 0.95, told)
    short = summary_of(records, "request_latency_ns.p90", 0.95, told, limited=False)
    assert whole.limits is not None
    assert short == replace(whole, limits=None)


TABLES = st.lists(
    st.lists(st.integers(0, 5), min_size=1, max_size=8).map(sorted).flatmap(
        lambda ns: st.builds(
            dict,
            ns=st.just(ns),
            p=st.sampled_from([[*range(1, len(ns)), 100], [*range(20, 19 + len(ns)), 100]]),
            n=st.integers(1, 9),
        )
    ),
    min_size=1,
    max_size=5,
)  # fmt: skip


@given(TABLES)
def test_pooled_shares_are_those_of_one_run_after_the_other(runs):
    """To the last bit: a time counts once, with the largest of its percentiles."""
    grid = sorted({time for run in runs for time in run["ns"]})
    total = np.zeros(len(grid))
    for run in runs:
        largest = dict(zip(run["ns"], run["p"], strict=True))
        reached = np.array(list(largest.values()), dtype=float) / 100
        total += run["n"] * np.interp(grid, list(largest), reached, left=0.0)
    shares, times = pooled_shares(runs)
    assert times.tolist() == grid
    assert shares.tolist() == (total / sum(run["n"] for run in runs)).tolist()
