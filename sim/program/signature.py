"""A program's parameters, read off its signature, and the keys they have in YAML.

A parameter is written in YAML without its unit: ``dataset_bytes`` is the key ``dataset`` and takes
``4 GiB``, ``save_every_ns`` is ``save_every`` and takes ``60 s``, ``writes_per_s`` is ``writes``
and takes ``20000/s``, ``speed_bytes_per_s`` is ``speed`` and takes ``200 MiB/s``.
Built-in programs and plug-ins go the same way.  A function among the metadata of
`typing.Annotated` turns what was written into what the program gets, and raises `ValueError` for
what cannot be.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Function = TypeVar("_Function", bound="Callable[..., Any]")

Unit = Literal["bytes", "ns", "bytes_per_s", "per_s"]

_SUFFIXES: Final[dict[str, Unit]] = {
    "_bytes": "bytes",
    "_ns": "ns",
    "_bytes_per_s": "bytes_per_s",
    "_per_s": "per_s",
}

PROCESS_KEYS: Final = (
    "program", "start", "start_within", "cpu", "oom_score_adj", "nice", "cap_sys_admin", "group",
    "copies", "replicas",
)  # fmt: skip
"""Keys of a process in a scenario that belong to the process, not to its program."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A keyword-only parameter of a program.

    `annotation` keeps the metadata of `typing.Annotated`; `default` is `inspect.Parameter.empty`
    where there is none.
    """

    name: str
    key: str
    unit: Unit | None
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether a scenario must give it."""
        return self.default is inspect.Parameter.empty


def split_unit(name: str) -> tuple[str, Unit | None]:
    """Return a parameter's key in YAML and its unit.

    >>> split_unit("save_every_ns"), split_unit("speed_bytes_per_s"), split_unit("workers")
    (('save_every', 'ns'), ('speed', 'bytes_per_s'), ('workers', None))
    """
    for suffix, unit in _SUFFIXES.items():
        if name.endswith(suffix) and len(name) > len(suffix):
            return name.removesuffix(suffix), unit
    return name, None


@lru_cache(maxsize=256)
def parameters_of(program: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Return the parameters of a program in the order of its signature.

    Raises `TypeError` if it is not of the form ``program(task, *, name: type, ...)`` or if two
    parameters would have the same key, or one that every process has.
    """
    name = getattr(program, "__name__", repr(program))
    positional = 0
    found: list[Parameter] = []
    hints = _hints(program, name)
    for parameter in inspect.signature(program).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            if parameter.name not in hints:
                raise TypeError(f"{name}: the parameter {parameter.name!r} needs a type")
            key, unit = split_unit(parameter.name)
            if key in PROCESS_KEYS or any(key == other.key for other in found):
                raise TypeError(f"{name}: {parameter.name!r} has the key {key!r}, which is taken")
            annotation = hints[parameter.name]
            found.append(Parameter(parameter.name, key, unit, annotation, parameter.default))
        else:
            positional += 1
    if positional != 1:
        raise TypeError(
            f"{name}: a program takes `task` and keyword-only parameters, "
            f"as in `def {name}(task, *, pages: int)`"
        )
    return tuple(found)


def described(program: Callable[..., Any]) -> dict[str, str]:
    """Return what a program's docstring says of each parameter, by its name in the signature.

    Read from the section *Parameters* in NumPy's style: names at the margin, text indented.
    """
    lines = inspect.cleandoc(program.__doc__ or "").splitlines()
    if "Parameters" not in lines:
        return {}
    start = lines.index("Parameters") + 2
    ends = [n for n in range(start, len(lines) - 1) if set(lines[n + 1]) == {"-"}]
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in lines[start : ends[0] if ends else None]:
        if line and not line[0].isspace():
            names = [name.strip() for name in line.partition(":")[0].split(",")]
        elif line:
            for name in names:
                texts[name] = f"{texts.get(name, '')} {line.strip()}".strip()
    return texts


def checked_by(
    check: Callable[[Mapping[str, Any]], None],
) -> Callable[[_Function], _Function]:
    """Let `check` look at a program's arguments together, before anything runs.

    It gets them by the names of the signature, and raises `ValueError` if they contradict.
    """

    def mark(program: _Function) -> _Function:
        program.check_arguments = check  # type: ignore[attr-defined]
        return program

    return mark


def check_arguments(program: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Raise `ValueError` if the arguments contradict each other."""
    check = getattr(program, "check_arguments", None)
    if check is not None:
        check(arguments)


def _hints(program: Callable[..., Any], name: str) -> dict[str, Any]:
    """Return the types of the keyword-only parameters; others need not exist at run time."""
    own = inspect.unwrap(program)
    wanted = {
        parameter.name: parameter.annotation
        for parameter in inspect.signature(program).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        and parameter.annotation is not inspect.Parameter.empty
    }
    try:
        return get_type_hints(
            SimpleNamespace(__annotations__=wanted),
            globalns=getattr(own, "__globals__", {}),
            include_extras=True,
        )
    except NameError as error:
        raise TypeError(f"{name}: {error}; import it outside `if TYPE_CHECKING`") from None
    except (
        ValueError,
        TypeError,
        AttributeError,
        SyntaxError,
        LookupError,
        ArithmeticError,
    ) as error:
        raise TypeError(f"{name}: the type of a parameter cannot be worked out: {error}") from None


def keyword_arguments(program: Callable[..., Any], process: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to call `program` with, from a process of a resolved scenario.

    Keys that belong to the process itself are left out.
    """
    return {
        parameter.name: process[parameter.key]
        for parameter in parameters_of(program)
        if parameter.key in process
    }
