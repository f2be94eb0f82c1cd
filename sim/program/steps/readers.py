"""Readers: each checks one argument of a verb and returns it in base units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, TypeAlias

from sim.base.units import parse_bytes, parse_duration, parse_length
from sim.program.presets import preset_names
from sim.program.steps.errors import Path, StepsError, kind_of, unknown


@dataclass
class Scope:
    """What is known of a process where a step stands."""

    regions: dict[str, int] = field(default_factory=dict)
    blocks: set[str] = field(default_factory=set)  # those of the regions that malloc returned
    children: set[str] = field(default_factory=set)
    threads: set[str] = field(default_factory=set)
    mover: str = ""  # who moves the program break: `sbrk` or `malloc`
    depth: int = 0
    again: bool = False  # in the second round of a `repeat`

    def copy(self) -> Scope:
        """Return the same, to be kept."""
        return replace(
            self,
            regions=dict(self.regions),
            blocks=set(self.blocks),
            children=set(self.children),
            threads=set(self.threads),
        )

    def take_over(self, other: Scope) -> None:
        """Know what `other` knows, and no more; the other is not used again."""
        for one in fields(self):
            setattr(self, one.name, getattr(other, one.name))

    def inherited(self) -> Scope:
        """Return what a child, or a thread, knows when it begins."""
        return Scope(
            dict(self.regions),
            set(self.blocks),
            mover=self.mover,
            depth=self.depth + 1,
            again=self.again,
        )


ADVICE: Final = (
    *("normal", "random", "sequential", "dontneed", "free", "populate_read", "populate_write"),
    *("hugepage", "nohugepage", "collapse", "dontfork", "dofork", "wipeonfork", "keeponfork"),
)
"""What madvise takes, as `sim.program.api.Process.madvise` does."""
FILE_ADVICE: Final = ("normal", "random", "sequential", "willneed", "dontneed")
"""What posix_fadvise takes."""
ACCESS: Final = ("rw", "r", "none")
"""What mprotect takes."""
OPTIONS: Final = ("thp_disable",)
"""What prctl takes."""


Read: TypeAlias = Callable[[Any, Path, Scope], Any]


@dataclass(frozen=True)
class Reader:
    """Checks one argument and returns it in base units; `kind` is what may be written."""

    kind: str
    read: Read

    def __call__(self, value: Any, path: Path, scope: Scope) -> Any:
        """Return `value` in base units; raises `StepsError`, with its place, if it cannot be."""
        return self.read(value, path, scope)


def reads(kind: str) -> Callable[[Read], Reader]:
    """Make a function the reader of what may be written as `kind`."""
    return lambda read: Reader(kind, read)


@dataclass(frozen=True)
class Verb:
    """The arguments of a verb, and the one that may stand bare."""

    readers: Mapping[str, Reader]
    required: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    bare: str | None = None


def read_arguments(verb: Verb, said: Any, path: Path, scope: Scope) -> dict[str, Any]:
    """Return the arguments of a verb in base units, defaults filled in; raises `StepsError`."""
    bare = said is not None and not isinstance(said, Mapping)
    if said is None:
        said = {}
    elif bare:
        if verb.bare is None:
            raise StepsError(path, f"takes {_keys(verb)}, got {kind_of(said)}")
        said = {verb.bare: said}
    for key in said:
        if key not in verb.readers:
            raise StepsError((*path, str(key)), unknown("key", str(key), verb.readers))
    for key in verb.required:
        if said.get(key) is None:
            raise StepsError(path, f"needs `{key}`")
    arguments = dict(verb.defaults)
    for key, reader in verb.readers.items():
        if said.get(key) is not None:
            arguments[key] = reader(said[key], path if bare else (*path, key), scope)
    return arguments


def quantity(kind: str, parse: Callable[[Any], Any], low: int) -> Reader:
    """Return the reader of what `parse` takes and makes at least `low` of."""

    @reads(kind)
    def read(value: Any, path: Path, _scope: Scope) -> Any:
        try:
            parsed = parse(value)
        except ValueError as error:
            raise StepsError(path, str(error)) from None
        if parsed < low:
            raise StepsError(path, f"must be at least {low}, got {value}")
        return parsed

    return read


def whole(low: int, high: int = 2**40) -> Reader:
    """Return the reader of whole numbers from `low` to `high`."""

    @reads(
        f"a whole number, {low} to {high}" if high < 2**40 else f"a whole number, at least {low}"
    )
    def read(value: Any, path: Path, _scope: Scope) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise StepsError(path, f"must be a whole number in {low} .. {high}, got {value!r}")
        return int(value)

    return read


@reads("a number, 0 to 1")
def a_share(value: Any, path: Path, _scope: Scope) -> float:
    """Read a share of something."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0.0 <= value <= 1.0:
        raise StepsError(path, f"must be a number in 0 .. 1, got {value!r}")
    return float(value)


@reads("true or false")
def a_flag(value: Any, path: Path, _scope: Scope) -> bool:
    """Read a truth value, as YAML has it."""
    if not isinstance(value, bool):
        raise StepsError(path, f"must be true or false, got {value!r}")
    return value


@reads("a name")
def a_name(value: Any, path: Path, _scope: Scope) -> str:
    """Read a name that a step gives."""
    if not isinstance(value, str) or not value.replace("_", "a").replace("-", "a").isalnum():
        raise StepsError(path, f"a name is letters, digits, `-` and `_`, got {value!r}")
    return str(value)


def one_of(kind: str, choices: Sequence[str]) -> Reader:
    """Return the reader of one of `choices`."""

    @reads(kind)
    def read(value: Any, path: Path, _scope: Scope) -> str:
        if value not in choices:
            raise StepsError(path, unknown(kind, str(value), choices))
        return str(value)

    return read


@reads("a region")
def a_region(value: Any, path: Path, scope: Scope) -> str:
    """Read the name of a region that is mapped by now."""
    name: str = a_name(value, path, scope)
    if name not in scope.regions:
        raise StepsError(path, unknown("region", name, scope.regions))
    return name


@reads("a block")
def a_block(value: Any, path: Path, scope: Scope) -> str:
    """Read the name of a block that malloc has returned by now."""
    name: str = a_name(value, path, scope)
    if name not in scope.blocks:
        raise StepsError(path, unknown("block", name, scope.blocks))
    return name


@reads("a child")
def a_child(value: Any, path: Path, scope: Scope) -> str:
    """Read the name of a child that was started by now."""
    name: str = a_name(value, path, scope)
    if name not in scope.children:
        raise StepsError(path, unknown("child", name, scope.children))
    return name


@reads("a thread")
def a_thread(value: Any, path: Path, scope: Scope) -> str:
    """Read the name of a thread that was started by now."""
    name: str = a_name(value, path, scope)
    if name not in scope.threads:
        raise StepsError(path, unknown("thread", name, scope.threads))
    return name


@reads("a program")
def a_program(value: Any, path: Path, _scope: Scope) -> str:
    """Read the name of a program that ships; YAML takes an unquoted `true` for a truth value."""
    name = "true" if value is True else value
    if not isinstance(name, str) or name not in preset_names():
        raise StepsError(path, unknown("program", str(name), preset_names()))
    return name


@reads("text")
def a_file(value: Any, path: Path, _scope: Scope) -> str:
    """Read the name of a file."""
    if not isinstance(value, str) or not value:
        raise StepsError(path, f"a file has a name, got {value!r}")
    return value


def list_of(reader: Reader) -> Reader:
    """Return the reader of lists of what `reader` reads."""

    @reads(f"a list, each {reader.kind}")
    def read(value: Any, path: Path, scope: Scope) -> list[Any]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise StepsError(path, f"must be a list, got {kind_of(value)}")
        return [reader(item, (*path, index), scope) for index, item in enumerate(value)]

    return read


def _keys(verb: Verb) -> str:
    return ", ".join(f"`{key}`" for key in verb.readers)


SOME_ADVICE: Final = one_of("advice", ADVICE)


SOME_FILE_ADVICE: Final = one_of("advice about a file", FILE_ADVICE)


AN_ACCESS: Final = one_of("access", ACCESS)


AN_OPTION: Final = one_of("option", OPTIONS)


COUNT: Final = whole(0)


BYTES: Final = quantity("a size", parse_bytes, 1)


LENGTH: Final = quantity("a length in bytes", parse_length, 1)


ANY_BYTES: Final = quantity("a size", parse_bytes, 0)


DURATION: Final = quantity("a duration", parse_duration, 0)
