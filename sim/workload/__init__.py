"""Programs: what simulated processes do.

`PROGRAMS` names those that ship with cowpool.  Each is a generator function in a module
of its own, imported when it is looked up.  A scenario's key for a parameter is the
parameter's name without its unit suffix; `sim.workload.api` says what a program may do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sim.workload.api import Program


class _ShippedPrograms(Mapping[str, "Program"]):
    """Programs by name, in alphabetical order; a module is imported at first use."""

    _names = (
        "build_storm",
        "heap_growth",
        "prefork_web",
        "redis",
        "shell_pipeline",
        "steps",
    )

    def __getitem__(self, name: str) -> Program:
        if name not in self._names:
            raise KeyError(name)
        found: Program = getattr(import_module(f"sim.workload.{name}"), name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


PROGRAMS: Final[Mapping[str, Program]] = _ShippedPrograms()
