"""CLOCK: second chance, with a hand."""

from sim.policy.replacement.protocol import Page


class Clock:
    """A hand goes round the frames and takes the first page that is not marked as referenced.

    It takes the mark of each other page that it passes.  A use marks a page, the one that brings it
    in as well, as hardware sets the bit.  F. J. Corbato (1968), A paging experiment with the
    Multics system, MIT Project MAC.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._pages: list[Page] = []
        self._referenced: list[bool] = []
        self._frame_of: dict[Page, int] = {}
        self._hand = 0

    @property
    def hand(self) -> int:
        """The frame, from 0, that it looks at first when it needs one."""
        return self._hand

    @property
    def marks(self) -> tuple[bool, ...]:
        """Whether the page of each frame that is in use is marked."""
        return tuple(self._referenced)

    def touch(self, page: Page) -> Page | None:
        """See `Replacement`."""
        frame = self._frame_of.get(page)
        if frame is not None:
            self._referenced[frame] = True
            return None
        victim = None
        if len(self._pages) < self._frames:
            self._pages.append(page)
            self._referenced.append(True)
        else:
            while self._referenced[self._hand]:
                self._referenced[self._hand] = False
                self._advance()
            victim = self._pages[self._hand]
            del self._frame_of[victim]
            self._pages[self._hand] = page
            self._referenced[self._hand] = True
        self._frame_of[page] = self._hand
        self._advance()
        return victim

    def _advance(self) -> None:
        self._hand = (self._hand + 1) % self._frames
