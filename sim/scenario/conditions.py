"""Conditions on a run's metrics, as an objective states them: ``fork_latency_ns.max <= 50 ms``."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.base.text import shorten
from sim.base.units import format_bytes, format_duration, parse_bytes, parse_duration
from sim.engine.metrics import METRICS, meant_metric
from sim.scenario.complaints import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_HOLDS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_CONDITION: Final = re.compile(r"\s*([\w.]+)\s*(<=|>=|==|=|<|>)\s*(\S.*?)\s*")
_SHARE: Final = re.compile(r"([0-9.]+)\s*%")
_EXAMPLE: Final = "write e.g. `oom_kills = 0` or `fork_latency_ns.max <= 50 ms`"


@dataclass(frozen=True, slots=True)
class Condition:
    """A metric, how it compares, and with what, in the metric's base unit."""

    metric: str
    comparison: str
    limit: float

    def holds(self, value: float | None) -> bool | None:
        """Return whether it holds for a metric's `value`; None if that has no samples."""
        return None if value is None else _HOLDS[self.comparison](value, self.limit)

    @property
    def is_upper(self) -> bool:
        """Whether large values are what breaks it."""
        return self.comparison in ("<", "<=", "=")

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {metric_text(self.metric, self.limit)}"


def metric_text(metric: str, value: float) -> str:
    """Return a metric's value for people, its unit taken from its name.

    >>> metric_text("fork_latency_ns.mean", 1.5e6), metric_text("oom_kills", 3.0)
    ('1.5 ms', '3')
    """
    if _is_time(metric):
        return format_duration(value)
    if _is_size(metric):
        return format_bytes(value)
    if _is_share(metric):
        return f"{100 * value:.3g} %"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def no_such_metric(name: str, known: Collection[str] = METRICS) -> str | None:
    """Return what is wrong with a metric's name, with what would be right; None if nothing is.

    >>> no_such_metric("forks"), no_such_metric("fork_latency")
    (None, "runs have no metric 'fork_latency'; did you mean 'fork_latency_ns.mean'?")
    """
    if name in known:
        return None
    meant = meant_metric(name)
    hint = f"did you mean {meant!r}?" if meant else suggestion(name, sorted(known))
    return f"runs have no metric {shorten(name)!r}; {hint}"


def condition_of(text: str) -> Condition:
    """Return the condition that `text` states; raises `ValueError`, with what would be right.

    >>> condition_of("fork_latency_ns.max<=50ms")
    Condition(metric='fork_latency_ns.max', comparison='<=', limit=50000000)
    >>> print(condition_of("psi_memory_some < 5 %"))
    psi_memory_some < 5 %
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no condition; {_EXAMPLE}")
    metric, comparison, limit = found.groups()
    if wrong := no_such_metric(metric):
        raise ValueError(wrong)
    return Condition(metric, "=" if comparison == "==" else comparison, _limit(metric, limit))


def _limit(metric: str, text: str) -> float:
    if _is_time(metric):
        return parse_duration("0 ns" if text == "0" else text)
    if _is_size(metric):
        return parse_bytes("0 B" if text == "0" else text)
    share = _SHARE.fullmatch(text)
    try:
        if share is not None and _is_share(metric):
            return float(share[1]) / 100
        return float(text.replace(",", ""))
    except ValueError:
        like = "`5 %` or `0.05`" if _is_share(metric) else "`0` or `1000`"
        raise ValueError(f"{text!r} is no limit of {metric}; write e.g. {like}") from None


def _is_time(metric: str) -> bool:
    return "_ns" in metric and not metric.endswith(".count")


def _is_size(metric: str) -> bool:
    return "_bytes" in metric


def _is_share(metric: str) -> bool:
    return "fraction" in metric or metric.startswith("psi_")
