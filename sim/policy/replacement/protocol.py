"""What a replacement policy must do."""

from collections.abc import Hashable
from typing import Protocol

Page = Hashable
"""A page by its number or its name: a policy asks no more than which pages are the same."""


class Replacement(Protocol):
    """Which page leaves its frame when another needs one and none is free.

    A policy sees pages, never the machine: it cannot change what it decides about.  It has some
    frames, all of them free at the start, and a page that is touched is in one of them afterwards.
    """

    def touch(self, page: Page) -> Page | None:
        """Take note that `page` is used; return the page whose frame it takes.

        None if it had a frame, or if one was free.
        """
