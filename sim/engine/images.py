"""Putting programs into a machine, for exec to find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.machine.images import SegmentRow
from sim.machine.layout import A_ACCOUNT, A_READ, A_WRITE, NONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.machine.machine import Machine
    from sim.workload.image import ProgramImage, Segment


def install(machine: Machine, image: ProgramImage, file_named: Callable[[str, int], int]) -> int:
    """Return the row of `image` in the machine.

    ``file_named(name, pages)`` gives the row of a file, made if need be.
    """
    sizes = dict(image.files)

    def row_of(segment: Segment) -> SegmentRow:
        start = segment.start_vpn
        return SegmentRow(
            start,
            start + segment.pages,
            A_READ | (A_WRITE | A_ACCOUNT if segment.writable else 0),
            file_named(segment.file, sizes[segment.file]) if segment.file else NONE,
            segment.offset,
            segment.clears,
        )

    return machine.images.add(
        tuple(row_of(segment) for segment in image.segments),
        tuple((touch.vpn, touch.write) for touch in image.touches),
        heap=image.heap_vpn,
    )
