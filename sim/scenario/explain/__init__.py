"""What a scenario means in derived numbers, worked out without running it.

Everything here can be checked on paper: sizes, watermarks, prices and their sources, and what
closed forms expect of each process.  Many a wrong study ends here, before its first event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.units import format_duration
from sim.machine.layout import MOST_SAMPLES
from sim.scenario.explain.fork import forks_section
from sim.scenario.explain.groups import groups_section
from sim.scenario.explain.host import (
    machine_section,
    not_for_data_section,
    policies_section,
    watermarks_section,
)
from sim.scenario.explain.prices import prices_section
from sim.scenario.explain.process import process_section
from sim.scenario.explain.section import Section
from sim.scenario.explain.warnings import warnings_section
from sim.scenario.forms.setting import setting_of
from sim.scenario.programs import known_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Section", "explain_scenario"]


def explain_scenario(
    resolved: Mapping[str, Any], programs: Mapping[str, Callable[..., Any]] | None = None
) -> list[Section]:
    """Return what a resolved scenario means, section by section."""
    known = known_programs() if programs is None else programs
    host = resolved["host"]
    setting = setting_of(host, resolved["policy"])
    warnings = warnings_section(resolved, known)
    groups = groups_section(resolved)
    return [
        *([] if warnings is None else [warnings]),
        machine_section(host),
        not_for_data_section(host),
        watermarks_section(host),
        policies_section(resolved["policy"], host),
        *([] if groups is None else [groups]),
        *(
            process_section(name, process, known[process["program"]], setting, resolved["groups"])
            for name, process in resolved["processes"].items()
        ),
        _run(resolved["run"]),
        forks_section(setting, host),
        prices_section(setting.prices),
    ]


def _run(run: Mapping[str, Any]) -> Section:
    horizon = "none: it ends when its processes have"
    if run["horizon"] is not None:
        horizon = format_duration(run["horizon"])
    every = format_duration(run["sample_every"])
    burst = f"{run['burst']:,} steps" if run["burst"] else "no limit"
    return Section(
        "Run",
        (
            ("horizon", horizon),
            ("warm-up", format_duration(run["warmup"])),
            (
                "time series",
                f"a point every {every}, twice that whenever {MOST_SAMPLES:,} are full",
            ),
            ("longest burst", burst),
            ("seed", str(run["seed"])),
        ),
    )
