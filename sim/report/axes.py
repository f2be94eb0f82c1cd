"""Axes of quantities: ticks at round numbers of a unit that people use, and their texts."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from matplotlib.ticker import FuncFormatter, MaxNLocator

from sim.base.units import GIB, HOUR, KIB, MIB, MINUTE, TIB, format_bytes, format_duration

_UPPER: Final = {"oom": "OOM", "cow": "COW", "cpu": "CPU", "psi": "PSI"}
_PERCENTILE: Final = re.compile(r"_ns\.p\d+$")
_STEPS: Final = [1, 2, 2.5, 5, 10]
_BYTE_UNITS: Final = (TIB, GIB, MIB, KIB, 1)
_TIME_UNITS: Final = (HOUR, MINUTE, 1)


class _RoundIn(MaxNLocator):
    """Ticks at round multiples of the largest of some units that the axis reaches."""

    def __init__(self, units: tuple[int, ...], n_ticks: int) -> None:
        super().__init__(nbins=n_ticks, steps=_STEPS)
        self._units = units

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Return the places of ticks from `vmin` to `vmax`."""
        reach = max(abs(vmin), abs(vmax))
        unit = next((unit for unit in self._units if reach >= 1.5 * unit), 1)
        return [place * unit for place in super().tick_values(vmin / unit, vmax / unit)]


def quantity_axis(axis: Any, metric: str, *, n_ticks: int = 6) -> None:
    """Give an x- or y-axis of a metric's values round ticks in the metric's unit.

    The unit is taken from the metric's name, as `sim.scenario.conditions.metric_text` does.
    """
    units, show = _units_of(metric)
    axis.set_major_locator(_RoundIn(units, n_ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _signed(show, value)))


def metric_words(metric: str) -> str:
    """Return what people call a metric.

    >>> metric_words("fork_latency_ns.mean"), metric_words("oom_kills")
    ('fork latency, mean', 'OOM kills')
    """
    name, _, part = metric.partition(".")
    for unit in ("_ns", "_bytes"):
        name = name.removesuffix(unit)
    words = " ".join(_UPPER.get(word, word) for word in name.split("_"))
    return f"{words}, {part.replace('_', ' ')}" if part else words


def value_words(metric: str) -> str:
    """Return what of a metric a table of points has as its middle value.

    >>> value_words("request_latency_ns.p99"), value_words("cow_copies")
    ('of all values of the runs together', 'mean over replications')
    """
    if _PERCENTILE.search(metric):
        return "of all values of the runs together"
    return "mean over replications"


def _units_of(metric: str) -> tuple[tuple[int, ...], Callable[[float], str]]:
    if "_ns" in metric and not metric.endswith(".count"):
        return _TIME_UNITS, format_duration
    if "_bytes" in metric:
        return _BYTE_UNITS, format_bytes
    return (1,), _share if "fraction" in metric or metric.startswith("psi_") else _plain


def _signed(show: Callable[[float], str], value: float) -> str:
    return f"−{show(-value)}" if value < 0 else show(value)


def _share(value: float) -> str:
    return f"{100 * value:.3g} %"


def _plain(value: float) -> str:
    return f"{value:,.6g}"
