"""Scripts of reads under a limit, predicted and carried out: how many pages are elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.host.compare import Band
from sim.host.conditions import file_folder, read_ahead_pages
from sim.script.filepage.predict import read_pages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sim.host.filepage.real import FileReader, Reads
    from sim.script.filepage.grammar import PageScript
    from sim.script.filepage.predict import PageReads

TRIES: Final = 5
"""Runs of a script of which the closest counts.

Every two seconds the kernel flushes the statistics that it reclaims by: a run in which it did
differs from the next one.
"""
STOLEN: Final = "pgsteal_file"
REFAULTS: Final = "workingset_refault_file"
BAND: Final = Band(exact=0.9, close=2)
"""What is claimed of random scripts, in pages."""
MOST_AHEAD: Final = 2048
"""Pages that are read ahead where the kernel does not say: 8 MiB, as virtual disks have it."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A script, its prediction, and the run that came closest, if it was run at all.

    `different` counts pages, over all maps, that one side has in the page cache and the other not.
    `counted` are what was reclaimed and how often a page came back, as predicted and as the kernel
    has it, where that is asked for.
    """

    name: str
    limit_pages: int
    predicted: PageReads
    real: Reads | None = None
    different: int = 0
    counted: tuple[tuple[int, int], ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether the kernel was asked, and all that is compared is the same."""
        return self.real is not None and self.apart == (0, 0)

    @property
    def apart(self) -> tuple[int, int]:
        """How far the two sides are apart: by pages in the page cache, then by what was counted."""
        return self.different, sum(abs(mine - real) for mine, real in self.counted)

    @property
    def resident(self) -> tuple[int, int]:
        """Pages in the page cache at the end, as predicted and as they were (-1: not asked)."""
        real = -1 if self.real is None else _resident(self.real.resident)
        return _resident(self.predicted.resident), real

    @property
    def resident_each(self) -> tuple[str, str]:
        """The same at each map, in words; "" where the kernel was not asked."""
        real = [] if self.real is None else self.real.resident
        told = [", ".join(str(_resident([row])) for row in maps) for maps in (self.mine, real)]
        return told[0], told[1]

    @property
    def mine(self) -> list[list[NDArray[np.bool_]]]:
        """The predicted maps."""
        return self.predicted.resident

    def line(self) -> str:
        """Return it as it is printed: predicted, then the kernel's."""
        mine, real = self.resident
        stolen = str(self.predicted.counts[STOLEN])
        start = f"{self.name} limit={self.limit_pages}"
        if self.real is None:
            return f"{start} resident={mine} stolen={stolen}"
        stolen += f"/{self.real.counts['pgsteal_file']}"
        return f"{start} resident={mine}/{real} stolen={stolen} different={self.different}"

    def to_json(self) -> dict[str, Any]:
        """Return both sides as plain JSON values, of each file the ranges of pages at the end."""
        sides = {"predicted": self.predicted, "kernel": self.real}
        return {
            "limit_pages": self.limit_pages,
            "different": None if self.real is None else self.different,
            **{
                name: None
                if side is None
                else {
                    "counts": side.counts,
                    "maps": [[ranges(file) for file in row] for row in side.resident],
                }
                for name, side in sides.items()
            },
        }


def ranges(resident: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the ranges [first, end) of pages that are there."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], resident, [False]]).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def _resident(maps: Sequence[Sequence[NDArray[np.bool_]]]) -> int:
    return sum(int(file.sum()) for file in maps[-1])


def predict(script: PageScript, limit_pages: int, *, random: bool = True) -> PageReads:
    """Return what becomes of a script, with the read-ahead of the device that its files are on."""
    folder = file_folder()
    ahead = None if folder is None else read_ahead_pages(folder)
    return read_pages(
        script.steps,
        script.pages,
        limit_pages=limit_pages,
        random=random,
        read_ahead=ahead or MOST_AHEAD,
    )


def compare(
    reader: FileReader | None,
    name: str,
    script: PageScript,
    limit_pages: int,
    *,
    random: bool = True,
    count: bool = False,
) -> Compared:
    """Predict a script and carry it out until there is no difference, `TRIES` times at most.

    With `count`, what was reclaimed and how often a page came back is compared too.
    """
    predicted = predict(script, limit_pages, random=random)
    best = Compared(name, limit_pages, predicted)
    if reader is None:
        return best
    mine = np.concatenate([file for row in predicted.resident for file in row])
    stolen, refaults = (predicted.counts[name] for name in (STOLEN, REFAULTS))
    for _ in range(TRIES):
        real = reader.run(
            script,
            limit_pages=limit_pages,
            random=random,
            freed_at=predicted.nodes_freed,
            refaults=refaults if count else None,
        )
        told = np.concatenate([file for row in real.resident for file in row])
        different = int((mine != told).sum())
        counted = ((stolen, real.counts[STOLEN]), (refaults, real.refaults)) if count else ()
        found = Compared(name, limit_pages, predicted, real, different, counted)
        if best.real is None or found.apart < best.apart:
            best = found
        if found.is_equal:
            break
    return best
