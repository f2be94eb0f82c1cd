"""The grammar of scripts of malloc and free: text to operations and back.

One operation a line; `#` starts a comment.  What a line means is said in ``docs/malloc.md``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final

from sim.alloc.glibc.malloc import OPTIONS
from sim.base.errors import ScenarioError
from sim.base.files import shown_path
from sim.base.units import GIB, parse_bytes
from sim.script.grammar import FIRST_PROCESS, verb_named
from sim.script.reading import script_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MAX_BYTES: Final = 16 * GIB
"""Largest allocation: a slip of the keyboard should not fill the host."""
MAX_BLOCKS: Final = 4096
MAX_ACTORS: Final = 64
MAX_THREADS: Final = 8


class Shape(Enum):
    """What follows the verb on a line."""

    NOTHING = ""
    CHILD = "NAME"
    BLOCK = "BLOCK"
    SIZE = "BLOCK BYTES"
    RANGE = "BLOCK [FIRST END]"
    OPTION = "OPTION VALUE"


class Verb(StrEnum):
    """What a process or thread can be told to do; the value is the word in the script."""

    MALLOC = "malloc"
    CALLOC = "calloc"
    REALLOC = "realloc"
    FREE = "free"
    WRITE = "write"
    READ = "read"
    TRIM = "trim"
    MALLOPT = "mallopt"
    THREAD = "thread"
    FORK = "fork"
    EXIT = "exit"


SHAPES: Final = {
    Verb.MALLOC: Shape.SIZE,
    Verb.CALLOC: Shape.SIZE,
    Verb.REALLOC: Shape.SIZE,
    Verb.FREE: Shape.BLOCK,
    Verb.WRITE: Shape.RANGE,
    Verb.READ: Shape.RANGE,
    Verb.TRIM: Shape.NOTHING,
    Verb.MALLOPT: Shape.OPTION,
    Verb.THREAD: Shape.CHILD,
    Verb.FORK: Shape.CHILD,
    Verb.EXIT: Shape.NOTHING,
}
MAKING_VERBS: Final = frozenset({Verb.MALLOC, Verb.CALLOC})
UNCOUNTED_VERBS: Final = frozenset({Verb.THREAD, Verb.FORK, Verb.EXIT})
"""The verbs whose faults are the kernel's and the driver's as well, and are not compared."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of a script; `str()` gives the line back in its plainest form.

    `process` is who does it: a process, or a thread.  `first` and `end` are bytes of the block,
    half open (all of it where `end` is -1); a size, or an option's value, is in `end`.  `name` is
    the block, the child or the option.

    >>> str(Operation("P", Verb.MALLOC, "a", 0, 100_000))
    'P malloc a 100000'
    """

    process: str
    verb: Verb
    name: str = ""
    first: int = 0
    end: int = -1
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        words: list[object] = [self.process, self.verb.value]
        shape = SHAPES[self.verb]
        if shape is not Shape.NOTHING:
            words.append(self.name)
        if shape in (Shape.SIZE, Shape.OPTION):
            words.append(self.end)
        elif shape is Shape.RANGE and self.end >= 0:
            words += [self.first, self.end]
        return " ".join(map(str, words))


@dataclass(slots=True)
class _Process:
    """What a script can know of a process: its blocks with their sizes, and its threads."""

    blocks: dict[str, int] = field(default_factory=dict)
    threads: dict[str, None] = field(default_factory=dict)
    had_threads: bool = False


class World:
    """The living processes and threads of a script, and their blocks.

    `apply` checks an operation and carries it out as far as a script can know; it raises
    `ValueError`, and changes nothing, if the operation cannot happen now.
    """

    def __init__(self) -> None:
        self.processes: dict[str, _Process] = {FIRST_PROCESS: _Process()}
        self._names = {FIRST_PROCESS}
        self._threads = 0

    def actors(self) -> list[str]:
        """Return all who can be told to do something."""
        return [name for p, view in self.processes.items() for name in (p, *view.threads)]

    def process_of(self, actor: str) -> str:
        """Return the process that an actor is, or is a thread of."""
        for name, view in self.processes.items():
            if actor == name or actor in view.threads:
                return name
        gone = " any more" if actor in self._names else ""
        raise ValueError(f"there is no {actor}{gone}; there are: {', '.join(self.actors())}")

    def apply(self, operation: Operation) -> None:
        """Check an operation, and carry it out."""
        process = self.process_of(operation.process)
        view = self.processes[process]
        verb, name = operation.verb, operation.name
        if verb in (Verb.FORK, Verb.THREAD):
            self._bear(operation, process, view)
        elif verb is Verb.EXIT:
            if operation.process == process:
                del self.processes[process]
            else:
                del view.threads[operation.process]
        elif SHAPES[verb] in (Shape.BLOCK, Shape.SIZE, Shape.RANGE):
            if verb in MAKING_VERBS:
                if name in view.blocks:
                    raise ValueError(f"{process} has a block {name}; free it first")
                view.blocks[name] = operation.end
                return
            if name not in view.blocks:
                known = ", ".join(sorted(view.blocks)) or "none"
                raise ValueError(f"{process} has no block {name}; it has: {known}")
            if verb is Verb.FREE:
                del view.blocks[name]
            elif verb is Verb.REALLOC:
                view.blocks[name] = operation.end
            elif operation.end > view.blocks[name]:
                raise ValueError(f"block {name} has {view.blocks[name]} bytes, not {operation.end}")

    def _bear(self, operation: Operation, process: str, view: _Process) -> None:
        name = operation.name
        if name in self._names:
            raise ValueError(f"there was a {name} already; use another name")
        if operation.process != process:
            raise ValueError(f"{operation.process} is a thread; only processes `{operation.verb}`")
        if len(self._names) >= MAX_ACTORS:
            raise ValueError(f"a script may have {MAX_ACTORS} processes and threads")
        if operation.verb is Verb.THREAD:
            if self._threads == MAX_THREADS:
                raise ValueError(f"a script may have {MAX_THREADS} threads")
            self._threads += 1
            view.threads[name] = None
            view.had_threads = True
        elif view.had_threads:
            raise ValueError(f"{process} has had threads; such a process may not fork here")
        else:
            self.processes[name] = _Process(dict(view.blocks))
        self._names.add(name)


def check_script(operations: Iterable[Operation], file: str | None = None) -> list[Operation]:
    """Return the operations if they can happen in this order; raise `ScenarioError` if not."""
    world, checked = World(), []
    for operation in operations:
        try:
            world.apply(operation)
        except ValueError as error:
            raise ScenarioError(str(error), file, operation.line or None) from None
        checked.append(operation)
    return checked


def load_script(path: Path | str) -> list[Operation]:
    """Read and check a script.  Raises `ScenarioError`, with file and line."""
    return parse_script(script_text(path), shown_path(path))


def parse_script(text: str, file: str | None = None) -> list[Operation]:
    """Return the operations of a script, checked.  Raises `ScenarioError`."""
    operations = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        try:
            operations.append(replace(_operation(words), line=number))
        except ValueError as error:
            raise ScenarioError(str(error), file, number) from None
    return check_script(operations, file)


def format_script(operations: Sequence[Operation]) -> str:
    """Return the text of a script, one operation a line."""
    return "".join(f"{operation}\n" for operation in operations)


def _operation(words: list[str]) -> Operation:
    process = _name(words[0], "a process")
    if len(words) < 2:
        raise ValueError(f"no verb after {process!r}; write e.g. `{process} malloc a 100000`")
    verb = verb_named(Verb, words[1])
    shape = SHAPES[verb]
    arguments = words[2:]
    usage = f"`{process} {verb} {shape.value}`".replace(" `", "`")
    most = len(shape.value.split())
    if len(arguments) != most and not (shape is Shape.RANGE and len(arguments) == 1):
        raise ValueError(f"{len(arguments)} words after `{verb}`; write {usage}")
    if shape is Shape.NOTHING:
        return Operation(process, verb)
    if shape is Shape.OPTION:
        if arguments[0] not in OPTIONS:
            raise ValueError(f"unknown option {arguments[0]!r}; there are: {', '.join(OPTIONS)}")
        return Operation(process, verb, arguments[0], 0, _bytes(arguments[1], usage))
    name = _name(arguments[0], "a block" if shape is not Shape.CHILD else "a process")
    if shape is Shape.SIZE:
        size = _bytes(arguments[1], usage)
        if not size:
            raise ValueError(f"`{verb}` takes at least 1 byte")
        return Operation(process, verb, name, 0, size)
    if len(arguments) == 3:
        first, end = (_bytes(word, usage) for word in arguments[1:])
        if first >= end:
            raise ValueError(f"[{first}, {end}) holds no byte; write FIRST < END")
        return Operation(process, verb, name, first, end)
    return Operation(process, verb, name)


def _name(word: str, what: str) -> str:
    if not _NAME.match(word):
        raise ValueError(f"{word!r} cannot name {what}; write a letter first")
    return word


def _bytes(word: str, usage: str) -> int:
    try:
        size = int(word) if word.isascii() and word.isdigit() else parse_bytes(word)
    except ValueError as error:
        raise ValueError(f"{error}; write {usage}") from None
    if size > MAX_BYTES:
        raise ValueError(f"{word} is too large; at most {MAX_BYTES // GIB} GiB")
    return size
