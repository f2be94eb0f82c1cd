"""Heat maps over two axes of a study: memory needed, and how often memory ran out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sim.base.units import format_bytes_up
from sim.report.style import INK, Drawing, canvas, drawn, ink_on

CELL_IN = 0.46
MOST_PANELS = 6


def bound_words(table: Any, event: str) -> str:
    """Return what the bounds of a table of needs cover, as their runs support.

    ``74.1 % of saves at 95 % confidence``, or, where points differ, from the least to the most.
    """
    least, most = (100 * float(each) for each in (table["content"].min(), table["content"].max()))
    share = f"{least:.3g}" if f"{least:.3g}" == f"{most:.3g}" else f"{least:.3g} to {most:.3g}"
    return f"{share} % of {event} at {100 * float(table['confidence'].max()):g} % confidence"


def draw_need(
    table: Any, axes: Sequence[Mapping[str, Any]], event: str, folder: Path
) -> Drawing | None:
    """Draw memory needed over the first two axes; colour is the multiple of the data."""
    if table.empty or len(axes) != 2:
        return None
    import seaborn as sns  # takes longer than a report without a map

    first, second = axes
    rows, columns = _names(first), _names(second)
    relative = table["times_data"].notna().all()
    colour = "times_data" if relative else "host_bytes"
    values = np.full((len(rows), len(columns)), np.nan)
    texts = np.full(values.shape, "", dtype=object)
    for _, row in table.iterrows():
        at = rows.index(row[first["key"]]), columns.index(row[second["key"]])
        values[at] = row[colour]
        texts[at] = format_bytes_up(row["host_bytes"])
        if relative:
            texts[at] += f"\n{row['times_data']:.2f} ×"
    with canvas(1.35 + CELL_IN * len(rows)) as (figure, (axis,)):
        sns.heatmap(
            values[::-1],
            annot=texts[::-1],
            fmt="",
            cmap="cividis_r",
            linewidths=1.5,
            linecolor="white",
            annot_kws={"fontsize": 9},
            cbar_kws={"label": "times the data" if relative else "bytes"},
            xticklabels=columns,
            yticklabels=rows[::-1],
            ax=axis,
        )
        _finish(axis, second["label"], first["label"], len(columns))
        axis.set_title("Memory of the host" + (", and times the data" if relative else ""))
        best, worst = table[colour].min(), table[colour].max()
        return drawn(
            figure,
            folder,
            "memory_needed",
            title="Memory of the host",
            caption=f"The smallest host for each point: what covers {bound_words(table, event)}, "
            "plus what the kernel and the min watermark keep, in whole MiB."
            + (" The second figure is that host over the data." if relative else ""),
            alt=f"Heat map of memory needed over {first['label']} and {second['label']}, from "
            f"{best:.3g} to {worst:.3g} {'times the data' if relative else 'bytes'}.",
        )


def draw_oom(
    table: Any, need: Any, axes: Sequence[Mapping[str, Any]], folder: Path
) -> list[Drawing]:
    """Draw how often memory ran out, one map for each combination of all axes but the first."""
    if table.empty or not axes:
        return []
    check = table[table["part"] == "check"]
    if check.empty:
        return []
    first, others = axes[0], list(axes[1:])
    if not others:
        return [_oom_map(check, need, first, "", "memory_ran_out", folder)]
    panels = check.groupby([axis["key"] for axis in others], sort=False)
    ordered = sorted(panels, key=lambda panel: _place(others, panel[0]))
    drawings = []
    for n, (names, rows) in enumerate(ordered[:MOST_PANELS]):
        words = ", ".join(
            f"{axis['label']} {name}" for axis, name in zip(others, names, strict=True)
        )
        drawings.append(_oom_map(rows, need, first, words, f"memory_ran_out_{n + 1}", folder))
    return drawings


def _oom_map(
    table: Any, need: Any, axis_facts: Mapping[str, Any], words: str, name: str, folder: Path
) -> Drawing:
    import seaborn as sns

    rows = _names(axis_facts)
    factors = sorted(set(table["factor"]))
    values = np.full((len(rows), len(factors)), np.nan)
    texts = np.full(values.shape, "", dtype=object)
    needed: dict[int, float] = {}
    for _, row in table.iterrows():
        at = rows.index(row[axis_facts["key"]]), factors.index(row["factor"])
        values[at] = row["ran_out"] / row["runs"]
        texts[at] = f"{row['ran_out']}/{row['runs']}"
        own = need[need["point"] == row["point"]] if not need.empty else need
        if not own.empty and own["times_data"].notna().all():
            needed[at[0]] = float(own["times_data"].iloc[0])
    with canvas(1.25 + 0.36 * len(rows)) as (figure, (axis,)):
        sns.heatmap(
            values[::-1],
            annot=texts[::-1],
            fmt="",
            cmap=sns.light_palette("#b03a00", as_cmap=True),
            vmin=0,
            vmax=1,
            linewidths=1.5,
            linecolor="white",
            annot_kws={"fontsize": 9},
            cbar=False,
            xticklabels=[f"{factor:g} ×" for factor in factors],
            yticklabels=rows[::-1],
            ax=axis,
        )
        for row_index, times in needed.items():
            x = float(np.searchsorted(factors, times - 1e-9))
            y = len(rows) - 1 - row_index
            axis.plot([x, x], [y + 0.04, y + 0.96], color=INK, linewidth=3, clip_on=False)
        _finish(
            axis,
            "memory of the host, as a multiple of the data",
            axis_facts["label"],
            len(factors),
        )
        axis.set_title(words or "Runs in which memory ran out")
        events, runs = int(table["ran_out"].sum()), int(table["runs"].sum())
        return drawn(
            figure,
            folder,
            name,
            title=f"Memory ran out: {words}" if words else "Memory ran out",
            caption="Runs in which memory ran out, of all runs on that host. Hosts right of the "
            "thick line are as large as the answer, or larger.",
            alt=f"Heat map: memory ran out in {events} of {runs} runs, {words}.",
        )


def _place(axes: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[int, ...]:
    """Return where a combination of levels stands in the order of the study."""
    return tuple(_names(axis).index(name) for axis, name in zip(axes, names, strict=True))


def _finish(axis: Any, x_label: str, y_label: str, n_columns: int) -> None:
    """Label a heat map's axes, and write on each cell in the colour that is read best there."""
    axis.grid(visible=False)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.tick_params(axis="both", length=0, rotation=0)
    for mesh in axis.collections[:1]:
        colours = mesh.get_facecolors()
        for text in axis.texts:
            column, row = (int(place) for place in text.get_position())
            at = row * n_columns + column
            if at < len(colours):
                text.set_color(ink_on(colours[at]))


def _names(axis_facts: Mapping[str, Any]) -> list[str]:
    return [level["name"] for level in axis_facts["levels"]]
