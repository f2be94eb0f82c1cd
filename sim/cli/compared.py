"""What a comparison says of a metric: figures, verdicts, and the largest change in a sentence."""

from __future__ import annotations

from math import isfinite, isinf, log
from typing import TYPE_CHECKING

from sim.base.counts import counted, out_of
from sim.engine.metrics import LATENCIES
from sim.scenario.conditions import metric_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.study.compare import Row


def figure(metric: str, value: float) -> str:
    """Return a value of a metric for people."""
    return "not seen" if isinf(value) else metric_text(metric, value)


def middle(row: Row, value: float | None) -> str:
    """Return a median; of times that too many runs have cut off, that none is known."""
    return "not seen" if value is None else figure(row.metric, value)


def change(row: Row) -> tuple[str, str, str]:
    """Return how a metric changes, and from where to where that is certain."""
    if row.identical:
        return "none", "", ""
    if row.limits is None:
        return "?", "", ""

    def text(x: float | None, unit: str = "") -> str:
        if x is None or isinf(x):
            return "?"
        if row.is_ratio:
            return f"{x:.{4 if x >= 0.1 else 3}g}{unit}"
        return f"{'-' if x < 0 else '+' if x > 0 else ''}{metric_text(row.metric, abs(x))}"

    return text(row.limits.median, " x"), text(row.limits.low), text(row.limits.high)


def to_tell(row: Row) -> str:
    """Return what a metric that cannot be told lacks; nothing if that is not known."""
    if row.verdict != "cannot tell":
        return ""
    if row.n_cut_off:
        return f"no kill in {out_of(row.n_cut_off, row.n, 'pair')}"
    return f"+{counted(row.more_runs, 'pair')}" if row.more_runs else ""


def verdict(row: Row) -> str:
    """Return a verdict, with what it lacks where it is none."""
    lacks = to_tell(row)
    return f"{row.verdict}: {lacks}" if lacks else row.verdict


def times(gain: float) -> str:
    """Return by what something grows, of three digits."""
    return f"{gain:,.0f}" if gain >= 100 else f"{gain:.3g}"


def largest_change(rows: Iterable[Row]) -> str:
    """Return the largest ratio that is told, in a sentence; nothing where none is."""
    told = [
        (abs(log(row.limits.median)), row, row.limits)
        for row in rows
        if row.is_ratio
        and row.verdict in ("more", "less")
        and row.limits is not None
        and row.limits.median is not None
        and all(x > 0 and isfinite(x) for x in (row.limits.median, row.limits.low, row.limits.high))
    ]
    if not told:
        return ""
    _, row, limits = max(told, key=lambda each: each[0])
    assert limits.median is not None

    def span(median: float, low: float, high: float) -> str:
        return f"{times(median)} times ({times(low)} to {times(high)})"

    fast = ""
    if row.verdict == "less" and row.metric.partition(".")[0] in LATENCIES:
        fast = f", {span(1 / limits.median, 1 / limits.high, 1 / limits.low)} as fast"
    ratio = span(limits.median, limits.low, limits.high)
    return f"With {row.variant} {row.metric} is {ratio} that of base{fast}."
