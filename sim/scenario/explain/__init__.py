"""What a scenario means in derived numbers, worked out without running it.

Everything here can be checked on paper: sizes, watermarks, prices and their sources, and what
closed forms expect of each process.  Many a wrong study ends here, before its first event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.cost.catalogue import price_specs
from sim.scenario.explain.fork import forks_section
from sim.scenario.explain.host import (
    machine_section,
    not_for_data_section,
    policies_section,
    watermarks_section,
)
from sim.scenario.explain.prices import prices_section
from sim.scenario.explain.process import process_section
from sim.scenario.explain.section import Section
from sim.scenario.programs import known_programs
from sim.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Section", "explain_scenario"]


def explain_scenario(
    resolved: Mapping[str, Any], programs: Mapping[str, Callable[..., Any]] | None = None
) -> list[Section]:
    """Return what a resolved scenario means, section by section."""
    known = known_programs() if programs is None else programs
    host = resolved["host"]
    specs = {price.name.lower(): spec for price, spec in price_specs(host["prices"]).items()}
    return [
        machine_section(host),
        not_for_data_section(host),
        watermarks_section(host),
        policies_section(resolved["policy"], host),
        *(
            process_section(name, process, known[process["program"]], specs)
            for name, process in resolved["processes"].items()
        ),
        _run(resolved["run"]),
        forks_section(specs, host),
        prices_section(specs),
    ]


def _run(run: Mapping[str, Any]) -> Section:
    samples = run["horizon"] // run["sample_every"]
    burst = f"{run['burst']:,} steps" if run["burst"] else "no limit"
    return Section(
        "Run",
        (
            ("horizon", format_duration(run["horizon"])),
            ("warm-up", format_duration(run["warmup"])),
            ("time series", f"{samples:,} points, {format_duration(run['sample_every'])} apart"),
            ("longest burst", burst),
            ("seed", str(run["seed"])),
        ),
    )
