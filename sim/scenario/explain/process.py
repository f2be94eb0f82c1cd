"""A process of a scenario, explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import format_duration
from sim.engine.conditions import process_conditions
from sim.engine.replicas import how_many
from sim.program.signature import keyword_arguments, parameters_of
from sim.scenario.explain.section import Section
from sim.scenario.forms import FORMS
from sim.scenario.programs import show_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.program.signature import Unit
    from sim.scenario.forms.setting import Setting

_MOST_ITEMS: Final = 12


def process_section(
    name: str,
    process: Mapping[str, Any],
    program: Callable[..., Any],
    setting: Setting,
    groups: Mapping[str, Mapping[str, Any]],
) -> Section:
    """Return a process: its parameters, and what closed forms expect of it."""
    arguments = keyword_arguments(program, process)
    lines = [("program", _how_started(process, how_many(process, groups)))]
    for parameter in parameters_of(program):
        value = process[parameter.key]
        if value not in ("", None):
            lines.append((parameter.key, _shown(value, parameter.unit)))
    lines += [("not read", each.what) for each in process_conditions({name: process})]
    lines += _expected(process["program"], arguments, setting)
    return Section(f"Process {name}", tuple(lines))


def _shown(value: Any, unit: Unit | None) -> str:
    """Return the value of a parameter; of steps the verbs, of a list its first items."""
    if not isinstance(value, list):
        return show_value(unit, value)
    items = [next(iter(v)) if isinstance(v, dict) and v else show_value(unit, v) for v in value]
    more = f", and {len(items) - _MOST_ITEMS:,} more" if len(items) > _MOST_ITEMS else ""
    return f"{', '.join(items[:_MOST_ITEMS])}{more}" if items else "none"


def _how_started(process: Mapping[str, Any], count: int) -> str:
    text = str(process["program"])
    if count > 1:
        text += f", {count} of them"
    if process["start"]:
        text += f", from {format_duration(process['start'])} on"
    if process.get("start_within"):
        each = "each at a random time" if count > 1 else "at a random time"
        text += f", {each} within {format_duration(process['start_within'])}"
    if process["cpu"] is not None:
        text += f", on CPU {process['cpu']} only"
    if process["oom_score_adj"]:
        text += f", oom_score_adj {process['oom_score_adj']}"
    if process.get("nice"):
        text += f", nice {process['nice']}"
    if process.get("cap_sys_admin"):
        text += ", with CAP_SYS_ADMIN"
    return text


def _expected(
    program: str, arguments: Mapping[str, Any], setting: Setting
) -> list[tuple[str, str]]:
    forms = FORMS.get(program)
    if forms is None:
        return [("→ expected", "no closed form: run it")]
    return [(f"→ {form.label}", form.said()) for form in forms(arguments, setting)]
