"""A study's base scenario: from which every run's scenario is resolved, now or from the store."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sim.base.errors import ScenarioError
from sim.base.resources import config_path
from sim.base.units import in_base_units
from sim.engine.metrics import METRICS
from sim.program.plugin import Plugin
from sim.scenario.document import Document, Keys
from sim.scenario.profiles import is_path
from sim.scenario.programs import known_programs
from sim.scenario.resolve import (
    RESULTS_VERSION,
    SCHEDULERS,
    ScenarioSource,
    open_scenario,
    scenario_sha256s,
)
from sim.scenario.study import Study
from sim.study.kept import points_kept, study_again
from sim.study.plan import Planner
from sim.study.store import Reader


def planner_of(
    study: Study, *, large: bool = False, plugin: Plugin | None = None
) -> tuple[Planner, dict[str, Any]]:
    """Return a study's planner, and what the store has to keep to make it again.

    A study beyond the limits of `sim.study.limits` is refused unless `large`.  `plugin` has
    programs and schedulers besides those that ship.

    The base is a path relative to the study's file, or the name of a scenario that ships.
    Raises `ScenarioError` if there is no such base.
    """
    name = study.file.base
    path = study.folder / name
    if path.is_file():
        source = open_scenario(path, (), *_known(plugin))
    elif is_path(name):
        raise study.error(f"there is no file {name!r} here; check the path", "base")
    else:
        try:
            config_path("scenarios", name)
        except ScenarioError as error:
            raise study.error(error.message, "base") from None
        source = open_scenario(name, (), *_known(plugin))
    kept = {
        "study": study.document.to_json(),
        "file": study.document.file,
        "base": source.document.to_json(),
        "base_file": source.document.file,
        "base_folder": str(source.folder.resolve()),
        "plugin": None if plugin is None else plugin.path,
        "plugin_sha256": _digest(plugin),
    }
    planner = _planner(study, source, plugin, large=large)
    planner.check_metrics(METRICS)
    return planner, {**kept, **points_kept(planner.axes, planner.points)}


def planner_again(kept: Mapping[str, Any], plugin: Plugin | None = None) -> Planner:
    """Return the planner of a study that the store has kept.

    Raises `ScenarioError` if it was carried out with another plug-in than `plugin`, or without.
    """
    needed = kept.get("plugin_sha256")
    if needed != _digest(plugin):
        raise ScenarioError(_other_plugin(kept, plugin), key="--plugin")
    study = study_again(kept)
    document = Document.from_json(kept["base"], kept["base_file"])
    if document.data.get("resolved") is True:
        document.data = in_base_units(document.data)
    programs, schedulers = _known(plugin)
    source = ScenarioSource(document, Path(kept["base_folder"]), programs, schedulers)
    return _planner(study, source, plugin, large=True)


def _planner(
    study: Study, source: ScenarioSource, plugin: Plugin | None, *, large: bool
) -> Planner:
    return Planner(
        study,
        _Resolver(study, source),
        source.programs,
        large=large,
        written=source.document.data,
        plugin_sha256=_digest(plugin),
    )


def _known(plugin: Plugin | None) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return the programs and the names of the schedulers that a study may use."""
    if plugin is None:
        return known_programs(), SCHEDULERS
    programs = {**known_programs(), **plugin.programs}
    return programs, tuple(sorted({*SCHEDULERS, *plugin.schedulers}))


def _digest(plugin: Plugin | None) -> str | None:
    return None if plugin is None else plugin.sha256


def _other_plugin(kept: Mapping[str, Any], plugin: Plugin | None) -> str:
    """Return what is wrong with the plug-in that a kept study is to be read with."""
    needed = kept.get("plugin_sha256")
    if needed is None:
        return "the study was carried out without a plug-in; leave it out"
    its_own = f"{kept['plugin']} (SHA-256 {needed[:12]}…)"
    if plugin is None:
        return f"the study needs its plug-in {its_own}; add `--plugin FILE`"
    return f"not the plug-in of the study, {its_own}; name that one, or run the study again"


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

    def _place(self, key: str, overrides: Mapping[str, Any]) -> Keys | None:
        """Return where the study sets `key`, or what it is part of; None if it does not."""
        for name in sorted(overrides, key=len, reverse=True):
            if key == name or key.startswith(f"{name}.") or name.startswith(f"{key}."):
                return self._study.place_of(name, overrides[name])
        return None


def require_same_results(store: Reader, planner: Planner) -> None:
    """Raise `ScenarioError` if the runs of a store are none that this cowpool would make."""
    for run in store.plan(1):
        scenario, replication = store.scenario(run.scenario), run.place.replication
        if run_key(scenario, planner.study.seed, replication, planner.plugin_sha256) != run.key:
            message = (
                "has runs of another version of results than this cowpool makes"
                f" ({RESULTS_VERSION}); `cowpool study` makes them anew"
            )
            raise ScenarioError(message, str(store.path))


def run_key(
    scenario: Mapping[str, Any], seed: int, replication: int, plugin_sha256: str | None = None
) -> str:
    """Return what a run is known by."""
    return run_keys(scenario, seed, [replication], plugin_sha256)[0]


def run_keys(
    scenario: Mapping[str, Any],
    seed: int,
    replications: Iterable[int],
    plugin_sha256: str | None = None,
) -> list[str]:
    """Return what each of some replications is known by."""
    return scenario_sha256s(scenario, seed, replications, RESULTS_VERSION, plugin_sha256)
