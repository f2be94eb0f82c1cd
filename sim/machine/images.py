"""Programs as exec knows them: segments, and the pages they touch when they start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.machine.areas import TEXT_VPN

if TYPE_CHECKING:
    from sim.machine.layout import Arrays


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One area of an image, in pages: [start, end), the flags of the area, what it maps.

    `file` is a row of the machine's files, mapped privately from page `offset` on, or NONE.
    `clears` says that exec zeroes the rest of its last page.
    """

    start: int
    end: int
    vm_flags: int
    file: int
    offset: int = 0
    clears: bool = False


class ImageStore:
    """The images of one machine, each known by its row."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._images = self._segments = self._touches = 0
        self.most_segments = 0
        """Segments of the image that has most of them: areas that exec makes in one step."""
        self.add((), (), heap=TEXT_VPN)

    def add(
        self, segments: tuple[SegmentRow, ...], touches: tuple[tuple[int, bool], ...], *, heap: int
    ) -> int:
        """Return the row of a new image.

        `touches` are pages in the order in which the program touches them, and whether it writes
        them; `heap` is the first page of its heap.
        """
        m = self._arrays
        row = self._images
        self._make_room("images", row + 1)
        self._make_room("segments", self._segments + len(segments))
        self._make_room("touches", self._touches + len(touches))
        i = m.images[row]
        i.first, i.n_segments = self._segments, len(segments)
        i.first_touch, i.n_touches = self._touches, len(touches)
        i.heap = heap
        self.most_segments = max(self.most_segments, len(segments))
        for segment in segments:
            s = m.segments[self._segments]
            s.start, s.end, s.vm_flags = segment.start, segment.end, segment.vm_flags
            s.file, s.offset, s.clears = segment.file, segment.offset, int(segment.clears)
            self._segments += 1
        for page, written in touches:
            m.touches[self._touches] = 2 * page + int(written)
            self._touches += 1
        self._images += 1
        return row

    def _make_room(self, name: str, rows: int) -> None:
        while len(getattr(self._arrays, name)) < rows:
            self._arrays.grow(name)
