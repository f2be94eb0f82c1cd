"""The story on a terminal: a line for each operation, sentences and pictures below it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from sim.base.text import printable
from sim.walk.draw.text import TextDrawing
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

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from sim.walk.tell.story import Chapter, Story

_WIDTH_OF_A_FILE: Final = 100
_WIDEST: Final = 120
_INDENT: Final = "    "
PLAIN, HEAD, FAINT = "", "bold", "dim"
Line = tuple[str, str]
"""A style and a text."""


class Printer:
    """Writes lines to a terminal in colour, and plainly to anything else."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._console = Console(file=out, highlight=False) if out.isatty() else None
        self.width = _WIDTH_OF_A_FILE
        if self._console is not None:
            self.width = max(40, min(self._console.width, _WIDEST))

    def print(self, style: str, text: str) -> None:
        """Write one line; on a narrow terminal one with a style goes on below itself."""
        text = printable(text)
        if self._console is not None and style and len(text) > self.width:
            indent = " " * (len(text) - len(text.lstrip()) + len(_INDENT))
            parts = textwrap.wrap(
                text,
                self.width,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
            text = "\n".join(parts)
        if self._console is None or not style:
            self._out.write(f"{text}\n")
        else:
            self._console.print(Text(text, style=style), soft_wrap=True)

    def ask(self, text: str) -> None:
        """Write the beginning of a line that somebody goes on with."""
        self._out.write(text)
        self._out.flush()


class Teller:
    """Puts a story into lines."""

    def __init__(self, story: Story, *, why: bool, draw: bool, width: int) -> None:
        self._story = story
        self._why = why
        self._width = width
        self._drawing = TextDrawing(story) if draw else None
        rows = [self._row(chapter) for chapter in story.chapters]
        self._widths = [max((len(row[n]) for row in rows), default=0) for n in range(3)]

    def opening(self) -> Iterator[Line]:
        """Yield the lines before the first operation."""
        text = machine_line(self._story)
        yield from ((FAINT, line) for line in textwrap.wrap(text, self._width))
        if self._drawing is not None and self._story.opening is not None:
            for line in self._drawing.legend:
                yield from ((FAINT, part) for part in textwrap.wrap(line, self._width))
            yield PLAIN, ""
            yield from self.picture(None)

    def told(self, chapter: Chapter, *, because: bool = False) -> Iterator[Line]:
        """Yield what an operation did; with `because`, in any case why."""
        first, second, third, last = self._row(chapter)
        a, b, c = self._widths
        yield HEAD, f"{first:<{a}}  {second:<{b}}  {third:<{c}}  {last}".rstrip()
        came = what_came(chapter)
        if came:
            yield HEAD, f"{_INDENT}{came}"
        for kill in chapter.kills:
            if kill.victim != chapter.operation.process:
                yield HEAD, f"{_INDENT}{kill.victim} is killed: out of memory"
        changed = what_changed(chapter, self._story)
        if changed:
            yield FAINT, f"{_INDENT}{changed}"
        if self._why or because:
            yield from self.because(chapter)
        if self._drawing is not None:
            yield from self.picture(chapter)
            yield PLAIN, ""

    def because(self, chapter: Chapter) -> Iterator[Line]:
        """Yield the sentences that say why."""
        for sentence in why_lines(chapter, self._story):
            for line in textwrap.wrap(
                sentence,
                self._width,
                initial_indent=f"{_INDENT}· ",
                subsequent_indent=f"{_INDENT}  ",
                break_on_hyphens=False,
            ):
                yield PLAIN, line

    def picture(self, chapter: Chapter | None) -> Iterator[Line]:
        """Yield a picture of memory after an operation; ``None``: before the first."""
        assert self._drawing is not None
        before = None if chapter is None else chapter.before
        after = self._story.opening if chapter is None else chapter.after
        assert after is not None
        for line in self._drawing.lines(before, after):
            yield PLAIN, f"{_INDENT}{line}".rstrip()

    def closing(self) -> Iterator[Line]:
        """Yield what is left to say."""
        line = closing_line(self._story)
        if line:
            yield HEAD, line

    def _row(self, chapter: Chapter) -> tuple[str, str, str, str]:
        free = f"{chapter.free:,} free"
        if chapter.reason:
            return heading(chapter), "", "", free
        return heading(chapter), faults_text(chapter), pool_text(chapter), free
