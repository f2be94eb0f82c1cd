"""Putting programs into a machine, for exec to find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.base.units import pages_for
from sim.machine.images import SegmentRow
from sim.machine.layout import A_ACCOUNT, A_EXEC, A_READ, A_WRITE, NONE
from sim.program.presets import program_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.machine.machine import Machine
    from sim.program.api import Image
    from sim.program.image import ProgramImage, Segment


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
            A_READ
            | (A_WRITE | A_ACCOUNT if segment.writable else 0)
            | (A_EXEC if segment.text else 0),
            file_named(segment.file, sizes[segment.file]) if segment.file else NONE,
            segment.offset,
            segment.clears,
        )

    return machine.images.add(
        tuple(row_of(segment) for segment in image.segments),
        tuple((touch.vpn, touch.write) for touch in image.touches),
        heap=image.heap_vpn,
    )


@dataclass(frozen=True, slots=True)
class Installed:
    """A program in a machine: what exec and the start of the program need to know of it."""

    row: int
    stack_limit_pages: int
    stack_pages: int
    touches: int


class Shelf:
    """The programs of one machine, each put into it when it is first wanted."""

    def __init__(self, machine: Machine, file_named: Callable[[str, int], int]) -> None:
        self._machine = machine
        self._file_named = file_named
        self._sizes: dict[str, int] = {}
        self._installed: dict[str | Image, Installed] = {}

    def find(self, program: str | Image) -> Installed:
        """Return a program that ships, or one described by sizes; raises `ScenarioError`."""
        found = self._installed.get(program)
        if found is None:
            image = program_image(program)
            found = self._installed[program] = Installed(
                install(self._machine, image, self._file_of_a_program),
                pages_for(image.stack_bytes),
                image.stack_pages,
                len(image.touches),
            )
        return found

    def _file_of_a_program(self, name: str, pages: int) -> int:
        """Return the row of a file; one of the same name and another size is another file."""
        if self._sizes.setdefault(name, pages) != pages:
            name = f"{name} ({pages} pages)"
        return self._file_named(f"program:{name}", pages)
