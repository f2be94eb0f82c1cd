"""What a shell offers when Tab is pressed: names that ship, and files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.scenario.quantities import Closed


def scenarios(incomplete: str) -> list[str]:
    """Return scenarios that ship, and YAML files, whose names go on from `incomplete`."""
    from sim.base.resources import shipped

    return _going_on(incomplete, [*shipped("scenarios"), *_files(incomplete, (".yaml", ".yml"))])


def studies(incomplete: str) -> list[str]:
    """Return studies that ship, and YAML files, whose names go on from `incomplete`."""
    from sim.base.resources import shipped

    return _going_on(incomplete, [*shipped("studies"), *_files(incomplete, (".yaml", ".yml"))])


def either(incomplete: str) -> list[str]:
    """Return scenarios and studies that ship, and YAML files."""
    return sorted({*scenarios(incomplete), *studies(incomplete)})


def shown(incomplete: str) -> list[str]:
    """Return what `cowpool show` takes."""
    from sim.cli.shelf import names

    return _going_on(incomplete, names())


def parts(incomplete: str) -> list[str]:
    """Return what `cowpool keys` takes."""
    from sim.scenario.keys import parts as all_parts

    return _going_on(incomplete, all_parts())


def plugins(incomplete: str) -> list[str]:
    """Return Python files."""
    return _going_on(incomplete, _files(incomplete, (".py",)))


def settings(incomplete: str) -> list[str]:
    """Return the keys of host, policy and run, for ``--set``."""
    from sim.scenario.model import Host, Policy, Run

    parts: dict[str, type[Closed]] = {"host": Host, "policy": Policy, "run": Run}
    keys = [f"{part}.{key}=" for part, model in parts.items() for key in model.model_fields]
    return _going_on(incomplete, keys)


def _going_on(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _files(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return files with one of these suffixes, and folders, in the folder that is being typed."""
    folder, slash, _ = incomplete.rpartition("/")
    try:
        found = sorted(Path(f"{folder}{slash}" or ".").iterdir())
    except OSError:
        return []
    return [
        f"{folder}{slash}{path.name}{'/' if path.is_dir() else ''}"
        for path in found
        if not path.name.startswith(".") and (path.suffix in suffixes or path.is_dir())
    ]
