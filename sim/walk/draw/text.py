"""Memory as text: a row of entries for each address space, the frames below, the pool as a map."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from sim.walk.draw.layout import Block, blocks, changed_entries, changed_frames
from sim.walk.draw.pool import MOST_SQUARES, free_text, runs
from sim.walk.tell.names import STACK
from sim.walk.tell.state import CACHE, DATA, FREE, HUGETLB, KERNEL, TABLE
from sim.walk.tell.state import STACK as KERNEL_STACK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.walk.draw.layout import Column
    from sim.walk.tell.state import Frame, Space, State
    from sim.walk.tell.story import Story

_SHELF: Final = 96
"""Letters of cells side by side; what is more goes below."""
_CELL: Final = 6
_BIG_CELL: Final = 8
_WIDE_CELL: Final = 18
"""Letters of a cell; where frames have large numbers; and of one that stands for many pages."""
_LABEL: Final = 9
_SIGNS: Final = {FREE: ".", KERNEL: "Z", KERNEL_STACK: "K", TABLE: "T", CACHE: "F", HUGETLB: "H"}

LEGEND: Final = (
    "7w: frame 7, writable  7r: read-only  0z: the zero page  -: no entry  ~: in no area  "
    "7x2: frame 7 with 2 references",
    "pool: Z zero page  K kernel stack  T page table  1 2 … data with so many references  "
    "F page cache  . free;  * and ^: changed by this line",
)
MANY: Final = (
    "512–1023w: as many entries alike  512–1023W: one huge entry, 2 MiB  .×9: so many frames alike"
)
"""What is added where pages are folded."""


class TextDrawing:
    """Draws the states of one story."""

    def __init__(self, story: Story) -> None:
        found = blocks(story)
        self._cell = _CELL if story.frames <= MOST_SQUARES else _BIG_CELL
        self._shelves = list(_shelves(found, self._cell))
        folded = any(column.alike for block in found for column in block.columns)
        self.legend = (*LEGEND, MANY) if folded else LEGEND
        if story.opening is not None and any(f.use == HUGETLB for f in story.opening.frames):
            self.legend = (*self.legend, "H: the pool of huge pages")

    def lines(self, before: State | None, after: State) -> list[str]:
        """Return a picture of `after`; what `before` was different is marked."""
        entries = changed_entries(before, after)
        frames = changed_frames(before, after)
        lines = []
        for shelf in self._shelves:
            columns = [column for block in shelf for column in block.columns]
            if not any(_concerns(space, shelf) for space in after.spaces):
                continue
            lines.append(self._row("", columns, [column.label for column in columns]))
            for space in after.spaces:
                if _concerns(space, shelf):
                    cells = [_entry_text(space, c, (space.slot, c.vpn) in entries) for c in columns]
                    lines.append(self._row(space.name, columns, cells))
            lines += self._frame_rows(after, columns, frames)
        for space in after.spaces:
            lines.append(f"{space.name:<{_LABEL}} {_tables_text(space, self._shelves)}")
            lines.append(f"{'':<{_LABEL}} {_areas_text(space, self._shelves)}")
        lines += _pool_rows(after, frames)
        return [line.rstrip() for line in lines]

    def _row(self, label: str, columns: Iterable[Column], cells: Iterable[str]) -> str:
        widths = (_width(column, self._cell) for column in columns)
        texts = zip(cells, widths, strict=True)
        return f"{label:<{_LABEL}}" + "".join(f"{text:>{width}}" for text, width in texts)

    def _frame_rows(self, state: State, columns: Sequence[Column], changed: set[int]) -> list[str]:
        """Return rows with the frames of each page below each other, first owner's first."""
        stacks: list[list[str]] = []
        for column in columns:
            frames: list[int] = []
            for space in state.spaces:
                entry = space.entries.get(column.vpn)
                if entry is not None and not entry.zero and entry.pfn not in frames:
                    frames.append(entry.pfn)
            stacks.append([_frame_text(state, column, f, changed) for f in frames])
        depth = max((len(stack) for stack in stacks), default=0)
        return [
            self._row(
                "" if n else "frames",
                columns,
                [stack[n] if n < len(stack) else "" for stack in stacks],
            )
            for n in range(depth)
        ]


def _shelves(found: Sequence[Block], cell: int) -> Iterable[list[Block]]:
    """Yield blocks in rows of at most `_SHELF` letters, `cell` a page; a wide block is cut."""
    shelf: list[Block] = []
    room = _SHELF
    for block in found:
        columns = block.columns
        while columns:
            ends = list(accumulate(_width(column, cell) for column in columns))
            if shelf and ends[-1] > room:
                yield shelf
                shelf, room = [], _SHELF
            fit = bisect_right(ends, room)
            shelf.append(Block(block.label, columns[:fit]))
            room -= ends[fit - 1]
            columns = columns[fit:]
    yield shelf


def _width(column: Column, cell: int) -> int:
    return _WIDE_CELL if column.alike else cell


def _concerns(space: Space, shelf: Sequence[Block]) -> bool:
    return any(a.start < block.end and a.end > block.start for a in space.areas for block in shelf)


def _entry_text(space: Space, column: Column, changed: bool) -> str:
    mark = "*" if changed else " "
    entry = space.entries.get(column.vpn)
    if entry is not None:
        if entry.zero:
            return f"{entry.pfn}z{mark}"
        mode = entry.mode.upper() if entry.huge else entry.mode
        return f"{column.span(entry.pfn)}{mode}{mark}"
    inside = any(a.start < column.end and a.end > column.vpn for a in space.areas)
    return f"{'-' if inside else '~'}{mark}"


def _frame_text(state: State, column: Column, pfn: int, changed: set[int]) -> str:
    return f"{column.span(pfn)}x{state.frames[pfn].refs}{'*' if pfn in changed else ' '}"


def _where(start: int, end: int, shelves: Sequence[Sequence[Block]]) -> str:
    """Return the regions that lie in [start, end)."""
    labels = [b.label for shelf in shelves for b in shelf if start < b.end and end > b.start]
    return " ".join(dict.fromkeys(labels))


def _tables_text(space: Space, shelves: Sequence[Sequence[Block]]) -> str:
    levels: dict[int, list[str]] = {}
    for table in space.tables:
        text = str(table.frame)
        if table.level == 1:
            text += f" ({_where(table.start, table.end, shelves) or 'set aside'})"
        levels.setdefault(table.level, []).append(text)
    parts = [
        f"level {level}: {', '.join(levels[level])}"
        if level > 1
        else f"leaf: {', '.join(levels[1])}"
        for level in sorted(levels, reverse=True)
    ]
    return f"tables in frames  {'  '.join(parts)}"


def _areas_text(space: Space, shelves: Sequence[Sequence[Block]]) -> str:
    texts = []
    found = [block for shelf in shelves for block in shelf]
    for area in space.areas:
        block = next((b for b in found if b.start < area.end and b.end > area.start), None)
        if block is None:
            continue
        first = next(b.start for b in found if b.label == block.label)
        pages = "" if block.label == STACK else f"{area.start - first}"
        if pages and area.end - area.start > 1:
            pages += f"–{area.end - 1 - first}"
        kind = f"{'shared ' if area.shared and area.kind == 'file' else ''}{area.kind}"
        flags = "".join(f", {flag}" for flag in area.flags if block.label != STACK)
        texts.append(f"{block.label}{pages} {area.access} {kind}{flags}")
    return f"areas  {';  '.join(texts)}"


def _symbol(frame: Frame) -> str:
    if frame.use == DATA:
        return str(min(frame.refs, 9))
    return _SIGNS[frame.use]


def _pool_rows(state: State, changed: set[int]) -> list[str]:
    if len(state.frames) > MOST_SQUARES:
        return _folded_pool(state, changed)
    symbols = "".join(map(_symbol, state.frames))
    marks = "".join("^" if pfn in changed else " " for pfn in range(len(state.frames)))
    label = f"{'pool':<{_LABEL}} "
    lines = [f"{label}{symbols}  {state.free} of {len(state.frames)} free"]
    if changed:
        lines.append(f"{'':<{_LABEL}} {marks}")
    return lines


def _folded_pool(state: State, changed: set[int]) -> list[str]:
    """Return a line for each 2 MiB of frames, runs of the same folded: ``.×502``."""
    lines = [f"{'pool':<{_LABEL}} {free_text(state)}"]
    for block in runs(state, changed):
        texts = []
        for run in block:
            n, sign = run.end - run.first, _symbol(run.frame)
            text = f"{sign}×{n}" if run.is_long else sign * n
            texts.append(text + "*" * run.changed)
        where = f"{block[0].first}–{block[-1].end - 1}"
        lines.append(f"{where:>{_LABEL}} {' '.join(texts)}")
    return lines
