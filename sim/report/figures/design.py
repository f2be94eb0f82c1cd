"""Points that are no grid: scatters over the axes they fill, dots by name, effects of axes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sim.base.units import format_bytes_up
from sim.report.axes import metric_words, quantity_axis, value_words
from sim.report.figures.bill import draw_bills
from sim.report.figures.maps import bound_words, draw_need, draw_oom
from sim.report.figures.metrics import (
    bar_words,
    dots,
    draw_differences,
    draw_metric,
    draw_paired,
    file_word,
)
from sim.report.style import PALETTE, Drawing, canvas, drawn

FILLING: Final = ("latin hypercube", "sobol")
"""Kinds of designs whose points fill ranges: what is drawn over an axis is a scatter."""
HOST_METRIC: Final = "host_bytes"
MOST_PANELS: Final = 6
MOST_POINTS: Final = 30
MOST_EFFECTS: Final = 24
TITLE: Final = "point"
"""The column that `titled` adds."""
DRAWN: Final = "drawn"
"""The column that says what is drawn, where it is no mean over replications."""


def titled(table: Any, axes: Sequence[Mapping[str, Any]]) -> Any:
    """Return a table with what each row's point is called: its name, or its levels."""
    if table.empty:
        return table
    keys = ["name"] if "name" in table else [axis["key"] for axis in axes]
    titles = [" · ".join(str(row[key]) for key in keys) for _, row in table.iterrows()]
    return table.assign(**{TITLE: titles})


def title_axis(design: Mapping[str, Any]) -> dict[str, Any]:
    """Return the axis of a design's points themselves, as many as can be shown."""
    names = design["points"][:MOST_POINTS]
    return {
        "key": TITLE,
        "label": "point",
        "levels": [{"name": name, "value": None} for name in names],
        "log": False,
        "ends": [],
    }


def shown_points(table: Any, design: Mapping[str, Any]) -> Any:
    """Return the rows of a table, after `titled`, of the points that can be shown."""
    if table.empty:
        return table
    return table[table[TITLE].isin(design["points"][:MOST_POINTS])]


def draw_points(table: Any, metric: str, design: Mapping[str, Any], folder: Path) -> Drawing | None:
    """Draw a metric at every point, a line a point, in the order of the design."""
    if table.empty:
        return None
    own = table[(table["metric"] == metric) & table["mean"].notna()]
    n = len(own)
    own = shown_points(own, design)
    if own.empty:
        return None
    with canvas(1.0 + 0.26 * len(own)) as (figure, (axis,)):
        dots(axis, own, "mean", own[TITLE], metric)
        axis.set_title(metric_words(metric))
        return drawn(
            figure,
            folder,
            f"metric_{file_word(metric)}",
            title=metric_words(metric),
            caption=f"{metric} at each point ({design['words']}): {_drawn_words(own, metric)}"
            + (f"; the first {len(own)} of {n} points." if n > len(own) else "."),
            alt="; ".join(f"{row[TITLE]}: {row['text']}" for _, row in own.head(12).iterrows()),
        )


def draw_scatter(
    table: Any,
    metric: str,
    axes: Sequence[Mapping[str, Any]],
    design: Mapping[str, Any],
    folder: Path,
) -> Drawing | None:
    """Draw a metric over each axis alone: a dot a point, all other axes differ from dot to dot."""
    if table.empty or not axes:
        return None
    own = table[(table["metric"] == metric) & table["mean"].notna()]
    if own.empty:
        return None
    shown = axes[:MOST_PANELS]
    with canvas(0.5 + 1.9 * len(shown), rows=len(shown)) as (figure, panels):
        for panel, facts in zip(panels, shown, strict=True):
            _scatter(panel, own, facts)
            quantity_axis(panel.yaxis, metric, n_ticks=4)
            panel.set_xlabel(facts["label"])
        panels[0].set_title(metric_words(metric))
        more = f"; {len(axes) - len(shown)} axes are not shown" if len(axes) > len(shown) else ""
        filled = "what `where` leaves of the ranges" if design["left_out"] else "the ranges evenly"
        return drawn(
            figure,
            folder,
            f"metric_{file_word(metric)}",
            title=metric_words(metric),
            caption=f"{metric} at each point ({design['words']}), "
            f"{_drawn_words(own, metric, bars=False)}: a scatter over each axis while all others "
            f"differ too{more}. Points fill {filled}; their share is no probability.",
            alt=f"Scatter of {metric} at {len(own)} points over "
            + ", ".join(facts["label"] for facts in shown),
        )


def _drawn_words(own: Any, metric: str, *, bars: bool = True) -> str:
    """Return what is drawn of a metric: what the table says of it, or a mean and its `bars`."""
    if DRAWN in own:
        return str(own[DRAWN].iloc[0])
    return value_words(metric) + (f", and {bar_words(own)}" if bars else "")


def _scatter(panel: Any, own: Any, facts: Mapping[str, Any]) -> None:
    values = {level["name"]: level["value"] for level in facts["levels"]}
    numeric = all(value is not None for value in values.values())
    names = list(values)
    x = [values[name] if numeric else names.index(name) for name in own[facts["key"]]]
    panel.plot(x, own["mean"], linestyle="none", marker="o", markersize=4, color=PALETTE[0])
    if not numeric:
        panel.set_xticks(range(len(names)), names)
        return
    if facts["log"]:
        panel.set_xscale("log")
    ends = facts["ends"] or [{"name": name, "value": values[name]} for name in names]
    panel.set_xticks([end["value"] for end in ends], [end["name"] for end in ends])
    panel.minorticks_off()


def draw_effects(table: Any, metric: str, folder: Path) -> Drawing | None:
    """Draw the effects of a factorial on a metric, the largest first."""
    if table.empty or "difference" not in table:
        return None
    own = table[table["metric"] == metric]
    if own.empty:
        return None
    order = own["difference"].abs().sort_values(ascending=False, kind="stable").index
    own = own.loc[order].head(MOST_EFFECTS)
    words = (
        f"{metric_words(metric)}: effects",
        f"Effects on {metric_words(metric)}",
        "From the low to the high level of an axis, over all points; of two axes (×), where both "
        f"are alike less where they differ. Mean over replications and {bar_words(own)}. What is "
        "joined by + cannot be told apart.",
    )
    names = [str(name) for name in own["effect"]]
    return draw_differences(own, names, metric, words, folder, f"effects_{file_word(metric)}")


def draw_results(
    table: Any,
    metric: str,
    axes: Sequence[Mapping[str, Any]],
    design: Mapping[str, Any],
    folder: Path,
) -> Drawing | None:
    """Draw a metric as its design asks for: over an axis, as a scatter, or point by point."""
    if design["kind"] == "grid":
        return draw_metric(table, metric, axes, folder)
    if design["kind"] in FILLING:
        return draw_scatter(table, metric, axes, design, folder)
    return draw_points(titled(table, axes), metric, design, folder)


def draw_hosts(
    need: Any,
    axes: Sequence[Mapping[str, Any]],
    event: str,
    design: Mapping[str, Any],
    folder: Path,
) -> list[Drawing | None]:
    """Draw the memory of the host at every point, and what it is for."""
    if design["kind"] == "grid":
        return [draw_need(need, axes, event, folder), draw_bills(need, axes, folder)]
    if need.empty:
        return []
    size = need["host_bytes"]
    words = (
        f"the smallest host in whole MiB, for what covers {bound_words(need, event)} and what the"
        " kernel and the min watermark keep"
    )
    own = need.assign(
        metric=HOST_METRIC, mean=size, low=size, high=size, half_width=None, text=size
    ).assign(text=[format_bytes_up(each) for each in size], **{DRAWN: words})
    return [
        draw_results(own, HOST_METRIC, axes, design, folder),
        draw_bills(titled(need, axes), [title_axis(design)], folder),
    ]


def draw_ran_out(
    oom: Any,
    need: Any,
    axes: Sequence[Mapping[str, Any]],
    design: Mapping[str, Any],
    folder: Path,
) -> list[Drawing]:
    """Draw how often memory ran out, over axes or point by point."""
    if design["kind"] == "grid":
        return draw_oom(oom, need, axes, folder)
    own, n = shown_points(titled(oom, axes), design), len(design["points"])
    drawings = draw_oom(own, need, [title_axis(design)], folder)
    if n <= MOST_POINTS:
        return drawings
    more = f" The first {MOST_POINTS} of {n:,} points; the table has all."
    return [replace(drawing, caption=drawing.caption + more) for drawing in drawings]


def draw_compared(
    table: Any,
    metric: str,
    axes: Sequence[Mapping[str, Any]],
    design: Mapping[str, Any],
    folder: Path,
) -> Drawing | None:
    """Draw the differences of a metric from the baseline, by levels or by point."""
    if design["kind"] == "grid":
        return draw_paired(table, metric, axes, folder)
    return draw_paired(titled(table, axes), metric, [title_axis(design)], folder)


def named_axes(table: Any, axes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the axes that tell the rows of a table apart: names first, where points have them."""
    named = not table.empty and "name" in table
    return [*([{"key": "name", "label": "point"}] if named else []), *axes]
