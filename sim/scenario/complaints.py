"""From what pydantic found to what a person can act on: one line, with place and remedy."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from sim.base.errors import ScenarioError
from sim.base.text import shorten
from sim.scenario.document import Document, Keys, kind_of
from sim.scenario.synonyms import meant

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)

_MOST_LISTED: Final = 220
"""Characters of a list of names: what is said in one line must have room for more."""


def checked(model: type[M], document: Document, path: Keys = (), data: object = None) -> M:
    """Return the part of `document` at `path` as a `model`.

    `data` is that part if it is not the whole.  Raises the `ScenarioError` of the first thing
    that is wrong, in the order of the file.
    """
    given = document.data if data is None and not path else data
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False)
        complaints = [_complaint(model, document, path, given, details) for details in found]
        first = min(complaints, key=_order)
        also = _missing_beside(found, found[complaints.index(first)])
        if also:
            key = " and ".join([", ".join(also[:-1]), also[-1]] if also[1:] else also)
            said = f"{first.message}; so {'are' if also[1:] else 'is'} {key}"
            first = ScenarioError(said, first.file, first.line, first.key)
        raise first from None


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return what to write instead of an unknown word.

    >>> suggestion("quantm", ["kind", "quantum"])
    "did you mean 'quantum'?"
    >>> suggestion("x", [])
    'there is none to choose from'
    """
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), list(by_lower), n=1)
    if near:
        return f"did you mean {shorten(by_lower[near[0]], 200)!r}?"
    if not known:
        return "there is none to choose from"
    fit, length = 0, 0
    while fit < len(known) and length < _MOST_LISTED:
        length += len(known[fit]) + 2
        fit += 1
    shown = ", ".join(shorten(name) for name in known[:fit])
    return f"there are: {shown}" + (", …" if len(known) > fit else "")


def unknown_key(key: str, known: Sequence[str], parts: Sequence[str] = ()) -> str:
    """Return the complaint about a key that is not in the schema.

    `parts` are the tables of synonyms to look in, besides the `known` keys.
    """
    said = next((word for part in parts if (word := meant(part, key))), None)
    hint = suggestion(key, known)
    if said:
        hint = f"did you mean {said!r}?" if said in known else f"write `{said}`"
    return f"unknown key {shorten(key)!r}; {hint}"


def _missing_beside(found: Sequence[ErrorDetails], first: ErrorDetails) -> list[str]:
    """Return the keys that are missing where `first` is, all in one mapping: told at once."""
    if first["type"] != "missing":
        return []
    others = (d for d in found if d["type"] == "missing" and d is not first)
    return [str(d["loc"][-1]) for d in others if d["loc"][:-1] == first["loc"][:-1]]


def _order(error: ScenarioError) -> int:
    """Sort by line; what is missing altogether comes after what is wrong."""
    missing = error.message.startswith("missing")
    return (error.line or 0) + (10**9 if missing else 0)


def _complaint(
    model: type[BaseModel], document: Document, path: Keys, given: object, details: ErrorDetails
) -> ScenarioError:
    steps, annotation = _walk(model, given, details["loc"])
    where = (*path, *steps)
    if details["type"] == "extra_forbidden":
        known = _fields(annotation)
        return document.error(where, unknown_key(str(where[-1]), known, _parts(annotation)))
    if details["type"] == "missing" and not isinstance(details["input"], Mapping):
        return document.error(where[:-1], f"{kind_of(details['input'])} is not a mapping")
    cause = details.get("ctx", {}).get("error")
    inside = getattr(cause, "path", ())
    message = getattr(cause, "what", None) or _message(details, annotation)
    if ";" not in message:
        message = f"{message}; `cowpool schema` has what may stand here"
    return document.error((*where, *inside), shorten(message, 300))


def _walk(annotation: Any, data: object, loc: tuple[int | str, ...]) -> tuple[Keys, Any]:
    """Follow pydantic's location through the data, leaving out the names of union members.

    Returns the path and the type that the last key was looked up in.
    """
    steps: list[int | str] = []
    holder = annotation
    for part in loc:
        annotation = _plain(annotation)
        members = _members(annotation)
        if len(members) > 1 and not _is_in(part, data):
            named = [member for member in members if _type_name(member) == str(part)]
            annotation = named[0] if named else annotation
            continue
        holder = annotation
        steps.append(part)
        annotation = _child(members, part)
        data = _get(data, part)
    return tuple(steps), holder


def _plain(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _members(annotation: Any) -> list[Any]:
    """Return the types of a union, and of unions in it; else the type alone."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return [annotation]
    others = (_plain(arg) for arg in get_args(annotation) if arg is not type(None))
    return [member for other in others for member in _members(other)]


def _child(members: list[Any], part: int | str) -> Any:
    for member in members:
        if isinstance(member, type) and issubclass(member, BaseModel):
            for name, field in member.model_fields.items():
                if part in (name, field.alias):
                    return field.annotation
        elif get_args(member):
            return get_args(member)[-1]
    return Any


def _fields(annotation: Any) -> list[str]:
    names: list[str] = []
    for member in _members(_plain(annotation)):
        if isinstance(member, type) and issubclass(member, BaseModel):
            names += [field.alias or name for name, field in member.model_fields.items()]
    return names


def _parts(annotation: Any) -> list[str]:
    """Return the tables of synonyms that a type's keys are in: a process has two."""
    names: list[str] = []
    for member in _members(_plain(annotation)):
        if isinstance(member, type) and issubclass(member, BaseModel):
            names.append(member.__name__)
            if "program" in member.model_fields:
                names.append("process")
    return names


def _type_name(member: Any) -> str:
    return getattr(member, "__name__", str(member))


def _is_in(part: int | str, data: object) -> bool:
    if isinstance(data, Mapping):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _get(data: object, part: int | str) -> object:
    if isinstance(data, Mapping):
        return data.get(part)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return None


def _message(details: ErrorDetails, holder: Any) -> str:
    if details["input"] is None and details["type"] != "value_error":
        return "has no value; write one after the colon, or remove the key"
    found = kind_of(details["input"])
    context = details.get("ctx", {})
    match details["type"]:
        case "value_error":
            return str(context["error"])
        case "missing":
            example = _example(holder, details["loc"])
            return f"missing; add it{example}"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"{found} is not a whole number; write e.g. `4`"
        case "float_type" | "float_parsing":
            return f"{found} is not a number; write e.g. `0.5`"
        case "finite_number":
            return f"{found} is not finite; write e.g. `0.5`"
        case "bool_type" | "bool_parsing":
            return f"{found} is neither; write `true` or `false`"
        case "string_type":
            return f"{found} is not text; put quotes around it"
        case "literal_error":
            return f"{found} is not one of them; write {context['expected']}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"{found} is not a mapping; write `key: value` lines below it"
        case "list_type" | "tuple_type":
            return f"{found} is not a list; write `[a, b]` or lines that begin with `- `"
        case "string_pattern_mismatch":
            return f"{found} will not do; write something that matches {context['pattern']}"
        case "greater_than_equal":
            return f"{found} is too small; write at least {context['ge']}"
        case "less_than_equal":
            return f"{found} is too large; write at most {context['le']}"
        case "too_short":
            return f"{found} has too few items; write at least {context['min_length']}"
        case _:
            said = details["msg"]
            return f"{found} will not do; {said[0].lower()}{said[1:]}"


def _example(holder: Any, loc: tuple[int | str, ...]) -> str:
    for member in _members(_plain(holder)):
        if isinstance(member, type) and issubclass(member, BaseModel):
            field = member.model_fields.get(str(loc[-1]))
            if field is not None and field.examples:
                return f", e.g. `{loc[-1]}: {field.examples[0]}`"
    return ""
