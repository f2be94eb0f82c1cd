"""What a drawing has in its columns: the pages of all regions, many that are alike folded into one.

Columns are the same in every picture of a story, so that pictures can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.base.errors import ScenarioError
from sim.machine.areas import STACK_TOP_VPN
from sim.walk.tell.names import STACK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.walk.tell.state import Entry, State
    from sim.walk.tell.story import Story

MOST_COLUMNS: Final = 96
"""Columns of a drawing that still can be read."""
_FEW_PAGES: Final = 8
"""A region this small is drawn whole."""
_SHORT_RUN: Final = 2
"""As many untouched pages in a row are drawn, not folded."""
_LONG_RUN: Final = 16
"""As many pages in a row that have entries, but always look alike, are drawn, not folded."""


@dataclass(frozen=True, slots=True)
class Column:
    """One page, or a stretch [vpn, end) of pages that nobody ever touches, or that look alike.

    Untouched pages have no entry, or the zero page where a huge entry covers them.  Pages that look
    `alike` have entries alike, for frames in a row with as many references, at any time.
    """

    vpn: int
    end: int
    label: str
    alike: bool = False

    @property
    def is_fold(self) -> bool:
        """Whether it stands for several pages."""
        return self.end - self.vpn > 1

    def span(self, number: int) -> str:
        """Return the numbers of as many frames as it has pages: ``512–1023``."""
        return f"{number}–{number + self.end - self.vpn - 1}" if self.alike else str(number)


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
    looks = _looks(story)
    edges = {
        vpn
        for state in states(story)
        for space in state.spaces
        for area in space.areas
        for vpn in (area.start, area.end)
    }
    found = []
    places = story.names.places()
    ends = [*list(places)[1:], STACK_TOP_VPN]
    for (start, place), end in zip(places.items(), ends, strict=False):
        pages = min(place.pages, end - start)
        columns = tuple(_columns(start, pages, used, looks, edges, place.label))
        found.append(Block(place.label, columns))
    stack = STACK_TOP_VPN - 1
    found.append(Block(STACK, (Column(stack, stack + 1, STACK),)))
    total = sum(len(block.columns) for block in found)
    if total > MOST_COLUMNS:
        raise ScenarioError(
            f"the script touches {total} pages or stretches of pages that look alike, too many to "
            f"draw; draw {MOST_COLUMNS} at most"
        )
    return found


def _looks(story: Story) -> dict[int, list[tuple[object, ...]]]:
    """Return what each page that has an entry or lies in the page cache looks like, in each state.

    Frames are relative to the page's number, so that those in a row look alike.
    """
    looks: dict[int, list[tuple[object, ...]]] = {}
    for n, state in enumerate(states(story)):
        for space in state.spaces:
            for vpn, e in space.entries.items():
                frame = state.frames[e.pfn]
                at = 0 if e.zero else e.pfn - vpn
                look = (n, space.slot, at, e.writable, e.huge, frame.use, frame.refs)
                looks.setdefault(vpn, []).append(look)
        for vpn, pfn in state.cache.items():
            looks.setdefault(vpn, []).append((n, pfn - vpn, state.frames[pfn].refs))
    return looks


def _columns(
    start: int,
    pages: int,
    used: set[int],
    looks: dict[int, list[tuple[object, ...]]],
    edges: set[int],
    label: str,
) -> Iterator[Column]:
    vpn, end = start, start + pages
    while vpn < end:
        upto = vpn
        while upto < end and upto not in used and pages > _FEW_PAGES:
            upto += 1
        if upto - vpn > _SHORT_RUN:
            yield Column(vpn, upto, f"{vpn - start}–{upto - 1 - start}")
            vpn = upto
            continue
        upto = vpn + 1
        while upto < end and upto not in edges and looks.get(upto) == looks.get(vpn) is not None:
            upto += 1
        if upto - vpn > _LONG_RUN:
            yield Column(vpn, upto, f"{label}{vpn - start}–{upto - 1 - start}", alike=True)
            vpn = upto
        else:
            yield Column(vpn, vpn + 1, f"{label}{vpn - start}")
            vpn += 1


def changed_entries(before: State | None, after: State) -> set[tuple[int, int]]:
    """Return (address space, page) wherever an entry came, went or changed, but for its bits.

    Only frame, permission, and whether it is part of a huge entry count.
    """
    if before is None:
        return set()
    old = {space.slot: space for space in before.spaces}
    found = set()
    for space in after.spaces:
        entries = old[space.slot].entries if space.slot in old else {}
        for vpn in entries.keys() | space.entries.keys():
            was, now = entries.get(vpn), space.entries.get(vpn)
            if was is None or now is None or _target(was) != _target(now):
                found.add((space.slot, vpn))
    return found


def _target(entry: Entry) -> tuple[int, bool, bool]:
    return entry.pfn, entry.writable, entry.huge


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
