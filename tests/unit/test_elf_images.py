"""ELF files as images, by the kernel loader's rules."""

import struct
from pathlib import Path

import pytest

from sim.program.elf import entry_vpn, read_elf
from sim.program.image import Segment

PAGE = 4096
LOAD, INTERP = 1, 3
R, W, X = 4, 2, 1
EXEC, DYN = 2, 3


def elf(
    folder: Path, headers: list[tuple[int, int, int, int, int, int]], *, kind: int = EXEC
) -> Path:
    """Write an ELF file of 5 pages: (type, flags, offset, address, size in file, in memory)."""
    entry = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01", kind, 62, 1, 0x401010, 64, 0, 0, 64, 56, len(headers), 0, 0, 0,
    )  # fmt: skip
    table = b"".join(
        struct.pack("<IIQQQQQQ", what, flags, offset, at, at, in_file, in_memory, PAGE)
        for what, flags, offset, at, in_file, in_memory in headers
    )
    path = folder / "program"
    path.write_bytes((entry + table).ljust(4 * PAGE + 1, b"\0"))
    return path


def segments(folder: Path, *headers: tuple[int, int, int, int, int, int]) -> list[Segment]:
    return list(read_elf(elf(folder, list(headers))).segments)


def test_text_is_mapped_in_whole_pages(tmp_path: Path) -> None:
    found = segments(tmp_path, (LOAD, R | X, PAGE, 0x401000, PAGE + 1, PAGE + 1))
    [text] = found
    assert (text.start_vpn, text.pages, text.writable, text.offset) == (0x401, 2, False, 1)
    assert not text.clears


@pytest.mark.parametrize(
    ("in_file", "in_memory", "mapped", "anonymous", "clears"),
    [
        (PAGE, PAGE, 1, 0, False),  # data only
        (PAGE, 3 * PAGE, 1, 2, False),  # bss begins with a page
        (PAGE + 100, PAGE + 200, 2, 0, True),  # bss fits behind the data
        (PAGE + 100, 4 * PAGE, 2, 2, True),  # and goes on
        (0, 2 * PAGE, 0, 2, False),  # bss only
        (100, 100, 1, 0, False),  # the rest of the file's page stays as it is
    ],
)
def test_bss_lies_behind_data(
    tmp_path: Path, in_file: int, in_memory: int, mapped: int, anonymous: int, clears: bool
) -> None:
    found = segments(tmp_path, (LOAD, R | W, PAGE, 0x402000, in_file, in_memory))
    assert [s.pages for s in found if s.file] == ([mapped] if mapped else [])
    assert [s.pages for s in found if not s.file] == ([anonymous] if anonymous else [])
    assert any(s.clears for s in found) is clears


def test_a_segment_may_begin_inside_a_page(tmp_path: Path) -> None:
    [data, bss] = segments(tmp_path, (LOAD, R | W, 0x1FF0, 0x403FF0, 0x20, 0x1020))
    assert (data.start_vpn, data.pages, data.offset, data.clears) == (0x403, 2, 1, True)
    assert (bss.start_vpn, bss.pages) == (0x405, 1)


def test_file_heap_and_entry(tmp_path: Path) -> None:
    path = elf(tmp_path, [(LOAD, R, 0, 0x400000, 64, 64), (LOAD, R | W, 0, 0x402000, 1, 0x1800)])
    image = read_elf(path)
    assert image.files == ((str(path), 5),)
    assert image.heap_vpn == 0x404
    assert entry_vpn(path) == 0x401


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"#!/bin/sh\n", "no 64-bit"),
        (b"\x7fELF\x01\x01\x01" + bytes(100), "no 64-bit"),
        (b"\x7fELF\x02\x01\x01", "no 64-bit"),
        (b"\x7fELF\x02\x01\x01".ljust(54, b"\0") + b"\x38\x00\x02\x00" + bytes(6), "cut short"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=word):
        read_elf(path)


def test_a_dynamic_program_is_refused(tmp_path: Path) -> None:
    for headers, kind in (([(INTERP, R, 0, 0, 1, 1)], EXEC), ([], DYN)):
        with pytest.raises(ValueError, match="link it with -static"):
            read_elf(elf(tmp_path, headers, kind=kind))
