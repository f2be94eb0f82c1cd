"""JSON Schema of scenarios and studies, for editors that complete and check as one types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from sim.program.shipped.redis_version import read_version
from sim.program.signature import parameters_of
from sim.program.steps.grammar import normal_image, normal_steps
from sim.scenario.model import Scenario
from sim.scenario.programs import known_programs, process_model
from sim.scenario.step_schema import STEPS_REF, image_schema, steps_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.program.signature import Parameter

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REF: Final = "#/$defs/{model}"

READ: Final[Mapping[Any, Callable[[], dict[str, Any]]]] = {
    normal_steps: lambda: dict(STEPS_REF),
    normal_image: image_schema,
    read_version: lambda: {"type": ["number", "string"]},
}
"""What functions among the metadata of parameters read."""

SchemaKind = Literal["scenario", "study"]


def json_schema(
    kind: SchemaKind | None = None, programs: Mapping[str, Callable[..., Any]] | None = None
) -> dict[str, Any]:
    """Return the JSON Schema of scenarios, of studies, or (by default) of either.

    It says what may be written; some of what cannot be (a watermark above the memory) only shows
    when a scenario is resolved.
    """
    if kind == "scenario":
        schema = scenario_schema(programs)
        definitions = schema.pop("$defs")
        return {
            "$schema": DIALECT,
            "title": "A scenario of cowpool",
            "type": "object",
            **_unless_resolved({"$ref": "#/$defs/Scenario"}),
            "$defs": {**definitions, "Scenario": schema},
        }
    if kind == "study":
        return {"$schema": DIALECT, **study_schema()}
    definitions = {}
    for name, schema in (("Scenario", scenario_schema(programs)), ("Study", study_schema())):
        definitions.update(schema.pop("$defs", {}))
        definitions[name] = schema
    return {
        "$schema": DIALECT,
        "title": "A scenario or a study of cowpool",
        "type": "object",
        "if": {"required": ["base"]},
        "then": {"$ref": "#/$defs/Study"},
        "else": _unless_resolved({"$ref": "#/$defs/Scenario"}),
        "$defs": definitions,
    }


def _unless_resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that holds for what people write; nobody edits a resolved scenario."""
    marked = {"properties": {"resolved": {"const": True}}, "required": ["resolved"]}
    return {"if": marked, "then": {"required": ["version", "processes", "run"]}, "else": schema}


def scenario_schema(programs: Mapping[str, Callable[..., Any]] | None = None) -> dict[str, Any]:
    """Return the schema of a scenario, with the parameters of every program."""
    schema = Scenario.model_json_schema(ref_template=_REF)
    definitions: dict[str, Any] = schema["$defs"]
    choices = []
    for name, program in (known_programs() if programs is None else programs).items():
        process = process_model(program).model_json_schema(ref_template=_REF)
        definitions.update(process.pop("$defs", {}))
        process["title"] = name
        process["properties"]["program"] = {"const": name}
        for parameter in parameters_of(program):
            process["properties"][parameter.key] |= _read_by(parameter, schema=process)
        definitions[f"program_{name}"] = process
        choices.append({"$ref": f"#/$defs/program_{name}"})
    definitions["Steps"] = steps_schema()
    schema["properties"]["processes"] = {
        "description": "processes by name, started in this order",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": "^[A-Za-z][A-Za-z0-9_-]{0,63}$"},
        "additionalProperties": {"oneOf": choices},
    }
    return schema


def _read_by(parameter: Parameter, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what a parameter's own function reads, without its description."""
    for item in getattr(parameter.annotation, "__metadata__", ()):
        if item in READ:
            old = schema["properties"][parameter.key]
            for key in ("type", "items", "anyOf"):
                old.pop(key, None)
            return READ[item]()
    return {}


def study_schema() -> dict[str, Any]:
    """Return the schema of a study."""
    from sim.scenario.study import StudyFile

    return StudyFile.model_json_schema(ref_template=_REF)
