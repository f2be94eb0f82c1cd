"""The tornado: how far the answer moves with each input, one at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sim.report.axes import quantity_axis
from sim.report.style import BLUE, INK, ORANGE, Drawing, canvas, drawn

MOST_BARS: Final = 10
WORTH_FROM: Final = 0.002
"""Share of the answer from which a movement can be seen."""


def draw_inputs(
    inputs: Sequence[Mapping[str, Any]], answer: Mapping[str, Any], folder: Path
) -> Drawing | None:
    """Draw a bar from the lowest to the highest answer for each input, the widest on top.

    `answer` has the figure, its text and the metric it is in.
    """
    figure = answer["figure"]
    shown = [each for each in inputs if _swing(each, figure) > WORTH_FROM * abs(figure or 1)]
    shown = shown[:MOST_BARS]
    if figure is None or not shown:
        return None
    unseen = [each["label"] for each in inputs if each["ends"] and each not in shown]
    with canvas(1.2 + 0.42 * len(shown)) as (picture, (axis,)):
        axis.axvline(figure, color=INK, linewidth=1.2, zorder=3)
        for row, each in enumerate(shown):
            _bar(axis, row, each, figure)
        axis.set_yticks(range(len(shown)), [f"{e['label']}\n{e['text']}" for e in shown])
        axis.set_ylim(len(shown) - 0.4, -0.6)
        axis.margins(x=0.28)
        axis.grid(visible=False, axis="y")
        quantity_axis(axis.xaxis, answer["metric"])
        axis.set_title("The answer, one input at a time")
        return drawn(
            picture,
            folder,
            "inputs",
            title="What the answer rests on",
            caption=f"The answer ({answer['text']}, the line) with one input at each end of its "
            "range. Blue: lower; orange: higher; pale: an input that the question sets."
            + (f" Not to be seen here: {', '.join(unseen)}." if unseen else ""),
            alt="; ".join(_words(each) for each in shown) + ".",
        )


def _swing(each: Mapping[str, Any], figure: float | None) -> float:
    known = [end["figure"] for end in each["ends"] if end["figure"] is not None]
    return max((abs(other - (figure or 0)) for other in known), default=0.0)


def _bar(axis: Any, row: int, each: Mapping[str, Any], figure: float) -> None:
    """Draw one input: a bar to each side, what it is set to at its end."""
    for end in each["ends"]:
        if end["figure"] is None:
            continue
        colour = ORANGE if end["figure"] > figure else BLUE
        axis.barh(
            row,
            end["figure"] - figure,
            left=figure,
            height=0.5,
            color=colour,
            alpha=0.45 if each["asked"] else 1.0,
            zorder=2,
        )
    for higher in (False, True):
        side = [e for e in each["ends"] if e["figure"] is not None]
        side = [e for e in side if (e["figure"] > figure) == higher]
        if side:
            farthest = max(side, key=lambda e: abs(e["figure"] - figure))
            axis.annotate(
                farthest["value"] + (" or more" if farthest["at_least"] else ""),
                (farthest["figure"], row),
                xytext=(4 if higher else -4, 0),
                textcoords="offset points",
                ha="left" if higher else "right",
                va="center",
                fontsize=8.5,
            )


def _words(each: Mapping[str, Any]) -> str:
    ends = ", ".join(f"{end['text']} with {end['value']}" for end in each["ends"])
    return f"{each['label']} {each['text']}: {ends}"
