"""The time to the first kill: `first_oom_ns`, which a run without a kill cuts off at its end.

A run in which nobody was killed says that the time is longer than the run.  To leave it out would
make all times look shorter, so it counts as what it is: between its end and never.  Medians over
runs hold whatever was cut off (`sim.stats.paired.median_limits_between`), and are open where too
much was.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from sim.base.counts import out_of
from sim.base.errors import InsufficientDataError
from sim.base.units import format_duration
from sim.stats.paired import MedianLimits, least_pairs, median_limits_between
from sim.study.records import Record

FIRST_KILL: Final = "first_oom_ns"
ABOUT_KILLS: Final = frozenset({FIRST_KILL, "oom_kills"})
"""Metrics of which a run with a kill is an answer, and one that its horizon cut off as well."""


class Span(NamedTuple):
    """What is known of a value: it is at least `low` and at most `high`."""

    low: float
    high: float


def span_of(metric: str, value: float | None, ended_ns: float) -> Span | None:
    """Return what a run that ended then says of a metric; None if it says nothing."""
    if value is not None:
        return Span(value, value)
    return Span(ended_ns, math.inf) if metric == FIRST_KILL else None


def less(a: Span, b: Span) -> Span:
    """Return a minus b."""
    return Span(a.low - b.high, a.high - b.low)


def times(a: Span, b: Span) -> Span:
    """Return a over b, both above 0.

    >>> times(Span(6, 6), Span(3, math.inf)), times(Span(5, math.inf), Span(2, math.inf))
    (Span(low=0.0, high=2.0), Span(low=0.0, high=inf))
    """
    return Span(a.low / b.high, a.high / b.low)


@dataclass(frozen=True, slots=True)
class FirstKill:
    """The time to the first kill over the runs of a cell.

    `median_ns` is that of Kaplan and Meier's curve, None where it does not come down to a half;
    `limits` are None where there are too few runs.
    """

    n: int
    n_killed: int
    shortest_ns: float
    """Until when the run was watched that was cut off first; of all, if none was cut off."""
    median_ns: float | None
    limits: MedianLimits | None

    @property
    def text(self) -> str:
        """What is known of it, for people."""
        cut = f"no kill in {out_of(self.n - self.n_killed, self.n, 'run')} of"
        ended = f"{cut} {format_duration(self.shortest_ns)}" if self.n > self.n_killed else ""
        if not self.n_killed:
            return ended
        middle = "median not known"
        if self.median_ns is not None:
            middle = f"median {format_duration(self.median_ns)}"
        return "; ".join(part for part in (f"{middle}{self._limits_text()}", ended) if part)

    def _limits_text(self) -> str:
        if self.limits is None:
            return ""
        low = format_duration(self.limits.low)
        if self.limits.high == math.inf:
            return f" (at least {low})"
        return f" ({low} to {format_duration(self.limits.high)})"


def first_kill(records: Sequence[Record], confidence: float) -> FirstKill:
    """Return the time to the first kill over runs; there must be one."""
    spans = [_span(record) for record in records]
    killed = [span for span in spans if span.high < math.inf]
    cut_off = [span.low for span in spans if span.high == math.inf]
    error = 1 - confidence
    limits = None
    if len(spans) >= least_pairs(error):
        limits = median_limits_between(*_sides(spans), error=error)
    return FirstKill(
        n=len(spans),
        n_killed=len(killed),
        shortest_ns=min(cut_off or [span.low for span in spans]),
        median_ns=kaplan_meier_median([span.low for span in killed], cut_off),
        limits=limits,
    )


def kaplan_meier_median(seen: Sequence[float], cut_off: Sequence[float]) -> float | None:
    """Return the time by which half have had it, by Kaplan and Meier (1958); None if that is open.

    `cut_off` are the times until which the others were watched.

    >>> kaplan_meier_median([1.0, 2.0, 3.0], [1.5]), kaplan_meier_median([1.0], [2.0, 2.0])
    (2.0, None)
    """
    if not seen:
        return None
    from scipy import stats

    sample: Any = stats.CensoredData(uncensored=list(seen), right=list(cut_off))
    left = stats.ecdf(sample).sf
    down = np.flatnonzero(left.probabilities <= 0.5 * (1 + 1e-12))
    return float(left.quantiles[down[0]]) if len(down) else None


def median_first_kill(records: Sequence[Record]) -> float:
    """Return the median time to the first kill; raises `InsufficientDataError` where it is open."""
    found = first_kill(records, 0.95)
    if found.median_ns is None:
        raise InsufficientDataError(f"{FIRST_KILL} has no median: {found.text}")
    return found.median_ns


def paired_first_kill(
    treated: Sequence[Record], control: Sequence[Record], confidence: float
) -> Mapping[str, Any]:
    """Return columns of a table: the median difference between runs with the same random numbers.

    None of them is told where too much was cut off.
    """
    ours, base = ({r.place.replication: _span(r) for r in side} for side in (treated, control))
    pairs = [less(ours[r], base[r]) for r in sorted(ours.keys() & base.keys())]
    found = None
    if len(pairs) >= least_pairs(1 - confidence):
        found = median_limits_between(*_sides(pairs), error=1 - confidence)
    known = found is not None and found.median is not None
    bounded = found is not None and math.isfinite(found.low) and math.isfinite(found.high)
    verdict = "cannot tell" if found is None else found.finding(0.0, 0.0)
    n_cut = sum(not (math.isfinite(low) and math.isfinite(high)) for low, high in pairs)
    told = {"more": "later", "less": "sooner", "same": "the same"}.get(verdict, verdict)
    if found is not None and known and bounded:
        told += f": median {_signed(found.median or 0.0)}"
        told += f" ({_signed(found.low)} to {_signed(found.high)})"
    cut = f"; no kill in {out_of(n_cut, len(pairs), 'pair')}" if n_cut else ""
    return {
        "difference": found.median if found is not None else None,
        "half_width": None,
        "low": found.low if found is not None and math.isfinite(found.low) else None,
        "high": found.high if found is not None and math.isfinite(found.high) else None,
        "n": len(pairs),
        "text": told + cut,
    }


def _span(record: Record) -> Span:
    span = span_of(FIRST_KILL, record.scalars.get(FIRST_KILL), record.ended_ns)
    assert span is not None  # of this metric every run says something
    return span


def _sides(spans: Sequence[Span]) -> tuple[list[float], list[float]]:
    return [span.low for span in spans], [span.high for span in spans]


def _signed(ns: float) -> str:
    sign = "-" if ns < 0 else "+" if ns > 0 else ""
    return f"{sign}{format_duration(abs(ns))}"
