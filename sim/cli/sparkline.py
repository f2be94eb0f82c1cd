"""Memory over time in a line each: of the host, and of every control group that has a limit."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len

from sim.base.units import PAGE_BYTES, format_bytes, format_duration
from sim.cli.tables import LEAST_WIDTH, paragraph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_DIGITS: Final = "0123456789"
_LEAST_BAR: Final = 20
"""Fewer columns than that say little: the line is then set as two."""


def shows_blocks() -> bool:
    """Whether what is printed on may show blocks."""
    try:
        _BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def sparkline(levels: Sequence[int], limit: int, columns: int, *, blocks: bool) -> str:
    """Return levels over time in at most `columns` characters, each the highest of its part.

    A block is as high as the share of the limit, rounded up to eighths; a digit has its tenths,
    rounded down, and 9 from nine tenths on.

    >>> sparkline([0, 1, 50, 100], limit=100, columns=4, blocks=True)
    ' ▁▄█'
    >>> sparkline([0, 1, 50, 100], limit=100, columns=2, blocks=False)
    '09'
    """
    columns = min(columns, len(levels))
    found = ""
    for column in range(columns):
        part = levels[column * len(levels) // columns : (column + 1) * len(levels) // columns]
        highest = min(max(part), limit)
        place = -(-highest * 8 // limit) if blocks else min(9, highest * 10 // limit)
        found += (_BLOCKS if blocks else _DIGITS)[place]
    return found


def lines_over_time(
    document: Mapping[str, Any], width: int, *, blocks: bool | None = None
) -> list[str]:
    """Return memory in use over time, in lines of at most `width`; nothing without a series.

    `blocks` says whether they may be shown; default: whether stdout can.
    """
    series, host = document.get("series") or {}, document.get("host") or {}
    if len(series.get("t_ns", ())) < 2 or not host:
        return []
    blocks = shows_blocks() if blocks is None else blocks
    total = host["total_pages"]
    in_use = [total - free for free in series["free_pages"]]
    peak = max(*in_use, total - document["metrics"]["free_pages"]["min"])
    rows = [("host", in_use, peak * PAGE_BYTES, total * PAGE_BYTES)]
    rows += [
        (name, series["groups"][name]["current_pages"], group["peak_bytes"], group["max_bytes"])
        for name, group in (document.get("groups") or {}).items()
        if group["max_bytes"] and name in series.get("groups", {})
    ]
    scale = "a full block is all there may be" if blocks else "digits: tenths of what there may be"
    span = format_duration(document["simulated_ns"])
    return [
        f"memory in use, from 0 to {span}; {scale}",
        *_set(rows, max(width, LEAST_WIDTH), blocks=blocks),
    ]


def _set(
    rows: Sequence[tuple[str, Sequence[int], int, int]], width: int, *, blocks: bool
) -> list[str]:
    """Return a line for each row, or two where a line has no room for all of it."""
    told = [f"peak {format_bytes(peak)} of {format_bytes(limit)}" for *_, peak, limit in rows]
    wide = max(cell_len(name) for name, *_ in rows)
    room = width - wide - max(map(cell_len, told)) - 4
    lines = []
    for (name, levels, _, limit), words in zip(rows, told, strict=True):
        columns = room if room >= _LEAST_BAR else width
        bar = sparkline(levels, max(1, limit // PAGE_BYTES), columns, blocks=blocks)
        if room >= _LEAST_BAR:
            lines.append(f"{name}{' ' * (wide - cell_len(name))}  {bar}  {words}")
        else:
            lines += [*paragraph(f"{name}: {words}", width), bar]
    return lines
