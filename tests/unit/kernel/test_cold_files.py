"""Pages of files that are not in the page cache: who waits, what is counted, what is read along."""

from typing import Any

import pytest
from support.kernel import DONE, SHORT, Kernel

from sim.kernel import ops, stream
from sim.kernel.files import fadvise, readahead, requests
from sim.kernel.work import EINVAL, MORE, UNDER_WAY
from sim.machine.layout import (
    A_RANDOM,
    A_READ,
    A_SEQUENTIAL,
    A_SHARED,
    A_WRITE,
    F_AHEAD,
    F_LOCKED,
    KIND_FILE,
    NONE,
)

BASE = 512 * 1000


def kernel_of(**host: Any) -> Kernel:
    return Kernel(**{"kernel": "6.18", "memory_pages": 3000, "cpus": 2, **host})


def cold_file(k: Kernel, row: int, pages: int, bits: int = 0, *, start: int = BASE) -> int:
    """Map a cold file and return its row."""
    file = k.machine.new_file(KIND_FILE, pages, known=True, cold=True)
    map_it(k, row, file, bits, start=start)
    return file


def map_it(k: Kernel, row: int, file: int, bits: int = 0, *, start: int = BASE) -> None:
    pages = int(k.arrays.files[file].pages)
    where = {"start": start, "pages": pages, "map_kind": KIND_FILE, "file": file, "file_page": 0}
    assert k.call(row, ops.OP_MMAP, map_flags=A_READ | A_WRITE | bits, **where) == DONE


def touch(k: Kernel, row: int, vpn: int, write: int = 0) -> None:
    """Put an access into the task's row."""
    where = {"start": vpn, "pages": 1, "accesses": 1, "span": 1, "write": write}
    k.begin(row, ops.OP_ACCESS, pattern=stream.SEQUENTIAL, **where)


def bits_of(k: Kernel, file: int, index: int) -> int:
    """Return the flags of a page's frame, or -1 if it is not in the page cache."""
    pfn = int(k.arrays.cached[int(k.arrays.files[file].first) + index])
    return int(k.arrays.frames[pfn].bits) if pfn else -1


def present(k: Kernel, file: int) -> list[int]:
    return [i for i in range(int(k.arrays.files[file].pages)) if bits_of(k, file, i) >= 0]


def file_call(k: Kernel, row: int, op: int, file: int, first: int, pages: int, **how: int) -> int:
    assert k.call(row, op, file=file, file_page=first, pages=pages, **how) == DONE
    k.machine.audit()
    return k.errno(row)


def read_file(k: Kernel, row: int, file: int, first: int, pages: int = 1) -> None:
    assert file_call(k, row, ops.OP_FILE_READ, file, first, pages) == 0


def drop(k: Kernel, row: int, file: int) -> None:
    pages = int(k.arrays.files[file].pages)
    assert file_call(k, row, ops.OP_FADVISE, file, 0, pages, advice=fadvise.DONTNEED) == 0


@pytest.mark.parametrize("write", [0, 1])
@pytest.mark.parametrize("shared", [0, A_SHARED])
def test_a_fault_on_an_absent_page_waits_and_is_major_once(write: int, shared: int):
    k = kernel_of()
    row = k.process()
    file = cold_file(k, row, 64, A_RANDOM | shared)
    k.disk_is_quick = False
    touch(k, row, BASE + 7, write)
    assert k.one_step(row) == MORE  # its tables
    assert present(k, file) == []
    assert k.one_step(row) == MORE
    assert bits_of(k, file, 7) & F_LOCKED
    k.machine.audit()
    assert k.one_step(row) == k.one_step(row) == UNDER_WAY
    requests.arrive_at_once(k.arrays)
    assert k.one_step(row) == DONE
    k.machine.audit()
    assert present(k, file) == [7]
    counted = {line: n for line, n in k.work.items() if line.isupper() and n}
    assert counted["MAJOR_FAULT"] == 1
    assert not {"FILE_MAP", "COW_COPY", "ZERO_FILL"} & counted.keys()
    touch(k, row, BASE + 7, write)
    assert k.go_on(row) == DONE
    assert "MAJOR_FAULT" not in k.work


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("6.18", "FILE_MAP"),
        ("6.7", "FILE_MAP"),
        ("6.6", "MAJOR_FAULT"),
        ("5.9", "MAJOR_FAULT"),
        ("5.8", "FILE_MAP"),
    ],
)
def test_whoever_finds_a_page_under_way_waits_too(kernel: str, kind: str):
    """That is a minor fault, but from 5.9 to 6.6 whatever was made again was a major one."""
    k = kernel_of(kernel=kernel)
    first, second = k.process(), k.process()
    file = cold_file(k, first, 64, A_RANDOM)
    map_it(k, second, file, A_RANDOM)
    k.disk_is_quick = False
    touch(k, first, BASE)
    assert k.one_step(first) == k.one_step(first) == MORE
    touch(k, second, BASE, 0)
    assert k.one_step(second, 1) == MORE  # its tables
    assert k.one_step(second, 1) == UNDER_WAY
    requests.arrive_at_once(k.arrays)
    assert k.one_step(second, 1) == DONE
    assert k.work.get("FILE_MAP", 0) == (kind == "FILE_MAP")
    assert k.work.get("MAJOR_FAULT", 0) == (kind == "MAJOR_FAULT")
    assert k.one_step(first) == DONE


def test_a_fault_reads_around_its_page():
    k = kernel_of()
    row = k.process()
    file = cold_file(k, row, 300)
    k.read(row, BASE + 100)
    assert present(k, file) == list(range(84, 116))
    assert bits_of(k, file, 108) & F_AHEAD
    k.read(row, BASE + 108)  # the marker: more is read, and the fault is minor
    assert k.work["MAJOR_FAULT"] == 0
    assert k.work["FILE_MAP"] == 1
    assert present(k, file) == list(range(84, 148))


def test_a_random_area_reads_its_page_and_no_other():
    k = kernel_of()
    row = k.process()
    file = cold_file(k, row, 64, A_RANDOM)
    for page in (5, 3, 40):
        k.read(row, BASE + page)
        assert k.work["MAJOR_FAULT"] == 1
    assert present(k, file) == [3, 5, 40]


def test_a_sequential_area_reads_from_its_page_on():
    k = kernel_of()
    row = k.process()
    file = cold_file(k, row, 300, A_SEQUENTIAL)
    k.read(row, BASE)
    assert present(k, file) == list(range(32))


@pytest.mark.parametrize(
    ("kernel", "ends"), [("6.18", [4, 12, 12, 12, 16]), ("6.1", [4, 12, 12, 12, 28])]
)
def test_the_windows_of_read_grow(kernel: str, ends: list[int]):
    """Until 6.16 they double; since then they end where folios of their size do."""
    k = kernel_of(kernel=kernel)
    row = k.process()
    file = cold_file(k, row, 300)
    seen = []
    for page in range(5):
        read_file(k, row, file, page)
        seen.append(len(present(k, file)))
    assert seen == ends


def test_read_of_a_random_file_reads_what_it_asks_for():
    k = kernel_of()
    row = k.process()
    file = cold_file(k, row, 64)
    file_call(k, row, ops.OP_FADVISE, file, 0, 64, advice=fadvise.RANDOM)
    read_file(k, row, file, 0, 2)
    read_file(k, row, file, 2)
    assert present(k, file) == [0, 1, 2]
    file_call(k, row, ops.OP_FADVISE, file, 0, 64, advice=fadvise.NORMAL)
    read_file(k, row, file, 3)
    assert len(present(k, file)) > 4


def test_willneed_reads_no_more_than_fits_into_a_request():
    k = kernel_of(largest_read_pages=40)
    row = k.process()
    file = cold_file(k, row, 300)
    k.disk_is_quick = False
    assert file_call(k, row, ops.OP_FADVISE, file, 10, 200, advice=fadvise.WILLNEED) == 0
    assert present(k, file) == list(range(10, 50))
    assert bits_of(k, file, 10) & F_LOCKED
    assert file_call(k, row, ops.OP_FADVISE, file, 200, 200, advice=fadvise.WILLNEED) == EINVAL


def test_what_is_mapped_dirty_or_under_way_is_not_dropped():
    k = kernel_of()
    row = k.process()
    file = cold_file(k, row, 64, A_RANDOM | A_SHARED)
    k.read(row, BASE + 1)
    file_call(k, row, ops.OP_FILE_WRITE, file, 2, 1)
    k.read(row, BASE + 3)
    assert k.call(row, ops.OP_DONTNEED, start=BASE + 3, pages=1) == DONE
    k.disk_is_quick = False
    touch(k, row, BASE + 20)
    assert k.one_step(row) == MORE
    other = k.process()
    free = k.free()
    drop(k, other, file)
    assert present(k, file) == [1, 2, 20]
    assert k.free() == free + 1


def test_a_folio_goes_as_a_whole_or_stays():
    k = kernel_of()
    row = k.process()
    file = cold_file(k, row, 300)
    for page in range(40):
        read_file(k, row, file, page)
    assert len(present(k, file)) >= 64
    k.read(row, BASE + 60)
    k.call(row, ops.OP_DONTNEED, start=BASE, pages=300)
    k.write(row, BASE + 60)  # a copy: the page cache's own page is not mapped
    k.read(row, BASE + 50)
    folio = present(k, file)
    drop(k, row, file)
    assert 0 < len(present(k, file)) < len(folio)
    assert 50 in present(k, file)


def test_where_frames_end_read_ahead_ends_and_the_page_is_still_wanted():
    """Of 32 pages around the one that is read, from the first on: as many as there are frames.

    Three tables come before.
    """
    k = kernel_of(memory_pages=130, kernel_pages=1, overcommit=1)
    row = k.process()
    start = k.mmap(row, 150)
    file = cold_file(k, row, 64)
    k.write(row, start, 1)
    while k.free() > 8:
        start += 1
        k.write(row, start)
    touch(k, row, BASE + 20)
    assert k.go_on(row) == SHORT
    assert present(k, file) == [*range(4, 9)]
    assert int(k.operation(row).need) == 1
    assert k.free() == 0


def test_clean_pages_make_room_for_what_is_read_ahead():
    k = kernel_of(memory_pages=130, kernel_pages=1, overcommit=1)
    row = k.process()
    start = k.mmap(row, 150)
    cold_file(k, row, 64)
    k.write(row, start, 1)
    while k.free() > 48:
        start += 1
        k.write(row, start)
    k.read(row, BASE, 32)
    other = cold_file(k, row, 64, start=BASE + 1000)
    k.read(row, BASE + 1016)
    assert present(k, other) == [*range(0, 32)]
    assert int(k.arrays.pool[0].allocation_stalls) > 0


def test_too_many_misses_end_read_around():
    k = kernel_of()
    row = k.process()
    file = cold_file(k, row, 300)
    k.arrays.files[file].ra_miss = readahead.LOTS_OF_MISSES
    k.read(row, BASE + 100)
    assert present(k, file) == [100]


def test_a_dropped_file_is_not_filled_by_mapping_it_again():
    k = kernel_of()
    row = k.process()
    file = k.machine.new_file(KIND_FILE, 40, known=True)
    map_it(k, row, file)
    assert len(present(k, file)) == 40
    drop(k, row, file)
    map_it(k, row, file, start=BASE + 4096)
    assert present(k, file) == []
    assert int(k.operation(row).file) != NONE
