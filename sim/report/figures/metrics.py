"""Any metric over the axes of a study, with its confidence interval, and paired differences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, Final

import numpy as np

from sim.report.axes import metric_words, quantity_axis, value_words
from sim.report.style import DASHES, INK, MARKERS, PALETTE, Drawing, canvas, drawn

MOST_SERIES = 8
MOST_DIFFERENCES = 24
TITLE_WIDTH = 46
"""So many characters of a title fit on a line."""
ABOVE: Final[Mapping[str, Any]] = {"x": 0.01, "ha": "left", "size": 10.5, "weight": "bold"}
"""How a title of the whole figure is set: as that of axes, from the left edge."""


def draw_metric(
    table: Any, metric: str, axes: Sequence[Mapping[str, Any]], folder: Path
) -> Drawing | None:
    """Draw a metric's mean over the first axis, one line a combination of the others."""
    if table.empty or not axes:
        return None
    own = table[(table["metric"] == metric) & table["mean"].notna()]
    if own.empty:
        return None
    first, others = axes[0], [axis["key"] for axis in axes[1:]]
    names = [level["name"] for level in first["levels"]]
    numbers = [level["value"] for level in first["levels"]]
    numeric = all(number is not None and number > 0 for number in numbers) and len(numbers) > 1
    wide = numeric and max(numbers) >= 8 * min(numbers)
    series = list(own.groupby(others, sort=False)) if others else [("", own)]
    with canvas(3.4) as (figure, (axis,)):
        for n, (key, rows) in enumerate(series[:MOST_SERIES]):
            at = [names.index(name) for name in rows[first["key"]]]
            x = [numbers[i] for i in at] if numeric else at
            shift = 0.0 if numeric else 0.12 * (n - (min(len(series), MOST_SERIES) - 1) / 2)
            axis.errorbar(
                np.asarray(x, dtype=float) + shift,
                rows["mean"],
                yerr=bars(rows, "mean"),
                color=PALETTE[n % len(PALETTE)],
                linestyle=DASHES[n % len(DASHES)] if numeric else "none",
                marker=MARKERS[n % len(MARKERS)],
                markersize=5,
                capsize=3,
                label=" · ".join(key) if isinstance(key, tuple) else str(key),
            )
        if wide:
            axis.set_xscale("log")
        axis.set_xticks(numbers if numeric else range(len(names)), names)
        axis.minorticks_off()
        quantity_axis(axis.yaxis, metric)
        axis.set_ylim(bottom=min(0.0, float((own["mean"] - bars(own, "mean")[0]).min())))
        axis.set_xlabel(first["label"])
        axis.set_title(metric_words(metric))
        if others:
            title = " · ".join(axis_facts["label"] for axis_facts in axes[1:])
            figure.legend(loc="outside lower center", ncols=3, title=title)
        return drawn(
            figure,
            folder,
            f"metric_{file_word(metric)}",
            title=metric_words(metric),
            caption=f"{metric}: {value_words(metric)}, and {bar_words(own)}"
            + (f"; the first {MOST_SERIES} lines." if len(series) > MOST_SERIES else "."),
            alt=f"{metric} over {first['label']}: "
            + "; ".join(
                f"{row[first['key']]}: {row['text']}" for _, row in own.head(12).iterrows()
            ),
        )


def draw_paired(
    table: Any, metric: str, axes: Sequence[Mapping[str, Any]], folder: Path
) -> Drawing | None:
    """Draw the differences of a metric from the baseline, with what is known of each."""
    if table.empty:
        return None
    own = table[table["metric"] == metric].head(MOST_DIFFERENCES)
    if own.empty:
        return None
    keys = [axis["key"] for axis in axes]
    names = [" · ".join(str(row[key]) for key in keys) for _, row in own.iterrows()]
    words = (
        f"{metric_words(metric)}: difference from the baseline",
        f"{metric_words(metric)} against the baseline",
        "Paired differences over common random numbers: each run is compared with the "
        f"baseline's run with the same random numbers. Mean and {bar_words(own)}.",
    )
    return draw_differences(own, names, metric, words, folder, f"paired_{file_word(metric)}")


def draw_differences(
    own: Any,
    names: Sequence[str],
    metric: str,
    words: tuple[str, str, str],
    folder: Path,
    file: str,
) -> Drawing:
    """Draw the differences in a table, by `names`; `words` are heading, title and caption."""
    with canvas(1.0 + 0.3 * len(own)) as (figure, (axis,)):
        axis.axvline(0, color=INK, linewidth=1)
        dots(axis, own, "difference", names, metric)
        figure.suptitle(
            fill(words[0], TITLE_WIDTH), **ABOVE
        )  # over the names too, or it may not fit
        return drawn(
            figure,
            folder,
            file,
            title=words[1],
            caption=words[2],
            alt="; ".join(f"{n}: {t}" for n, t in zip(names, own["text"], strict=True)),
        )


def dots(axis: Any, own: Any, value: str, names: Sequence[str], metric: str) -> None:
    """Draw a column of a table, a dot with its error bars a row, by `names`, the first on top."""
    axis.errorbar(
        own[value],
        range(len(own)),
        xerr=bars(own, value),
        linestyle="none",
        marker="o",
        color=PALETTE[0],
        capsize=3,
    )
    axis.set_yticks(range(len(own)), names)
    axis.set_ylim(len(own) - 0.5, -0.5)
    quantity_axis(axis.xaxis, metric, n_ticks=5)


def file_word(metric: str) -> str:
    """Return a metric's name as part of a file's."""
    return metric.replace(".", "_")


def bars(table: Any, mean: str) -> Any:
    """Return the error bars, shape ``(2, rows)``: confidence intervals if all rows have one.

    Else they reach from the smallest to the largest value of a run.
    """
    if table["half_width"].notna().all():
        return np.array([table["half_width"], table["half_width"]], dtype=float)
    to_ends = [table[mean] - table["low"], table["high"] - table[mean]]
    return np.maximum(0.0, np.array(to_ends, dtype=float))


def bar_words(table: Any) -> str:
    """Return what the error bars of a table are."""
    if table["half_width"].notna().all():
        return f"{100 * float(table['confidence'].iloc[0]):g} % confidence interval"
    return "the range of the runs, from the smallest to the largest"
