"""Least recently used."""

from sim.policy.replacement.protocol import Page


class Lru:
    """The page whose last use is longest ago leaves.  Exact: every use is seen."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._pages: dict[Page, None] = {}
        """In order of last use."""

    def touch(self, page: Page) -> Page | None:
        """See `Replacement`."""
        victim = None
        if page in self._pages:
            del self._pages[page]
        elif len(self._pages) == self._frames:
            victim = next(iter(self._pages))
            del self._pages[victim]
        self._pages[page] = None
        return victim
