"""What a drawing has in its columns: the pages of all regions, with those nobody touches folded.

Columns are the same in every picture of a story, so that pictures can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.errors import ScenarioError
from sim.host.walk.names import STACK
from sim.machine.areas import STACK_TOP_VPN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.host.walk.state import State
    from sim.host.walk.story import Story

MOST_COLUMNS: Final = 96
"""Columns of a drawing that still can be read."""
_FEW_PAGES: Final = 8
"""A region this small is drawn whole."""
_SHORT_RUN: Final = 2
"""As many untouched pages in a row are drawn, not folded."""


@dataclass(frozen=True, slots=True)
class Column:
    """One page, or a stretch [vpn, end) of pages that nobody ever touches.

    Such pages have no entry, or the zero page where a huge entry covers them.
    """

    vpn: int
    end: int
    label: str

    @property
    def is_fold(self) -> bool:
        """Whether it stands for several pages."""
        return self.end - self.vpn > 1


@dataclass(frozen=True, slots=True)
class Block:
    """The columns of one region; the stack has one."""

    label: str
    columns: tuple[Column, ...]

    @property
    def start(self) -> int:
        """First page."""
        return self.columns[0].vpn

    @property
    def end(self) -> int:
        """The page behind the last."""
        return self.columns[-1].end


def states(story: Story) -> Iterator[State]:
    """Yield what memory looked like at first, and after each operation."""
    if story.opening is not None:
        yield story.opening
    for chapter in story.chapters:
        if chapter.after is not None:
            yield chapter.after


def blocks(story: Story) -> list[Block]:
    """Return the regions of a story, in address order; the stack is last.

    Raises `ScenarioError` where there are too many pages for a drawing.
    """
    used = {
        vpn
        for state in states(story)
        for space in state.spaces
        for vpn, entry in space.entries.items()
        if not entry.zero
    }
    used |= {touch.vpn for chapter in story.chapters for touch in chapter.effects.touches}
    found = []
    places = story.names.places()
    ends = [*list(places)[1:], STACK_TOP_VPN]
    for (start, place), end in zip(places.items(), ends, strict=False):
        pages = min(place.pages, end - start)
        columns = tuple(_columns(start, pages, used, place.label))
        found.append(Block(place.label, columns))
    stack = STACK_TOP_VPN - 1
    found.append(Block(STACK, (Column(stack, stack + 1, STACK),)))
    total = sum(len(block.columns) for block in found)
    if total > MOST_COLUMNS:
        raise ScenarioError(
            f"the script touches {total} pages, too many to draw; draw {MOST_COLUMNS} at most"
        )
    return found


def _columns(start: int, pages: int, used: set[int], label: str) -> Iterator[Column]:
    vpn, end = start, start + pages
    while vpn < end:
        upto = vpn
        while upto < end and upto not in used and pages > _FEW_PAGES:
            upto += 1
        if upto - vpn > _SHORT_RUN:
            yield Column(vpn, upto, f"{vpn - start}–{upto - 1 - start}")
            vpn = upto
        else:
            yield Column(vpn, vpn + 1, f"{label}{vpn - start}")
            vpn += 1


def changed_entries(before: State | None, after: State) -> set[tuple[int, int]]:
    """Return (address space, page) wherever an entry came, went or changed, but for its bits.

    Only frame and permission count.
    """
    if before is None:
        return set()
    old = {space.slot: space for space in before.spaces}
    found = set()
    for space in after.spaces:
        entries = old[space.slot].entries if space.slot in old else {}
        for vpn in entries.keys() | space.entries.keys():
            was, now = entries.get(vpn), space.entries.get(vpn)
            if was is None or now is None or (was.pfn, was.writable) != (now.pfn, now.writable):
                found.add((space.slot, vpn))
    return found


def changed_frames(before: State | None, after: State) -> set[int]:
    """Return the frames that were taken or given back, or have another number of references.

    One that went from hand to hand counts as taken.
    """
    if before is None:
        return set()
    pairs = zip(before.frames, after.frames, strict=True)
    return {
        pfn
        for pfn, (a, b) in enumerate(pairs)
        if (a.use, a.refs, a.page) != (b.use, b.refs, b.page)
    }
