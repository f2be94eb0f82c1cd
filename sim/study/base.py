"""A study's base scenario: from which every run's scenario is resolved, now or from the store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim.errors import ScenarioError
from sim.resources import config_path
from sim.scenario.document import Document
from sim.scenario.profiles import is_path
from sim.scenario.programs import known_programs
from sim.scenario.resolve import RESULTS_VERSION, ScenarioSource, open_scenario, scenario_sha256
from sim.scenario.study import Study, parsed_study
from sim.study.plan import Planner


def planner_of(study: Study, *, large: bool = False) -> tuple[Planner, dict[str, Any]]:
    """Return a study's planner, and what the store has to keep to make it again.

    A study beyond the limits of `sim.study.limits` is refused unless `large`.

    The base is a path relative to the study's file, or the name of a scenario that ships.
    Raises `ScenarioError` if there is no such base.
    """
    name = study.file.base
    path = study.folder / name
    if path.is_file():
        source = open_scenario(path)
    elif is_path(name):
        raise study.error(f"there is no file {name!r} here; check the path", "base")
    else:
        try:
            config_path("scenarios", name)
        except ScenarioError as error:
            raise study.error(error.message, "base") from None
        source = open_scenario(name)
    kept = {
        "study": study.document.data,
        "file": study.document.file,
        "base": source.document.data,
        "base_file": source.document.file,
        "base_folder": str(source.folder.resolve()),
    }
    return Planner(study, _Resolver(study, source), source.programs, large=large), kept


def planner_again(kept: Mapping[str, Any]) -> Planner:
    """Return the planner of a study that the store has kept."""
    study = parsed_study(Document(kept["study"], kept["file"]), Path())
    document = Document(kept["base"], kept["base_file"])
    source = ScenarioSource(document, Path(kept["base_folder"]), known_programs())
    return Planner(study, _Resolver(study, source), source.programs, large=True)


class _Resolver:
    """Resolves the base with a study's overrides; what is wrong with them is the study's."""

    def __init__(self, study: Study, source: ScenarioSource) -> None:
        self._study = study
        self._source = source

    def __call__(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._source.resolved(overrides)
        except ScenarioError as error:
            place = self._place(error.key or "", overrides)
            if place is None:
                raise
            raise self._study.error(f"{error.key}: {error.message}", *place) from None

    def _place(self, key: str, overrides: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Return where the study sets `key`, or what it is part of; None if it does not."""
        for name in sorted(overrides, key=len, reverse=True):
            if key == name or key.startswith(f"{name}.") or name.startswith(f"{key}."):
                return self._study.place_of(name)
        return None


def run_key(scenario: Mapping[str, Any], seed: int, replication: int) -> str:
    """Return what a run is known by."""
    return scenario_sha256(scenario, seed, replication, RESULTS_VERSION)
