"""Scripts of reads under a limit, predicted and carried out: how many pages are elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.host.conditions import file_folder, read_ahead_pages
from sim.script.filepage import random_steps, read_pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sim.host.filepage.real import FileReader, Reads
    from sim.script.filepage import PageReads

TRIES: Final = 5
"""Runs of a script of which the closest counts.

Every two seconds the kernel flushes the statistics that it reclaims by, and whoever runs on the
same CPU fills the same batches: a run may differ from the next one by some pages.
"""
FILE_PAGES: Final = (700, 500, 400)
READS: Final = 3500
LIMITS: Final = (450, 1100)
"""Sizes of the files of random scripts, reads in each, and between which limits."""
MOST_AHEAD: Final = 2048
"""Pages that are read ahead where the kernel does not say: 8 MiB, as virtual disks have it."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A script, its prediction, and the run that came closest.

    `different` counts pages, over all maps, that one side has in the page cache and the other not.
    """

    name: str
    limit_pages: int
    predicted: PageReads
    real: Reads
    different: int

    @property
    def resident(self) -> tuple[int, int]:
        """Pages in the page cache at the end, as predicted and as they were."""
        return _resident(self.predicted.resident), _resident(self.real.resident)

    def line(self) -> str:
        """Return it as it is printed."""
        mine, real = self.resident
        stolen = self.predicted.counts["pgsteal_file"], self.real.counts["pgsteal_file"]
        return (
            f"{self.name:<12} limit={self.limit_pages:<6} resident={mine}/{real} "
            f"stolen={stolen[0]}/{stolen[1]} different={self.different}"
        )


def _resident(maps: Sequence[Sequence[NDArray[np.bool_]]]) -> int:
    return sum(int(file.sum()) for file in maps[-1])


def compare(
    reader: FileReader,
    name: str,
    steps: NDArray[np.int64],
    pages: Sequence[int],
    limit_pages: int,
    *,
    random: bool = True,
) -> Compared:
    """Predict a script and carry it out until there is no difference, `TRIES` times at most."""
    folder = file_folder()
    ahead = None if folder is None else read_ahead_pages(folder)
    predicted = read_pages(
        steps, pages, limit_pages=limit_pages, random=random, read_ahead=ahead or MOST_AHEAD
    )
    mine = np.concatenate([file for row in predicted.resident for file in row])
    best: Compared | None = None
    for _ in range(TRIES):
        real = reader.run(steps, limit_pages=limit_pages, random=random)
        told = np.concatenate([file for row in real.resident for file in row])
        different = int((mine != told).sum())
        if best is None or different < best.different:
            best = Compared(name, limit_pages, predicted, real, different)
        if different == 0:
            break
    assert best is not None
    return best


def random_scripts(reader: FileReader, scripts: int, seed: int) -> Iterator[Compared]:
    """Compare so many random scripts of a `reader` of files of `FILE_PAGES`."""
    for number in range(scripts):
        draw = np.random.default_rng((seed, number))
        limit = int(draw.integers(*LIMITS))
        steps = random_steps(FILE_PAGES, READS, int(draw.integers(1 << 31)))
        yield compare(reader, f"random {number}", steps, FILE_PAGES, limit)
