"""Generations, as Linux's multi-generational LRU has them: an approximation of it."""

from typing import Final

from sim.policy.replacement.protocol import Page

MIN_NR_GENS: Final = 2
"""Generations that pages are in at least; none leaves while there are no more."""


class MglruLike:
    """Who leaves is of the oldest generation and not marked; the marked come to the youngest.

    A page that is brought in is of the youngest one, and marked, as hardware sets the bit.  Where
    no generation but the youngest two has pages, all marks are looked at together: their pages
    come to the youngest, lose them, and a new generation begins.  So what was not used between two
    looks is older than all that was, in which order ever.

    Of Linux's (`lru_gen` in `mm/vmscan.c`, 6.1 to 6.18) that is how pages age and leave.  Without:
    neighbours that are looked at where one mark is found, tiers of files that are read by calls,
    the balance of anonymous and file pages, and how seldom a look may be worth its time.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._generations: list[dict[Page, None]] = [{}, {}]  # the oldest first, in order of coming
        self._generation_of: dict[Page, dict[Page, None]] = {}
        self._marked: set[Page] = set()

    @property
    def generations(self) -> tuple[tuple[Page, ...], ...]:
        """The pages of each generation, the oldest first; who came first is first."""
        return tuple(tuple(pages) for pages in self._generations)

    @property
    def marked(self) -> frozenset[Page]:
        """The pages that have marks."""
        return frozenset(self._marked)

    def touch(self, page: Page) -> Page | None:
        """See `Replacement`."""
        victim = None
        if page not in self._generation_of:
            if len(self._generation_of) == self._frames:
                victim = self._evict()
            self._join(page)
        self._marked.add(page)
        return victim

    def _join(self, page: Page) -> None:
        """Put a page at the end of the youngest generation."""
        self._generation_of.get(page, {}).pop(page, None)
        self._generations[-1][page] = None
        self._generation_of[page] = self._generations[-1]

    def _evict(self) -> Page:
        while True:
            while not self._generations[0] and len(self._generations) > MIN_NR_GENS:
                del self._generations[0]
            if len(self._generations) <= MIN_NR_GENS:
                self._age()
                continue
            page = next(iter(self._generations[0]))
            if page not in self._marked:
                del self._generation_of[page], self._generations[0][page]
                return page
            self._marked.remove(page)
            self._join(page)

    def _age(self) -> None:
        """Have the marked come to the youngest generation, the oldest first; begin another."""
        for page in [page for pages in self._generations for page in pages]:
            if page in self._marked:
                self._join(page)
        self._marked.clear()
        self._generations.append({})
