"""Scripts of reads of files: text to steps and back.

One operation a line; `#` starts a comment.  What a line means is said in ``docs/conformance.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.base.errors import ScenarioError
from sim.base.files import shown_path
from sim.script.grammar import verb_named
from sim.script.reading import script_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MAP: Final = -1
"""A step that asks which pages of the files are in the page cache."""
FILE_SHIFT: Final = 32
"""A step on a page is ``how << HOW_SHIFT | file << FILE_SHIFT | page``."""
HOW_SHIFT: Final = 40
PAGE_MASK: Final = (1 << FILE_SHIFT) - 1
FILE_MASK: Final = (1 << HOW_SHIFT - FILE_SHIFT) - 1
MOST_FILES: Final = 16
MOST_PAGES: Final = 1 << 18
"""Of a file: 1 GiB."""
MOST_STEPS: Final = 1 << 22


class Verb(StrEnum):
    """What a line says; the value is the word in the script."""

    FILE = "file"
    READ = "read"
    BACKWARDS = "backwards"
    USE = "use"
    EXECUTE = "execute"
    MAP = "map"


HOW: Final = {Verb.READ: 0, Verb.BACKWARDS: 0, Verb.USE: 1, Verb.EXECUTE: 2}
"""How a verb comes to a page: by `read()`, or through the mapping of that number."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `str()` gives it back in its plainest form.

    `end` is the size of a new file, or the end of the pages [first, end) that are read.

    >>> str(Line(Verb.READ, "A", 0, 64)), str(Line(Verb.FILE, "A", 0, 700))
    ('read A 0 64', 'file A 700')
    """

    verb: Verb
    file: str = ""
    first: int = 0
    end: int = 0
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        words = {Verb.FILE: (self.file, self.end), Verb.MAP: ()}
        rest = words.get(self.verb, (self.file, self.first, self.end))
        return " ".join(map(str, (self.verb.value, *rest)))


@dataclass(frozen=True, slots=True)
class PageScript:
    """A script: files by name with their sizes in pages, and what is done with them."""

    files: dict[str, int]
    lines: tuple[Line, ...]

    @property
    def pages(self) -> list[int]:
        """The sizes of the files, in pages."""
        return list(self.files.values())

    @property
    def steps(self) -> NDArray[np.int64]:
        """The steps, one a page, and a map at the end."""
        numbers = {name: number for number, name in enumerate(self.files)}
        parts = [np.array([], np.int64)]
        for line in self.lines:
            if line.verb is Verb.MAP:
                parts.append(np.array([MAP]))
                continue
            pages = np.arange(line.first, line.end) | numbers[line.file] << FILE_SHIFT
            pages |= HOW[line.verb] << HOW_SHIFT
            parts.append(pages[::-1] if line.verb is Verb.BACKWARDS else pages)
        steps = np.concatenate(parts)
        return steps if steps.size and steps[-1] == MAP else np.append(steps, MAP)

    def __str__(self) -> str:
        files = [Line(Verb.FILE, name, end=pages) for name, pages in self.files.items()]
        return "".join(f"{line}\n" for line in (*files, *self.lines))


def load_page_script(path: str | Path) -> PageScript:
    """Read the script at `path`; raise `ScenarioError` if it cannot be."""
    return parse_page_script(script_text(path), shown_path(path))


def parse_page_script(text: str, file: str | None = None) -> PageScript:
    """Return a script.  Raises `ScenarioError`, with file and line."""
    files: dict[str, int] = {}
    lines: list[Line] = []
    steps = 0
    for number, written in enumerate(text.split("\n"), 1):
        words = written.split("#", 1)[0].split()
        if not words:
            continue
        try:
            line = _line(words, number, files)
        except ValueError as error:
            raise ScenarioError(str(error), file, number) from None
        if line.verb is Verb.FILE:
            files[line.file] = line.end
        else:
            lines.append(line)
            steps += line.end - line.first
    if steps == 0:
        raise ScenarioError("reads nothing; write e.g. `file A 700` and `read A 0 700`", file)
    if steps > MOST_STEPS:
        raise ScenarioError(f"reads {steps} pages; {MOST_STEPS} are the most", file)
    return PageScript(files, tuple(lines))


def _line(words: Sequence[str], number: int, files: dict[str, int]) -> Line:
    verb = verb_named(Verb, words[0])
    usage = {Verb.FILE: "file A PAGES", Verb.MAP: "map"}.get(verb, f"{verb} A FIRST END")
    if len(words) != len(usage.split()):
        raise ValueError(f"{' '.join(words)!r}; write `{usage}`")
    if verb is Verb.MAP:
        return Line(verb, line=number)
    name = words[1]
    first, end = ([0] * 2 + [_page_number(word, usage) for word in words[2:]])[-2:]
    if verb is Verb.FILE:
        if name in files:
            raise ValueError(f"there is a file {name} already; use another name")
        if len(files) == MOST_FILES:
            raise ValueError(f"a script may have {MOST_FILES} files")
        if not 0 < end <= MOST_PAGES:
            raise ValueError(f"a file has 1 to {MOST_PAGES} pages, not {end}")
    elif name not in files:
        known = ", ".join(files) or "none; begin with e.g. `file A 700`"
        raise ValueError(f"there is no file {name}; there are: {known}")
    elif not first < end <= files[name]:
        raise ValueError(f"pages [{first}, {end}) are not in {name}, which has {files[name]}")
    return Line(verb, name, first, end, number)


def _page_number(word: str, usage: str) -> int:
    if not (word.isascii() and word.isdigit()) or len(word) > 9:
        raise ValueError(f"{word!r} is not a number of pages; write `{usage}`")
    return int(word)


def as_lines(name: str, pages: Iterable[int]) -> list[Line]:
    """Return the lines that read pages of a file one by one: runs of neighbours are one.

    >>> [str(line) for line in as_lines("A", [3, 4, 5, 9, 8, 1])]
    ['read A 3 6', 'backwards A 8 10', 'read A 1 2']
    """
    runs: list[list[int]] = []
    for page in pages:
        run = runs[-1] if runs else []
        step = run[1] - run[0] if len(run) > 1 else 0
        if run and abs(page - run[-1]) == 1 and step in (0, page - run[-1]):
            run.append(page)
        else:
            runs.append([page])
    return [
        Line(Verb.READ if run[-1] >= run[0] else Verb.BACKWARDS, name, min(run), max(run) + 1)
        for run in runs
    ]
