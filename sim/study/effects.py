"""What a design tells of its axes: effects of a factorial, shares of variance of one that fills.

An effect is the mean over all points where an axis is high less that where it is low; that of two
axes together, of all points where both are alike less that where they differ.  Each replication
gives each effect once, with the same random numbers at every point.

Points that fill ranges evenly are no random sample: means over them are told, and shares of the
variance over the ranges as stated; no share of them is a probability.
"""

import math
from collections.abc import Sequence
from functools import reduce
from operator import xor
from typing import Any, Final

import numpy as np

from sim.base.counts import counted
from sim.base.errors import InsufficientDataError
from sim.scenario.conditions import metric_text
from sim.stats.shares import Shares, shares_of
from sim.study.design import FILLING, Made
from sim.study.frames import frame_of
from sim.study.headline import NEED
from sim.study.percentiles import percent_of, run_has_enough
from sim.study.records import Record
from sim.study.summary import mean_of, n_not_answered, programs_of, summarised, summary_text
from sim.study.tables import Groups, by_replication

MOST_TOLD: Final = 3


def effects_table(
    groups: Groups, part: str, design: Made, metrics: Sequence[str], confidence: float
) -> Any:
    """Return one row a metric and effect of a factorial, or share of a design that fills ranges.

    Effects that only come together have one row, and are joined by ``+``.  A metric that some run
    cuts off, or lacks in every replication at some point, has none; nor has a percentile for which
    some run by itself has too few values.
    """
    runs = [groups.get((part, point.index, 0), []) for point in design.points]
    rows: list[dict[str, Any]] = []
    for metric in metrics:
        if not _is_whole(runs, metric):
            continue
        if design.effects is not None:
            rows += _effects(runs, design, metric, confidence)
        if design.kind in FILLING:
            rows += _shares(runs, design, metric)
    return frame_of(rows)


def _is_whole(runs: Sequence[Sequence[Record]], metric: str) -> bool:
    """Return whether every point has runs, none of which cuts the metric off or has too little."""
    enough = all(run_has_enough(metric, r.scalars) for records in runs for r in records)
    cut_off = any(record.cut_off for records in runs for record in records)
    return all(runs) and enough and not (metric.startswith(NEED) and cut_off)


def _effects(
    runs: Sequence[Sequence[Record]], design: Made, metric: str, confidence: float
) -> list[dict[str, Any]]:
    assert design.effects is not None
    values = [by_replication(records, metric) for records in runs]
    shared = sorted(set.intersection(*(set(each) for each in values)))
    if not shared:
        return []
    matrix = np.array([[each[number] for each in values] for number in shared])
    every = [record for records in runs for record in records]
    rows = []
    for aliases in design.effects.aliases():
        high = _high(design, aliases[0])
        contrasts = matrix[:, high].mean(axis=1) - matrix[:, ~high].mean(axis=1)
        summary = summarised(metric, [float(c) for c in contrasts], confidence, programs_of(every))
        rows.append(
            {
                "metric": metric,
                "effect": " + ".join(_name(design, effect) for effect in aliases),
                "axes": len(aliases[0]),
                "difference": summary.mean,
                "half_width": summary.half_width,
                "low": summary.low,
                "high": summary.high,
                "confidence": confidence,
                "n": summary.n,
                "points": len(runs),
                "not_answered": n_not_answered(every),
                "text": summary_text(metric, summary),
            }
        )
    return rows


def _high(design: Made, effect: tuple[int, ...]) -> Any:
    """Return at which points an effect's axis is high, or its two axes are alike."""
    assert design.effects is not None
    columns = [design.effects.high[:, n] for n in effect]
    return columns[0] if len(columns) == 1 else ~reduce(xor, columns)


def _name(design: Made, effect: tuple[int, ...]) -> str:
    return " × ".join(design.axes[n].label for n in effect)


def _shares(runs: Sequence[Sequence[Record]], design: Made, metric: str) -> list[dict[str, Any]]:
    means = [mean_of(records, metric) for records in runs]
    known = [mean for mean in means if mean is not None]
    if len(known) < len(means):
        return []
    every = [record for records in runs for record in records]
    told = {
        "metric": metric,
        "mean": float(np.mean(known)),
        "smallest": min(known),
        "largest": max(known),
        "points": len(known),
        "not_answered": n_not_answered(every),
    }
    shares = _shares_of(design, known)
    if shares is None:
        return [
            {
                **told,
                "effect": "",
                "share": None,
                "error": None,
                "r_squared": None,
                "found_by": None,
            }
        ]
    labels = {axis.key: axis.label for axis in design.axes}
    return [
        {
            **told,
            "effect": labels[share.name],
            "share": share.share,
            "error": share.error,
            "r_squared": shares.r_squared,
            "found_by": shares.how,
        }
        for share in shares.shares
    ]


def _shares_of(design: Made, outputs: Sequence[float]) -> Shares | None:
    """Return the shares of axes in the variance over the points; None if they cannot be told.

    Where points are left out, axes are not independent any more.
    """
    if design.left_out:
        return None
    places: dict[str, list[float]] = {}
    choices: dict[str, list[int]] = {}
    for n, axis in enumerate(design.axes):
        if axis.range is not None:
            places[axis.key] = [place[n] for place in design.places]
        else:
            names = [level.name for level in axis.levels]
            choices[axis.key] = [names.index(point.levels[n]) for point in design.points]
    try:
        return shares_of(places, outputs, choices=choices)
    except InsufficientDataError:
        return None


def design_sentences(design: Made, table: Any, metric: str) -> list[str]:
    """Return what is to be said of a design, and what it tells of `metric`; nothing of a grid."""
    said = []
    if design.left_out:
        said.append(f"`where` leaves out {counted(design.left_out, 'point')}.")
    own = table[table["metric"] == metric] if not table.empty else table
    if design.kind in FILLING:
        said.append(
            f"The design is {design.words}{_scales(design)}: they fill the ranges evenly and were"
            " not drawn at random, so no share of them is a probability."
        )
        said += _filled_sentences(own, metric, left_out=design.left_out > 0)
    elif design.effects is not None and not own.empty:
        said += _effect_sentences(own, metric, design)
    elif design.effects is not None and percent_of(metric) is not None:
        said.append(
            f"No effects on {metric} are told: each run would need values enough of its own."
        )
    return said


def _scales(design: Made) -> str:
    scales = [
        f"{axis.label} on a {'logarithmic' if axis.range.log else 'linear'} scale"
        for axis in design.axes
        if axis.range is not None
    ]
    return f" ({', '.join(scales)})" if scales else ""


def _filled_sentences(own: Any, metric: str, *, left_out: bool) -> list[str]:
    if own.empty:
        few = ", has too few values for it" if percent_of(metric) is not None else ""
        return [
            f"Some point has no {metric}{few}, or one that is cut off: no mean over them is told."
        ]
    first = own.iloc[0]
    mean, low, high = (metric_text(metric, first[name]) for name in _ENDS)
    said = [f"Over the points {metric} is {mean} on average, {low} to {high}."]
    if first["share"] is None or math.isnan(first["share"]):
        why = "some points are left out" if left_out else "the points are too few"
        return [*said, f"No shares of its variance are told: {why}."]
    named = ", ".join(
        f"{row['effect']} {round(100 * row['share'])} ± {round(200 * row['error'])} %"
        for _, row in own.head(MOST_TOLD).iterrows()
    )
    return [*said, f"Shares of its variance over the points: {named} ({first['found_by']})."]


_ENDS: Final = ("mean", "smallest", "largest")


def _effect_sentences(own: Any, metric: str, design: Made) -> list[str]:
    ordered = own.reindex(own["difference"].abs().sort_values(ascending=False).index)
    first = ordered.iloc[0]
    named = "; ".join(
        f"{row['effect']} {row['text']}" for _, row in ordered.head(MOST_TOLD).iterrows()
    )
    said = [
        f"Largest effects on {metric} ({design.words}; {first['points']} points, {first['n']} "
        f"replications, the same random numbers at each): {named}."
    ]
    joined = own[own["effect"].str.contains(" + ", regex=False)]
    if not joined.empty:
        said.append(
            f"{len(joined)} effects stand for several that this fraction cannot tell apart"
            " (joined by +)."
        )
    return said
