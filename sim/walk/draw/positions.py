"""Where columns are drawn: side by side, in rows that fit the width of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.walk.draw.symbols import CELL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sim.walk.draw.layout import Block, Column

WIDTH: Final = 800
LEFT: Final = 92
"""Where columns begin."""
COLUMN: Final = 52
GAP: Final = 12
"""Between regions."""
WIDE: Final = 2 * COLUMN + CELL
"""Width of an entry or frame that stands for many alike."""


@dataclass(frozen=True, slots=True)
class Position:
    """A column and where it is drawn."""

    column: Column
    block: Block
    x: int

    @property
    def width(self) -> int:
        """Width of its entries and frames."""
        return WIDE if self.column.alike else CELL

    @property
    def right(self) -> int:
        """Where they end."""
        return self.x + self.width

    @property
    def middle(self) -> int:
        """Half way."""
        return self.x + self.width // 2


def shelves(found: Iterable[Block]) -> Iterator[list[Position]]:
    """Yield the columns of all regions in rows that fit the width; a region is cut if need be."""
    right = WIDTH - 14
    shelf: list[Position] = []
    x = LEFT
    for block in found:
        widths = [WIDE if column.alike else CELL for column in block.columns]
        gap = COLUMN - CELL
        if shelf and x + sum(widths) + (len(widths) - 1) * gap > right:
            yield shelf
            shelf, x = [], LEFT
        for column, width in zip(block.columns, widths, strict=True):
            if x + width > right:
                yield shelf
                shelf, x = [], LEFT
            shelf.append(Position(column, block, x))
            x += width + gap
        x += GAP
    if shelf:
        yield shelf
