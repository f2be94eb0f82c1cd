"""Metrics whose mean over runs has a confidence interval that holds.

Student's interval is exact for normal values and far off for others: of the mean fork latency of a
web server it covers 58 % where it claims 95 %.  So it is printed only for metrics that a program
lists as near normal, and elsewhere the range of the runs.  They are sums over many pages or
requests, each of which happens or not and hardly depends on the others.  That differs from program
to program: one run of `build_storm` in a hundred reuses 50 pages and the others none.

Evidence: drawn from stored runs of the scenario that ships with each program
(`tests/support/pools.py`), the interval covers at least 94.5 % at n = 5, 10 and 30
(`tests/truth/test_estimator_coverage.py`, class TestNearNormal).
"""

from collections.abc import Sequence, Set
from typing import Final

from sim.program import PROGRAMS
from sim.program.declared import near_normal_of
from sim.stats.tolerance import GUARD_LEVEL, shapiro_p

FEWEST: Final = 5
"""With fewer runs even these metrics' intervals fall short."""


def has_interval(metric: str, programs: Set[str], values: Sequence[float]) -> bool:
    """Return whether the mean of a metric's `values`, one a run, has an interval that holds.

    `programs` are those of the scenario, all of which must list the metric.  Values that the
    Shapiro-Wilk test speaks against have none, whatever is listed.
    """
    if not programs or len(values) < FEWEST:
        return False
    if not all(name in PROGRAMS and metric in near_normal_of(PROGRAMS[name]) for name in programs):
        return False
    return shapiro_p(values) >= GUARD_LEVEL
