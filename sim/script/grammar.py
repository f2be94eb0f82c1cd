"""The grammar of conformance scripts: text to operations and back.

One operation a line; `#` starts a comment.  What a line means is said in ``docs/conformance.md``;
whether it can happen at that point of the script is the business of `sim.script.validity`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from sim.base.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PAGES: Final = 1 << 22
"""Largest region, in pages (16 GiB): a slip of the keyboard should not fill the host."""

HUGE_PAGES: Final = 512
"""Pages of a huge page, 2 MiB."""

MAX_STACK_PAGES: Final = 1024
"""Largest stack: half the usual limit, so that the limit does not show."""

FIRST_PROCESS: Final = "P"
"""The process that exists at the start."""


class Shape(Enum):
    """What follows the verb on a line."""

    NOTHING = ""
    CHILD = "CHILD"
    WHOLE = "REGION"
    RANGE = "REGION FIRST END"
    WHOLE_OR_RANGE = "REGION [FIRST END]"
    PROTECT = "REGION FIRST END r|rw|none"
    PAGES = "REGION PAGES"
    MAP = "REGION PAGES [populate|noreserve] [behind|below REGION]"


class Verb(StrEnum):
    """What a process can be told to do; the value is the word in the script."""

    MAP = "map"
    SHMAP = "shmap"
    MAPFILE = "mapfile"
    MAPSHFILE = "mapshfile"
    WRITE = "write"
    READ = "read"
    DONTNEED = "dontneed"
    UNMAP = "unmap"
    PROTECT = "protect"
    HUGEPAGE = "hugepage"
    DONTFORK = "dontfork"
    WIPEONFORK = "wipeonfork"
    FORK = "fork"
    EXIT = "exit"
    # Beyond the first set: the rest of madvise, locking, moving, the heap and the stack.
    FREE = "free"
    POPULATEREAD = "populateread"
    POPULATEWRITE = "populatewrite"
    NOHUGEPAGE = "nohugepage"
    DOFORK = "dofork"
    KEEPONFORK = "keeponfork"
    LOCK = "lock"
    UNLOCK = "unlock"
    RESIZE = "resize"
    MOVE = "move"
    BRK = "brk"
    STACK = "stack"
    SYNC = "sync"
    FILEREAD = "fileread"
    FILEWRITE = "filewrite"
    FSYNC = "fsync"
    DROP = "drop"
    WILLNEED = "willneed"
    RANDOM = "random"
    SEQUENTIAL = "sequential"
    NORMAL = "normal"
    VFORK = "vfork"
    EXEC = "exec"
    COLLAPSE = "collapse"
    # On huge pages of the pool that the machine has set aside.
    MAPHUGETLB = "maphugetlb"
    MAPSHHUGETLB = "mapshhugetlb"


SHAPES: Final[dict[Verb, Shape]] = {
    Verb.MAP: Shape.MAP,
    Verb.SHMAP: Shape.MAP,
    Verb.MAPFILE: Shape.MAP,
    Verb.MAPSHFILE: Shape.MAP,
    Verb.WRITE: Shape.RANGE,
    Verb.READ: Shape.RANGE,
    Verb.DONTNEED: Shape.RANGE,
    Verb.UNMAP: Shape.WHOLE_OR_RANGE,
    Verb.PROTECT: Shape.PROTECT,
    Verb.HUGEPAGE: Shape.WHOLE,
    Verb.DONTFORK: Shape.WHOLE,
    Verb.WIPEONFORK: Shape.WHOLE,
    Verb.FORK: Shape.CHILD,
    Verb.EXIT: Shape.NOTHING,
    Verb.FREE: Shape.RANGE,
    Verb.POPULATEREAD: Shape.RANGE,
    Verb.POPULATEWRITE: Shape.RANGE,
    Verb.NOHUGEPAGE: Shape.WHOLE,
    Verb.DOFORK: Shape.WHOLE,
    Verb.KEEPONFORK: Shape.WHOLE,
    Verb.LOCK: Shape.RANGE,
    Verb.UNLOCK: Shape.RANGE,
    Verb.RESIZE: Shape.PAGES,
    Verb.MOVE: Shape.WHOLE,
    Verb.BRK: Shape.PAGES,
    Verb.STACK: Shape.PAGES,
    Verb.SYNC: Shape.RANGE,
    Verb.FILEREAD: Shape.RANGE,
    Verb.FILEWRITE: Shape.RANGE,
    Verb.FSYNC: Shape.WHOLE,
    Verb.DROP: Shape.WHOLE,
    Verb.WILLNEED: Shape.RANGE,
    Verb.RANDOM: Shape.WHOLE,
    Verb.SEQUENTIAL: Shape.WHOLE,
    Verb.NORMAL: Shape.WHOLE,
    Verb.VFORK: Shape.CHILD,
    Verb.EXEC: Shape.NOTHING,
    Verb.COLLAPSE: Shape.WHOLE_OR_RANGE,
    Verb.MAPHUGETLB: Shape.MAP,
    Verb.MAPSHHUGETLB: Shape.MAP,
}

HUGETLB_VERBS: Final = frozenset({Verb.MAPHUGETLB, Verb.MAPSHHUGETLB})
"""The verbs that map huge pages of the pool, in whole 2 MiB."""
MAPPING_VERBS: Final = HUGETLB_VERBS | {
    Verb.MAP,
    Verb.SHMAP,
    Verb.MAPFILE,
    Verb.MAPSHFILE,
    Verb.STACK,
}
"""The verbs that give a name a new region."""
SIZING_VERBS: Final = MAPPING_VERBS | {Verb.RESIZE, Verb.BRK}
"""The verbs whose number is a size in pages."""
TOUCHING_VERBS: Final = frozenset({Verb.READ, Verb.WRITE})
"""The verbs whose minor faults are compared with a kernel."""

MODES: Final = ("r", "rw", "none")
MAP_MODES: Final = ("populate", "noreserve")
BEHIND: Final = "behind"
BELOW: Final = "below"

_PROCESS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_REGION_NAME = re.compile(r"[A-Z]\Z")


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of a script; `str()` gives the line back in its plainest form.

    Pages are half open: ``first <= page < end``.  A mapping verb has its size in `end`; `end` is
    -1 where a verb that may take a range takes the whole region.  A mapping goes right behind the
    region `behind`, or right below the region `below`.  Fields that a verb does not use keep their
    defaults.

    >>> str(Operation("P", Verb.WRITE, "A", 0, 32))
    'P write A 0 32'
    """

    process: str
    verb: Verb
    region: str = ""
    first: int = 0
    end: int = -1
    mode: str = ""
    child: str = ""
    behind: str = ""
    below: str = ""
    line: int = field(default=0, compare=False)

    @property
    def pages(self) -> int:
        """Size of the range, or of the region that a mapping verb makes."""
        return self.end - self.first

    @property
    def beside(self) -> str:
        """The region that a new one is to touch, or ""."""
        return self.behind or self.below

    @property
    def whole(self) -> bool:
        """Whether the verb applies to the whole region."""
        return self.end < 0

    def __str__(self) -> str:
        shape = SHAPES[self.verb]
        words: list[object] = [self.process, self.verb.value]
        if shape is Shape.CHILD:
            words.append(self.child)
        elif shape is not Shape.NOTHING:
            words.append(self.region)
        if shape in (Shape.PAGES, Shape.MAP):
            words.append(self.end)
        elif shape in (Shape.RANGE, Shape.PROTECT, Shape.WHOLE_OR_RANGE) and not self.whole:
            words += [self.first, self.end]
        if self.mode:
            words.append(self.mode)
        if self.behind:
            words += [BEHIND, self.behind]
        if self.below:
            words += [BELOW, self.below]
        return " ".join(map(str, words))


def format_script(operations: Iterable[Operation]) -> str:
    """Return the text of a script, one operation a line."""
    return "".join(f"{operation}\n" for operation in operations)


def parse_line(text: str, *, file: str | None = None, line: int | None = None) -> Operation | None:
    """Return the operation on one line, or ``None`` for a blank or a comment.

    Raises `ScenarioError`, with file and line, for anything else.

    >>> parse_line("P  fork C   # a child").child
    'C'
    """
    words = text.split("#", 1)[0].split()
    if not words:
        return None
    try:
        return _operation(words, line or 0)
    except ValueError as error:
        raise ScenarioError(str(error), file, line) from None


def _operation(words: list[str], line: int) -> Operation:
    process = words[0]
    if not _PROCESS_NAME.match(process):
        raise ValueError(f"{process!r} cannot name a process; write a letter first, e.g. `P`")
    if len(words) < 2:
        raise ValueError(f"no verb after {process!r}; write e.g. `{process} write A 0 32`")
    verb = verb_named(Verb, words[1])
    shape = SHAPES[verb]
    arguments = words[2:]
    usage = f"`{process} {verb} {shape.value}`".replace(" `", "`")
    low, high = _argument_counts(shape)
    if not low <= len(arguments) <= high or (shape is Shape.WHOLE_OR_RANGE and len(arguments) == 2):
        raise ValueError(f"{len(arguments)} words after `{verb}`; write {usage}")
    if shape is Shape.NOTHING:
        return Operation(process, verb, line=line)
    if shape is Shape.CHILD:
        if not _PROCESS_NAME.match(arguments[0]):
            raise ValueError(f"{arguments[0]!r} cannot name a process; write a letter first")
        return Operation(process, verb, child=arguments[0], line=line)
    region = arguments[0]
    if not _REGION_NAME.match(region):
        raise ValueError(f"{region!r} cannot name a region; write one letter from A to Z")
    if len(arguments) == 1:
        return Operation(process, verb, region, line=line)
    if shape in (Shape.PAGES, Shape.MAP):
        pages = _page_number(arguments[1], usage)
        most = MAX_STACK_PAGES if verb is Verb.STACK else MAX_PAGES
        if not 1 <= pages <= most:
            raise ValueError(f"`{verb}` takes 1 to {most} pages, not {pages}")
        mode, beside = _map_options(arguments[2:], usage)
        if verb in HUGETLB_VERBS and (pages % HUGE_PAGES or beside):
            raise ValueError(
                f"`{verb}` takes whole huge pages, {HUGE_PAGES} pages each, on their own"
            )
        return Operation(process, verb, region, 0, pages, mode, line=line, **beside)
    first, end = (_page_number(word, usage) for word in arguments[1:3])
    if first >= end:
        raise ValueError(f"[{first}, {end}) holds no page; write FIRST < END")
    return Operation(
        process, verb, region, first, end, _choice(arguments[3:], MODES, usage), line=line
    )


def _map_options(words: list[str], usage: str) -> tuple[str, dict[str, str]]:
    """Return the mode of a mapping, and behind or below which region it goes."""
    beside = {}
    if len(words) > 1 and words[-2] in (BEHIND, BELOW):
        *words, where, region = words
        if not _REGION_NAME.match(region):
            raise ValueError(f"{region!r} cannot name a region; write one letter from A to Z")
        beside = {where: region}
    if len(words) > 1 or words in ([BEHIND], [BELOW]):
        raise ValueError(f"{' '.join(words)!r} is not understood; write {usage}")
    return _choice(words, MAP_MODES, usage), beside


def _argument_counts(shape: Shape) -> tuple[int, int]:
    words = shape.value.split()
    optional = sum(word.startswith("[") or word.endswith("]") for word in words)
    return len(words) - optional, len(words)


V = TypeVar("V", bound=StrEnum)


def verb_named(verbs: type[V], word: str) -> V:
    """Return the verb that a script calls `word`; raise `ValueError` with the nearest one."""
    try:
        return verbs(word)
    except ValueError:
        near = get_close_matches(word, list(verbs), n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(verbs)}"
        raise ValueError(f"unknown verb {word!r}; {hint}") from None


def _page_number(word: str, usage: str) -> int:
    if not (word.isascii() and word.isdigit()) or len(word) > 9:
        raise ValueError(f"{word!r} is not a number of pages; write {usage}")
    return int(word)


def _choice(words: list[str], choices: tuple[str, ...], usage: str) -> str:
    if words and words[0] not in choices:
        raise ValueError(f"{words[0]!r} is none of {', '.join(choices)}; write {usage}")
    return words[0] if words else ""
