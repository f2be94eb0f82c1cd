"""Any page, by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from sim.policy.replacement.protocol import Page


class Random:
    """Each page in memory is as likely to leave as any other."""

    def __init__(self, frames: int, rng: np.random.Generator) -> None:
        self._frames = frames
        self._rng = rng
        self._pages: list[Page] = []
        self._resident: set[Page] = set()

    def touch(self, page: Page) -> Page | None:
        """See `Replacement`."""
        if page in self._resident:
            return None
        self._resident.add(page)
        if len(self._pages) < self._frames:
            self._pages.append(page)
            return None
        frame = int(self._rng.integers(self._frames))
        victim = self._pages[frame]
        self._pages[frame] = page
        self._resident.remove(victim)
        return victim
