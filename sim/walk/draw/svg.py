"""A story as one SVG file: a picture of memory for each operation, one below the other.

In a picture, columns are pages.  Each address space has a row of entries, with its areas and the
tables above them, level by level; between the first space and the others lie the frames that the
entries point to.  What the operation changed has a thick edge, a filled corner and thick arrows.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from sim.walk.draw.canvas import CHANGED, FAINT, Canvas
from sim.walk.draw.layout import blocks
from sim.walk.draw.panel import Panel
from sim.walk.draw.positions import WIDTH
from sim.walk.draw.symbols import legend
from sim.walk.tell.tale import (
    closing_line,
    faults_text,
    heading,
    machine_line,
    pool_text,
    what_came,
    what_changed,
    why_lines,
)
from sim.walk.tell.words import count

if TYPE_CHECKING:
    from sim.walk.tell.story import Chapter, Story

_LETTERS: Final = 112
"""Letters of a line of text, at its size."""
_MARGIN: Final = 14


def draw_svg(story: Story, title: str, *, why: bool = False) -> str:
    """Return the picture of a story on a small machine; `why` writes the reasons into it.

    Raises `ScenarioError` where there is too much to draw.
    """
    return _Drawing(story, title, why=why).svg()


class _Drawing:
    def __init__(self, story: Story, title: str, *, why: bool) -> None:
        self._story = story
        self._title = title
        self._why = why
        self._blocks = blocks(story)
        self._canvas = Canvas(WIDTH)

    def svg(self) -> str:
        """Draw everything, from top to bottom."""
        y = self._opening()
        for chapter in self._story.chapters:
            y = self._chapter(chapter, y)
        closing = closing_line(self._story)
        if closing:
            self._canvas.text(_MARGIN, y + 16, closing, size=13, fill=CHANGED, bold=True)
            y += 26
        return self._canvas.svg(y + 6, self._title)

    def _opening(self) -> int:
        canvas = self._canvas
        y = 26
        for line in textwrap.wrap(self._title, 80):
            canvas.text(_MARGIN, y, line, size=16, bold=True)
            y += 20
        y = self._lines([machine_line(self._story)], y - 4, fill=FAINT)
        folded = any(column.alike for block in self._blocks for column in block.columns)
        y = legend(canvas, y + 8, folded=folded)
        state = self._story.opening
        assert state is not None
        canvas.rule(y)
        canvas.text(_MARGIN, y + 21, "before the first line", size=14, bold=True)
        return Panel(canvas, self._blocks, None, state).draw(y + 28)

    def _chapter(self, chapter: Chapter, y: int) -> int:
        canvas = self._canvas
        canvas.rule(y)
        canvas.text(_MARGIN, y + 21, heading(chapter).strip(), size=14, bold=True)
        y += 26
        if not chapter.reason:
            free = f"{count(chapter.free, 'frame')} free"
            text = f"{faults_text(chapter)} · {pool_text(chapter)} · {free}"
            y = self._lines([text], y)
        came = [what_came(chapter)] if what_came(chapter) else []
        came += [
            f"{kill.victim} is killed: out of memory"
            for kill in chapter.kills
            if kill.victim != chapter.operation.process
        ]
        for line in came:
            canvas.text(_MARGIN, y + 12, line, size=12, fill=CHANGED, bold=True)
            y += 17
        changed = what_changed(chapter, self._story)
        if changed:
            y = self._lines([changed], y, fill=FAINT)
        if self._why:
            y = self._lines([f"· {line}" for line in why_lines(chapter, self._story)], y)
        if chapter.reason:
            return y + 8
        assert chapter.after is not None
        return Panel(canvas, self._blocks, chapter.before, chapter.after).draw(y + 6)

    def _lines(self, texts: list[str], y: int, fill: str = "#1a1a1a") -> int:
        for text in texts:
            for line in textwrap.wrap(
                text.replace("`", ""), _LETTERS, subsequent_indent="", break_on_hyphens=False
            ):
                self._canvas.text(_MARGIN, y + 12, line, size=12, fill=fill)
                y += 15
        return y
