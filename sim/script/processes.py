"""The processes of a script on a simulated machine, and who watches what they do."""

from dataclasses import dataclass, field
from typing import Protocol

from sim.machine.layout import NONE


@dataclass(slots=True)
class ScriptedRegion:
    """Where a named region lies: first page and size in pages; and the file that it maps.

    `made_pages` is the size it was made with: up to the next 2 MiB boundary it may grow again.
    """

    start: int
    pages: int
    file: int = NONE
    made_pages: int = 0
    dontfork: bool = False


@dataclass(slots=True)
class ScriptedProcess:
    """A process of a script: its row among the tasks, its CPU, its regions by name.

    `born` says how many there were before it; `parent` is that of its parent, None of the first.
    """

    row: int
    cpu: int
    born: int = 0
    parent: int | None = None
    regions: dict[str, ScriptedRegion] = field(default_factory=dict)


class Watch(Protocol):
    """Is told of every step of a machine."""

    def before(self, process: ScriptedProcess) -> None:
        """Take note that `process` is about to make a step; it may yet be refused."""

    def after(self, process: ScriptedProcess) -> None:
        """Take note that the step was made: its receipt is the machine's."""

    def invalid(self, process: ScriptedProcess) -> None:
        """Take note that the step was refused for good: an access that may not be."""
