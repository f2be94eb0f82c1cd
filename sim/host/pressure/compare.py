"""A script that needs swap, predicted and carried out: what of it differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.host.pressure.real import touch_really
from sim.script.pressure.predict import IN_MEMORY, SWAPPED, touch_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.script.pressure.grammar import PressureScript
    from sim.script.pressure.predict import Told, Touches

TRIES: Final = 3
"""Runs of a script until one is as predicted.

Every two seconds the kernel flushes the statistics that it reclaims by, and what it counts it
counts for the whole machine: a run in which either happened differs from the next one.
"""
ALSO_OTHERS: Final = ("pgactivate", "pgdeactivate")
"""What every program on the machine adds to, by using files: here more of it proves nothing."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A script, its prediction, and how far the closest of its `tries` was from it.

    `pages` are another in memory or swap than predicted, over all maps, None where nothing could be
    compared; `counts` are the names that differ.
    """

    name: str
    script: PressureScript
    predicted: Touches
    real: Touches | None = None
    tries: int = 0
    pages: int | None = None
    counts: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether a run was exactly as predicted."""
        return self.pages == 0 and not self.counts

    @property
    def swaps(self) -> bool:
        """Whether anything is to be swapped out: a script that fits says little."""
        return any(told.counts.get("pswpout", 0) for told in self.predicted.told)

    def distance(self) -> tuple[int, int]:
        """Return how far the run was from what was predicted."""
        return self.pages or 0, len(self.counts)

    def line(self) -> str:
        """Return it as it is printed."""
        total = {
            name: sum(told.counts.get(name, 0) for told in self.predicted.told)
            for name in ("pswpout", "pswpin", "pgscan_anon", "major")
        }
        told = " ".join(f"{name}={n}" for name, n in total.items())
        if self.predicted.killed is not None:
            told += f" killed at step {self.predicted.killed}"
            if self.predicted.close:
                told += ", its process or another"
            elif self.predicted.bystander:
                told += ", another than its process"
        start = f"{self.name} limit={self.script.limit_pages} swappiness={self.script.swappiness}"
        start += f" processes={len(self.script.processes)}"
        if self.tries == 0:
            return f"{start} {told}"
        if self.holds:
            return f"{start} {told} equal, try {self.tries}"
        if self.pages is None:
            return f"{start} {told} DIFFERENT: killed elsewhere, or not at all"
        other = f", {' '.join(self.counts)}" if self.counts else ""
        return f"{start} {told} DIFFERENT: {self.pages} pages{other}"

    def steps(self) -> Iterator[str]:
        """Yield a line for each of the script's: what was counted, and where its pages are.

        What the kernel has otherwise is behind a `!`.
        """
        processes = list(self.script.processes)
        regions = list(self.script.regions)
        real = self.real.told if self.real is not None else []
        for number, told in enumerate(self.predicted.told):
            theirs = real[number] if number < len(real) else told
            wrong_counts = differing(told, theirs)
            words = [
                f"{name}={n}" + (f"!{theirs.counts[name]}" if name in wrong_counts else "")
                for name, n in told.counts.items()
            ]
            for (process, region), pages in told.maps.items():
                wrong = int((pages != theirs.maps[process, region]).sum())
                words.append(
                    f"{processes[process]}.{regions[region]}={int((pages == IN_MEMORY).sum())}"
                    f"+{int((pages == SWAPPED).sum())}" + (f"!{wrong}" if wrong else "")
                )
            yield f"  {_short(str(self.script.lines[number]))}: {' '.join(words)}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "limit_pages": self.script.limit_pages,
            "swappiness": self.script.swappiness,
            "processes": len(self.script.processes),
            "counts": [told.counts for told in self.predicted.told],
            "killed_at_step": self.predicted.killed,
            "resident": [_pages(told, IN_MEMORY) for told in self.predicted.told],
            "swapped": [_pages(told, SWAPPED) for told in self.predicted.told],
            "tries": self.tries,
            "different_pages": self.pages,
            "different_counts": list(self.counts),
        }


def compare(name: str, script: PressureScript, *, kernel: bool) -> Compared:
    """Predict a script, and carry it out until a run is as predicted; swap is on."""
    predicted = touch_pages(script)
    if not kernel:
        return Compared(name, script, predicted)
    closest = killed = None
    for number in range(1, TRIES + 1):
        real = touch_really(script)
        if not _end_alike(predicted, real):
            killed = Compared(name, script, predicted, real, number, None, ("killed",))
            continue
        pairs = list(zip(predicted.told, real.told, strict=False))
        pages = sum(_different_pages(mine, theirs) for mine, theirs in pairs)
        counts = {key for mine, theirs in pairs for key in differing(mine, theirs)}
        found = Compared(name, script, predicted, real, number, pages, tuple(sorted(counts)))
        if found.holds:
            return found
        closest = found if closest is None else min(closest, found, key=Compared.distance)
    found_worst = closest or killed
    assert found_worst is not None
    return found_worst


def differing(mine: Told, theirs: Told) -> list[str]:
    """Return the names of what was counted otherwise than predicted."""
    return [
        key
        for key, n in theirs.counts.items()
        if mine.counts[key] != n and not (key in ALSO_OTHERS and mine.counts[key] < n)
    ]


def _end_alike(mine: Touches, theirs: Touches) -> bool:
    """Whether somebody was killed at the same step, or nobody.

    The death of one that may stand by is seen when it is over; until then the script goes on.
    """
    if mine.bystander or mine.close:
        late = theirs.killed is not None and theirs.killed >= (mine.killed or 0)
        return late and len(theirs.told) >= len(mine.told)
    return mine.killed == theirs.killed and len(mine.told) == len(theirs.told)


def _different_pages(mine: Told, theirs: Told) -> int:
    return sum(int((pages != theirs.maps[key]).sum()) for key, pages in mine.maps.items())


def _pages(told: Told, state: int) -> int:
    return sum(int(np.count_nonzero(pages == state)) for pages in told.maps.values())


def _short(line: str) -> str:
    return line if len(line) <= 48 else f"{line[:45]}..."
