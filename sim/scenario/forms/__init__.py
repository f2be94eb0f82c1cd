"""Closed forms: what a scenario should show when it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.scenario.forms.heap_growth import growth_forms
from sim.scenario.forms.prefork_web import prefork_forms
from sim.scenario.forms.redis import redis_forms
from sim.scenario.forms.spawners import build_forms, pipeline_forms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.scenario.forms.form import Form
    from sim.scenario.forms.setting import Setting

FORMS: Final[Mapping[str, Callable[[Mapping[str, Any], Setting], list[Form]]]] = {
    "build_storm": build_forms,
    "heap_growth": growth_forms,
    "prefork_web": prefork_forms,
    "redis": redis_forms,
    "shell_pipeline": pipeline_forms,
}
"""By program: takes its arguments as `sim.program.signature.keyword_arguments` returns them."""
