"""YAML in, plain Python data and line numbers out; nothing dangerous gets past.

The file is read as a stream of events, and built from them only as far as the limits allow: an
alias bomb, a file without end or nesting without end is refused before anything walks it.  A
document may hold mappings, lists and plain values.  Tags, merge keys, repeated keys, several
documents and keys that are not plain text are refused, because none of them is needed and each
hides something from the reader.
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from ruamel.yaml import YAML
from ruamel.yaml import events as ev
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from sim.base.errors import ScenarioError
from sim.base.files import STDIN, read_at_most, shown_path
from sim.base.text import MOST_CHARACTERS, is_unfit, shorten, visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 24
MAX_NODES: Final = 20_000
"""Limit on the values in a document, those repeated by aliases counted each time."""

_NULL: Final = {"", "~", "null", "Null", "NULL"}
_TRUE: Final = {"true", "True", "TRUE"}
_FALSE: Final = {"false", "False", "FALSE"}
_INT: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_DIGITS: Final = 60

_MAY_BE_EMPTY: Final = "steps"
"""A list of steps has verbs without arguments, which may be written ``wait:``."""


class WrittenNumber(float):
    """A number that was not written as Python writes it: a version 5.10 is not 5.1."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Return the number that `text` is, and keep the text."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.text,)


Keys = tuple[str | int, ...]
"""Where a value stands in a document: the keys and indices that lead to it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file and a line in it, counted from 1."""

    file: str | None
    line: int | None


@dataclass(slots=True)
class Document:
    """The data of a file, and where each of its values was written."""

    data: dict[str, Any]
    file: str | None = None
    places: dict[Keys, Place] = field(default_factory=dict)

    def to_json(self) -> Any:
        """Return the data as JSON values that `from_json` reads as what was written."""
        return _kept(self.data)

    @classmethod
    def from_json(cls, kept: Any, file: str | None) -> Self:
        """Return the document whose data `to_json` gave, without the places of its values."""
        return cls(_again(kept), file)

    def place(self, path: Keys) -> Place:
        """Return where `path` was written, or else the nearest thing around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return Place(self.file, 1 if self.file is not None else None)

    def error(self, path: Keys, message: str) -> ScenarioError:
        """Return the error that says `message` about the value at `path`."""
        place = self.place(path)
        return ScenarioError(message, place.file, place.line, dotted(path) or None)


_WRITTEN: Final = "\0written"
"""A key that no document has, for what JSON has no word for."""


def _kept(value: Any) -> Any:
    match value:
        case dict():
            return {key: _kept(inner) for key, inner in value.items()}
        case list():
            return [_kept(inner) for inner in value]
        case WrittenNumber():
            return {_WRITTEN: value.text}
        case _:
            return value


def _again(value: Any) -> Any:
    match value:
        case {"\0written": str(text)}:
            return WrittenNumber(text)
        case dict():
            return {key: _again(inner) for key, inner in value.items()}
        case list():
            return [_again(inner) for inner in value]
        case _:
            return value


def dotted(path: Keys) -> str:
    """Return a path as people write it: ``processes.redis.dataset``."""
    return ".".join(shorten(str(part)) for part in path)


def read_document(path: Path, shown: str | None = None) -> Document:
    """Read a YAML file whose root is a mapping.

    `shown` is the file's name in messages.  Raises `ScenarioError` for anything that cannot be
    read, is not YAML, or goes beyond what a document may hold.
    """
    name = shown_path(path) if shown in (None, STDIN) else shown
    try:
        raw = read_at_most(path, MAX_BYTES + 1)
    except FileNotFoundError:
        raise ScenarioError("there is no such file; check the path", name, 1) from None
    except IsADirectoryError:
        raise ScenarioError("this is a directory; name a YAML file in it", name, 1) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ScenarioError(f"cannot be read ({reason}); check the path", name, 1) from None
    return _decoded(raw, name)


def _decoded(raw: bytes, name: str) -> Document:
    """Return the document that the bytes of a file hold."""
    if len(raw) > MAX_BYTES:
        message = "larger than 1 MiB; a scenario or study has a few hundred lines"
        raise ScenarioError(message, name, 1)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ScenarioError("not UTF-8 text; save the file as UTF-8", name, line) from None
    return parse_document(text, name)


def parse_document(text: str, name: str) -> Document:
    """Parse YAML text whose root is a mapping, as `read_document` does."""
    value, places = parse_value(text, name)
    if value is None:
        raise ScenarioError("the file is empty; a scenario begins with `version: 1`", name, 1)
    if not isinstance(value, dict):
        raise ScenarioError(
            f"holds {kind_of(value)}, not a mapping; a scenario begins with `version: 1`", name, 1
        )
    return Document(value, name, places)


def parse_value(text: str, name: str, first_line: int = 1) -> tuple[Any, dict[Keys, Place]]:
    """Parse YAML text of any shape and return it with the place of every value in it."""
    builder = _Builder(name, first_line)
    yaml = YAML(typ="safe", pure=True)
    try:
        return builder.build(yaml.parse(io.StringIO(text)))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + first_line if mark is not None else first_line
        raise ScenarioError(f"not valid YAML: {_one_line(error)}", name, line) from None
    except YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0) or 0) + first_line
        raise ScenarioError(f"not valid YAML: {_one_line(error)}", name, line) from None


def kind_of(value: object) -> str:
    """Return what a person would call a value: ``a list``, ``the text 'x'``."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"`{str(value).lower()}`"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return f"the text {shorten(value)!r}"
        case _:
            return f"the number {shorten(str(value))}"


def _is_empty(event: Any) -> bool:
    """Return whether an event is what stands behind a colon with nothing behind it."""
    return (
        isinstance(event, ev.ScalarEvent)
        and event.value == ""
        and event.implicit[0]
        and event.tag is None
        and event.anchor is None
    )


def _one_line(error: YAMLError) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    message = f"{problem} {context}" if context else str(problem)
    return f"{shorten(message, 160)}; check quotes, brackets and indentation"


@dataclass(slots=True)
class _Anchored:
    """What an alias repeats, how many values that is, and how deep they nest."""

    value: Any
    nodes: int
    height: int


class _Builder:
    """Builds a document from YAML events, counting as it goes."""

    def __init__(self, name: str, first_line: int) -> None:
        self._name = name
        self._first_line = first_line
        self._nodes = 0
        self._deepest = 0
        self._anchors: dict[str, _Anchored] = {}
        self._places: dict[Keys, Place] = {}
        self._empty: Keys | None = None

    def build(self, events: Iterator[ev.Event]) -> tuple[Any, dict[Keys, Place]]:
        value: Any = None
        documents = 0
        for event in events:
            if isinstance(event, ev.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "a second document begins here; keep one per file")
                value = self._node(next(events), events, (), 0)
        if self._empty is not None:
            message = "has no value; write one after the colon, or remove the key"
            line = self._places[self._empty].line
            raise ScenarioError(message, self._name, line, dotted(self._empty))
        return value, self._places

    def _node(self, event: ev.Event, events: Iterator[ev.Event], path: Keys, depth: int) -> Any:
        if isinstance(event, ev.AliasEvent):
            return self._alias(event, depth)
        self._count(event, 1, depth)
        self._refuse_tag(event)
        nodes_before, deepest_before = self._nodes, self._deepest
        self._deepest = depth
        anchor = getattr(event, "anchor", None)
        self._places.setdefault(path, self._place(event))
        value: Any
        if isinstance(event, ev.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, ev.SequenceStartEvent):
            value = self._sequence(events, path, depth)
        else:
            value = self._mapping(events, path, depth)
        if anchor is not None:
            nodes = 1 + self._nodes - nodes_before
            self._anchors[anchor] = _Anchored(value, nodes, self._deepest - depth)
        self._deepest = max(self._deepest, deepest_before)
        return value

    def _sequence(self, events: Iterator[ev.Event], path: Keys, depth: int) -> list[Any]:
        values: list[Any] = []
        for event in events:
            if isinstance(event, ev.SequenceEndEvent):
                break
            values.append(self._node(event, events, (*path, len(values)), depth + 1))
        return values

    def _mapping(self, events: Iterator[ev.Event], path: Keys, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for event in events:
            if isinstance(event, ev.MappingEndEvent):
                break
            if not isinstance(event, ev.ScalarEvent):
                self._refuse(event, "a key must be plain text; write `key: value`")
            self._refuse_tag(event)
            key = str(event.value)
            if len(key) > MOST_CHARACTERS:
                what = f"this key has {len(key):,} characters; write at most {MOST_CHARACTERS}"
                self._refuse(event, what)
            if any(is_unfit(c) or c in "\n\t" for c in key):
                self._refuse(event, f"the key {shorten(key)!r} has characters that cannot be shown")
            if key == "<<":
                self._refuse(event, "merge keys are not supported; write the keys out")
            inner = (*path, key)
            if key in values:
                first = self._places[inner].line
                where = f"already given in line {first}; keep one of them"
                raise ScenarioError(where, self._name, self._place(event).line, dotted(inner))
            self._places[inner] = self._place(event)
            event = next(events)
            if _is_empty(event) and _MAY_BE_EMPTY not in inner:
                self._empty = self._empty or inner
            values[key] = self._node(event, events, inner, depth + 1)
        return values

    def _alias(self, event: Any, depth: int) -> Any:
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            self._refuse(event, f"`*{event.anchor}` names no finished anchor; write the value out")
        self._count(event, anchored.nodes, depth + anchored.height)
        return anchored.value

    def _scalar(self, event: Any) -> object:
        text: str = event.value
        for unfit in filter(is_unfit, text):
            self._refuse(event, f"holds the character {visible(unfit)}, which cannot be shown")
        if not event.implicit[0]:
            return text
        if text in _NULL:
            return None
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if _INT.fullmatch(text):
            if len(text) > _MAX_DIGITS:
                self._refuse(event, "this number has too many digits; check it")
            return int(text)
        if _FLOAT.fullmatch(text):
            number = WrittenNumber(text)
            return float(number) if repr(float(number)) == text else number
        special = _SPECIAL.fullmatch(text)
        if special is None:
            return text
        if special[2] is None:
            return math.nan
        return -math.inf if special[1] == "-" else math.inf

    def _count(self, event: ev.Event, nodes: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels; flatten it")
        self._deepest = max(self._deepest, depth)
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._refuse(event, f"more than {MAX_NODES:,} values, aliases included; shorten it")

    def _refuse_tag(self, event: ev.Event) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._refuse(event, f"the tag {shorten(str(tag))!r} is not allowed; remove it")

    def _place(self, event: ev.Event) -> Place:
        return Place(self._name, event.start_mark.line + self._first_line)

    def _refuse(self, event: ev.Event, message: str) -> NoReturn:
        raise ScenarioError(message, self._name, self._place(event).line)
