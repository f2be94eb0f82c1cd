import re

import pytest

from sim.scenario.conditions import condition_of

READ = [
    ("oom_kills = 0", "oom_kills", "=", 0),
    ("oom_kills==0", "oom_kills", "=", 0),
    ("fork_latency_ns.max <= 50 ms", "fork_latency_ns.max", "<=", 50_000_000),
    ("memory_need_bytes.total<1.5GiB", "memory_need_bytes.total", "<", 1_610_612_736),
    ("psi_memory_some < 5 %", "psi_memory_some", "<", 0.05),
    ("cpu_busy_fraction <= 0.7", "cpu_busy_fraction", "<=", 0.7),
    ("request_latency_ns.count >= 1,000", "request_latency_ns.count", ">=", 1000),
    ("first_oom_ns > 10 min", "first_oom_ns", ">", 600_000_000_000),
]
REFUSED = [
    ("oom_kills", "is no condition; write e.g."),
    ("oom_kills is 0", "is no condition"),
    ("oom_kill = 0", "runs have no metric 'oom_kill'; did you mean 'oom_kills'?"),
    ("fork_latency <= 1 ms", "did you mean 'fork_latency_ns.mean'?"),
    ("fork_latency_ns.max <= 50", "50"),
    ("memory_need_bytes.total <= big", "big"),
    ("psi_memory_some <= often", "write e.g. `5 %` or `0.05`"),
    ("oom_kills = none", "write e.g. `0` or `1000`"),
    ("oom_kills = 5 %", "write e.g. `0` or `1000`"),
]


@pytest.mark.parametrize(("text", "metric", "comparison", "limit"), READ)
def test_a_condition_is_read(text, metric, comparison, limit):
    condition = condition_of(text)
    assert (condition.metric, condition.comparison) == (metric, comparison)
    assert condition.limit == pytest.approx(limit)


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_no_condition_is_refused_with_what_would_be(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        condition_of(text)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("oom_kills = 0", 0, True),
        ("oom_kills = 0", 1, False),
        ("fork_latency_ns.max <= 50 ms", 50e6, True),
        ("fork_latency_ns.max < 50 ms", 50e6, False),
        ("free_pages.min >= 10", 9, False),
        ("free_pages.min > 10", 11, True),
        ("fork_latency_ns.max < 50 ms", None, None),
    ],
)
def test_it_holds_or_not_and_nothing_is_known_without_samples(text, value, holds):
    assert condition_of(text).holds(value) is holds


@pytest.mark.parametrize("text", [text for text, *_ in READ])
def test_what_it_prints_reads_as_itself(text):
    condition = condition_of(text)
    assert condition_of(str(condition)) == condition
