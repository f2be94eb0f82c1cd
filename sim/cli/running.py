"""One run, from what was typed to the document of its results."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sim.base.limits import Limits
    from sim.program.plugin import Plugin


def known(plugin: Plugin | None) -> tuple[Mapping[str, Callable[..., Any]], tuple[str, ...]]:
    """Return the programs and the names of the schedulers that a scenario may use."""
    from sim.scenario.programs import known_programs
    from sim.scenario.resolve import SCHEDULERS

    if plugin is None:
        return known_programs(), SCHEDULERS
    programs = {**known_programs(), **plugin.programs}
    return programs, tuple(sorted({*SCHEDULERS, *plugin.schedulers}))


def is_study(path: str) -> bool:
    """Return whether a file, or what ships under that name, is a study rather than a scenario.

    What cannot be read is left to whoever reads it next, to say so.
    """
    from sim.base.errors import ScenarioError
    from sim.base.files import STDIN
    from sim.base.resources import shipped
    from sim.scenario.document import read_document

    file = Path(path)
    try:
        if path != STDIN and not file.is_file():
            if path.startswith("studies/"):
                return path.removeprefix("studies/") in shipped("studies")
            return path in shipped("studies") and path not in shipped("scenarios")
        return "base" in read_document(file, path).data
    except (ScenarioError, OSError):
        return False


def run_document(
    scenario: str,
    settings: Sequence[str],
    *,
    seed: int | None,
    replication: int,
    burst: int | None,
    check: bool,
    plugin: Plugin | None,
    limits: Limits,
) -> dict[str, Any]:
    """Carry out one run and return its results with their provenance, as JSON-able values."""
    from sim.base.errors import ScenarioError
    from sim.scenario.resolve import load_scenario

    if is_study(scenario):
        raise ScenarioError("is a study; carry it out with `cowpool study`", scenario, 1)
    resolved = load_scenario(scenario, settings, *known(plugin))
    if seed is not None:
        resolved["run"]["seed"] = seed
    if burst is not None:
        resolved["run"]["burst"] = burst
    return run_resolved(resolved, replication, check=check, plugin=plugin, limits=limits)


def run_resolved(
    resolved: Mapping[str, Any],
    replication: int,
    *,
    check: bool = False,
    plugin: Plugin | None,
    limits: Limits,
) -> dict[str, Any]:
    """Carry out a resolved scenario and return its results with their provenance."""
    # Compiled code is loaded only once the scenario is known to be good.
    from sim.base.limits import within
    from sim.cli.limiting import progress_of_a_run
    from sim.engine.conditions import conditions_of
    from sim.engine.long_run import long_run_facts
    from sim.engine.run import simulate
    from sim.policy.schedulers import SCHEDULERS
    from sim.scenario.resolve import RESULTS_VERSION, scenario_sha256

    seed = resolved["run"]["seed"]
    programs, _ = known(plugin)
    with (
        redirect_stdout(sys.stderr),  # what a plug-in prints is no result
        within(limits),
        progress_of_a_run(resolved["run"]["horizon"]) as tell,
    ):
        result = simulate(
            resolved,
            seed=seed,
            replication=replication,
            burst=resolved["run"].get("burst"),
            check=check,
            programs=programs,
            schedulers=None if plugin is None else {**SCHEDULERS, **plugin.schedulers},
            tell=tell,
        )
    digest = plugin.sha256 if plugin is not None else None
    provenance = {
        "version": sim.__version__,
        "results_version": RESULTS_VERSION,
        "scenario": resolved,
        "conditions": [each.what for each in conditions_of(resolved)],
        "seed": seed,
        "replication": replication,
        "sha256": scenario_sha256(resolved, seed, replication, RESULTS_VERSION, digest),
    }
    if digest is not None:
        provenance["plugin_sha256"] = digest
    document = result.to_json()
    document["request_batches"] |= {"long_run": long_run_facts(document)}
    return {"provenance": provenance, **document}
