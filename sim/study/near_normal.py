"""Metrics whose mean over runs has a confidence interval that holds: the list, with its evidence.

Student's interval is exact for normal values and far off for others: of the mean fork latency of a
web server it covers 58 % where it claims 95 %.  So it is printed only for what is on this list, and
elsewhere the range of the runs.  On it are sums over many pages or requests, each of which happens
or not and hardly depends on the others, program by program: one run of `build_storm` in a hundred
reuses 50 pages and the others none, so that the same metrics are not near normal there.

Evidence: drawn from stored runs of the scenario that ships with each program
(`tests/support/pools.py`), the interval covers at least 94.5 % at n = 5, 10 and 30
(`tests/truth/test_estimator_coverage.py`, class TestNearNormal).
"""

from collections.abc import Mapping, Sequence, Set
from typing import Final

from sim.stats.tolerance import GUARD_LEVEL, shapiro_p

NEAR_NORMAL: Final[Mapping[str, Set[str]]] = {
    "cow_copies": {"redis", "prefork_web"},
    "cow_reuses": {"redis"},
    "memory_need_bytes.cow_copies": {"redis", "prefork_web"},
    "minor_faults": {"redis", "prefork_web"},
    "fault_latency_ns.count": {"redis", "prefork_web"},
    "request_latency_ns.count": {"redis", "prefork_web"},
}
"""The programs of scenarios in which each metric is near normal."""

FEWEST: Final = 5
"""With fewer runs even these metrics' intervals fall short."""


def has_interval(metric: str, programs: Set[str], values: Sequence[float]) -> bool:
    """Return whether the mean of a metric's `values`, one a run, has an interval that holds.

    `programs` are those of the scenario.  Values that the Shapiro-Wilk test speaks against have
    none, whatever the list says.
    """
    listed = NEAR_NORMAL.get(metric, frozenset())
    if not programs or not programs <= listed or len(values) < FEWEST:
        return False
    return shapiro_p(values) >= GUARD_LEVEL
