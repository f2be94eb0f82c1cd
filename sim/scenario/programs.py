"""What a process may say in a scenario: its own keys, and its program's parameters.

The parameters come off the program's signature (`sim.program.signature`), for built-in programs
and for a user's plug-in alike, and are checked by a pydantic model made of them once.
"""

from __future__ import annotations

import inspect
import types
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BeforeValidator, Field, WithJsonSchema, create_model
from pydantic.errors import PydanticUserError

from sim.base.text import shorten
from sim.base.units import (
    InBytes,
    Range,
    format_bytes,
    format_duration,
    format_rate,
    parse_bytes,
    parse_duration,
    parse_length,
    parse_rate,
)
from sim.program.blame import blaming
from sim.program.declared import LeftOut, Uncertain
from sim.program.signature import Unit, check_arguments, described, keyword_arguments, parameters_of
from sim.scenario.complaints import checked, suggestion
from sim.scenario.document import Document, Keys, kind_of
from sim.scenario.process import ProcessFields
from sim.scenario.quantities import (
    BYTE_RATE_SCHEMA,
    BYTES_SCHEMA,
    DURATION_SCHEMA,
    LENGTH_SCHEMA,
    RATE_SCHEMA,
    or_nothing,
    parse_byte_rate,
    plainly,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _format_speed(bytes_per_s: float) -> str:
    return f"{format_bytes(bytes_per_s)}/s"


_UNITS: Final[dict[Unit, tuple[Callable[[object], Any], dict[str, Any], Callable[[Any], str]]]] = {
    "bytes": (parse_bytes, BYTES_SCHEMA, format_bytes),
    "ns": (parse_duration, DURATION_SCHEMA, format_duration),
    "per_s": (parse_rate, RATE_SCHEMA, format_rate),
    "bytes_per_s": (parse_byte_rate, BYTE_RATE_SCHEMA, _format_speed),
}


def show_value(unit: Unit | None, value: object) -> str:
    """Return the value of a parameter as people write it."""
    if unit is None or isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return _UNITS[unit][2](value)


def known_programs() -> Mapping[str, Callable[..., Any]]:
    """Return the programs that ship with cowpool, by name."""
    from sim.program import PROGRAMS

    return PROGRAMS


def resolve_process(
    raw: Mapping[str, Any],
    document: Document,
    path: Keys,
    programs: Mapping[str, Callable[..., Any]],
) -> dict[str, Any]:
    """Return a process with every default filled in, in base units.

    Raises `ScenarioError` if its program is not known or a parameter is wrong.
    """
    name = raw.get("program")
    if name is None:
        raise document.error(path, "missing `program`; add e.g. `program: redis`")
    if not isinstance(name, str):
        raise document.error((*path, "program"), f"{kind_of(name)} is no name; write one program")
    if name not in programs:
        message = f"no program called {name!r}; {_instead(name, sorted(programs))}"
        raise document.error((*path, "program"), message)
    try:
        model = process_model(programs[name])
    except (TypeError, NameError, PydanticUserError) as error:
        raise document.error(
            (*path, "program"), f"cannot be used: {shorten(str(error), 160)}"
        ) from None
    with blaming(programs[name]):
        process = checked(model, document, path, dict(raw)).model_dump()
        if not process["start_within"]:  # so that runs without it stay the runs they were
            del process["start_within"]
        try:
            check_arguments(programs[name], keyword_arguments(programs[name], process))
        except ValueError as error:
            raise document.error(path, f"{shorten(str(error), 200)}; change one of them") from None
    return process


def _instead(name: str, known: list[str]) -> str:
    """Return what to write for a program that nobody knows: one in a plug-in may be meant."""
    near = suggestion(name, known)
    return near if near.startswith("did") else f"{near}; one of a file of yours needs --plugin FILE"


@lru_cache(maxsize=256)
def process_model(program: Callable[..., Any]) -> type[ProcessFields]:
    """Return the schema of a process that runs `program`."""
    texts = described(program)
    fields: dict[str, Any] = {
        parameter.key: (
            field_type(parameter.annotation, parameter.unit),
            Field(
                default=... if parameter.required else parameter.default,
                description=texts.get(parameter.name),
            ),
        )
        for parameter in parameters_of(program)
    }
    with warnings.catch_warnings():
        # A parameter may be called `copy` or `schema` although pydantic has a method of that name.
        warnings.simplefilter("ignore", UserWarning)
        return create_model(
            getattr(program, "__name__", "program"),
            __base__=ProcessFields,
            __doc__=_first_line(program),
            **fields,
        )


def field_type(annotation: Any, unit: Unit | None) -> Any:
    """Return the type that pydantic checks a parameter with.

    A quantity with a unit is parsed; a `Range` becomes a check whose message shows the bounds in
    that unit; a function is applied to what was written; an optional parameter also takes nothing.
    """
    metadata: tuple[Any, ...] = ()
    if get_origin(annotation) is Annotated:
        annotation, *rest = get_args(annotation)
        metadata = tuple(rest)
    if get_origin(annotation) in (Union, types.UnionType):
        members = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(members) == 1:
            inner = Annotated[members[0], *metadata] if metadata else members[0]
            return field_type(inner, unit) | None
    show: Callable[[Any], str] = plainly
    if unit is not None:
        parse, schema, show = _UNITS[unit]
        if any(isinstance(item, InBytes) for item in metadata):
            parse, schema = parse_length, LENGTH_SCHEMA
        if get_origin(annotation) is list:
            inner = get_args(annotation)[0]
            annotation = list[field_type(inner, unit)]  # type: ignore[misc]
        else:
            annotation = Annotated[
                annotation, BeforeValidator(or_nothing(parse)), WithJsonSchema(schema)
            ]
    for item in metadata:
        if not isinstance(item, Uncertain | LeftOut | InBytes):
            annotation = Annotated[annotation, _check(item, show)]
    return annotation


def _check(item: Any, show: Callable[[Any], str]) -> Any:
    """Return what pydantic makes of a piece of metadata of an annotation."""
    if isinstance(item, Range):
        return within(item.low, item.high, show)
    if inspect.isfunction(item):
        return BeforeValidator(item)
    return item


def _first_line(program: Callable[..., Any]) -> str:
    text = (program.__doc__ or "A program.").strip()
    return text.splitlines()[0]
