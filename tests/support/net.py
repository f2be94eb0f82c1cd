"""The net: what every scenario and script of a long list comes to, as digests that are committed.

Everything goes through the command line, as a user sees it.  A difference is looked into by
printing what the digest is of, here and in a checkout of an earlier commit:

    cd tests; python -m support.net drawn/017 > here.json       # scripts/03: the first that differs
"""

import contextlib
import io
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sim.cli import main
from support.net_scenarios import drawn

ROOT = Path(__file__).parents[2]
NET = ROOT / "tests" / "golden" / "net.txt"
PLUGIN = ROOT / "tests" / "golden" / "net_plugin.py"

DRAWN = 280
GROUPS = 20
GROUP_SCRIPTS = 25

DIGITS = 16
"""Of a SHA-256, in hexadecimal."""
MARK_DIGITS = 4
"""Of the digest of a single script: enough to find it, its group's digest holds it."""

VARIANTS: dict[str, list[dict[str, str]]] = {
    "shipped/cold_start": [{"host.disk.read_ahead": "0 B"}],
    "shipped/build_storm": [
        {"processes.make.method": method} for method in ("vfork_exec", "posix_spawn")
    ],
    "experiments/001_textbook/7_without": [
        {"policy.fork": "eager"},
        {"policy.zeroing": "eager"},
        {"policy.fork": "eager", "policy.zeroing": "eager"},
    ],
}
"""Settings with which the scenarios are meant to be run as well."""

STUDIES = {
    "studies/redis_bgsave": ROOT / "configs" / "studies" / "redis_bgsave.yaml",
    "studies/fork_strategies": ROOT / "experiments" / "002_fork_strategies" / "study.yaml",
}


@dataclass(frozen=True)
class Case:
    """One run of the command line: its arguments, and what is written for it beforehand."""

    arguments: tuple[str, ...]
    scenario: Mapping[str, Any] | None = None


def scenario_cases() -> dict[str, Case]:
    """Return what ships, what the experiments run, and examples with plug-ins, by name."""
    cases: dict[str, Case] = {}
    for file in sorted((ROOT / "configs" / "scenarios").glob("*.yaml")):
        add(cases, f"shipped/{file.stem}", str(file))
    for file in sorted((ROOT / "experiments").glob("*/*.yaml")):
        if file.stem != "study":
            add(cases, f"experiments/{file.parent.name}/{file.stem}", str(file))
    for file in sorted((ROOT / "tests" / "cases" / "machine").glob("*.yaml")):
        plugin = str(file.parent / "programs.py")
        add(cases, f"cases/{file.stem}", str(file), "--plugin", plugin)
    examples = ROOT / "docs" / "examples"
    pool_map = (str(examples / "pool_map.yaml"), "--plugin", str(examples / "pool_map.py"))
    add(cases, "examples/pool_map", *pool_map)
    for name, file in STUDIES.items():
        for number, settings in enumerate(points(file)):
            sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
            cases[f"{name}/{number:02}"] = Case(("run", "redis_bgsave", *sets))
    return cases


def add(cases: dict[str, Case], name: str, *arguments: str) -> None:
    """Add a scenario and its variants."""
    cases[name] = Case(("run", *arguments))
    for number, settings in enumerate(VARIANTS.get(name, []), 1):
        sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        cases[f"{name}+{number}"] = Case(("run", *arguments, *sets))


def base_of(study: Path) -> str:
    """Return the scenario that a study varies."""
    base = YAML(typ="safe").load(study)["base"]
    assert isinstance(base, str)
    return base


def points(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the settings of each point of a study of Redis, an octave or six smaller.

    Data sets and hosts are a 64th: 16 GiB would take a minute, and the same code.
    """
    study = YAML(typ="safe").load(file)
    fixed = study.get("set", {})
    for levels in itertools.product(*study["axes"].values()):
        settings = {**fixed, **dict(zip(study["axes"], levels, strict=True))}
        gib = int(settings["processes.redis.dataset"].removesuffix(" GiB"))
        settings["processes.redis.dataset"] = f"{gib * 16} MiB"
        if "host.memory" in settings:
            assert settings["host.memory"] == "24 GiB"
            settings["host.memory"] = "384 MiB"
            yield settings
        for multiple in [] if "host.memory" in settings else [17, 14, 12]:
            yield {**settings, "host.memory": f"{gib * 2**24 * multiple // 10} B"}


def drawn_cases(count: int = DRAWN) -> dict[str, Case]:
    plugin = ("--plugin", str(PLUGIN))
    return {
        f"drawn/{number:03}": Case(("run", "-", *plugin), drawn(number)) for number in range(count)
    }


# -- what a case comes to ---------------------------------------------------------------


def document_of(case: Case, *more: str) -> dict[str, Any]:
    """Run a case and return the document, with its exit status and without what is volatile."""
    arguments = list(case.arguments)
    with tempfile.TemporaryDirectory() as folder:
        if case.scenario is not None:
            file = Path(folder) / "scenario.yaml"  # JSON is YAML
            file.write_text(json.dumps(case.scenario), encoding="utf-8")
            arguments[arguments.index("-")] = str(file)
        status, printed = output_of(*arguments, *more, "--json")
    document = json.loads(printed)
    document.pop("request_batches")  # `tests/unit/engine/test_request_batches.py` has them
    provenance = document["provenance"]
    provenance.pop("version")  # of the package: a release changes it, and no result
    if provenance.pop("plugin_sha256", None) is not None:
        provenance.pop("sha256")  # of the plug-in's text as well: a comment changes both
    return {"status": status, **document}


def output_of(*arguments: str) -> tuple[int, str]:
    """Return the exit status of a command, and what it printed."""
    printed, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        status = main(arguments)
    if status not in (0, 1):
        raise AssertionError(f"exit status {status} of {arguments}: {said.getvalue()}")
    return status, printed.getvalue()


def digest(value: Any, digits: int = DIGITS) -> str:
    """Return the beginning of the SHA-256 of a value as JSON, its keys in their order."""
    return sha256(json.dumps(value).encode()).hexdigest()[:digits]


def line_of(document: dict[str, Any]) -> str:
    """Return what the net holds of a run: what was asked, what came out, and some of it plainly."""
    asked = document["provenance"]
    got = {key: value for key, value in document.items() if key != "provenance"}
    metrics = document["metrics"]
    return (
        f"asked={digest(asked)} got={digest(got)} ending={document['ending']}"
        f" simulated_ns={document['simulated_ns']} minor_faults={metrics['minor_faults']}"
        f" need_bytes={metrics['memory_need_bytes']['total']}"
    )


# -- scripts ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """Random scripts that are predicted with the same options."""

    number: int
    all_verbs: bool
    options: tuple[str, ...]
    folios: tuple[int, ...] = ()


def groups() -> dict[str, Group]:
    """Return the groups of scripts by name: half of the first verbs, half of all."""
    kernels = ("6.18", "6.18", "6.12", "6.12", "6.8", "6.1", "5.15", "5.10", "5.4", "4.19")
    found = {}
    for number in range(GROUPS):
        all_verbs, row = number >= GROUPS // 2, number % (GROUPS // 2)
        options = ("--as-kernel", kernels[row], "--time")
        folios = {1: (16,), 3: (4, 64)}.get(row, ()) if all_verbs else ()
        sizes = tuple(part for pages in folios for part in ("--folio", f"{pages * 4}K"))
        found[f"scripts/{number:02}"] = Group(number, all_verbs, (*options, *sizes), folios)
    return found


def scripts_of(group: Group, count: int = GROUP_SCRIPTS) -> list[str]:
    """Return the texts of the first `count` scripts of a group."""
    from sim.script.grammar import format_script
    from sim.script.random import (
        ALL_VERBS,
        CONTRACT_VERBS,
        random_script,
        script_generator,
    )

    verbs = sorted(ALL_VERBS if group.all_verbs else CONTRACT_VERBS)
    return [
        format_script(
            random_script(script_generator(group.number, index), verbs=verbs, folios=group.folios)
        )
        for index in range(count)
    ]


def predictions(group: Group, scripts: list[str]) -> list[Any]:
    """Return what is predicted of each script, operation by operation."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number:02}.txt" for number in range(len(scripts))]
        for file, script in zip(files, scripts, strict=True):
            file.write_text(script, encoding="utf-8")
        _, printed = output_of("conform", *map(str, files), *group.options, "--json")
    found = json.loads(printed)["results"]
    return [script["operations"] for script in found]


def line_of_scripts(group: Group, predicted: list[Any]) -> str:
    """Return what the net holds of a group: each script has a mark, in order."""
    operations = [operation["predicted"] for script in predicted for operation in script]
    marks = ",".join(digest(script, MARK_DIGITS) for script in predicted)
    return (
        f"got={digest(predicted)} options={' '.join(group.options).replace(' ', '_')}"
        f" verbs={'all' if group.all_verbs else 'first'} operations={len(operations)}"
        f" minor_faults={sum(operation['minflt'] for operation in operations)}"
        f" ns={sum(operation['ns'] for operation in operations)} marks={marks}"
    )


def field(line: str, name: str) -> str:
    """Return the value of a field in a line of the net."""
    return dict(part.split("=", 1) for part in line.split())[name]


def first_script_that_differs(name: str) -> tuple[int, str, Any] | None:
    """Return number, text and prediction of the first script of a group that is not as held."""
    group = groups()[name]
    scripts = scripts_of(group)
    held = field(read_net()[name], "marks").split(",")
    for number, predicted in enumerate(predictions(group, scripts)):
        if digest(predicted, MARK_DIGITS) != held[number]:
            return number, scripts[number], predicted
    return None


# -- the file ---------------------------------------------------------------------------


def family_of(name: str) -> str:
    return name.partition("/")[0]


def read_net() -> dict[str, str]:
    """Return the lines of the net by the names they begin with."""
    lines = NET.read_text(encoding="utf-8").splitlines()
    return dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))


def write_net(lines: Mapping[str, str]) -> None:
    """Write lines in place of all those of their families: what stands before the first `/`."""
    families = {family_of(name) for name in lines}
    kept = {n: line for n, line in read_net().items() if family_of(n) not in families}
    lines = {**kept, **lines}
    head = "# Written by `pytest --regen-golden tests/golden/test_net.py`; see support/net.py.\n"
    width = max(map(len, lines))
    text = "".join(f"{name:{width}} {line}\n" for name, line in sorted(lines.items()))
    NET.write_text(head + text, encoding="utf-8")


if __name__ == "__main__":
    (asked_for,) = sys.argv[1:]
    if asked_for in groups():
        json.dump(first_script_that_differs(asked_for), sys.stdout, indent=1)
    else:
        every = scenario_cases() | drawn_cases()
        json.dump(document_of(every[asked_for]), sys.stdout, indent=1)
