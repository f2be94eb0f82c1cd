"""Scripts of anonymous memory under a limit, with swap: text to steps and back.

One operation a line; `#` starts a comment.  What a line means is said in ``docs/conformance.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sim.base.errors import ScenarioError
from sim.base.files import shown_path
from sim.script.grammar import FIRST_PROCESS, verb_named
from sim.script.reading import script_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MAP, READ, WRITE, FORK, TELL, SHARE, WAIT = range(1, 8)
"""What a step does: map a region of so many pages, touch one, fork a process of that number, tell
what was counted and which pages are in memory, map a region that children share, wait for so many
milliseconds."""
_OP_SHIFT: Final = 56
_REGION_SHIFT: Final = 48
_PROCESS_SHIFT: Final = 40
_BYTE: Final = 0xFF
_PAGE_MASK: Final = 0xFFFF_FFFF
MOST_PROCESSES: Final = 16
MOST_REGIONS: Final = 8
MOST_PAGES: Final = 1 << 18
"""Of a region: 1 GiB."""
MOST_STEPS: Final = 200_000
"""What fits into one leaf table beside the program's own pages."""
LEAST_WAIT_MS: Final = 3_100
"""The kernel flushes what groups have every 2 s, and looks every second whether a CPU has counted
something; then that is added up within another: a wait is there to have both done."""
MOST_WAIT_MS: Final = 60_000
MOST_SWAPPINESS: Final = 200
LEAST_LIMIT: Final = 64
"""Pages of a group, whose first charges are a batch of as many."""


class Verb(StrEnum):
    """What a line says; the value is the word in the script."""

    MAP = "map"
    SHARE = "share"
    READ = "read"
    WRITE = "write"
    FORK = "fork"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `str()` gives it back.

    `name` is that of a region, or of a child, or the milliseconds of a wait; `pages` are touched in
    this order, `times` over, or are the one size of a new region.

    >>> str(Line("P", Verb.READ, "A", (3, 4, 5, 9, 8, 1), 2)), str(Line("P", Verb.FORK, "C"))
    ('P read A 3-5 9-8 1 times 2', 'P fork C')
    """

    process: str
    verb: Verb
    name: str
    pages: tuple[int, ...] = ()
    times: int = 1
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        words = [self.process, self.verb.value, self.name, *_runs(self.pages)]
        return " ".join(words if self.times == 1 else [*words, "times", str(self.times)])


@dataclass(frozen=True, slots=True)
class PressureScript:
    """A script: the limit of its group in pages, how willingly that swaps, and what is done."""

    limit_pages: int
    swappiness: int
    lines: tuple[Line, ...]

    @property
    def steps(self) -> list[int]:
        """The steps, one a page that is touched, each line's followed by one that tells."""
        processes = self.processes
        regions = self.regions
        steps = []
        for line in self.lines:
            by = processes[line.process] << _PROCESS_SHIFT
            if line.verb is Verb.FORK:
                steps.append(FORK << _OP_SHIFT | by | processes[line.name])
            elif line.verb is Verb.WAIT:
                steps.append(WAIT << _OP_SHIFT | by | int(line.name))
            else:
                word = OPERATIONS[line.verb] << _OP_SHIFT | by
                word |= regions[line.name] << _REGION_SHIFT
                steps += [word | page for page in line.pages] * line.times
            steps.append(TELL << _OP_SHIFT | by)
        return steps

    @property
    def processes(self) -> dict[str, int]:
        """The processes by name, numbered in the order in which they are born."""
        children = (line.name for line in self.lines if line.verb is Verb.FORK)
        return {name: number for number, name in enumerate((FIRST_PROCESS, *children))}

    @property
    def regions(self) -> dict[str, int]:
        """The names of regions, numbered in the order in which they are first mapped."""
        names = dict.fromkeys(line.name for line in self.lines if line.verb in MAPPING)
        return {name: number for number, name in enumerate(names)}

    def __str__(self) -> str:
        head = f"limit {self.limit_pages}\nswappiness {self.swappiness}\n"
        return head + "".join(f"{line}\n" for line in self.lines)


OPERATIONS: Final = {
    Verb.MAP: MAP,
    Verb.SHARE: SHARE,
    Verb.READ: READ,
    Verb.WRITE: WRITE,
}
MAPPING: Final = frozenset({Verb.MAP, Verb.SHARE})


def touches(script: PressureScript) -> bool:
    """Whether a script reads or writes anything."""
    return any(line.verb in (Verb.READ, Verb.WRITE) for line in script.lines)


def possible_lines(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return those that can be where others before them are left out."""
    known = _Known()
    kept = []
    for line in lines:
        try:
            known.line(str(line).split(), line.line)
        except ValueError:
            continue
        kept.append(line)
    return tuple(kept)


def parts(step: int) -> tuple[int, int, int, int]:
    """Return what a step does, the process, the region, and the page, size or child."""
    region, process = step >> _REGION_SHIFT & _BYTE, step >> _PROCESS_SHIFT & _BYTE
    return step >> _OP_SHIFT, process, region, step & _PAGE_MASK


def load_pressure_script(path: str | Path) -> PressureScript:
    """Read the script at `path`; raise `ScenarioError` if it cannot be."""
    return parse_pressure_script(script_text(path), shown_path(path))


def parse_pressure_script(text: str, file: str | None = None) -> PressureScript:
    """Return a script.  Raises `ScenarioError`, with file and line."""
    settings = {"limit": 0, "swappiness": 60}
    lines: list[Line] = []
    known = _Known()
    for number, written in enumerate(text.split("\n"), 1):
        words = written.split("#", 1)[0].split()
        if not words:
            continue
        try:
            if words[0] in settings:
                settings[words[0]] = _setting(words)
            else:
                lines.append(known.line(words, number))
        except ValueError as error:
            raise ScenarioError(str(error), file, number) from None
    if settings["limit"] == 0:
        raise ScenarioError("has no limit; write e.g. `limit 1024`, in pages", file)
    script = PressureScript(settings["limit"], settings["swappiness"], tuple(lines))
    if not touches(script):
        raise ScenarioError("touches nothing; write e.g. `P map A 64` and `P write A 0-63`", file)
    return script


def _setting(words: Sequence[str]) -> int:
    least, most = (LEAST_LIMIT, MOST_PAGES) if words[0] == "limit" else (0, MOST_SWAPPINESS)
    usage = f"{words[0]} {'PAGES' if words[0] == 'limit' else 'N'}"
    if len(words) != 2:
        raise ValueError(f"{' '.join(words)!r}; write `{usage}`")
    value = _number(words[1], usage)
    if not least <= value <= most:
        raise ValueError(f"{words[0]}: {value}; it is {least} to {most}")
    return value


class _Known:
    """The processes and regions that there are at a line, and the steps up to it."""

    def __init__(self) -> None:
        self._sizes: dict[str, dict[str, int]] = {FIRST_PROCESS: {}}
        self._names: set[str] = set()
        self.steps = 0

    def line(self, words: Sequence[str], number: int) -> Line:
        """Return a line; raise `ValueError` if it says nothing that can be."""
        process = words[0]
        if process not in self._sizes:
            there = ", ".join(self._sizes)
            raise ValueError(f"there is no process {process}; there are: {there}")
        if len(words) < 3:
            raise ValueError(f"{' '.join(words)!r}; write e.g. `{process} write A 0-63`")
        verb = verb_named(Verb, words[1])
        if verb is Verb.FORK:
            return self._fork(process, words, number)
        if verb is Verb.WAIT:
            return _wait(process, words, number)
        if verb in MAPPING:
            return self._map(process, verb, words, number)
        return self._touch(process, verb, words, number)

    def _fork(self, process: str, words: Sequence[str], number: int) -> Line:
        child = words[2]
        if len(words) != 3:
            raise ValueError(f"{' '.join(words)!r}; write `{process} fork C`")
        if child in self._sizes or not child.isidentifier():
            raise ValueError(f"{child!r} cannot be a new process; use another name")
        if len(self._sizes) == MOST_PROCESSES:
            raise ValueError(f"a script may have {MOST_PROCESSES} processes")
        self._sizes[child] = dict(self._sizes[process])
        return Line(process, Verb.FORK, child, line=number)

    def _map(self, process: str, verb: Verb, words: Sequence[str], number: int) -> Line:
        usage = f"{process} {verb} A PAGES"
        name = words[2]
        if len(words) != 4:
            raise ValueError(f"{' '.join(words)!r}; write `{usage}`")
        size = _number(words[3], usage)
        if not 0 < size <= MOST_PAGES:
            raise ValueError(f"a region has 1 to {MOST_PAGES} pages, not {size}")
        if name in self._sizes[process] or not name.isidentifier():
            raise ValueError(f"{name!r} cannot be a new region of {process}; use another name")
        self._names.add(name)
        if len(self._names) > MOST_REGIONS:
            raise ValueError(f"a script may have {MOST_REGIONS} regions")
        self._sizes[process][name] = size
        return Line(process, verb, name, (size,), line=number)

    def _touch(self, process: str, verb: Verb, words: Sequence[str], number: int) -> Line:
        usage = f"{process} {verb} A 0-63 80 9-5` or `{process} {verb} A 0-63 times 4"
        name, rest, times = words[2], words[3:], 1
        sizes = self._sizes[process]
        if name not in sizes:
            there = ", ".join(sizes) or f"none; begin with e.g. `{process} map A 700`"
            raise ValueError(f"{process} has no region {name}; it has: {there}")
        if len(rest) > 2 and rest[-2] == "times":
            rest, times = rest[:-2], _number(rest[-1], usage)
        pages = tuple(page for word in rest for page in _range(word, usage))
        if not pages or times == 0:
            raise ValueError(f"{' '.join(words)!r}; write `{usage}`")
        if max(pages) >= sizes[name]:
            raise ValueError(f"page {max(pages)} is not in {name}, which has {sizes[name]}")
        self.steps += len(pages) * times
        if self.steps > MOST_STEPS:
            raise ValueError(f"touches {self.steps} pages up to here; {MOST_STEPS} are the most")
        return Line(process, verb, name, pages, times, number)


def _wait(process: str, words: Sequence[str], number: int) -> Line:
    usage = f"{process} wait {LEAST_WAIT_MS}"
    if len(words) != 3 or not (words[2].isascii() and words[2].isdigit()):
        raise ValueError(f"{' '.join(words)!r}; write `{usage}`, in milliseconds")
    if not LEAST_WAIT_MS <= int(words[2]) <= MOST_WAIT_MS:
        raise ValueError(f"a wait is {LEAST_WAIT_MS} to {MOST_WAIT_MS} ms long, not {words[2]}")
    return Line(process, Verb.WAIT, str(int(words[2])), line=number)


def _range(word: str, usage: str) -> range:
    first, _, last = word.partition("-")
    start, end = _number(first, usage), _number(last or first, usage)
    if max(start, end) >= MOST_PAGES:
        raise ValueError(f"{word}: a region has {MOST_PAGES} pages at most")
    return range(start, end + 1) if end >= start else range(start, end - 1, -1)


def _number(word: str, usage: str) -> int:
    if not (word.isascii() and word.isdigit()) or len(word) > 9:
        raise ValueError(f"{word!r} is not a number of pages; write `{usage}`")
    return int(word)


def _runs(pages: Iterable[int]) -> list[str]:
    """Return pages as words: neighbours in a row are one."""
    runs: list[list[int]] = []
    for page in pages:
        run = runs[-1] if runs else []
        step = run[1] - run[0] if len(run) > 1 else 0
        if run and abs(page - run[-1]) == 1 and step in (0, page - run[-1]):
            run.append(page)
        else:
            runs.append([page])
    return [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
