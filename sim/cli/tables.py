"""Tables and paragraphs for terminals of any width: no number and no unit is ever cut.

A table that is too wide is set as several, each with the first column; two that stand side by side
go below each other; a name that is too long goes on in the next line.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LEAST_WIDTH: Final = 40
"""On a narrower terminal lines are as long as on this one."""

_GAP: Final = "  "
_BETWEEN: Final = "      "
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_QUANTITY: Final = re.compile(
    r"(?<=\d) (?=(?:[KMGT]?i?B|[numµ]?s|min|h|%|pages?|frames|runs|CPUs?)(?:\b|/|$|(?<=%)))"
)
"""The blank between a number and its unit."""


@dataclass(slots=True)
class Table:
    """Headings and rows of texts; a column is set to the right unless `left` has its number."""

    headings: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    left: tuple[int, ...] = (0,)

    def lines(self, width: int) -> list[str]:
        """Return the table in lines of at most `width`, as several tables where it is wider.

        Only a column that is wider by itself makes longer lines.
        """
        width = max(width, LEAST_WIDTH)
        columns = list(zip(self.headings, *self.rows, strict=True))
        widths = [max(map(cell_len, column)) for column in columns]
        widest = max(widths[1:], default=0)
        widths[0] = min(widths[0], max(width - widest - len(_GAP), LEAST_WIDTH // 3))
        parts: list[str] = []
        for group in _groups(widths, width):
            if parts:
                parts.append("")
            parts += self._set(group, widths)
        return parts

    def _set(self, columns: Sequence[int], widths: Sequence[int]) -> list[str]:
        def line(cells: Sequence[str]) -> list[str]:
            first = [cells[0][at : at + widths[0]] for at in range(0, len(cells[0]), widths[0])]
            rest = [self._cell(cells[column], column, widths[column]) for column in columns[1:]]
            lines = [_GAP.join([_padded(first[0] if first else "", widths[0]), *rest]).rstrip()]
            return lines + first[1:]

        total = sum(widths[column] for column in columns) + len(_GAP) * (len(columns) - 1)
        found = [*line(self.headings), "─" * total]
        for row in self.rows:
            found += line(row)
        return found

    def _cell(self, text: str, column: int, width: int) -> str:
        if column in self.left:
            return _padded(text, width)
        return " " * (width - cell_len(text)) + text


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _groups(widths: Sequence[int], width: int) -> list[list[int]]:
    """Return which columns stand in one table, the first in each of them."""
    groups = [[0]]
    used = widths[0]
    for column in range(1, len(widths)):
        needed = len(_GAP) + widths[column]
        if used + needed > width and len(groups[-1]) > 1:
            groups.append([0])
            used = widths[0]
        groups[-1].append(column)
        used += needed
    return groups


def beside(left: Table, right: Table, width: int) -> list[str]:
    """Return two tables in lines of at most `width`: side by side where there is room."""
    first, second = left.lines(width), right.lines(width)
    both = max(map(cell_len, first)) + len(_BETWEEN) + max(map(cell_len, second))
    if both > max(width, LEAST_WIDTH):
        return [*first, "", *second]
    wide = max(map(cell_len, first))
    pairs = zip_longest(first, second, fillvalue="")
    return [f"{_padded(a, wide)}{_BETWEEN}{b}".rstrip() for a, b in pairs]


def paragraph(text: str, width: int, indent: str = "", *, first: str | None = None) -> list[str]:
    """Return text in lines of at most `width`, broken at blanks, never before a unit.

    `indent` begins every line, `first` the first one instead.

    >>> paragraph("It takes 132 MiB of copies.", 14)
    ['It takes', '132 MiB of', 'copies.']
    """
    lines = textwrap.wrap(
        _QUANTITY.sub(_NO_BREAK, text),
        max(width, len(indent) + LEAST_WIDTH // 4),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_NO_BREAK, " ") for line in lines]


def labelled(pairs: Iterable[tuple[str, str]], width: int) -> list[str]:
    """Return labels, each with its text beside it, in lines of at most `width`."""
    pairs = list(pairs)
    width = max(width, LEAST_WIDTH)
    label_width = min(max((cell_len(label) for label, _ in pairs), default=0), width // 2)
    indent = " " * (label_width + 4)
    found: list[str] = []
    for label, text in pairs:
        start = f"  {label}"
        if cell_len(start) > label_width + 2:
            found.append(start)
            start = ""
        first = _padded(start, label_width + 4)
        found += paragraph(text, width, indent, first=first) or [first.rstrip()]
    return found
