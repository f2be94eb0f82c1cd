"""What one operation of a script of malloc and free did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.script.malloc.grammar import UNCOUNTED_VERBS, Operation


@dataclass(frozen=True, slots=True)
class HeapFigures:
    """The heap of one process, in pages.

    `rss`: resident, all areas of the heap together (``Anonymous`` of ``/proc/PID/smaps_rollup``,
    less that of the program without a heap); `size`: mapped (``VmSize``, likewise).
    """

    process: str
    rss: int
    size: int

    def __str__(self) -> str:
        return f"  {self.process} rss={self.rss} size={self.size}"


@dataclass(frozen=True, slots=True)
class HeapRecord:
    """One operation, the minor faults of the thread during it, and every heap after it."""

    operation: Operation
    minflt: int
    figures: tuple[HeapFigures, ...]
    ending: str = ""

    @property
    def is_counted(self) -> bool:
        """Whether the faults are compared with a real run."""
        return self.operation.verb not in UNCOUNTED_VERBS

    def headline(self) -> str:
        """Return the operation's line of the output."""
        ending = f" ending={self.ending}" if self.ending else ""
        return f"{self.operation} minflt={self.minflt}{ending}"

    def __str__(self) -> str:
        return "\n".join((self.headline(), *map(str, self.figures)))

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return {
            "minflt": self.minflt,
            "ending": self.ending,
            "figures": [{"process": f.process, "rss": f.rss, "size": f.size} for f in self.figures],
        }
