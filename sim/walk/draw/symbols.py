"""The symbols of a drawing: what colours, letters and edges mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.walk.draw.canvas import HATCH
from sim.walk.tell.state import CACHE, DATA, FREE, HUGETLB, KERNEL, TABLE
from sim.walk.tell.state import STACK as KERNEL_STACK

if TYPE_CHECKING:
    from sim.walk.draw.canvas import Canvas

CELL: Final = 42
"""Width of an entry and of a frame."""
MANY: Final = 130
"""Width of the sample of a box that stands for many."""
FILLS: Final = {
    FREE: "#ffffff",
    KERNEL: "#dddddd",
    KERNEL_STACK: "#cfeadd",
    TABLE: "#e4dbf0",
    DATA: "#cfe3f7",
    CACHE: "#fbeab0",
    HUGETLB: "#f3d9c9",
}
TABLE_EDGE: Final = "#8a7aa3"
LETTERS: Final = {KERNEL: "Z", KERNEL_STACK: "K", TABLE: "T", CACHE: "F", HUGETLB: "H"}


def legend(canvas: Canvas, y: int, *, folded: bool = False) -> int:
    """Draw samples of all symbols, those of pages `folded` too if there are any; return the end."""
    samples: list[tuple[str, str, bool, str, str]] = [
        ("7 w", "#ffffff", False, "", "entry: frame 7, writable"),
        ("7 r", HATCH, False, "", "read-only: a write faults"),
        ("", "#ffffff", False, "3 3", "no entry: a touch faults"),
        ("7 w", "#ffffff", True, "", "changed by this line"),
    ]
    x = 14
    for text, fill, changed, dash, meaning in samples:
        canvas.box(x, y, CELL - 6, 18, fill=fill, changed=changed, dash=dash)
        canvas.text(x + (CELL - 6) // 2, y + 13, text, bold=True, anchor="middle")
        canvas.text(x + CELL, y + 13, meaning)
        x += 196
    y += 26
    uses = [
        (DATA, "2", "data, 2 references"),
        (CACHE, "F", "page cache"),
        (TABLE, "T", "page table"),
        (KERNEL_STACK, "K", "kernel stack"),
        (KERNEL, "Z", "the zero page"),
        (FREE, "", "free"),
    ]
    x = 14
    for use, letter, meaning in uses:
        canvas.square(x, y, letter, FILLS[use])
        canvas.text(x + 24, y + 13, meaning)
        x += 44 + len(meaning) * 6
    if folded:
        y += 26
        samples_of_many = [
            ("huge: 512–1023 w", False, "one huge entry for 2 MiB, 512 frames"),
            ("512–1023 w", True, "as many entries alike, one a frame"),
        ]
        x = 14
        for text, teeth, meaning in samples_of_many:
            canvas.box(x, y, MANY, 18)
            if teeth:
                canvas.teeth(x, y, MANY, 18)
            canvas.text(x + MANY // 2, y + 13, text, bold=True, anchor="middle")
            canvas.text(x + MANY + 6, y + 13, meaning)
            x += 386
    return y + 28
