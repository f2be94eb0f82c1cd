"""A process of a scenario, explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.scenario.explain.fork import fork_ns
from sim.scenario.explain.section import Section
from sim.scenario.programs import show_value
from sim.units import format_duration
from sim.workload.expect import EXPECTATIONS
from sim.workload.signature import keyword_arguments, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.cost.catalogue import PriceSpec

_MAIN_MEMORY: Final = {
    "redis": "dataset_bytes",
    "prefork_web": "app_bytes",
    "build_storm": "parent_bytes",
    "shell_pipeline": "shell_bytes",
}
"""The parameter of a program that says how much memory its forking process has."""


def process_section(
    name: str,
    process: Mapping[str, Any],
    program: Callable[..., Any],
    specs: Mapping[str, PriceSpec],
) -> Section:
    """Return a process: its parameters, and what closed forms expect of it."""
    arguments = keyword_arguments(program, process)
    lines = [("program", _how_started(process))]
    for parameter in parameters_of(program):
        value = process[parameter.key]
        shown = f"{len(value)} of them" if isinstance(value, list) else value
        if shown not in ("", None):
            lines.append((parameter.key, show_value(parameter.unit, shown)))
    lines += [(f"→ {label}", text) for label, text in _expected(process["program"], arguments)]
    main = _MAIN_MEMORY.get(process["program"])
    if main in arguments:
        size = arguments[main] * arguments.get("fragmentation", 1)
        took = format_duration(round(fork_ns(specs, round(size))))
        lines.append(("→ its fork takes", f"about {took} without waiting"))
    return Section(f"Process {name}", tuple(lines))


def _how_started(process: Mapping[str, Any]) -> str:
    text = str(process["program"])
    if process["copies"] > 1:
        text += f", {process['copies']} of them"
    if process["start"]:
        text += f", from {format_duration(process['start'])} on"
    if process["cpu"] is not None:
        text += f", on CPU {process['cpu']} only"
    if process["oom_score_adj"]:
        text += f", oom_score_adj {process['oom_score_adj']}"
    return text


def _expected(program: str, arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    expect = EXPECTATIONS.get(program)
    return [] if expect is None else expect(arguments)
