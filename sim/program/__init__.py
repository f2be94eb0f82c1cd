"""Programs: what simulated processes do.

`PROGRAMS` names those that ship with cowpool.  Each is a generator function in a module
of its own, imported when it is looked up.  A scenario's key for a parameter is the
parameter's name without its unit suffix; `sim.program.api` says what a program may do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sim.program.api import Program


class _ShippedPrograms(Mapping[str, "Program"]):
    """Programs by name, in alphabetical order; a module is imported at first use."""

    _modules: Final = {
        "build_storm": "sim.program.shipped.build_storm",
        "heap_growth": "sim.program.shipped.heap_growth",
        "prefork_web": "sim.program.shipped.prefork_web",
        "redis": "sim.program.shipped.redis",
        "shell_pipeline": "sim.program.shipped.shell_pipeline",
        "steps": "sim.program.steps.runner",
    }

    def __getitem__(self, name: str) -> Program:
        found: Program = getattr(import_module(self._modules[name]), name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


PROGRAMS: Final[Mapping[str, Program]] = _ShippedPrograms()
