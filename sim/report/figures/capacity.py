"""The capacity curve: the share of runs that meet the objectives, by size."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sim.report.axes import quantity_axis
from sim.report.style import BLUE, INK, Drawing, canvas, drawn


def draw_capacity(
    facts: Mapping[str, Any], curve: Sequence[Mapping[str, Any]], folder: Path
) -> Drawing:
    """Draw the share that passed at each size, with its exact limits, and the answer.

    `facts` are a plan's, `curve` its rows (`sim.study.planned`): sizes in ascending order.
    """
    figures = [row["figure"] for row in curve]
    shares = [row["passed"] / row["runs"] for row in curve]
    below = [share - row["low"] for share, row in zip(shares, curve, strict=True)]
    above = [row["high"] - share for share, row in zip(shares, curve, strict=True)]
    answer = facts["answer"]
    asked = f"{100 * facts['share']:g} %"
    with canvas(3.4) as (picture, (axis,)):
        axis.errorbar(figures, shares, yerr=[below, above], fmt="o", color=BLUE, capsize=3)
        axis.axhline(facts["share"], color=INK, linewidth=0.8, linestyle=":")
        axis.axvline(answer["figure"], color=INK, linewidth=1.2)
        axis.annotate(
            answer["name"],
            (answer["figure"], 0.5),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            color=INK,
        )
        axis.set_ylim(-0.03, 1.05)
        axis.margins(x=0.12)
        axis.set_xlabel(facts["title"])
        quantity_axis(axis.xaxis, _metric_like(facts["title"], answer["name"]))
        quantity_axis(axis.yaxis, "fraction")
        axis.set_title("Runs that meet the objectives")
        sure = f"{100 * facts['confidence']:g} %"
        return drawn(
            picture,
            folder,
            "capacity",
            title="Capacity",
            caption=f"Share of runs that meet the objectives at some sizes; bars: one-sided limits"
            f" at {sure} confidence; dotted: the share asked for, {asked}; line: the answer.",
            alt="; ".join(f"{row['size']}: {row['passed']} of {row['runs']}" for row in curve),
        )


def _metric_like(title: str, name: str) -> str:
    """Return a metric in whose unit an axis of such sizes may be labelled."""
    if name.endswith(("iB", " B")) or "(" in title:
        return "size_bytes"
    return "time_ns" if name.endswith((" ns", " us", " ms", " s", " min", " h")) else "number"
