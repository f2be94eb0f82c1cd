"""Latencies as distributions, and the stages that the time of a fault went to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from sim.base.units import format_duration
from sim.cost.catalogue import STAGES
from sim.report.style import DASHES, MARKERS, PALETTE, Drawing, canvas, drawn

REQUEST_KINDS: Final = ("request", "runqueue")
FORK_KINDS: Final = ("fork", "vfork")
FEW_POINTS: Final = 40
"""Up to so many known points of a distribution are marked: between them is a guess."""


def draw_latencies(distributions: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Drawing]:
    """Draw the share of faults, and of requests, that took longer than a given time."""
    others = (*REQUEST_KINDS, *FORK_KINDS)
    faults = {kind: table for kind, table in distributions.items() if kind not in others}
    requests = {kind: table for kind, table in distributions.items() if kind in REQUEST_KINDS}
    found = (
        _ccdf(faults, "fault_latency", "Faults slower than a given time", "faults", folder),
        _ccdf(requests, "request_latency", "Requests slower than a given time", "requests", folder),
    )
    return [drawing for drawing in found if drawing is not None]


def _ccdf(
    tables: Mapping[str, Mapping[str, Any]], name: str, title: str, what: str, folder: Path
) -> Drawing | None:
    tables = {kind: table for kind, table in tables.items() if max(table["ns"], default=0) > 0}
    if not tables:
        return None
    with canvas(3.3) as (figure, (axis,)):
        medians = []
        for n, (kind, table) in enumerate(tables.items()):
            ns, slower = np.asarray(table["ns"]), 1 - np.asarray(table["share"])
            seen = (slower > 0) & (ns > 0)
            axis.plot(
                ns[seen],
                slower[seen],
                color=PALETTE[n % len(PALETTE)],
                linestyle=DASHES[n % len(DASHES)],
                marker=MARKERS[n % len(MARKERS)] if seen.sum() <= FEW_POINTS else "",
                markersize=4,
                label=kind.replace("_", " "),
            )
            medians.append(f"{kind.replace('_', ' ')} {format_duration(_at(table, 0.5))}")
        axis.set_xscale("log")
        axis.set_yscale("log")
        span = [ns for table in tables.values() for ns in table["ns"] if ns > 0]
        short = max(span) < 300 * min(span)
        axis.xaxis.set_major_locator(LogLocator(10, subs=(1, 3) if short else (1,), numticks=9))
        axis.set_ylim(top=1.3)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: format_duration(ns)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("time")
        axis.set_ylabel(f"share of {what} that take longer")
        axis.set_title(title)
        figure.legend(loc="outside lower center", ncols=3, handlelength=2.6)
        return drawn(
            figure,
            folder,
            name,
            title=title,
            caption=f"How many {what} take longer than a given time, by kind; both scales are "
            f"logarithmic. Medians: {', '.join(medians)}.",
            alt=f"Share of {what} slower than a given time. Medians: {', '.join(medians)}.",
        )


def _at(table: Mapping[str, Any], share: float) -> float:
    return float(np.interp(share, table["share"], table["ns"]))


def draw_stages(table: Any, point: int, folder: Path) -> Drawing | None:
    """Draw, for each kind of fault, the stages its time went to."""
    if table.empty:
        return None
    own = table[(table["point"] == point) & (table["time_ns"] > 0)]
    if own.empty:
        return None
    totals = own.groupby("kind")["time_ns"].sum().sort_values(ascending=False)
    stages = sorted(set(own["stage"]), key=_stage_rank)
    kinds = list(totals.index)
    with canvas(1.25 + 0.42 * len(kinds)) as (figure, (axis,)):
        left = np.zeros(len(kinds))
        for n, stage in enumerate(stages):
            part = own[own["stage"] == stage].set_index("kind")["time_ns"]
            width = np.array([float(part.get(kind, 0)) / float(totals[kind]) for kind in kinds])
            axis.barh(
                range(len(kinds)),
                width,
                left=left,
                height=0.68,
                color=PALETTE[n % len(PALETTE)],
                edgecolor="white",
                linewidth=0.7,
                label=stage,
            )
            left += width
        names = [f"{k.replace('_', ' ')}\n{format_duration(float(totals[k]))}" for k in kinds]
        axis.set_yticks(range(len(kinds)), names)
        axis.invert_yaxis()
        axis.set_xlim(0, 1)
        axis.grid(visible=False, axis="y")
        axis.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %", decimals=0))
        axis.set_xlabel("share of the time spent in faults of that kind")
        axis.set_title("Stages of a fault (assumed shares)")
        figure.legend(loc="outside lower center", ncols=min(len(stages), 5), handlelength=1.2)
        listed = ", ".join(
            f"{k.replace('_', ' ')} {format_duration(float(totals[k]))}" for k in kinds
        )
        return drawn(
            figure,
            folder,
            "fault_stages",
            title="Stages of a fault",
            caption="An illustration, not a measurement: the shares of the stages are assumed, and "
            "stated by the host's profile. Below each kind, the time spent in it, all runs "
            "together: that was simulated.",
            alt=f"Time by kind of fault: {listed}.",
        )


def _stage_rank(stage: str) -> tuple[int, str]:
    known = STAGES.index(stage) if stage in STAGES else len(STAGES)
    return known, stage
