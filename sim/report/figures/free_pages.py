"""Memory over time: free pages with the watermarks, what the rest is in use for, and groups."""

from collections.abc import Mapping, Sequence
from math import ceil, log2
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullFormatter

from sim.base.units import PAGE_BYTES, format_bytes
from sim.report.style import (
    BLUE,
    BROWN,
    DASHES,
    GREEN,
    INK,
    ORANGE,
    PALETTE,
    PINK,
    RED,
    SKY,
    Drawing,
    canvas,
    drawn,
)  # fmt: skip

MARK_WORDS: Final = {
    "oom_kill": "OOM kill", "fork": "fork", "vfork": "vfork", "exec": "exec", "exit": "exit",
}  # fmt: skip
"""Events that are marked, those first whose names matter most."""
LETTER_WIDTH: Final = 0.018
"""About what a letter of a name takes of the width of a panel."""
MOST_MARKS: Final = 12
MOST_GROUPS: Final = 6
"""Groups in one panel: more cannot be told apart."""
STATE_WORDS: Final = {
    "anon_pages": ("anonymous", BLUE, ""),
    "shared_memory_pages": ("shared memory", GREEN, "//"),
    "hugetlb_pages": ("huge pages", BROWN, "xx"),
    "page_tables_pages": ("page tables", ORANGE, "\\\\"),
    "kernel_stacks_pages": ("kernel stacks", PINK, ".."),
    "zram_pages": ("zram", RED, "oo"),
    "page_cache_pages": ("page cache", SKY, "--"),
}
"""States of memory: what each is called, its colour and its pattern."""


def draw_free_pages(curves: Sequence[Mapping[str, Any]], folder: Path) -> Drawing | None:
    """Draw memory over time on each host.

    A panel of free pages with watermarks and events, one of what frames are in use for, and one of
    the groups that have a limit, where there are any.
    """
    if not curves:
        return None
    panels = [
        (draw, curve)
        for curve in curves
        for draw, has_it in (
            (_free_pages_panel, True),
            (_states_panel, bool(curve.get("states"))),
            (_groups_panel, bool(curve.get("groups"))),
        )
        if has_it
    ]
    with canvas(0.4 + 2.35 * len(panels), rows=len(panels)) as (figure, axes):
        for axis, (draw, curve) in zip(axes, panels, strict=True):
            draw(axis, curve)
        axes[-1].set_xlabel("simulated time (s)")
        sizes = " and ".join(format_bytes(curve["host_memory_bytes"]) for curve in curves)
        grouped = any(curve.get("groups") for curve in curves)
        return drawn(
            figure,
            folder,
            "free_pages",
            title="Memory over time",
            caption="One run on each host. Free pages, on a logarithmic scale: the band reaches "
            "from the min to the high watermark, the dashed line is low; below min, someone is "
            "OOM-killed. Below that, what the memory of processes is in use for, one upon the other"
            + ("; and usage of control groups (memory.current), the limit of each dashed in its "
               "colour." if grouped else "."),
            alt=f"Memory over time on hosts of {sizes}: free pages with watermarks, forks and "
            "exits, and what the rest is in use for" + (", by group too." if grouped else "."),
        )  # fmt: skip


def _states_panel(axis: Any, curve: Mapping[str, Any]) -> None:
    """Draw what frames are in use for, one upon the other."""
    t_s = np.asarray(curve["t_ns"]) / 1e9
    below = np.zeros(len(t_s))
    for name, levels in curve["states"].items():
        label, colour, hatch = STATE_WORDS[name]
        above = below + np.asarray(levels) * PAGE_BYTES
        axis.fill_between(
            t_s, below, above, step="post", facecolor=colour, alpha=0.55, hatch=hatch,
            edgecolor=INK, linewidth=0.4, label=label,
        )  # fmt: skip
        below = above
    _frame(axis, t_s, float(below.max()))
    axis.set_title("In use, by what for")


def _groups_panel(axis: Any, curve: Mapping[str, Any]) -> None:
    """Draw the usage of groups and their limits: of those that came nearest to theirs."""
    t_s = np.asarray(curve["t_ns"]) / 1e9
    groups = sorted(
        curve["groups"].items(),
        key=lambda row: -max(row[1]["current_pages"]) * PAGE_BYTES / max(1, row[1]["max_bytes"]),
    )[:MOST_GROUPS]
    for number, (name, group) in enumerate(groups):
        colour = PALETTE[number]
        usage = np.asarray(group["current_pages"]) * PAGE_BYTES
        dash = (DASHES[0], *DASHES[2:])[number % (len(DASHES) - 1)]  # limits have the other
        label = f"{name} (limit {format_bytes(group['max_bytes'])})"
        axis.plot(t_s, usage, drawstyle="steps-post", color=colour, linestyle=dash, label=label)
        axis.axhline(group["max_bytes"], color=colour, linewidth=0.9, linestyle=DASHES[1])
    _frame(axis, t_s, float(max(group["max_bytes"] for _, group in groups)), columns=2)
    left_out = len(curve["groups"]) - len(groups)
    others = f" ({left_out} farther from theirs left out)" if left_out else ""
    axis.set_title(f"Groups and their limits{others}")


def _frame(axis: Any, t_s: Any, top: float, columns: int = 3) -> None:
    """Set the limits of a panel of bytes, and room for its legend."""
    first_s, last_s = float(t_s[0]), float(t_s[-1])
    axis.set_xlim(first_s, max(last_s + 0.03 * (last_s - first_s), first_s + 1e-6))
    axis.set_ylim(0, 1.45 * max(top, 1.0))
    axis.yaxis.set_major_locator(MultipleLocator(2 ** ceil(log2(max(top, 4.0) / 4))))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda n, _: format_bytes(round(n))))
    axis.legend(loc="upper left", ncols=columns, fontsize=8, handlelength=1.4, columnspacing=1.0)


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
    axis.set_title(f"Free pages, host of {format_bytes(curve['host_memory_bytes'])}: {fate}")


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
