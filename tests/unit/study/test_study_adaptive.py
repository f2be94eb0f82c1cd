from dataclasses import replace

import pytest

from sim.base.errors import InsufficientDataError
from sim.stats.tolerance import UpperBound
from sim.study import adaptive
from sim.study.adaptive import figure_is_sure, host_is_sure, mean_is_sure, need_is_sure
from sim.study.answer import precision_sentences
from sim.study.need import Need

NEED = Need(
    mean_bytes=1000.0,
    seen_bytes=(970.0, 1030.0),
    bound=UpperBound(1040.0, 0.99, 0.95, 10, "normal theory"),
    low_bytes=960.0,
    parts_bytes={},
)


@pytest.mark.parametrize(
    ("ran_out", "usable", "sure"),
    [
        ([False, True, False], 2000, False),  # the runs disagree
        ([True] * 3, 900, True),  # far too small
        ([True] * 3, 955, True),  # below the lower bound
        ([True] * 3, 965, False),  # within the bounds: might hold
        ([True] * 3, 2000, False),  # ran out although it should be large enough
        ([False] * 3, 1035, False),  # within the bounds: might run out
        ([False] * 3, 1050, True),  # above the upper bound
        ([False] * 3, 900, False),  # held although it should be too small
        ([], 2000, False),  # no run yet
    ],
)
def test_a_host_is_sure_when_its_runs_agree_and_it_is_out_of_the_band(ran_out, usable, sure):
    assert host_is_sure(ran_out, usable_bytes=usable, need=NEED, margin=0.01) is sure


def test_the_margin_widens_the_band():
    assert host_is_sure([False] * 3, usable_bytes=1050, need=NEED, margin=0.01)
    assert not host_is_sure([False] * 3, usable_bytes=1050, need=NEED, margin=0.1)


def test_without_a_need_nothing_is_sure():
    assert not host_is_sure([False] * 3, usable_bytes=10**9, need=None, margin=0.01)


def test_a_need_is_sure_when_its_bound_is_close_to_its_mean():
    assert need_is_sure(NEED, 0.05)
    assert not need_is_sure(NEED, 0.03)
    assert not need_is_sure(None, 0.5)


def test_a_need_is_not_sure_while_runs_are_too_few_for_the_share_asked_for():
    """The largest of three runs is close to their mean, but bounds 37 % of all."""
    few = replace(NEED, bound=UpperBound(1001.0, 0.368, 0.95, 3, "largest value"))
    assert not need_is_sure(few, 0.05)


def test_a_mean_is_sure_when_its_interval_is_narrow():
    assert mean_is_sure([100.0, 101.0, 99.0], precision=0.05, confidence=0.95)
    assert not mean_is_sure([100.0, 180.0, 20.0], precision=0.05, confidence=0.95)
    assert not mean_is_sure([100.0], precision=0.05, confidence=0.95)


def test_a_mean_is_sure_from_the_half_width_on_and_not_before():
    """Half the width is 2.4843 % of the mean: t(0.975, 2) = 4.3027 times 1 / sqrt(3)."""
    values = [99.0, 100.0, 101.0]
    assert mean_is_sure(values, precision=0.0249, confidence=0.95)
    assert not mean_is_sure(values, precision=0.0248, confidence=0.95)


def test_two_looks_ask_for_more_than_one():
    """t(0.9875, 2) = 6.2053: 3.5827 % of the mean."""
    values = [99.0, 100.0, 101.0]
    assert mean_is_sure(values, precision=0.0359, confidence=0.95, looks=2)
    assert not mean_is_sure(values, precision=0.0358, confidence=0.95, looks=2)


def test_a_percentile_is_sure_by_the_limits_of_all_values(monkeypatch):
    """Not by those of the mean of each run's own."""
    asked = []

    def limits(told, metric, confidence):
        asked.append((metric, confidence))
        return 96.0, 105.0

    monkeypatch.setattr(adaptive, "distributions_of", lambda store, records: records)
    monkeypatch.setattr(adaptive, "pooled_percentile", lambda told, records, metric: 100.0)
    monkeypatch.setattr(adaptive, "percentile_limits", limits)
    wants = {"confidence": 0.95, "looks": 2}
    assert figure_is_sure(None, [], "fork_latency_ns.p99", precision=0.05, **wants)
    assert not figure_is_sure(None, [], "fork_latency_ns.p99", precision=0.049, **wants)
    assert asked == [("fork_latency_ns.p99", 0.975)] * 2

    def too_few(*_):
        raise InsufficientDataError("19 runs have values, limits take 20")

    monkeypatch.setattr(adaptive, "percentile_limits", too_few)
    assert not figure_is_sure(None, [], "fork_latency_ns.p99", precision=9.0, **wants)


@pytest.mark.parametrize(
    ("metric", "said"), [("cow_copies", "mean"), ("fork_latency_ns.p99", "percentile")]
)
def test_what_was_to_be_precise_is_named(metric, said):
    (told,) = precision_sentences({"asked": 0.05, "reached": True}, metric)
    assert told == f"The precision asked for, 5 % of the {said}, was reached."
