"""One picture of memory: tables, areas, entries, the frames they point to, and the free pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.machine.layout import HUGE_PAGES
from sim.walk.draw.canvas import FAINT, HATCH, Canvas
from sim.walk.draw.layout import Block, changed_entries, changed_frames
from sim.walk.draw.pool import MOST_SQUARES, PITCH, ROW, draw_runs, draw_squares, free_text
from sim.walk.draw.positions import COLUMN, LEFT, WIDE, WIDTH, Position, shelves
from sim.walk.draw.symbols import CELL, FILLS, LETTERS, TABLE_EDGE
from sim.walk.tell.state import CACHE, KERNEL, TABLE, set_aside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sim.walk.draw.layout import Column
    from sim.walk.tell.state import Space, State, Table

BAR: Final = 15
ENTRY: Final = 24
FRAME: Final = 32
LANE: Final = 46
"""Height of a row of frames, with the arrows that end there."""
MAP: Final = 8 * PITCH
"""Width of the pool drawn as a square."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parts of an address space are drawn, and where it ends."""

    tables: int
    area: int
    entries: int
    end: int


class Panel:
    """Draws one state, and marks what is different from the one before."""

    def __init__(
        self, canvas: Canvas, found: Sequence[Block], before: State | None, after: State
    ) -> None:
        self._canvas = canvas
        self._blocks = found
        self._before = before
        self._after = after
        self._entries = changed_entries(before, after)
        self._frames = changed_frames(before, after)
        self._old_tables = (
            {_table_key(space, table) for space in before.spaces for table in space.tables}
            if before is not None
            else None
        )

    def draw(self, y: int) -> int:
        """Draw from `y` on, and return where the picture ends.

        The pool lies beside a picture that leaves room for it, otherwise below.
        """
        rows = list(shelves(self._blocks))
        top = y
        for shelf in rows:
            spaces = [s for s in self._after.spaces if _concerns(s, shelf)]
            if spaces:
                y = self._shelf(shelf, spaces, y)
        is_small = len(self._after.frames) <= MOST_SQUARES
        if is_small and len(rows) == 1 and rows[0][-1].right < WIDTH - MAP - 40:
            return max(y, self._pool(WIDTH - MAP - 14, top + 10, 8)) + 12
        return self._pool(LEFT, y + 4, ROW) + 12

    def _shelf(self, shelf: list[Position], spaces: list[Space], y: int) -> int:
        """Draw the columns of one row of regions; arrows first, all else on top of them."""
        for position in shelf:
            self._canvas.text(
                position.middle, y + 11, position.column.label, fill=FAINT, anchor="middle"
            )
        columns = [self._versions(position.column, spaces) for position in shelf]
        has_zero = any(_is_zero(s, position.column) for s in spaces for position in shelf)
        depth = max([1, *map(len, columns)])
        tops = self._places(spaces, y + 16, depth + has_zero)
        lane = tops[0].entries + ENTRY
        self._arrows(shelf, spaces, columns, [place.entries for place in tops], lane, depth)
        for space, place in zip(spaces, tops, strict=True):
            self._tables(shelf, space, place.tables, downwards=space is spaces[0])
            self._areas(shelf, space, place.area)
            self._row(shelf, space, place.entries)
        if has_zero:
            self._zero_page(shelf, spaces, lane + LANE * depth + LANE - FRAME)
        self._canvas.text(12, lane + LANE - 14, "frames", fill=FAINT)
        self._canvas.text(12, lane + LANE - 2, "× references", fill=FAINT)
        for position, versions in zip(shelf, columns, strict=True):
            for n, pfn in enumerate(versions):
                self._frame(position, lane + LANE * n + LANE - FRAME, pfn)
        return tops[-1].end + 4

    def _places(self, spaces: Sequence[Space], y: int, rows_of_frames: int) -> list[Place]:
        """Return where each space is drawn: the first from its tables down, the others reversed."""
        top, height = y, (BAR + 1) * _levels(spaces[0])
        entries = y + height + BAR + 4
        y = entries + ENTRY + LANE * rows_of_frames + 14
        found = [Place(top, top + height, entries, y)]
        for space in spaces[1:]:
            area = y + ENTRY + 2
            tables = area + BAR + 2
            end = tables + (BAR + 1) * _levels(space) + 10
            found.append(Place(tables, area, y, end))
            y = end
        return found

    # -- rows -----------------------------------------------------------------------------------

    def _tables(self, shelf: list[Position], space: Space, y: int, *, downwards: bool) -> None:
        """Draw the tables of a space that cover something here, a row a level."""
        levels = sorted({table.level for table in space.tables}, reverse=downwards)
        for level in levels:
            name = "leaf table" if level == 1 else f"level {level} table"
            self._canvas.text(12, y + 11, name, fill=FAINT)
            if level == 1:
                self._set_aside(shelf, space, y)
            for table in space.tables:
                if table.level != level:
                    continue
                covered = [s for s in shelf if table.start <= s.column.vpn < table.end]
                if not covered:
                    continue
                old = self._old_tables
                changed = old is not None and _table_key(space, table) not in old
                self._bar(
                    covered[0].x,
                    covered[-1].right - covered[0].x,
                    y,
                    self._table_text(table.frame),
                    changed,
                )
            y += BAR + 1

    def _set_aside(self, shelf: list[Position], space: Space, y: int) -> None:
        """Draw the leaf tables that wait for a split above their huge entries, dashed."""
        for start, table in set_aside(space).items():
            covered = [s for s in shelf if start <= s.column.vpn < start + HUGE_PAGES]
            if covered:
                old = self._old_tables
                changed = old is not None and _table_key(space, table) not in old
                x, width = covered[0].x, covered[-1].right - covered[0].x
                text = f"frame {table.frame}" + ", set aside" * (width > 120)
                self._bar(x, width, y, text, changed, dash="3 3")

    def _table_text(self, frame: int) -> str:
        users = sum(t.frame == frame for space in self._after.spaces for t in space.tables)
        return f"frame {frame}" if users == 1 else f"frame {frame} ×{users}"

    def _bar(self, x: int, width: int, y: int, text: str, changed: bool, dash: str = "") -> None:
        if width < 56:
            text = text.removeprefix("frame ")
        self._canvas.box(
            x,
            y,
            width,
            BAR - 1,
            fill=FILLS[TABLE],
            dash=dash,
            changed=changed,
            stroke=TABLE_EDGE,
            clear=True,
        )
        self._canvas.text(x + width // 2, y + 11, text, anchor="middle")

    def _areas(self, shelf: list[Position], space: Space, y: int) -> None:
        self._canvas.text(12, y + 12, "area", fill=FAINT)
        for area in space.areas:
            covered = [s for s in shelf if area.start < s.column.end and area.end > s.column.vpn]
            if not covered:
                continue
            x, width = covered[0].x, covered[-1].right - covered[0].x
            kind = f"{'shared' if area.shared else 'private'} {area.kind}"
            if area.kind == "shared memory":
                kind = area.kind
            flags = "".join(f", {flag}" for flag in area.flags if flag != "grows down")
            text = f"{area.access} {kind}{flags}"
            if len(text) * 6 > width:
                text = area.access
            self._canvas.box(x, y + 1, width, BAR - 1, radius=7, stroke=FAINT, clear=True)
            self._canvas.text(x + width // 2, y + 12, text, anchor="middle")

    def _row(self, shelf: list[Position], space: Space, y: int) -> None:
        """Draw the entries of a space."""
        self._canvas.text(12, y + 18, space.name, size=15, bold=True)
        for position in shelf:
            column = position.column
            entry = space.entries.get(column.vpn)
            changed = (space.slot, column.vpn) in self._entries
            inside = _has_cell(space, column)
            middle = position.middle
            if entry is not None and entry.huge and not entry.zero:
                continue
            if entry is not None:
                fill = "#ffffff" if entry.writable else HATCH
                text = f"{entry.pfn if entry.zero else column.span(entry.pfn)} {entry.mode}"
                self._canvas.box(position.x, y, position.width, ENTRY, fill=fill, changed=changed)
                if column.alike and not entry.huge:
                    self._canvas.teeth(position.x, y, position.width, ENTRY)
                self._canvas.text(middle, y + 16, text, size=12, anchor="middle", bold=True)
            elif inside or changed:
                dash, stroke = "3 3", "#999999"
                self._canvas.box(
                    position.x, y, position.width, ENTRY, dash=dash, stroke=stroke, changed=changed
                )
                if column.is_fold:
                    self._canvas.text(middle, y + 15, "…", size=12, fill=FAINT, anchor="middle")
        for positions in _huge_entries(shelf, space):
            self._huge(positions, space, y)

    def _huge(self, positions: list[Position], space: Space, y: int) -> None:
        """Draw a huge entry as one box, over all columns of its 2 MiB."""
        entry = space.entries[positions[0].column.vpn]
        first = entry.pfn // HUGE_PAGES * HUGE_PAGES
        changed = any((space.slot, position.column.vpn) in self._entries for position in positions)
        fill = "#ffffff" if entry.writable else HATCH
        x, width = positions[0].x, positions[-1].right - positions[0].x
        self._canvas.box(x, y, width, ENTRY, fill=fill, changed=changed)
        text = f"{first}–{first + HUGE_PAGES - 1} {entry.mode}"
        if width > CELL:
            text = f"huge: {text}"
        size = 12 if width >= WIDE else 10
        self._canvas.text(x + width // 2, y + 16, text, size=size, anchor="middle", bold=True)

    # -- frames ---------------------------------------------------------------------------------

    def _versions(self, column: Column, spaces: Sequence[Space]) -> list[int]:
        """Return the frames of a page, from the top: the first space's, the page cache's, others'.

        The second space's come last, next to it.
        """
        found = [] if column.is_fold and not column.alike else [self._after.cache.get(column.vpn)]
        for space in reversed(spaces[1:]):
            entry = space.entries.get(column.vpn)
            found.append(None if entry is None or entry.zero else entry.pfn)
        own = spaces[0].entries.get(column.vpn)
        if own is not None and not own.zero:
            found.insert(0, own.pfn)
        return list(dict.fromkeys(pfn for pfn in found if pfn is not None))

    def _frame(self, position: Position, y: int, pfn: int) -> None:
        frame = self._after.frames[pfn]
        refs = f"×{frame.refs}"
        if self._before is not None and pfn in self._frames:
            old = self._before.frames[pfn]
            is_new = (old.use, old.page) != (frame.use, frame.page)
            refs = f"new ×{frame.refs}" if is_new else f"×{old.refs}→{frame.refs}"
        self._canvas.box(
            position.x,
            y,
            position.width,
            FRAME,
            fill=FILLS[frame.use],
            changed=pfn in self._frames,
            radius=4,
        )
        middle = position.middle
        label = position.column.span(pfn)
        label = f"{label} {LETTERS[CACHE]}" if frame.use == CACHE else label
        refs += " each" if position.column.alike else ""
        self._canvas.text(middle, y + 14, label, size=12, bold=True, anchor="middle")
        self._canvas.text(middle, y + 27, refs, anchor="middle")

    def _arrows(
        self,
        shelf: list[Position],
        spaces: Sequence[Space],
        columns: Sequence[list[int]],
        rows: Sequence[int],
        lane: int,
        depth: int,
    ) -> None:
        """Draw an arrow from each entry to its frame; entries and frames will lie on top.

        It goes straight where nothing is in between, otherwise round it, right of the column.
        """
        for position, versions in zip(shelf, columns, strict=True):
            for n, space in enumerate(spaces):
                entry = space.entries.get(position.column.vpn)
                if entry is None:
                    continue
                at = depth if entry.zero else versions.index(entry.pfn)
                upper = lane + LANE * at + LANE - FRAME
                changed = (space.slot, position.column.vpn) in self._entries
                start = rows[n] + ENTRY if n == 0 else rows[n]
                end = upper - 1 if n == 0 else upper + FRAME + 1
                if n == 0:
                    blocked = at > 0 and bool(versions)
                else:
                    blocked = at < len(versions) - 1 or any(
                        _has_cell(other, position.column) for other in spaces[1:n]
                    )
                side = position.right
                if not blocked:
                    x = position.x + (n + 1) * position.width // (len(spaces) + 1)
                    self._canvas.arrow(x, start, end, changed=changed)
                else:
                    way = f"M{side} {rows[n] + ENTRY // 2}h{(1, 4, 7)[n % 3]}V"
                    way += str(end) if entry.zero else f"{upper + FRAME // 2}H{side}"
                    self._canvas.way(way, changed=changed)

    def _zero_page(self, shelf: list[Position], spaces: Sequence[Space], y: int) -> None:
        """Draw the one zero page below all columns that map it."""
        covered = [s for s in shelf if any(_is_zero(space, s.column) for space in spaces)]
        x = covered[0].x
        width = covered[-1].right + COLUMN - CELL - x
        self._canvas.box(x, y, width, FRAME, fill=FILLS[KERNEL], radius=4)
        text = "frame 0: the zero page" if width > 140 else "0 Z"
        self._canvas.text(x + width // 2, y + 20, text, size=12, bold=True, anchor="middle")

    # -- the pool -------------------------------------------------------------------------------

    def _pool(self, x: int, y: int, per_row: int) -> int:
        """Draw all frames of the machine in order, `per_row` squares a row, from (x, y) on."""
        canvas, after = self._canvas, self._after
        free = free_text(self._after)
        if per_row == 8:
            canvas.text(x, y + 4, free, size=12, bold=True)
            y += 12
        else:
            canvas.text(12, y + 12, free, size=12, bold=True)
            y += 18
        if len(after.frames) <= MOST_SQUARES:
            return draw_squares(canvas, after, self._frames, x, y, per_row)
        return draw_runs(canvas, after, self._frames, x, y)


def _table_key(space: Space, table: Table) -> tuple[int, int, int, bool]:
    """Return what tells a table apart; one that was set aside is another once it is in use."""
    return space.slot, table.level, table.frame, table.start == table.end


def _has_cell(space: Space, column: Column) -> bool:
    return any(a.start < column.end and a.end > column.vpn for a in space.areas)


def _levels(space: Space) -> int:
    return len({table.level for table in space.tables})


def _is_zero(space: Space, column: Column) -> bool:
    entry = space.entries.get(column.vpn)
    return entry is not None and entry.zero


def _huge_entries(shelf: Iterable[Position], space: Space) -> Iterator[list[Position]]:
    """Yield the columns of each huge entry for data."""
    positions: list[Position] = []
    for position in shelf:
        entry = space.entries.get(position.column.vpn)
        if entry is None or not entry.huge or entry.zero:
            continue
        if positions and position.column.vpn // HUGE_PAGES != positions[0].column.vpn // HUGE_PAGES:
            yield positions
            positions = []
        positions.append(position)
    if positions:
        yield positions


def _concerns(space: Space, shelf: Sequence[Position]) -> bool:
    return any(a.start < s.column.end and a.end > s.column.vpn for a in space.areas for s in shelf)
