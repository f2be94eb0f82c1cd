"""Memory as text: a row of entries for each address space, the frames below, the pool as a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.host.walk.layout import Block, blocks, changed_entries, changed_frames
from sim.host.walk.names import STACK
from sim.host.walk.state import CACHE, DATA, FREE, KERNEL, TABLE
from sim.host.walk.state import STACK as KERNEL_STACK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.host.walk.layout import Column
    from sim.host.walk.state import Frame, Space, State
    from sim.host.walk.story import Story

_CELL: Final = 6
_SHELF_CELLS: Final = 16
"""Columns side by side; what is more goes below."""
_LABEL: Final = 9
_SIGNS: Final = {FREE: ".", KERNEL: "Z", KERNEL_STACK: "K", TABLE: "T", CACHE: "F"}

LEGEND: Final = (
    "7w: frame 7, writable  7r: read-only  0z: the zero page  -: no entry  ~: in no area  "
    "7x2: frame 7 with 2 references",
    "pool: Z zero page  K kernel stack  T page table  1 2 … data with so many references  "
    "F page cache  . free;  * and ^: changed by this line",
)


class TextDrawing:
    """Draws the states of one story."""

    def __init__(self, story: Story) -> None:
        self._shelves = list(_shelves(blocks(story)))
        self._frames = story.frames

    def lines(self, before: State | None, after: State) -> list[str]:
        """Return a picture of `after`; what `before` was different is marked."""
        entries = changed_entries(before, after)
        frames = changed_frames(before, after)
        lines = []
        for shelf in self._shelves:
            columns = [column for block in shelf for column in block.columns]
            if not any(_concerns(space, shelf) for space in after.spaces):
                continue
            lines.append(_row("", [column.label for column in columns]))
            for space in after.spaces:
                if _concerns(space, shelf):
                    cells = [_entry_text(space, c, (space.slot, c.vpn) in entries) for c in columns]
                    lines.append(_row(space.name, cells))
            lines += _frame_rows(after, columns, frames)
        for space in after.spaces:
            lines.append(f"{space.name:<{_LABEL}} {_tables_text(space, self._shelves)}")
            lines.append(f"{'':<{_LABEL}} {_areas_text(space, self._shelves)}")
        lines += _pool_rows(after, frames)
        return [line.rstrip() for line in lines]


def _shelves(found: Sequence[Block]) -> Iterable[list[Block]]:
    """Yield blocks in rows of at most `_SHELF_CELLS` columns; a wide block is cut."""
    shelf: list[Block] = []
    room = _SHELF_CELLS
    for block in found:
        columns = block.columns
        while columns:
            if room == 0 or (len(columns) > room and room < _SHELF_CELLS and shelf):
                yield shelf
                shelf, room = [], _SHELF_CELLS
            part, columns = columns[:room], columns[room:]
            shelf.append(Block(block.label, part))
            room -= len(part)
    yield shelf


def _concerns(space: Space, shelf: Sequence[Block]) -> bool:
    return any(a.start < block.end and a.end > block.start for a in space.areas for block in shelf)


def _row(label: str, cells: Iterable[str]) -> str:
    return f"{label:<{_LABEL}}" + "".join(f"{cell:>{_CELL}}" for cell in cells)


def _entry_text(space: Space, column: Column, changed: bool) -> str:
    mark = "*" if changed else " "
    entry = space.entries.get(column.vpn)
    if entry is not None:
        return f"{entry.pfn}{'z' if entry.zero else entry.mode}{mark}"
    inside = any(a.start < column.end and a.end > column.vpn for a in space.areas)
    return f"{'-' if inside else '~'}{mark}"


def _frame_rows(state: State, columns: Sequence[Column], changed: set[int]) -> list[str]:
    """Return rows with the frames of each page below each other, first owner's first."""
    stacks: list[list[str]] = []
    for column in columns:
        frames: list[int] = []
        for space in state.spaces:
            entry = space.entries.get(column.vpn)
            if entry is not None and not entry.zero and entry.pfn not in frames:
                frames.append(entry.pfn)
        stacks.append([f"{f}x{state.frames[f].refs}{'*' if f in changed else ' '}" for f in frames])
    depth = max((len(stack) for stack in stacks), default=0)
    return [
        _row("" if n else "frames", [stack[n] if n < len(stack) else "" for stack in stacks])
        for n in range(depth)
    ]


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


def _sign(frame: Frame) -> str:
    if frame.use == DATA:
        return str(min(frame.refs, 9))
    return _SIGNS[frame.use]


def _pool_rows(state: State, changed: set[int]) -> list[str]:
    signs = "".join(map(_sign, state.frames))
    marks = "".join("^" if pfn in changed else " " for pfn in range(len(state.frames)))
    label = f"{'pool':<{_LABEL}} "
    lines = [f"{label}{signs}  {state.free} of {len(state.frames)} free"]
    if changed:
        lines.append(f"{'':<{_LABEL}} {marks}")
    return lines
