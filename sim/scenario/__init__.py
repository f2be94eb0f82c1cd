"""Scenarios: what a YAML file says, checked, and what it means, resolved.

`load_scenario` is the way in; `open_scenario` keeps the source, from which a study resolves its
points.  pydantic and ruamel.yaml are used here and nowhere else.
"""

from sim.scenario.resolve import (
    ScenarioSource,
    load_scenario,
    open_scenario,
    resolve,
    scenario_sha256,
)

__all__ = ["ScenarioSource", "load_scenario", "open_scenario", "resolve", "scenario_sha256"]
