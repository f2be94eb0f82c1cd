"""Tables of a report as texts: the points, what they need, what they show."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sim.base.units import format_bytes, format_bytes_up, format_duration
from sim.machine.parts import PARTS
from sim.report.figures.design import named_axes

_NEED_PARTS: Final = ("cow_copies", "page_tables")
"""Parts of the need that the table of points has beside the whole."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of texts; a column's class says how it is set (`k` a name, `n` a number)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...]
    file: str
    title: str = ""


def points_grid(
    table: Any, axes: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> Grid | None:
    """Return one row a point: its levels, and some metrics."""
    if table.empty or not metrics:
        return None
    axes = named_axes(table, axes)
    keys = [axis["key"] for axis in axes]
    own = table[table["metric"].isin(list(metrics))]
    wide = own.pivot_table(index=keys, columns="metric", values="text", aggfunc="first", sort=False)
    shown = [metric for metric in metrics if metric in wide.columns]
    rows = []
    for levels, texts in wide.iterrows():
        names = levels if isinstance(levels, tuple) else (levels,)
        rows.append((*map(str, names), *(str(texts[metric]) for metric in shown)))
    columns = (*(axis["label"] for axis in axes), *shown)
    return Grid(columns, tuple(rows), _classes(len(axes), len(columns)), "points.csv")


def effects_grid(table: Any) -> Grid | None:
    """Return the effects of a factorial, or shares of variance over points that fill ranges."""
    if table.empty:
        return None
    if "share" in table:
        own, last = table[table["share"].notna()], "share of the variance over the points"
        texts = [
            f"{round(100 * s)} ± {round(200 * e)} %"  # not -0
            for s, e in zip(own["share"], own["error"], strict=True)
        ]
    else:
        own, last, texts = table, "difference, from low to high", list(table["text"])
    rows = zip(own["metric"], own["effect"], texts, map(str, own["points"]), strict=True)
    columns = ("metric", "effect", last, "points")
    return Grid(columns, tuple(rows), ("k", "k", "n", "n"), "effects.csv") if len(own) else None


def need_grid(table: Any, fork: Any, axes: Sequence[Mapping[str, Any]]) -> Grid | None:
    """Return one row a point: the host that it needs, and what for."""
    if table.empty:
        return None
    axes = named_axes(table, axes)
    forks = {} if fork.empty else {row["point"]: row for _, row in fork.iterrows()}
    rows = []
    for _, row in table.iterrows():
        times = row["times_data"]
        stall = forks.get(row["point"])
        rows.append(
            (
                *(str(row[axis["key"]]) for axis in axes),
                format_bytes_up(row["host_bytes"]),
                "" if times is None or math.isnan(times) else f"{times:.2f}",
                format_bytes_up(row["bound_bytes"]),
                format_bytes(row["mean_bytes"]),
                *(format_bytes(row[f"{part}_bytes"]) for part in _NEED_PARTS),
                "" if stall is None else _range(stall["low_ns"], stall["high_ns"]),
                str(row["n"]),
            )
        )
    columns = (
        *(axis["label"] for axis in axes),
        "host",
        "× data",
        "of it for processes",
        "mean of the peaks",
        *(PARTS[part] for part in _NEED_PARTS),
        "fork",
        "runs",
    )
    return Grid(columns, tuple(rows), _classes(len(axes), len(columns)), "need.csv")


def _range(low_ns: float, high_ns: float) -> str:
    low, high = format_duration(low_ns), format_duration(high_ns)
    return low if low == high else f"{low} to {high}"


def oom_grid(table: Any, axes: Sequence[Mapping[str, Any]]) -> Grid | None:
    """Return one row a point and host: in how many runs memory ran out there."""
    if table.empty:
        return None
    axes = named_axes(table, axes)
    words = {"check": "× data", "around": "× answer"}
    rows = [
        (
            *(str(row[axis["key"]]) for axis in axes),
            f"{row['factor']:g} {words[row['part']]}",
            format_bytes(row["host_memory_bytes"]),
            row["text"],
        )
        for _, row in table.sort_values(["point", "host_memory_bytes"]).iterrows()
    ]
    columns = (*(axis["label"] for axis in axes), "host", "memory", "runs in which it ran out")
    return Grid(columns, tuple(rows), _classes(len(axes), len(columns), 1), "oom.csv")


def _classes(n_names: int, n_columns: int, n_words: int = 0) -> tuple[str, ...]:
    return ("k",) * n_names + ("n",) * (n_columns - n_names - n_words) + ("k",) * n_words
