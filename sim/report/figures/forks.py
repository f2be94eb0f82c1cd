"""Fork time against the size of the forking process, beside published measurements."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sim.base.units import PAGE_BYTES, format_bytes, format_duration
from sim.report.style import BLUE, FAINT, GREEN, MARKERS, ORANGE, RED, Drawing, canvas, drawn


def draw_forks(table: Any, published: Sequence[Mapping[str, Any]], folder: Path) -> Drawing | None:
    """Draw fork time against resident set, beside the published points of the host."""
    if table.empty or not (table["resident_bytes"] > 0).all():
        return None
    merged = (
        table.groupby("resident_bytes", as_index=False)
        .agg({"fork_ns": "mean", "low_ns": "min", "high_ns": "max"})
        .sort_values("resident_bytes")
    )
    with canvas(3.5) as (figure, (axis,)):
        axis.errorbar(
            merged["resident_bytes"],
            merged["fork_ns"],
            yerr=[
                (merged["fork_ns"] - merged["low_ns"]).clip(lower=0),
                (merged["high_ns"] - merged["fork_ns"]).clip(lower=0),
            ],
            color=BLUE,
            marker="o",
            markersize=5,
            capsize=3,
            label="simulated, mean and range of the runs",
            zorder=3,
        )
        for n, (label, points) in enumerate(_published_groups(published)):
            axis.plot(
                [point["rss"] for point in points],
                [point["time"] for point in points],
                linestyle="none",
                marker=MARKERS[(n + 1) % len(MARKERS)],
                markersize=7,
                markerfacecolor="none",
                markeredgewidth=1.6,
                color=(ORANGE, GREEN, RED, FAINT)[n % 4],
                label=label,
                zorder=4,
            )
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=12))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda n, _: format_bytes(n)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda ns, _: format_duration(ns)))
        axis.set_xlabel("resident set of the forking process")
        axis.set_ylabel("time in fork")
        axis.set_title("Fork time and resident set")
        handles, labels = axis.get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside lower left", handlelength=2.2)
        low, high = merged.iloc[0], merged.iloc[-1]
        return drawn(
            figure,
            folder,
            "fork_time",
            title="Fork time",
            caption="How long a fork keeps its caller, over the size of the caller"
            + (", beside what others have measured on such a host." if published else "."),
            alt=f"Fork takes {format_duration(low['fork_ns'])} at "
            f"{format_bytes(low['resident_bytes'])} and {format_duration(high['fork_ns'])} at "
            f"{format_bytes(high['resident_bytes'])}.",
        )


def _published_groups(
    published: Sequence[Mapping[str, Any]],
) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Return published points by source and size of folio, each with a label."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for point in published:
        folio = int(point.get("folio", PAGE_BYTES))
        pieces = "" if folio == PAGE_BYTES else ", larger folios"
        source = str(point["source"])
        short = source if len(source) <= 62 else source[:61] + "…"
        groups.setdefault(f"{short}{pieces}", []).append(point)
    return list(groups.items())
