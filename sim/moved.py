"""Where plug-ins imported from before there was `sim.plugin`: good for one release more.

Importing an old name gives the module that took its place, with a `DeprecationWarning`.
"""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

MOVED: Final = {
    "sim.errors": "sim.base.errors",
    "sim.units": "sim.base.units",
    "sim.workload.api": "sim.plugin",
    "sim.workload.arrivals": "sim.program.arrivals",
    "sim.workload.build_storm": "sim.program.shipped.build_storm",
    "sim.workload.declared": "sim.program.declared",
    "sim.workload.heap_growth": "sim.program.shipped.heap_growth",
    "sim.workload.malloc.glibc": "sim.alloc.glibc.malloc",
    "sim.workload.malloc.heap": "sim.program.heap",
    "sim.workload.malloc.jemalloc": "sim.alloc.jemalloc.malloc",
    "sim.workload.malloc.models": "sim.alloc.models",
    "sim.workload.patterns": "sim.program.patterns",
    "sim.workload.prefork_web": "sim.program.shipped.prefork_web",
    "sim.workload.redis": "sim.program.shipped.redis",
    "sim.workload.shell_pipeline": "sim.program.shipped.shell_pipeline",
    "sim.workload.signature": "sim.program.signature",
    "sim.workload.steps": "sim.program.steps.runner",
    "sim.workload.zipf": "sim.program.zipf",
}
"""What a plug-in had reason to import, and where that is now."""

EMPTY: Final = ("sim.workload", "sim.workload.malloc")
"""Packages that are no more, by way of which it was found."""


class Moved:
    """Finds modules by their old names; both finder and loader, as `importlib` asks for."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a module that has moved; None for any other."""
        if name in MOVED or name in EMPTY:
            # In all but name an `importlib.abc.Loader`, which takes time to import.
            loader: Any = cls()
            return ModuleSpec(name, loader, is_package=name in EMPTY)
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make one."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of today in the place of one that has moved."""
        name = module.__name__
        if name in MOVED:
            warnings.warn(
                f"{name} has moved and will not be found in the next release: "
                "plug-ins import from sim.plugin",
                DeprecationWarning,
                stacklevel=2,
            )
            sys.modules[name] = import_module(MOVED[name])
