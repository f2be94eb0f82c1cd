"""A mean has an interval only where one is known to hold."""

import pytest

from sim.study.near_normal import has_interval
from sim.study.summary import Summary, summarised, summary_text

VALUES = [100.0, 104.0, 97.0, 101.0, 99.0]


@pytest.mark.parametrize(
    ("metric", "programs", "values", "expected"),
    [
        ("cow_copies", {"redis"}, VALUES, True),
        ("cow_copies", {"redis", "prefork_web"}, VALUES, True),
        ("cow_copies", {"redis", "steps"}, VALUES, False),  # nobody has looked at such a scenario
        ("cow_copies", set(), VALUES, False),
        ("cow_reuses", {"build_storm"}, VALUES, False),
        ("fork_latency_ns.mean", {"redis"}, VALUES, False),
        ("cow_copies", {"redis"}, VALUES[:4], False),  # too few
        ("cow_copies", {"redis"}, [100.0] * 5, False),  # no spread: not normal
        ("cow_copies", {"redis"}, [100.0, 101.0, 99.0, 100.5, 300.0], False),
    ],
)
def test_which_means_have_an_interval(metric, programs, values, expected):
    assert has_interval(metric, programs, values) is expected
    summary = summarised(metric, values, 0.95, programs)
    assert (summary.half_width is not None) is expected


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (Summary(1e6, 9e5, 1.2e6, 10), "1 ms (900 us to 1.2 ms in 10 runs)"),
        (Summary(1e6, 9e5, 1.2e6, 10, 5e4), "1 ms ± 50 us"),
        (Summary(1e6, 1e6, 1e6, 10), "1 ms"),
    ],
)
def test_what_is_printed_of_a_mean(summary, text):
    assert summary_text("fork_latency_ns.mean", summary) == text
