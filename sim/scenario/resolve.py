"""From what a scenario says to what it means: every default filled in, in base units.

The resolved scenario is a plain dictionary of JSON values, and itself a valid scenario that
resolves to itself.  What cannot be is refused here, with the key that is to blame.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sim.base.errors import ScenarioError
from sim.base.files import STDIN
from sim.base.resources import config_path
from sim.base.units import in_base_units
from sim.policy.schedulers import SCHEDULERS as REGISTRY
from sim.scenario import defaults
from sim.scenario.checks import (
    check_end,
    check_host,
    check_processes,
    check_run,
    check_scheduler,
    check_zeroing,
)
from sim.scenario.complaints import checked, suggestion
from sim.scenario.containers import Node
from sim.scenario.document import Document, Place, read_document
from sim.scenario.groups import resolve_groups, settle_replicas
from sim.scenario.hosts import resolve_host
from sim.scenario.model import Policy, Run, Scenario
from sim.scenario.overrides import apply_settings, split_path, with_value
from sim.scenario.profiles import (
    DEFAULT_PROFILE,
    is_path,
    load_profile,
    merged,
    names_a_file,
)
from sim.scenario.programs import known_programs, resolve_process
from sim.scenario.sysctl import with_sysctl

VERSION: Final = 1
RESULTS_VERSION: Final = 8
"""Part of what a run is known by: raised whenever the same run gives other results."""

SCHEDULERS: Final = tuple(sorted(REGISTRY))
"""Names of the schedulers that need no plug-in."""

Programs = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class ScenarioSource:
    """A scenario as it was written, from which variants can be resolved.

    Defaults depend on other values (the watermarks on memory, say), so a variant is made of the
    source, never of a resolved scenario.
    """

    document: Document
    folder: Path
    programs: Programs
    schedulers: tuple[str, ...] = SCHEDULERS

    def resolved(self, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the scenario with each ``key.path: value`` of `overrides`, fully resolved."""
        document = self.document
        for key, value in (overrides or {}).items():
            try:
                path = split_path(key)
            except ValueError as error:
                raise ScenarioError(str(error), key=key) from None
            document = with_value(document, path, value, document.place(path))
        return _resolve(document, self.folder, self.programs, self.schedulers)


def open_scenario(
    path_or_name: str | Path,
    overrides: Sequence[str] = (),
    programs: Programs | None = None,
    schedulers: Sequence[str] = SCHEDULERS,
) -> ScenarioSource:
    """Read a scenario from a file, or one that ships with cowpool by its name.

    `overrides` are settings as on the command line, ``key.path=value``; `programs` and
    `schedulers` are those that it may name, by default those that ship.
    """
    text = str(path_or_name)
    path = Path(text)
    if names_a_file(text, "scenarios"):
        document = read_document(path, text)
        folder = path.parent
    else:
        try:
            path = config_path("scenarios", text)
        except ScenarioError as error:
            message = f"there is no such file, and {error.message}"
            raise ScenarioError(message, text, 1) from None
        document, folder = read_document(path, f"{text}.yaml"), path.parent
    if document.data.get("resolved") is True:
        document.data = in_base_units(document.data)
    document = apply_settings(document, overrides)
    if document.data.get("name") is None and isinstance(document.data, dict):
        name = "stdin" if text == STDIN else path.stem[:64]
        document.data = {"name": name, **document.data}
    known = known_programs() if programs is None else programs
    return ScenarioSource(document, folder, known, tuple(schedulers))


def load_scenario(
    path_or_name: str | Path,
    overrides: Sequence[str] = (),
    programs: Programs | None = None,
    schedulers: Sequence[str] = SCHEDULERS,
) -> dict[str, Any]:
    """Return the resolved scenario of a file or of a shipped name, with `overrides` applied.

    Raises `ScenarioError` with file, line, key and remedy for whatever is wrong with it.
    """
    return open_scenario(path_or_name, overrides, programs, schedulers).resolved()


def resolve(
    data: Mapping[str, Any],
    programs: Programs | None = None,
    schedulers: Sequence[str] = SCHEDULERS,
) -> dict[str, Any]:
    """Resolve a scenario that is data already, such as a resolved one.

    Its numbers are in base units: a program wrote them.
    """
    document = Document(in_base_units(dict(data)), None, {(): Place(None, None)})
    known = known_programs() if programs is None else programs
    return _resolve(document, Path(), known, schedulers)


def scenario_sha256(
    resolved: Mapping[str, Any],
    seed: int,
    replication: int,
    results_version: int,
    plugin_sha256: str | None = None,
) -> str:
    """Return what a run is known by.

    SHA-256 of the resolved scenario with sorted keys, the seed, the replication and the version
    of results.  The scenario's own ``run.seed`` is left out, because `seed` stands in its place,
    and so is ``run.burst``, because no result depends on it.  A plug-in's code decides results as
    well, so its digest is part of the identity of a run that used one.
    """
    return scenario_sha256s(resolved, seed, [replication], results_version, plugin_sha256)[0]


def scenario_sha256s(
    resolved: Mapping[str, Any],
    seed: int,
    replications: Iterable[int],
    results_version: int,
    plugin_sha256: str | None = None,
) -> list[str]:
    """Return what each of some replications of a scenario is known by; see `scenario_sha256`.

    The scenario, nearly all of what they have in common, is written down once.
    """
    run = {key: value for key, value in resolved["run"].items() if key not in ("seed", "burst")}
    behind = {
        "results_version": results_version,
        "scenario": {**resolved, "run": run},
        "seed": seed,
    }
    before = {} if plugin_sha256 is None else {"plugin": plugin_sha256}
    head, tail = (  # "replication" sorts between them
        json.dumps(part, sort_keys=True, separators=(",", ":"), allow_nan=False)
        for part in (before, behind)
    )
    head = f"{head[:-1]}," if before else "{"
    return [
        hashlib.sha256(f'{head}"replication":{number},{tail[1:]}'.encode()).hexdigest()
        for number in replications
    ]


def _resolve(
    document: Document, folder: Path, programs: Programs, schedulers: Sequence[str]
) -> dict[str, Any]:
    document = with_sysctl(document)
    scenario = checked(Scenario, document)
    profile_name = scenario.host.profile or DEFAULT_PROFILE
    profile = load_profile(profile_name, document, ("host", "profile"), folder)
    default_policy = profile.pop("policy", {})
    says_none = scenario.host.profile is None and "profile" in scenario.host.model_fields_set
    shown_name = None if says_none or is_path(profile_name) else profile_name
    host = resolve_host(scenario.host, shown_name, profile, document)
    check_host(host, document)
    run = _run(scenario.run)
    check_run(run, document)
    processes = {
        name: resolve_process(raw, document, ("processes", name), programs)
        for name, raw in scenario.processes.items()
    }
    node = Node(host["memory"] - host["kernel_reserve"], host["cgroup"])
    groups, adjustments = resolve_groups(scenario.groups, node, document)
    _put_into_groups(processes, scenario, adjustments, document)
    settle_replicas(processes, groups, scenario.groups, document)
    check_processes(processes, groups, host, run, document)
    check_end(processes, run, programs, document)
    policy = _policy(scenario.policy, default_policy, host)
    check_scheduler(policy, schedulers, document)
    check_zeroing(policy, host, document)
    return {
        "version": VERSION,
        "resolved": True,
        "name": scenario.name or "scenario",
        "host": host,
        "policy": policy,
        "groups": groups,
        "processes": processes,
        "run": run,
    }


def _put_into_groups(
    processes: Mapping[str, dict[str, Any]],
    scenario: Scenario,
    adjustments: Mapping[str, int],
    document: Document,
) -> None:
    """Check that each process's group is there; that may decide its `oom_score_adj`."""
    groups = scenario.groups
    for name, process in processes.items():
        group = process["group"]
        if group is None:
            continue
        if group not in groups:
            near = suggestion(group, sorted(groups)) if groups else "add `groups:` with its limits"
            message = f"there is no group called {group!r}; {near}"
            raise document.error(("processes", name, "group"), message)
        if group in adjustments and "oom_score_adj" not in scenario.processes[name]:
            process["oom_score_adj"] = adjustments[group]


def _policy(
    given: Policy, defaults_of_profile: Mapping[str, Any], host: Mapping[str, Any]
) -> dict[str, Any]:
    own = merged(dict(defaults_of_profile), given.model_dump(exclude_unset=True, exclude_none=True))
    scheduler = own.get("scheduler", {})
    return {
        "scheduler": {
            "kind": scheduler.get("kind", "round_robin"),
            "quantum": scheduler.get("quantum", defaults.quantum_ns(host["cpus"], host["kernel"])),
        },
        "memory": own.get("memory", "oom"),
        "eviction": own.get("eviction"),
        "replacement": own.get("replacement", "linux"),
        "fork": own.get("fork", "cow"),
        "zeroing": own.get("zeroing", "demand"),
    }


def _run(given: Run) -> dict[str, Any]:
    own = given.model_dump(exclude_none=True)
    return {
        "horizon": own.get("horizon"),
        "warmup": own.get("warmup", 0),
        "sample_every": own.get("sample_every", defaults.SAMPLE_EVERY_NS),
        "burst": own.get("burst", 0),
        "expect": sorted(own.get("expect", ())),
        "seed": own.get("seed", defaults.SEED),
    }
