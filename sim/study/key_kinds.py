"""What kind of thing the value of a key is: a size, a duration, a rate, a speed, a number."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sim.scenario.keys import parts


def what_keys_take(
    keys: Iterable[str], scenario: Mapping[str, Any], programs: Any = None
) -> dict[str, str]:
    """Return what the reference says that keys of a scenario take; empty where it has no such key.

    `programs` are those that the scenario may name, by default those that ship.
    """
    reference = _of_what_ships() if programs is None else _reference(programs)
    processes = scenario.get("processes", {})
    return {
        key: next((reference[n] for n in _looked_up(key, processes) if n in reference), "")
        for key in keys
    }


def _reference(programs: Any) -> dict[str, str]:
    return {
        f"{name}.{key.name}": key.takes
        for name, part in parts(programs).items()
        for key in part.keys
    }


@cache
def _of_what_ships() -> dict[str, str]:
    return _reference(None)


def is_kind(takes: str, words: str) -> bool:
    """Return whether what a key takes is, say, ``a size``.

    >>> is_kind("a size, e.g. `16 GiB`", "a size"), is_kind("a sizeable thing", "a size")
    (True, False)
    """
    return re.match(rf"{words}\b", takes) is not None


def _looked_up(key: str, processes: Mapping[str, Any]) -> list[str]:
    """Return what a key may be called in the reference, the likelier first."""
    first, *rest = re.sub(r"\.\d+(?=\.|$)", "[]", key).split(".")
    if first in ("processes", "groups") and len(rest) > 1:
        inner = ".".join(rest[1:])
        program = str((processes.get(rest[0]) or {}).get("program", rest[0]))
        return [f"group.{inner}"] if first == "groups" else [
            f"{program}.{inner}", f"process.{inner}"
        ]  # fmt: skip
    return [".".join((first, *rest))]
