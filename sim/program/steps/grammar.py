"""What a list of steps may say: its verbs, their arguments, and what is wrong with one.

A step is a mapping with one key, its verb: ``{write: {region: A, pages: 10}}``.  A verb with
one main argument takes it bare: ``{compute: 5 ms}``, ``{read: A}``.  `normal_steps` fills in
defaults and base units; its result is itself a valid list of steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sim.base.units import in_base_units
from sim.program.steps.accesses import a_pattern, some_arrivals
from sim.program.steps.errors import Path, StepsError, kind_of, unknown
from sim.program.steps.notes import settle_image, take_note
from sim.program.steps.readers import (
    AN_ACCESS,
    AN_OPTION,
    ANY_BYTES,
    BYTES,
    COUNT,
    DURATION,
    LENGTH,
    SOME_ADVICE,
    SOME_FILE_ADVICE,
    Reader,
    Scope,
    Verb,
    a_block,
    a_child,
    a_file,
    a_flag,
    a_name,
    a_program,
    a_region,
    a_share,
    a_thread,
    read_arguments,
    reads,
    whole,
)
from sim.program.steps.words import ELSEWHERE

DEEPEST: Final = 40
"""How many lists of steps may lie in one another."""


def check_steps(steps: Any) -> None:
    """Raise `StepsError`, a `ValueError(path, what)`, unless `steps` can be run."""
    normal_steps(steps)


def normal_steps(steps: Any) -> list[dict[str, dict[str, Any]]]:
    """Return `steps` with defaults filled in and quantities in base units.

    Regions must be mapped, and children started, before they are named; a child knows its
    parent's regions, until it execs.  Raises `StepsError`.
    """
    return _read_steps(steps, (), Scope())


def normal_image(said: Any) -> str | dict[str, Any]:
    """Return what `exec` takes in normal form, for a program's parameter: a name, or sizes.

    The result is itself valid.  Raises `StepsError`.
    """
    image = _image(said, (), Scope())
    return str(image["program"]) if "program" in image else image


def _read_steps(steps: Any, path: Path, scope: Scope) -> list[dict[str, dict[str, Any]]]:
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise StepsError(path, f"steps are a list, got {kind_of(steps)}")
    if scope.depth > DEEPEST:
        raise StepsError(path, f"steps may be at most {DEEPEST} lists deep")
    return [_read_step(step, (*path, index), scope) for index, step in enumerate(steps)]


def _read_step(step: Any, path: Path, scope: Scope) -> dict[str, dict[str, Any]]:
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
    before = scope.copy() if name == "repeat" else scope
    arguments = read_arguments(verb, said, path, scope)
    take_note(name, arguments, path, scope)
    if name == "repeat":
        _repeat_in(scope, before, arguments, path)
    return {name: arguments}


def _repeat_in(scope: Scope, before: Scope, arguments: dict[str, Any], path: Path) -> None:
    """See what `repeat` leaves known: nothing new if it does nothing, and no more than it needs.

    What the first round takes away from what was known `before` cannot be named in the second.
    A `repeat` within the second round is read once: what its rounds need, they needed before.
    """
    if arguments["times"] == 0:
        scope.take_over(before)
    elif arguments["times"] > 1 and not scope.again and before.regions.keys() - scope.regions:
        known = replace(scope.copy(), again=True)
        try:
            _read_steps(in_base_units(arguments["steps"]), (*path, "steps"), known)
        except StepsError as error:
            raise StepsError(error.path, f"{error.what}; in the second round") from None


# -- readers of steps in steps, and of images, which are arguments of `exec` --------------


@reads("steps")
def _child_steps(value: Any, path: Path, scope: Scope) -> list[Any]:
    return _read_steps(value, path, scope.inherited())


@reads("steps")
def _thread_steps(value: Any, path: Path, scope: Scope) -> list[Any]:
    thread = scope.inherited()
    steps = _read_steps(value, path, thread)
    scope.mover = thread.mover  # it is one break, whoever moves it
    return steps


@reads("steps")
def _spawned_steps(value: Any, path: Path, scope: Scope) -> list[Any]:
    return _read_steps(value, path, Scope(depth=scope.depth + 1))


@reads("steps")
def _repeated_steps(value: Any, path: Path, scope: Scope) -> list[Any]:
    scope.depth += 1
    steps = _read_steps(value, path, scope)
    scope.depth -= 1
    return steps


@reads("an image")
def _image(value: Any, path: Path, scope: Scope) -> dict[str, Any]:
    return settle_image(read_arguments(VERBS["exec"], value, path, scope), path)


# -- the grammar ------------------------------------------------------------------------

_RANGE: Final[dict[str, Reader]] = {"region": a_region, "first": COUNT, "pages": COUNT}
_ACCESS: Final = Verb(
    {
        **_RANGE,
        "pattern": a_pattern,
        "arrivals": some_arrivals,
        "span": whole(1),
        "per_request": whole(1),
        "cpu": DURATION,
        "drop": a_flag,
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
_BRANCH: Final = Verb({"name": a_name, "steps": _child_steps}, required=("steps",), bare="steps")

_ALLOCATE: Final = Verb({"name": a_name, "size": LENGTH}, required=("name", "size"))

_FILE_RANGE: Final = Verb(
    {"file": a_name, "first": COUNT, "pages": whole(1), "direct": a_flag},
    required=("file", "pages"),
    defaults={"first": 0},
)


VERBS: Final[dict[str, Verb]] = {
    "mmap": Verb(
        {
            "name": a_name,
            "size": BYTES,
            "file": a_name,
            "shared": a_flag,
            "cold": a_flag,
            "hugetlb": a_flag,
            "noreserve": a_flag,
        },
        required=("name", "size"),
    ),
    "advise": Verb(
        {**_RANGE, "advice": SOME_ADVICE}, required=("region", "advice"), defaults={"first": 0}
    ),
    "mprotect": Verb(
        {**_RANGE, "access": AN_ACCESS}, required=("region", "access"), defaults={"first": 0}
    ),
    "mremap": Verb({"region": a_region, "size": BYTES}, required=("region", "size")),
    "mlock": _ON_RANGE,
    "munlock": _ON_RANGE,
    "msync": _ON_RANGE,
    "read_file": _FILE_RANGE,
    "write_file": _FILE_RANGE,
    "fsync": Verb({"file": a_name}, required=("file",), bare="file"),
    "fadvise": Verb(
        {"file": a_name, "advice": SOME_FILE_ADVICE, "first": COUNT, "pages": whole(1)},
        required=("file", "advice"),
        defaults={"first": 0},
    ),
    "drop": Verb({"file": a_name, "program": a_program}, bare="file"),
    "munmap": _ON_RANGE,
    "sbrk": Verb({"name": a_name, "grow": BYTES, "shrink": BYTES}),
    "malloc": _ALLOCATE,
    "calloc": _ALLOCATE,
    "realloc": Verb({"block": a_block, "size": LENGTH}, required=("block", "size")),
    "free": Verb({"block": a_block}, required=("block",), bare="block"),
    "malloc_trim": Verb({}),
    "dontneed": _ON_RANGE,
    "read": _ACCESS,
    "write": _ACCESS,
    "compute": Verb({"cpu": DURATION}, required=("cpu",), bare="cpu"),
    "sleep": Verb({"time": DURATION}, required=("time",), bare="time"),
    "sleep_until": Verb({"time": DURATION}, required=("time",), bare="time"),
    "fork": _BRANCH,
    "vfork": _BRANCH,
    "posix_spawn": Verb(
        {"name": a_name, "program": a_program, "image": _image, "steps": _spawned_steps},
        defaults={"steps": []},
    ),
    "exec": Verb(
        {
            "program": a_program,
            **dict.fromkeys(("text", "data", "bss", "stack"), ANY_BYTES),
            "touched": a_share,
            "file": a_file,
        },
        bare="program",
    ),
    "wait": Verb({"child": a_child}, bare="child"),
    "thread": Verb({"name": a_name, "steps": _thread_steps}, required=("steps",), bare="steps"),
    "join": Verb({"thread": a_thread}, required=("thread",), bare="thread"),
    "lock": Verb({"name": a_name}, required=("name",), bare="name"),
    "unlock": Verb({"name": a_name}, required=("name",), bare="name"),
    "exit": Verb({"status": whole(0, 255)}, defaults={"status": 0}, bare="status"),
    "repeat": Verb({"times": whole(0), "steps": _repeated_steps}, required=("times", "steps")),
    "prctl": Verb({"option": AN_OPTION, "value": whole(0, 1)}, required=("option", "value")),
    "nice": Verb({"increment": whole(-39, 39)}, required=("increment",), bare="increment"),
    "oom_score_adj": Verb({"value": whole(-1000, 1000)}, required=("value",), bare="value"),
    "swapoff": Verb({}),
    "swapon": Verb({}),
    "mark": Verb({"kind": a_name}, required=("kind",), bare="kind"),
}
"""Every verb of a list of steps, with its arguments."""
