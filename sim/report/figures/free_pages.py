"""Free pages over time, with the watermarks, and what happened when."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sim.base.units import PAGE_BYTES, format_bytes
from sim.report.style import BLUE, DASHES, INK, ORANGE, RED, Drawing, canvas, drawn

MARK_WORDS: Final = {
    "oom_kill": "OOM kill", "fork": "fork", "vfork": "vfork", "exec": "exec", "exit": "exit",
}  # fmt: skip
"""Events that are marked, those first whose names matter most."""
LETTER_WIDTH: Final = 0.018
"""About what a letter of a name takes of the width of a panel."""
MOST_MARKS: Final = 12


def draw_free_pages(curves: Sequence[Mapping[str, Any]], folder: Path) -> Drawing | None:
    """Draw free pages over time, one panel a host, with watermarks and events."""
    if not curves:
        return None
    with canvas(0.4 + 2.35 * len(curves), rows=len(curves)) as (figure, axes):
        for axis, curve in zip(axes, curves, strict=True):
            _free_pages_panel(axis, curve)
        axes[-1].set_xlabel("simulated time (s)")
        figure.supylabel("free pages, as memory", fontsize=9.5)
        sizes = " and ".join(format_bytes(curve["host_memory_bytes"]) for curve in curves)
        return drawn(
            figure,
            folder,
            "free_pages",
            title="Free pages over time",
            caption="Free pages of one run on each host, on a logarithmic scale; the band reaches "
            "from the min to the high watermark, the dashed line is low. Below min, someone is "
            "OOM-killed.",
            alt=f"Free pages over time on hosts of {sizes}, with watermarks, forks and exits.",
        )


def _free_pages_panel(axis: Any, curve: Mapping[str, Any]) -> None:
    t_s = np.asarray(curve["t_ns"]) / 1e9
    floor = max(curve["min_pages"] // 4, 1)
    free = np.maximum(np.asarray(curve["free_pages"]), floor)
    axis.fill_between(t_s, free, floor, step="post", color=BLUE, alpha=0.15, linewidth=0)
    axis.plot(t_s, free, drawstyle="steps-post", color=BLUE)
    axis.axhspan(curve["min_pages"], curve["high_pages"], color=ORANGE, alpha=0.35, linewidth=0)
    axis.axhline(curve["low_pages"], color=INK, linewidth=0.8, linestyle=DASHES[1])
    axis.set_yscale("log")
    top = max(int(free.max()), curve["high_pages"])
    axis.set_ylim(floor, top * 4)
    first_s, last_s = float(t_s[0]), float(t_s[-1])
    # A little further, so that the end is not on the frame.
    axis.set_xlim(first_s, max(last_s + 0.03 * (last_s - first_s), first_s + 1e-6))
    levels = [format_bytes(curve[f"{name}_pages"] * PAGE_BYTES) for name in ("min", "low", "high")]
    axis.text(
        0.01,
        curve["high_pages"] * 1.12,
        f"watermarks: min {levels[0]}, low {levels[1]}, high {levels[2]}",
        fontsize=8.5,
        transform=axis.get_yaxis_transform(),
        va="bottom",
    )
    axis.yaxis.set_major_locator(LogLocator(base=8, numticks=7))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda n, _: format_bytes(n * PAGE_BYTES)))
    axis.yaxis.set_minor_formatter(NullFormatter())
    _marks(axis, curve["marks"], float(t_s[0]), float(t_s[-1]))
    fate = "memory ran out" if curve["ran_out"] else "held"
    axis.set_title(f"Host of {format_bytes(curve['host_memory_bytes'])}: {fate}")


def _marks(axis: Any, marks: Sequence[Mapping[str, Any]], first_s: float, last_s: float) -> None:
    """Draw a line at every event, and name those whose names do not run into others'."""
    shown = [mark for mark in marks if mark["kind"] in MARK_WORDS][:MOST_MARKS]
    taken: list[tuple[float, float]] = []
    for mark in sorted(shown, key=lambda mark: list(MARK_WORDS).index(mark["kind"])):
        x = mark["t_ns"] / 1e9
        if not first_s <= x <= last_s:
            continue
        colour = RED if mark["kind"] == "oom_kill" else INK
        axis.axvline(x, color=colour, linewidth=0.9, linestyle=DASHES[2])
        words = f"{MARK_WORDS[mark['kind']]} {mark.get('name', '')}".strip()
        at = (x - first_s) / (last_s - first_s)
        width = LETTER_WIDTH * (len(words) + 2)
        to_left = at + width > 1
        left, right = (at - width, at) if to_left else (at, at + width)
        if any(left < end and start < right for start, end in taken):
            continue
        taken.append((left, right))
        axis.text(
            x,
            0.97,
            f" {words} ",
            transform=axis.get_xaxis_transform(),
            fontsize=8.5,
            color=colour,
            ha="right" if to_left else "left",
            va="top",
        )
