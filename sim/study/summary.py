"""A metric over the runs of a cell: its mean, how sure that is, and how it is told."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final

from sim.base.counts import out_of
from sim.base.errors import InsufficientDataError
from sim.scenario.conditions import metric_text
from sim.stats.estimate import mean_over_replications
from sim.study.near_normal import has_interval
from sim.study.percentiles import (
    Distributions,
    percent_of,
    percentile_limits,
    pooled_percentile,
)
from sim.study.records import Record


@dataclass(frozen=True, slots=True)
class Summary:
    """A metric over the runs of a cell: its mean, the smallest and the largest value.

    `half_width` is that of the mean's confidence interval, None where none would hold; `limits` are
    those of a percentile of all values, None where too few runs reach beyond it.
    """

    mean: float
    low: float
    high: float
    n: int
    half_width: float | None = None
    limits: tuple[float, float] | None = None


def summary_of(
    records: Sequence[Record],
    metric: str,
    confidence: float,
    distributions: Distributions,
    *,
    limited: bool = True,
) -> Summary | None:
    """Return a metric over the runs of a cell; None where some run lacks it.

    The `mean` of a percentile is the percentile of all values; None where they are too few.  It has
    limits if it is to be `limited`: a bootstrap takes some milliseconds.
    """
    values = values_of(records, metric)
    if values is None:
        return None
    summary = summarised(metric, values, confidence, programs_of(records))
    if percent_of(metric) is None:
        return summary
    try:
        summary = replace(summary, mean=pooled_percentile(distributions, records, metric))
    except InsufficientDataError:
        return None
    if not limited:
        return summary
    try:
        return replace(summary, limits=percentile_limits(distributions, metric, confidence))
    except InsufficientDataError:
        return summary


def programs_of(records: Sequence[Record]) -> frozenset[str]:
    """Return the programs of runs' scenarios, all together."""
    return frozenset().union(*(record.programs for record in records))


def summarised(
    metric: str, values: Sequence[float], confidence: float, programs: Set[str]
) -> Summary:
    """Return the summary of values of a metric, one a replication; at least one."""
    half_width = None
    if has_interval(metric, programs, values):
        half_width = mean_over_replications(values, confidence=confidence).half_width
    mean = sum(values) / len(values)
    return Summary(mean, min(values), max(values), len(values), half_width)


def values_of(records: Sequence[Record], metric: str) -> list[float] | None:
    """Return a metric's value in every run, or None if a run has none or is stuck."""
    if "deadlock" in map(_ENDING, records):
        return None
    return _in_all(records, metric)


_ENDING: Final = attrgetter("ending")


def _in_all(records: Sequence[Record], metric: str) -> list[float] | None:
    values = [record.scalars.get(metric) for record in records]
    known = [value for value in values if value is not None]
    return known if known and len(known) == len(values) else None


def mean_of(records: Sequence[Record], metric: str) -> float | None:
    """Return a metric's mean over runs, however they ended; None if a run has no value."""
    values = _in_all(records, metric)
    return None if values is None else sum(values) / len(values)


def n_not_answered(records: Sequence[Record]) -> int:
    """Return how many runs are no answer."""
    return sum(1 for record in records if record.errors)


def summary_text(metric: str, summary: Summary) -> str:
    """Return a summary for people, in the metric's unit: what is known of the mean, or the range.

    >>> summary_text("cow_copies", Summary(14.0, 12.0, 17.0, 10))
    '14 (12 to 17 in 10 runs)'
    """
    mean = metric_text(metric, summary.mean)
    if summary.half_width is not None:
        return f"{mean} ± {metric_text(metric, summary.half_width)}"
    if summary.low == summary.high:
        return mean
    if summary.limits is not None:
        low, high = (metric_text(metric, limit) for limit in summary.limits)
        return f"{mean} ({low} to {high}, by a bootstrap over {summary.n} runs)"
    low, high = metric_text(metric, summary.low), metric_text(metric, summary.high)
    return f"{mean} ({low} to {high} in {summary.n} runs)"


def text_of(metric: str, summary: Summary | None, records: Sequence[Record]) -> str:
    """Return a summary for people, with how many of its runs are no answer."""
    told = [] if summary is None else [summary_text(metric, summary)]
    if summary is None and percent_of(metric) is not None and values_of(records, metric):
        told = ["too few values"]
    if lost := n_not_answered(records):
        told.append(f"[{out_of(lost, len(records), 'run')} not answered]")
    return " ".join(told)
