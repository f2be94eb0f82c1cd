"""The time to the first kill: runs without one count as longer than they were watched."""

import json
import re
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from sim.base.errors import InsufficientDataError
from sim.cli.comparing import _document, _show
from sim.scenario import load_scenario
from sim.study.compare import compare
from sim.study.executor import InlineExecutor
from sim.study.first_kill import (
    Span,
    first_kill,
    kaplan_meier_median,
    median_first_kill,
    paired_first_kill,
)
from sim.study.progress import Silent
from sim.study.records import Record
from sim.study.stored import Place

S = 1_000_000_000
HORIZON = 60 * S
BLANK = Record(Place("main", 0, 0, 0), "", "", 0, 0, {}, {}, 0, False, "horizon")


def runs(times, ended=HORIZON):
    """Return records of runs with these times to the first kill, None for none."""
    return [
        replace(
            BLANK,
            place=Place("main", 0, 0, number),
            scalars={"first_oom_ns": None if time is None else float(time)},
            ended_ns=ended,
        )
        for number, time in enumerate(times)
    ]


def seen(times):
    return [None if time > HORIZON else time for time in times]


def test_a_median_and_its_limits_are_told_where_few_runs_are_cut_off():
    found = first_kill(runs([n * S for n in range(1, 10)] + [None]), 0.95)
    assert (found.n, found.n_killed, found.median_ns) == (10, 9, 5 * S)
    assert found.text == "median 5 s (2 s to 9 s); no kill in 1 of 10 runs of 1 min"


def test_where_most_are_cut_off_the_median_is_open_and_has_a_lower_limit():
    found = first_kill(runs([20 * S, 30 * S, *[None] * 8]), 0.95)
    assert found.median_ns is None
    assert found.text == "median not known (at least 30 s); no kill in 8 of 10 runs of 1 min"
    with pytest.raises(InsufficientDataError, match="has no median: no kill in 3 of 3 runs"):
        median_first_kill(runs([None] * 3))


def test_without_a_kill_there_is_only_how_long_it_was_watched():
    assert first_kill(runs([None] * 4), 0.95).text == "no kill in 4 of 4 runs of 1 min"


def test_kaplan_and_meier_as_in_their_table():
    """Eight times, three of them cut off: 0.525 are left until 7.0, then 0.35."""
    assert kaplan_meier_median([0.8, 3.1, 5.4, 7.0, 9.2], [1.0, 2.7, 12.1]) == 7.0
    assert kaplan_meier_median([1.0], [1.0]) == 1.0
    assert kaplan_meier_median([], [1.0]) is None


def test_the_median_is_covered_whatever_is_cut_off():
    """Exponential times, of which a fifth outlive the run; left out, half of them would be less."""
    random, hits, without = np.random.default_rng(5), 0, 0
    for _ in range(400):
        times = random.exponential(37 * S, 30)
        limits = first_kill(runs(seen(times)), 0.95).limits
        hits += limits.low <= 37 * S * np.log(2) <= limits.high
        left = first_kill(runs([time for time in times if time <= HORIZON]), 0.95).limits
        without += left.low <= 37 * S * np.log(2) <= left.high
    assert hits >= 360  # of 400 at 95 %: fewer has a chance of 2e-5
    assert without < 360


def test_differences_are_told_where_cutting_off_leaves_them():
    sooner = runs([n * S for n in range(1, 11)])
    later = runs([n * S + 20 * S for n in range(1, 9)] + [None] * 2)
    told = paired_first_kill(later, sooner, 0.95)
    assert told["text"] == "later; no kill in 2 of 10 pairs"
    assert (told["low"], told["high"]) == (20 * S, None)
    assert paired_first_kill(sooner, later, 0.95)["text"].startswith("sooner")
    whole = paired_first_kill(runs([30 * S + n for n in range(9)]), runs([S] * 9), 0.95)
    assert whole["text"].startswith("later: median +29 s (+29 s to +29 s)")


def test_where_both_are_cut_off_it_cannot_tell():
    told = paired_first_kill(runs([None] * 8 + [S] * 2), runs([None] * 8 + [3 * S] * 2), 0.95)
    assert told["text"] == "cannot tell; no kill in 8 of 10 pairs"
    assert (told["difference"], told["low"], told["high"]) == (None, None, None)


# -- in a comparison --------------------------------------------------------------------


def compared(time_of, **options):
    def simulate(scenario, *, seed, replication):
        time = time_of(scenario["host"]["cpus"], replication)
        killed = {"code": "killed", "severity": "error", "what": "killed", "where": ""}
        return {
            "metrics": {"first_oom_ns": time, "oom_kills": int(time is not None), "forks": 1},
            "validity": [] if time is None else [killed],
            "simulated_ns": HORIZON,
            "ending": "horizon",
        }

    base = load_scenario("redis_bgsave", ["host.cpus=2"])
    variants = {"base": base, "more": load_scenario("redis_bgsave", ["host.cpus=4"])}
    executor = InlineExecutor(simulate)
    return compare(variants, ["first_oom_ns"], executor, Silent(), seed=1, **options)


def test_a_comparison_takes_runs_with_kills_and_runs_without():
    found = compared(lambda cpus, r: (10 + r % 7) * S if cpus == 2 else None)
    (row,) = found.rows
    assert row.verdict == "more"
    assert (row.limits.low, row.limits.high) == (pytest.approx(60 / 16), inf)
    assert row.n_cut_off == row.n == found.n
    assert not found.unanswered


def test_it_is_shown_and_is_json_without_infinities(capsys):
    found = compared(lambda cpus, r: (10 + r % 7) * S if cpus == 2 else None)
    _show(found)
    shown = capsys.readouterr().out
    assert re.search(r"first_oom_ns +1[\d.]+ s +not seen +\? +more +3\.75 +\?", shown)
    assert "A run without a kill counts as longer than it was watched" in shown
    (row,) = json.loads(json.dumps(_document(found), allow_nan=False))["rows"]
    assert (row["other"], row["median"], row["high"]) == (None, None, None)
    assert row["low"] == pytest.approx(3.75)
    assert row["pairs_cut_off"] == row["pairs"]
    _show(compared(lambda cpus, r: S * (1 + cpus) if r % 10 == 0 else None))
    assert re.search(
        r"Cannot tell: first_oom_ns no kill in \d+ of \d+ pairs", capsys.readouterr().out
    )


def test_a_comparison_cannot_tell_what_was_cut_off_on_both_sides():
    found = compared(lambda cpus, r: S * (1 + cpus) if r % 10 == 0 else None)
    (row,) = found.rows
    assert row.verdict == "cannot tell"
    assert row.base is None or row.base == inf
    assert row.more_runs is None


def test_without_any_kill_there_is_no_row():
    assert compared(lambda cpus, r: None, most=8).rows == ()


def test_a_span_over_another_is_what_it_may_be():
    from sim.study.first_kill import less, times

    assert times(Span(4, inf), Span(2, 8)) == Span(0.5, inf)
    assert less(Span(4, inf), Span(2, 8)) == Span(-4, inf)
