"""A process of a scenario, explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.scenario.explain.section import Section
from sim.scenario.forms import FORMS
from sim.scenario.programs import show_value
from sim.units import format_duration
from sim.workload.signature import keyword_arguments, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.scenario.forms.setting import Setting


def process_section(
    name: str,
    process: Mapping[str, Any],
    program: Callable[..., Any],
    setting: Setting,
) -> Section:
    """Return a process: its parameters, and what closed forms expect of it."""
    arguments = keyword_arguments(program, process)
    lines = [("program", _how_started(process))]
    for parameter in parameters_of(program):
        value = process[parameter.key]
        shown = f"{len(value)} of them" if isinstance(value, list) else value
        if shown not in ("", None):
            lines.append((parameter.key, show_value(parameter.unit, shown)))
    lines += _expected(process["program"], arguments, setting)
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


def _expected(
    program: str, arguments: Mapping[str, Any], setting: Setting
) -> list[tuple[str, str]]:
    forms = FORMS.get(program)
    if forms is None:
        return [("→ expected", "no closed form: run it")]
    return [(f"→ {form.label}", form.said()) for form in forms(arguments, setting)]
