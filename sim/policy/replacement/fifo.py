"""First in, first out."""

from sim.policy.replacement.protocol import Page


class Fifo:
    """The page that has been in memory longest leaves, used or not."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._pages: dict[Page, None] = {}
        """In order of arrival."""

    def touch(self, page: Page) -> Page | None:
        """See `Replacement`."""
        if page in self._pages:
            return None
        victim = None
        if len(self._pages) == self._frames:
            victim = next(iter(self._pages))
            del self._pages[victim]
        self._pages[page] = None
        return victim
