"""The frames of a machine in order: each as a square, or folded into runs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from sim.machine.layout import HUGE_PAGES
from sim.walk.draw.canvas import FAINT, SQUARE, Canvas
from sim.walk.draw.symbols import FILLS, LETTERS
from sim.walk.tell.state import CACHE, DATA, HUGETLB, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from sim.walk.tell.state import Frame, State

_USES: Final = {CACHE: "page cache", TABLE: "page tables", HUGETLB: "pool of huge pages"}
MOST_SQUARES: Final = 64
"""Frames of the largest machine that is drawn frame by frame."""
PITCH: Final = SQUARE + 2
ROW: Final = 32
"""Squares in a wide row."""
_LONG: Final = 8
"""As many frames alike are drawn one by one, more as one box."""
_BOX: Final = 6
"""The least width of such a box, in squares."""


@dataclass(frozen=True, slots=True)
class Run:
    """Frames [first, end) in the same use, with as many references, changed or not."""

    first: int
    end: int
    frame: Frame
    changed: bool

    @property
    def is_long(self) -> bool:
        """Whether it is drawn as one box."""
        return self.end - self.first > _LONG


def runs(state: State, changed: Set[int]) -> list[list[Run]]:
    """Return the frames of a machine in runs, a list for each 2 MiB of them."""

    def look(pfn: int) -> tuple[int, str, int, bool]:
        frame = state.frames[pfn]
        refs = frame.refs if frame.use == DATA else 0
        return pfn // HUGE_PAGES, frame.use, refs, pfn in changed

    found: list[list[Run]] = []
    for (block, *_, is_changed), group in groupby(range(len(state.frames)), look):
        pfns = list(group)
        if block == len(found):
            found.append([])
        found[block].append(Run(pfns[0], pfns[-1] + 1, state.frames[pfns[0]], is_changed))
    return found


def free_text(state: State) -> str:
    """Return how many frames are free."""
    return f"{state.free:,} of {len(state.frames):,} frames free"


def draw_squares(
    canvas: Canvas, state: State, changed: Set[int], x: int, y: int, per_row: int
) -> int:
    """Draw all frames, `per_row` squares a row, from (x, y) on; return where they end."""
    for pfn, frame in enumerate(state.frames):
        row, at = divmod(pfn, per_row)
        left, top = x + at * PITCH, y + row * PITCH
        if at == 0:
            canvas.text(left - 4, top + 14, str(pfn), fill=FAINT, anchor="end")
        canvas.square(left, top, _letter(frame), FILLS[frame.use], changed=pfn in changed)
    return y + -(-len(state.frames) // per_row) * PITCH


def draw_runs(canvas: Canvas, state: State, changed: Set[int], x: int, y: int) -> int:
    """Draw all frames, a row or more for each 2 MiB, from (x, y) on; return where they end."""
    for block in runs(state, changed):
        for row in _rows(block):
            _draw_row(canvas, row, x, y)
            y += PITCH
    return y


def _rows(block: list[Run]) -> Iterator[list[Run]]:
    """Yield what fits side by side; short runs come frame by frame."""
    row: list[Run] = []
    room = ROW
    for run in block:
        parts = (
            [run]
            if run.is_long
            else [Run(pfn, pfn + 1, run.frame, run.changed) for pfn in range(run.first, run.end)]
        )
        for part in parts:
            width = _BOX if part.is_long else 1
            if width > room:
                yield row
                row, room = [], ROW
            row.append(part)
            room -= width
    yield row


def _draw_row(canvas: Canvas, row: list[Run], x: int, y: int) -> None:
    """Draw runs side by side; long ones share the width that is left."""
    long = sum(run.is_long for run in row)
    left = (ROW - sum(_BOX if run.is_long else 1 for run in row)) * PITCH
    canvas.text(x - 4, y + 14, str(row[0].first), fill=FAINT, anchor="end")
    for run in row:
        letter, fill = _letter(run.frame), FILLS[run.frame.use]
        if not run.is_long:
            canvas.square(x, y, letter, fill, changed=run.changed)
            x += PITCH
            continue
        width = _BOX * PITCH + left // long
        left, long = left - left // long, long - 1
        canvas.box(x, y, width - 2, SQUARE, fill=fill, changed=run.changed)
        text = f"{run.first}–{run.end - 1} {_use_text(run.frame)}"
        canvas.text(x + width // 2, y + 14, text, anchor="middle")
        x += width


def _use_text(frame: Frame) -> str:
    if frame.use == DATA:
        return f"×{frame.refs}"
    return _USES.get(frame.use, frame.use)


def _letter(frame: Frame) -> str:
    return LETTERS.get(frame.use, "") or (str(frame.refs) if frame.use == DATA else "")
