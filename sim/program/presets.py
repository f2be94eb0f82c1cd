"""Programs that ship, by name, and programs described by sizes, as images that exec can lay out.

A shipped one (``configs/programs``) is a recording of a real program: where its pages lie, its own,
those of its dynamic linker and libraries, and which of them it touches, in order, from the first
instruction to its end with next to nothing to do.  Each file says what was recorded, and where.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sim.base.resources import config_path, shipped
from sim.base.units import PAGE_BYTES, pages_for
from sim.program.image import STACK_BYTES, TEXT_VPN, ProgramImage, Segment, Touch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.program.api import Image

VERSION: Final = 1
_KINDS: Final = frozenset({"r", "rx", "rw", "rwz"})
"""Kinds of segments in a recording: by the letters, is it writable, executable, zeroed at its end.
"""


def preset_names() -> tuple[str, ...]:
    """Return the names of the programs that ship."""
    return tuple(shipped("programs"))


def program_image(program: str | Image) -> ProgramImage:
    """Return the image of a program that ships, or of one described by sizes.

    Raises `ScenarioError` if none of that name ships.
    """
    return preset(program) if isinstance(program, str) else described_image(program)


@lru_cache(maxsize=64)
def preset(name: str) -> ProgramImage:
    """Return the image of a program that ships."""
    return read_recording(json.loads(config_path("programs", name).read_text(encoding="utf-8")))


def read_recording(said: Mapping[str, Any]) -> ProgramImage:
    """Return the image that a recording describes; raises `ValueError` for another version."""
    if said["version"] != VERSION:
        raise ValueError(f"a recording of version {said['version']}, not {VERSION}")
    return ProgramImage(
        segments=tuple(_segment(*line.split()) for line in said["segments"]),
        files=tuple(said["files"].items()),
        touches=tuple(Touch(int(t[1:], 16), t[0] == "w") for t in said["touches"].split()),
        heap_vpn=int(said["heap"], 16),
        stack_pages=said["stack_pages"],
        source=said["source"],
    )


def _segment(start: str, pages: str, kind: str, file: str = "", offset: str = "0") -> Segment:
    if kind not in _KINDS:
        raise ValueError(f"a segment of kind {kind!r}")
    writable, clears, text = (letter in kind for letter in "wzx")
    return Segment(int(start, 16), int(pages), writable, file, int(offset), clears, text)


@lru_cache(maxsize=64)
def described_image(image: Image) -> ProgramImage:
    """Return the image of a static program of these sizes, laid out as a linker does.

    Text lies at 4 MiB, data behind it, both of one file, then bss, which begins in the last page of
    data if that is not full.  The program reads the first `touched` of its text, and writes the
    first of its data and bss, page by page.
    """
    text, data = pages_for(image.text_bytes), pages_for(image.data_bytes)
    end = pages_for(image.data_bytes + image.bss_bytes)
    clears = image.bss_bytes > 0 and image.data_bytes % PAGE_BYTES != 0
    file = image.file or f"a program of {image.text_bytes} + {image.data_bytes} bytes"
    data_vpn = TEXT_VPN + text
    parts = (
        Segment(TEXT_VPN, text, False, file, text=True),
        Segment(data_vpn, data, True, file, text, clears),
        Segment(data_vpn + data, end - data, True),
    )
    segments = tuple(part for part in parts if part.pages > 0)
    touches = tuple(
        Touch(part.start_vpn + page, part.writable)
        for part in segments
        for page in range(_share(part.pages, image.touched))
    )
    return ProgramImage(
        segments=segments,
        files=((file, text + data),) if text + data else (),
        touches=touches,
        heap_vpn=data_vpn + end,
        stack_bytes=image.stack_bytes or STACK_BYTES,
        source="described by sizes",
    )


def _share(pages: int, share: float) -> int:
    """Return how many pages a share of them is, rounded up."""
    return min(pages, -int(-pages * share // 1))
