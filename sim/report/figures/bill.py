"""The bill: what the memory of a host is for, from the data set up."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sim.base.units import GIB, MIB, format_bytes
from sim.machine.parts import PARTS
from sim.report.style import (
    BLUE,
    BROWN,
    FAINT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    SKY,
    YELLOW,
    Drawing,
    canvas,
    drawn,
    ink_on,
)

_PART_COLOURS: Final = {
    "data": BLUE,
    "cow_copies": ORANGE,
    "page_tables": GREEN,
    "kernel_stacks": PINK,
    "page_cache": BROWN,
    "shared_memory": RED,
    "hugetlb": INK,
    "zram": FAINT,
}
COLOURS: Final[Mapping[str, str]] = {
    **{PARTS[part]: colour for part, colour in _PART_COLOURS.items()},
    "data set": BLUE,
    "slack": SKY,
    "margin": YELLOW,
    "kernel": GREY,
    "min watermark": PURPLE,
}
"""Colour of every item, on the bar and in the table beside it."""

POINT_PARTS: Final = (
    *(
        (PARTS[part], f"{part}_bytes", colour)
        for part, colour in _PART_COLOURS.items()
        if part != "kernel_stacks"  # too narrow to be seen
    ),
    ("kernel, watermark, margin", "", GREY),
)
"""Items of the bills of all points, the last one being what is left."""
MOST_POINTS: Final = 30

SEEN_FROM: Final = 0.005
"""Share of a bar from which a part of it can be seen, and so is in the legend."""
LABEL_FITS_FROM: Final = 0.12
"""Share of the bar from which an item's label fits inside it."""
LABEL_WORTH_FROM: Final = 0.01
"""Share of the bar from which an item gets a label at all; the table has them all."""


def draw_bill(items: Sequence[Mapping[str, Any]], where: str, folder: Path) -> Drawing | None:
    """Draw one stacked bar, its items in the order given."""
    if not items:
        return None
    total = sum(item["bytes"] for item in items)
    unit, unit_name = (GIB, "GiB") if total >= 2 * GIB else (MIB, "MiB")
    with canvas(2.0) as (figure, (axis,)):
        left = 0.0
        outside: list[tuple[float, str]] = []
        for item in items:
            width = item["bytes"] / unit
            colour = COLOURS.get(item["name"], FAINT)
            axis.barh(
                0, width, left=left, height=0.6, color=colour, edgecolor="white", linewidth=0.7
            )
            if item["bytes"] >= LABEL_FITS_FROM * total:
                axis.text(
                    left + width / 2,
                    0,
                    f"{item['name']}\n{item['text']}",
                    ha="center",
                    va="center",
                    fontsize=9,
                    color=ink_on(colour),
                )
            elif item["bytes"] >= LABEL_WORTH_FROM * total:
                outside.append((left + width / 2, f"{item['name']} {item['text']}"))
            left += width
        axis.set_xlim(0, left)
        axis.set_ylim(-0.35, 0.5 + 0.22 * max(len(outside), 1))
        axis.grid(visible=False)
        for n, (x, words) in enumerate(outside):
            y = 0.5 + 0.22 * (len(outside) - 1 - n)
            side = "right" if x > left / 2 else "left"
            axis.plot([x, x], [0.3, y], color=FAINT, linewidth=0.8)
            axis.annotate(
                words,
                (x, y),
                xytext=(-3 if side == "right" else 3, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=9,
            )
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        axis.set_xlabel(unit_name)
        axis.set_title(f"{format_bytes(total)} for {where}")
        listed = ", ".join(f"{item['name']} {item['text']}" for item in items)
        small = [i["name"] for i in items if 0 < i["bytes"] < LABEL_WORTH_FROM * total]
        return drawn(
            figure,
            folder,
            "bill",
            title="The bill",
            caption=f"What {format_bytes(total)} are for."
            + (f" Too narrow to be seen: {', '.join(small)}." if small else ""),
            alt=f"Stacked bar of {format_bytes(total)}: {listed}.",
        )


def draw_bills(table: Any, axes: Sequence[Mapping[str, Any]], folder: Path) -> Drawing | None:
    """Draw the bill of every point as a multiple of its data, one bar a point."""
    if table.empty or table["times_data"].isna().any():
        return None
    own = table.head(MOST_POINTS).iloc[::-1]
    keys = [axis["key"] for axis in axes]
    names = [" · ".join(str(row[key]) for key in keys) for _, row in own.iterrows()]
    left = own["times_data"] * 0.0
    with canvas(1.15 + 0.24 * len(own)) as (figure, (axis,)):
        for name, column, colour in POINT_PARTS:
            width = own[column] / own["data_set_bytes"] if column else own["times_data"] - left
            if not (width >= SEEN_FROM * own["times_data"]).any():
                left = left + width
                continue
            axis.barh(
                range(len(own)),
                width,
                left=left,
                height=0.72,
                color=colour,
                edgecolor="white",
                linewidth=0.5,
                label=name,
            )
            left = left + width
        axis.axvline(1, color=INK, linewidth=0.8)
        axis.set_yticks(range(len(own)), names)
        axis.set_ylim(-0.6, len(own) - 0.4)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("times the data set")
        axis.set_title("The bill at every point")
        figure.legend(loc="outside lower center", ncols=2, handlelength=1.2)
        low, high = own["times_data"].min(), own["times_data"].max()
        return drawn(
            figure,
            folder,
            "bills",
            title="The bill at every point",
            caption="What the memory of the host is for, as multiples of the data set; the line is "
            "the data set itself.",
            alt=f"Stacked bars: hosts from {low:.2f} to {high:.2f} times the data set.",
        )
