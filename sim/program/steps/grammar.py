"""What a list of steps may say: its verbs, their arguments, and what is wrong with one.

A step is a mapping with one key, its verb: ``{write: {region: A, pages: 10}}``.  A verb with
one main argument takes it bare: ``{compute: 5 ms}``, ``{read: A}``.  `normal_steps` fills in
defaults and base units; its result is itself a valid list of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from sim.base.units import PAGE_BYTES, parse_bytes, parse_duration, parse_rate
from sim.program.presets import preset_names
from sim.program.steps.errors import Path, StepsError, kind_of, unknown
from sim.program.steps.words import ELSEWHERE

DEEPEST: Final = 40
"""How many lists of steps may lie in one another."""


@dataclass
class _Scope:
    """What is known of a process where a step stands."""

    regions: dict[str, int] = field(default_factory=dict)
    blocks: set[str] = field(default_factory=set)  # those of the regions that malloc returned
    children: set[str] = field(default_factory=set)
    threads: set[str] = field(default_factory=set)
    mover: str = ""  # who moves the program break: `sbrk` or `malloc`
    is_thread: bool = False
    depth: int = 0

    def inherited(self, *, is_thread: bool = False) -> _Scope:
        return _Scope(
            dict(self.regions),
            set(self.blocks),
            mover=self.mover,
            is_thread=is_thread,
            depth=self.depth + 1,
        )


ADVICE: Final = ("normal", "random", "sequential")
"""What may be said of how a mapping of a file will be read."""

_Read: TypeAlias = Callable[[Any, Path, _Scope], Any]


@dataclass(frozen=True)
class Reader:
    """Checks one argument and returns it in base units; `kind` is what may be written."""

    kind: str
    read: _Read

    def __call__(self, value: Any, path: Path, scope: _Scope) -> Any:
        """Return `value` in base units; raises `StepsError`, with its place, if it cannot be."""
        return self.read(value, path, scope)


def _reads(kind: str) -> Callable[[_Read], Reader]:
    """Make a function the reader of what may be written as `kind`."""
    return lambda read: Reader(kind, read)


@dataclass(frozen=True)
class Verb:
    """The arguments of a verb, and the one that may stand bare."""

    readers: Mapping[str, Reader]
    required: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    bare: str | None = None


def check_steps(steps: Any) -> None:
    """Raise `StepsError`, a `ValueError(path, what)`, unless `steps` can be run."""
    normal_steps(steps)


def normal_steps(steps: Any) -> list[dict[str, dict[str, Any]]]:
    """Return `steps` with defaults filled in and quantities in base units.

    Regions must be mapped, and children started, before they are named; a child knows its
    parent's regions, until it execs.  Raises `StepsError`.
    """
    return _read_steps(steps, (), _Scope())


def normal_image(said: Any) -> str | dict[str, Any]:
    """Return what `exec` takes in normal form, for a program's parameter: a name, or sizes.

    The result is itself valid.  Raises `StepsError`.
    """
    image = _image(said, (), _Scope())
    return str(image["program"]) if "program" in image else image


def _read_steps(steps: Any, path: Path, scope: _Scope) -> list[dict[str, dict[str, Any]]]:
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise StepsError(path, f"steps are a list, got {kind_of(steps)}")
    if scope.depth > DEEPEST:
        raise StepsError(path, f"steps may be at most {DEEPEST} lists deep")
    return [_read_step(step, (*path, index), scope) for index, step in enumerate(steps)]


def _read_step(step: Any, path: Path, scope: _Scope) -> dict[str, dict[str, Any]]:
    if isinstance(step, str):
        step = {step: None}
    if not isinstance(step, Mapping) or len(step) != 1:
        raise StepsError(path, f"a step is one verb, such as `compute: 5 ms`; got {kind_of(step)}")
    name, said = next(iter(step.items()))
    verb = VERBS.get(name) if isinstance(name, str) else None
    if verb is None:
        said = str(name)
        told = unknown("verb", said, VERBS)
        if said.lower() in ELSEWHERE:
            told = f"unknown verb {said!r}; write `{ELSEWHERE[said.lower()]}`"
        raise StepsError((*path, said), told)
    path = (*path, name)
    arguments = _read_arguments(verb, said, path, scope)
    _take_note(name, arguments, path, scope)
    return {name: arguments}


def _read_arguments(verb: Verb, said: Any, path: Path, scope: _Scope) -> dict[str, Any]:
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


def _take_note(verb: str, arguments: dict[str, Any], path: Path, scope: _Scope) -> None:
    """Check what arguments mean together, and note what the step makes known."""
    if verb in ("sbrk", *HEAP_VERBS):
        _take_note_of_break(verb, path, scope)
    if verb == "drop" and len(arguments) != 1:
        raise StepsError(path, "needs either `file` or `program`")
    if verb == "mmap":
        if "cold" in arguments and "file" not in arguments:
            raise StepsError((*path, "cold"), "only a file can be cold; add e.g. `file: data`")
        scope.regions[arguments["name"]] = -(-arguments["size"] // PAGE_BYTES)
        scope.blocks.discard(arguments["name"])
    elif verb in ("malloc", "calloc", "realloc"):
        name = arguments["name" if verb != "realloc" else "block"]
        scope.regions[name] = (arguments["size"] - 1) // PAGE_BYTES + 2  # as it may lie
        scope.blocks.add(name)
    elif verb == "free":
        del scope.regions[arguments["block"]]
        scope.blocks.remove(arguments["block"])
    elif verb == "sbrk":
        if ("grow" in arguments) == ("shrink" in arguments):
            raise StepsError(path, "needs either `grow` or `shrink`")
        if "name" in arguments:
            if "shrink" in arguments:
                raise StepsError((*path, "name"), "only a heap that grows has a new region")
            scope.regions[arguments["name"]] = -(-arguments["grow"] // PAGE_BYTES)
            scope.blocks.discard(arguments["name"])
    elif verb in ("fork", "vfork", "posix_spawn"):
        if verb == "posix_spawn":
            _take_note_of_program(arguments, path)
        if "name" in arguments:
            scope.children.add(arguments["name"])
    elif verb == "thread":
        if "name" in arguments:
            scope.threads.add(arguments["name"])
    elif verb == "exec":
        _settle_image(arguments, path)
        scope.regions.clear()
        scope.blocks.clear()
        scope.mover = ""
    elif "region" in arguments:
        if arguments["region"] in scope.blocks and verb not in ("read", "write"):
            raise StepsError(
                (*path, "region"),
                f"block {arguments['region']!r} is malloc's; it can be read, written and freed",
            )
        _check_range(arguments, path, scope)


def _take_note_of_program(arguments: dict[str, Any], path: Path) -> None:
    """Give `posix_spawn` its image: said as such, by the program's name, or nothing at all."""
    if "program" in arguments:
        if "image" in arguments:
            raise StepsError(path, "takes `program`, a name, or `image`, sizes; not both")
        arguments["image"] = {"program": arguments.pop("program")}
    elif "image" not in arguments:
        arguments["image"] = _settle_image({}, path)


def _settle_image(arguments: dict[str, Any], path: Path) -> dict[str, Any]:
    """Check that an image is either named or described; fill in what its description leaves out."""
    if "program" in arguments:
        others = [f"`{key}`" for key in arguments if key != "program"]
        if others:
            raise StepsError(path, f"`program` says it all; leave out {', '.join(others)}")
        return arguments
    for key, value in _NO_IMAGE.items():
        arguments.setdefault(key, value)
    return arguments


def _take_note_of_break(verb: str, path: Path, scope: _Scope) -> None:
    """Check that only one moves the program break, and that it is no thread's malloc."""
    if verb in HEAP_VERBS and scope.is_thread:
        raise StepsError(path, "malloc is not simulated in threads; let their process do it")
    mover = "sbrk" if verb == "sbrk" else "malloc"
    if scope.mover not in ("", mover):
        raise StepsError(path, "a process uses either `sbrk` or malloc: both move its break")
    scope.mover = mover


def _check_range(arguments: dict[str, Any], path: Path, scope: _Scope) -> None:
    region = arguments["region"]
    size = scope.regions[region]
    first = arguments["first"]
    if first > size:
        raise StepsError((*path, "first"), f"region {region!r} has {size} pages, not {first}")
    pages = arguments.setdefault("pages", size - first)
    if first + pages > size:
        raise StepsError(
            (*path, "pages"), f"region {region!r} has {size - first} pages from {first} on"
        )
    if "pattern" in arguments:
        _check_accesses(arguments, path, size)


def _check_accesses(arguments: dict[str, Any], path: Path, size: int) -> None:
    """Check that arrivals, if any, and requests can be brought together."""
    pattern = arguments["pattern"]
    accesses = arguments["pages"]
    if isinstance(pattern, dict):
        ((kind, said),) = pattern.items()
        accesses = said if kind == "uniform" else said["count"] if kind == "hot_cold" else len(said)
        if kind == "listed" and max(said, default=0) >= size:
            raise StepsError(
                (*path, "pattern", "listed"), f"the region has no page {max(said)}, only {size}"
            )
    requests, rest = divmod(accesses, arguments["per_request"])
    if rest:
        raise StepsError(
            (*path, "per_request"), f"must divide the number of accesses, which is {accesses}"
        )
    times = arguments.get("arrivals", {}).get("at")
    if times is not None and len(times) != requests:
        raise StepsError(
            (*path, "arrivals", "at"), f"needs a time for each of {requests}, got {len(times)}"
        )


# -- readers of single arguments --------------------------------------------------------


def _quantity(kind: str, parse: Callable[[Any], Any], low: int) -> Reader:
    @_reads(kind)
    def read(value: Any, path: Path, _scope: _Scope) -> Any:
        try:
            parsed = parse(value)
        except ValueError as error:
            raise StepsError(path, str(error)) from None
        if parsed < low:
            raise StepsError(path, f"must be at least {low}, got {value}")
        return parsed

    return read


def _whole(low: int, high: int = 2**40) -> Reader:
    @_reads(
        f"a whole number, {low} to {high}" if high < 2**40 else f"a whole number, at least {low}"
    )
    def read(value: Any, path: Path, _scope: _Scope) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise StepsError(path, f"must be a whole number in {low} .. {high}, got {value!r}")
        return int(value)

    return read


@_reads("a number, 0 to 1")
def _share(value: Any, path: Path, _scope: _Scope) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0.0 <= value <= 1.0:
        raise StepsError(path, f"must be a number in 0 .. 1, got {value!r}")
    return float(value)


@_reads("true or false")
def _flag(value: Any, path: Path, _scope: _Scope) -> bool:
    if not isinstance(value, bool):
        raise StepsError(path, f"must be true or false, got {value!r}")
    return value


@_reads("a name")
def _name(value: Any, path: Path, _scope: _Scope) -> str:
    if not isinstance(value, str) or not value.replace("_", "a").replace("-", "a").isalnum():
        raise StepsError(path, f"a name is letters, digits, `-` and `_`, got {value!r}")
    return str(value)


@_reads("advice")
def _advice(value: Any, path: Path, _scope: _Scope) -> str:
    if value not in ADVICE:
        raise StepsError(path, unknown("advice", str(value), ADVICE))
    return str(value)


@_reads("a region")
def _region(value: Any, path: Path, scope: _Scope) -> str:
    name: str = _name(value, path, scope)
    if name not in scope.regions:
        raise StepsError(path, unknown("region", name, scope.regions))
    return name


@_reads("a block")
def _block(value: Any, path: Path, scope: _Scope) -> str:
    name: str = _name(value, path, scope)
    if name not in scope.blocks:
        raise StepsError(path, unknown("block", name, scope.blocks))
    return name


@_reads("a child")
def _child(value: Any, path: Path, scope: _Scope) -> str:
    name: str = _name(value, path, scope)
    if name not in scope.children:
        raise StepsError(path, unknown("child", name, scope.children))
    return name


@_reads("a thread")
def _thread(value: Any, path: Path, scope: _Scope) -> str:
    name: str = _name(value, path, scope)
    if name not in scope.threads:
        raise StepsError(path, unknown("thread", name, scope.threads))
    return name


@_reads("steps")
def _child_steps(value: Any, path: Path, scope: _Scope) -> list[Any]:
    return _read_steps(value, path, scope.inherited())


@_reads("steps")
def _thread_steps(value: Any, path: Path, scope: _Scope) -> list[Any]:
    return _read_steps(value, path, scope.inherited(is_thread=True))


@_reads("steps")
def _spawned_steps(value: Any, path: Path, scope: _Scope) -> list[Any]:
    return _read_steps(value, path, _Scope(depth=scope.depth + 1))


@_reads("steps")
def _repeated_steps(value: Any, path: Path, scope: _Scope) -> list[Any]:
    scope.depth += 1
    steps = _read_steps(value, path, scope)
    scope.depth -= 1
    return steps


@_reads("an image")
def _image(value: Any, path: Path, scope: _Scope) -> dict[str, Any]:
    return _settle_image(_read_arguments(VERBS["exec"], value, path, scope), path)


@_reads("a program")
def _program(value: Any, path: Path, _scope: _Scope) -> str:
    """Read the name of a program that ships; YAML takes an unquoted `true` for a truth value."""
    name = "true" if value is True else value
    if not isinstance(name, str) or name not in preset_names():
        raise StepsError(path, unknown("program", str(name), preset_names()))
    return name


@_reads("text")
def _file(value: Any, path: Path, _scope: _Scope) -> str:
    if not isinstance(value, str) or not value:
        raise StepsError(path, f"a file has a name, got {value!r}")
    return value


@_reads("a pattern")
def _pattern(value: Any, path: Path, scope: _Scope) -> Any:
    if value == "sequential":
        return "sequential"
    if not isinstance(value, Mapping) or len(value) != 1:
        raise StepsError(
            path,
            "must be `sequential`, `{uniform: COUNT}`, `{hot_cold: {count:, hot_fraction:,"
            f" hot_share:}}}}` or `{{listed: [PAGE, ...]}}`, got {kind_of(value)}",
        )
    kind, said = next(iter(value.items()))
    path = (*path, str(kind))
    if kind == "uniform":
        return {"uniform": _COUNT(said, path, scope)}
    if kind == "listed":
        return {"listed": _list_of(_COUNT)(said, path, scope)}
    if kind == "hot_cold":
        arguments = _read_arguments(HOT_COLD, said, path, scope)
        if arguments["hot_fraction"] == 0.0:
            raise StepsError((*path, "hot_fraction"), "must be more than 0")
        return {"hot_cold": arguments}
    raise StepsError(path, unknown("pattern", str(kind), ("uniform", "hot_cold", "listed")))


@_reads("arrivals")
def _arrivals(value: Any, path: Path, scope: _Scope) -> dict[str, Any]:
    if not isinstance(value, Mapping) or len(value) != 1:
        raise StepsError(
            path,
            "must be `{every: DURATION}`, `{poisson: RATE}` or `{at: [TIME, ...]}`,"
            f" got {kind_of(value)}",
        )
    kind, said = next(iter(value.items()))
    path = (*path, str(kind))
    if kind == "every":
        return {"every": _quantity("a duration", parse_duration, 1)(said, path, scope)}
    if kind == "poisson":
        rate = _quantity("a rate", parse_rate, 0)(said, path, scope)
        if not 0 < rate <= 1e9:
            raise StepsError(path, f"must be more than 0/s and at most 1e9/s, got {said}")
        return {"poisson": rate}
    if kind == "at":
        times = _list_of(_quantity("a duration", parse_duration, 0))(said, path, scope)
        if times != sorted(times):
            raise StepsError(path, "times must not decrease")
        return {"at": times}
    raise StepsError(path, unknown("kind of arrivals", str(kind), ("every", "poisson", "at")))


def _list_of(reader: Reader) -> Reader:
    @_reads(f"a list, each {reader.kind}")
    def read(value: Any, path: Path, scope: _Scope) -> list[Any]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise StepsError(path, f"must be a list, got {kind_of(value)}")
        return [reader(item, (*path, index), scope) for index, item in enumerate(value)]

    return read


def _keys(verb: Verb) -> str:
    return ", ".join(f"`{key}`" for key in verb.readers)


# -- the grammar ------------------------------------------------------------------------

_COUNT: Final = _whole(0)
_BYTES: Final = _quantity("a size", parse_bytes, 1)
_ANY_BYTES: Final = _quantity("a size", parse_bytes, 0)
_DURATION: Final = _quantity("a duration", parse_duration, 0)
_RANGE: Final[dict[str, Reader]] = {"region": _region, "first": _COUNT, "pages": _COUNT}
HOT_COLD: Final = Verb(
    {"count": _COUNT, "hot_fraction": _share, "hot_share": _share},
    required=("count", "hot_fraction", "hot_share"),
)
_ACCESS: Final = Verb(
    {
        **_RANGE,
        "pattern": _pattern,
        "arrivals": _arrivals,
        "span": _whole(1),
        "per_request": _whole(1),
        "cpu": _DURATION,
        "drop": _flag,
    },
    required=("region",),
    defaults={
        "first": 0,
        "pattern": "sequential",
        "span": 1,
        "per_request": 1,
        "cpu": 0,
        "drop": False,
    },
    bare="region",
)
_ON_RANGE: Final = Verb(_RANGE, required=("region",), defaults={"first": 0}, bare="region")
_BRANCH: Final = Verb({"name": _name, "steps": _child_steps}, required=("steps",), bare="steps")

_ALLOCATE: Final = Verb({"name": _name, "size": _BYTES}, required=("name", "size"))

_FILE_RANGE: Final = Verb(
    {"file": _name, "first": _COUNT, "pages": _whole(1)},
    required=("file", "pages"),
    defaults={"first": 0},
)

_NO_IMAGE: Final = {"text": 0, "data": 0, "bss": 0, "stack": 0, "touched": 1.0}

HEAP_VERBS: Final = ("malloc", "calloc", "realloc", "free", "malloc_trim")

VERBS: Final[dict[str, Verb]] = {
    "mmap": Verb(
        {"name": _name, "size": _BYTES, "file": _name, "shared": _flag, "cold": _flag},
        required=("name", "size"),
    ),
    "advise": Verb(
        {**_RANGE, "advice": _advice}, required=("region", "advice"), defaults={"first": 0}
    ),
    "read_file": _FILE_RANGE,
    "write_file": _FILE_RANGE,
    "fsync": Verb({"file": _name}, required=("file",), bare="file"),
    "drop": Verb({"file": _name, "program": _program}, bare="file"),
    "munmap": _ON_RANGE,
    "sbrk": Verb({"name": _name, "grow": _BYTES, "shrink": _BYTES}),
    "malloc": _ALLOCATE,
    "calloc": _ALLOCATE,
    "realloc": Verb({"block": _block, "size": _BYTES}, required=("block", "size")),
    "free": Verb({"block": _block}, required=("block",), bare="block"),
    "malloc_trim": Verb({}),
    "dontneed": _ON_RANGE,
    "read": _ACCESS,
    "write": _ACCESS,
    "compute": Verb({"cpu": _DURATION}, required=("cpu",), bare="cpu"),
    "sleep": Verb({"time": _DURATION}, required=("time",), bare="time"),
    "sleep_until": Verb({"time": _DURATION}, required=("time",), bare="time"),
    "fork": _BRANCH,
    "vfork": _BRANCH,
    "posix_spawn": Verb(
        {"name": _name, "program": _program, "image": _image, "steps": _spawned_steps},
        defaults={"steps": []},
    ),
    "exec": Verb(
        {
            "program": _program,
            **dict.fromkeys(("text", "data", "bss", "stack"), _ANY_BYTES),
            "touched": _share,
            "file": _file,
        },
        bare="program",
    ),
    "wait": Verb({"child": _child}, bare="child"),
    "thread": Verb({"name": _name, "steps": _thread_steps}, required=("steps",), bare="steps"),
    "join": Verb({"thread": _thread}, required=("thread",), bare="thread"),
    "exit": Verb({"status": _whole(0, 255)}, defaults={"status": 0}, bare="status"),
    "repeat": Verb({"times": _whole(0), "steps": _repeated_steps}, required=("times", "steps")),
    "mark": Verb({"kind": _name}, required=("kind",), bare="kind"),
}
"""Every verb of a list of steps, with its arguments."""
