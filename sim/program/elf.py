"""Static ELF executables as images: what the kernel's loader makes of their program headers.

Read in Linux 6.12 `fs/binfmt_elf.c`, `elf_load`; the format in ``man 5 elf``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from sim.base.files import read_at_most, read_whole
from sim.base.units import PAGE_BYTES
from sim.program.image import ProgramImage, Segment

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES: Final = 1 << 30
"""Of an executable."""

_IDENT: Final = b"\x7fELF\x02\x01\x01"
"""64 bits, little endian, version 1."""
_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER: Final = struct.Struct("<IIQQQQQQ")
_ET_EXEC: Final = 2
_PT_LOAD: Final = 1
_PT_INTERP: Final = 3
_PF_X: Final = 1
_PF_W: Final = 2


def read_elf(path: Path) -> ProgramImage:
    """Return the image of a static executable for fixed addresses; it touches nothing by itself.

    Raises `ValueError` if the file is anything else, and `OSError` if it cannot be read.
    """
    data = read_whole(path, MOST_BYTES)
    if len(data) < _HEADER.size or not data.startswith(_IDENT):
        raise ValueError(f"{path} is no 64-bit little-endian ELF file; give a static executable")
    _, kind, _, _, _, at, _, _, _, size, count, _, _, _ = _HEADER.unpack_from(data)
    if at + size * count > len(data) or (count and size != _PROGRAM_HEADER.size):
        raise ValueError(f"{path} is cut short, or its program headers are not of this format")
    headers = [_PROGRAM_HEADER.unpack_from(data, at + size * i) for i in range(count)]
    if kind != _ET_EXEC or any(header[0] == _PT_INTERP for header in headers):
        raise ValueError(
            f"{path} is dynamically linked or position-independent; link it with -static -no-pie"
        )
    segments: list[Segment] = []
    end = 0
    for kind, flags, offset, address, _, in_file, in_memory, _ in headers:
        if kind == _PT_LOAD:
            segments += _loaded(str(path), flags, offset, address, in_file, in_memory)
            end = max(end, address + in_memory)
    return ProgramImage(
        segments=tuple(segments),
        files=((str(path), -(-len(data) // PAGE_BYTES)),),
        touches=(),
        heap_vpn=-(-end // PAGE_BYTES),
        source=str(path),
    )


def entry_vpn(path: Path) -> int:
    """Return the page in which an ELF executable begins to run."""
    header = read_at_most(path, _HEADER.size)
    return int(_HEADER.unpack(header)[4]) // PAGE_BYTES


def _loaded(
    file: str, flags: int, offset: int, address: int, in_file: int, in_memory: int
) -> list[Segment]:
    """Return the areas of one PT_LOAD header: what is in the file, and bss behind it."""
    first = address // PAGE_BYTES
    mapped = -(-(address + in_file) // PAGE_BYTES) if in_file else first
    end = -(-(address + in_memory) // PAGE_BYTES)
    writable, text = bool(flags & _PF_W), bool(flags & _PF_X)
    segments = []
    if mapped > first:
        clears = in_memory > in_file and (address + in_file) % PAGE_BYTES != 0 and writable
        at = offset // PAGE_BYTES
        segments.append(Segment(first, mapped - first, writable, file, at, clears, text))
    if end > mapped:
        segments.append(Segment(mapped, end - mapped, True))
    return segments
