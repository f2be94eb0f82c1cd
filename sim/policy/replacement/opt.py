"""OPT: who knows the future."""

from collections.abc import Sequence
from heapq import heappop, heappush

from sim.policy.replacement.protocol import Page


class Opt:
    """The page that is used next at the latest time leaves; no policy has fewer faults.

    Of pages that are never used again the one whose last use is longest ago leaves, so that who has
    more frames holds whatever who has fewer does.  L. A. Belady (1966), A study of replacement
    algorithms for a virtual-storage computer, IBM Systems Journal 5(2).

    `references` are all pages that will be touched, in that order.
    """

    def __init__(self, frames: int, references: Sequence[Page]) -> None:
        self._frames = frames
        self._references = references
        self._next = next_uses(references)
        self._now = 0
        self._next_of: dict[Page, int] = {}
        """When each page in memory is used next."""
        self._latest: list[tuple[int, int]] = []
        """Next uses, the latest first, each with the last use; some of them are past."""

    def touch(self, page: Page) -> Page | None:
        """See `Replacement`.  Raises `ValueError` for a page that was not to come now."""
        now, self._now = self._now, self._now + 1
        if now >= len(self._references) or self._references[now] != page:
            raise ValueError(f"{page!r} is not what reference {now} was said to be")
        victim = None
        if page not in self._next_of and len(self._next_of) == self._frames:
            victim = self._farthest()
            del self._next_of[victim]
        self._next_of[page] = self._next[now]
        heappush(self._latest, (-self._next[now], now))
        return victim

    def _farthest(self) -> Page:
        while True:
            next_use, last_use = heappop(self._latest)
            page = self._references[last_use]
            if self._next_of.get(page) == -next_use:
                return page


def next_uses(references: Sequence[Page]) -> list[int]:
    """Return for each reference the place of the next one to the same page; the end if none is.

    >>> next_uses("abca")
    [3, 4, 4, 4]
    """
    found = [0] * len(references)
    coming: dict[Page, int] = {}
    for place in range(len(references) - 1, -1, -1):
        found[place] = coming.get(references[place], len(references))
        coming[references[place]] = place
    return found
