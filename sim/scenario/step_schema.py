"""JSON Schema of a list of steps: each verb with its arguments, from the grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.program.presets import preset_names
from sim.program.steps.accesses import HOT_COLD
from sim.program.steps.grammar import VERBS
from sim.program.steps.readers import ACCESS, ADVICE, FILE_ADVICE, OPTIONS, Reader, Verb
from sim.program.steps.words import ARGUMENT_TEXTS, VERB_TEXTS
from sim.scenario.quantities import BYTES_SCHEMA, DURATION_SCHEMA, LENGTH_SCHEMA, RATE_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping

STEPS_REF: Final = {"$ref": "#/$defs/Steps"}

_NAME: Final = {"type": "string", "pattern": r"^[\w-]+$"}
_COUNT: Final = {"type": "integer", "minimum": 0}


def steps_schema() -> dict[str, Any]:
    """Return the schema of a list of steps; it refers to itself as ``#/$defs/Steps``."""
    alone = [name for name, verb in VERBS.items() if not verb.required]
    step = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {name: _verb_schema(name, verb) for name, verb in VERBS.items()},
    }
    return {
        "title": "Steps",
        "description": "Steps, done in order: each is a verb with its arguments.",
        "type": "array",
        "items": {"anyOf": [step, {"enum": alone}]},
    }


def image_schema() -> dict[str, Any]:
    """Return the schema of a program to start: a name, or sizes."""
    return {"anyOf": [_program_schema(), _arguments_schema(VERBS["exec"])]}


def _verb_schema(name: str, verb: Verb) -> dict[str, Any]:
    choices: list[Mapping[str, Any]] = [_arguments_schema(verb)]
    if verb.bare is not None:
        choices.append(_kind_schema(verb.readers[verb.bare]))
    if not verb.required:
        choices.append({"type": "null"})
    return {"description": VERB_TEXTS[name], "anyOf": choices}


def _arguments_schema(verb: Verb) -> dict[str, Any]:
    properties = {
        key: {**_kind_schema(reader), "description": ARGUMENT_TEXTS[key]}
        for key, reader in verb.readers.items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(verb.required),
        "additionalProperties": False,
    }


def _program_schema() -> dict[str, Any]:
    return {"enum": [*preset_names(), True]}  # YAML takes an unquoted `true` for a truth value


def _kind_schema(reader: Reader) -> Mapping[str, Any]:
    kind = reader.kind
    if kind.startswith("a whole number, "):
        bounds = kind.removeprefix("a whole number, ").removeprefix("at least ").split(" to ")
        low_and_high = zip(("minimum", "maximum"), map(int, bounds), strict=False)
        return {"type": "integer", **dict(low_and_high)}
    if kind == "an image":
        return image_schema()
    return _KINDS[kind]


_KINDS: Final[dict[str, Mapping[str, Any]]] = {
    "a size": BYTES_SCHEMA,
    "a length in bytes": LENGTH_SCHEMA,
    "a duration": DURATION_SCHEMA,
    "a number, 0 to 1": {"type": "number", "minimum": 0, "maximum": 1},
    "true or false": {"type": "boolean"},
    "text": {"type": "string", "minLength": 1},
    "advice": {"enum": list(ADVICE)},
    "advice about a file": {"enum": list(FILE_ADVICE)},
    "access": {"enum": list(ACCESS)},
    "option": {"enum": list(OPTIONS)},
    "steps": STEPS_REF,
    "a program": _program_schema(),
    **dict.fromkeys(("a name", "a region", "a block", "a child", "a thread"), _NAME),
}


def _one_of(choices: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the schemas of mappings with one key each."""
    return [
        {
            "type": "object",
            "properties": {key: schema},
            "required": [key],
            "additionalProperties": False,
        }
        for key, schema in choices.items()
    ]


_KINDS["a pattern"] = {
    "anyOf": [
        {"const": "sequential"},
        *_one_of(
            {
                "uniform": _COUNT,
                "hot_cold": _arguments_schema(HOT_COLD),
                "listed": {"type": "array", "items": _COUNT},
            }
        ),
    ]
}
_KINDS["arrivals"] = {
    "anyOf": _one_of(
        {
            "every": DURATION_SCHEMA,
            "poisson": RATE_SCHEMA,
            "at": {"type": "array", "items": DURATION_SCHEMA},
        }
    )
}
