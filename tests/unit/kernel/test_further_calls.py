"""mlock, mremap, MADV_FREE, msync and file calls: what each does to areas, entries and frames."""

from typing import Any

import pytest
from support.kernel import DONE, Kernel

from sim.kernel import ops
from sim.kernel.work import EFAULT, EINVAL, ENOMEM
from sim.machine.layout import (
    A_LOCKED,
    A_READ,
    A_SHARED,
    A_WRITE,
    F_DIRTY,
    F_LARGE,
    KIND_FILE,
    NONE,
    PTE_DIRTY,
    PTE_WRITE,
    THP_ALWAYS,
)

BASE = 512 * 1000


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(kernel="6.18", memory_pages=6000, cpus=2)


def range_call(kernel: Kernel, row: int, op: int, start: int, pages: int, **fields: int) -> int:
    """Make a call on a range; return its error."""
    assert kernel.call(row, op, start=start, pages=pages, **fields) == DONE
    kernel.machine.audit()
    return kernel.errno(row)


def mlock(kernel: Kernel, row: int, start: int, pages: int) -> int:
    return range_call(kernel, row, ops.OP_MLOCK, start, pages, set_flags=A_LOCKED, clear_flags=0)


def munlock(kernel: Kernel, row: int, start: int, pages: int) -> int:
    return range_call(kernel, row, ops.OP_MLOCK, start, pages, set_flags=0, clear_flags=A_LOCKED)


def mremap(
    kernel: Kernel, row: int, start: int, pages: int, count: int, to: int = NONE, may: int = 0
) -> int:
    return range_call(
        kernel, row, ops.OP_MREMAP, start, pages, new_pages=count, new_start=to, may_move=may
    )


def map_file(kernel: Kernel, row: int, pages: int, *, shared: bool) -> int:
    file = kernel.machine.new_file(KIND_FILE, pages, known=True)
    bits = A_READ | A_WRITE | (A_SHARED if shared else 0)
    where = {"start": BASE, "pages": pages, "map_kind": KIND_FILE, "file": file, "file_page": 0}
    assert kernel.call(row, ops.OP_MMAP, map_flags=bits, **where) == DONE
    return file


def spans(kernel: Kernel, row: int, above: int = BASE) -> list[tuple[int, int]]:
    """Return first page and size of the areas from `above` on, the stack's left out."""
    return [
        (start - above, end - start)
        for start, end, _ in kernel.areas(row)
        if above <= start < above + 10_000
    ]


def test_mlock_takes_frames_splits_areas_and_forbids_dontneed(kernel: Kernel):
    row = kernel.process()
    start = kernel.mmap(row, 16, start=BASE)
    assert mlock(kernel, row, start + 4, 4) == 0
    assert spans(kernel, row) == [(0, 4), (4, 4), (8, 8)]
    assert kernel.page_is(row, start + 4) == "exclusive, writable"
    assert kernel.page_is(row, start + 3) == "absent"
    assert range_call(kernel, row, ops.OP_DONTNEED, start, 16) == EINVAL
    assert range_call(kernel, row, ops.OP_FREE, start, 16) == EINVAL
    assert munlock(kernel, row, start, 16) == 0
    assert spans(kernel, row) == [(0, 16)]
    assert range_call(kernel, row, ops.OP_DONTNEED, start, 16) == 0
    assert kernel.page_is(row, start + 4) == "absent"


def test_mlock_stops_at_a_hole_and_populates_nothing(kernel: Kernel):
    row = kernel.process()
    start = kernel.mmap(row, 16, start=BASE)
    kernel.munmap(row, start + 8, 1)
    assert mlock(kernel, row, start, 16) == ENOMEM
    assert [bits & A_LOCKED != 0 for _, _, bits in kernel.areas(row)[:2]] == [True, False]
    assert kernel.page_is(row, start) == "absent"


def test_locked_memory_that_may_be_written_again_is_shared_with_nobody(kernel: Kernel):
    row = kernel.process()
    start = kernel.mmap(row, 8, start=BASE)
    kernel.write(row, start, 8)
    assert mlock(kernel, row, start, 8) == 0
    assert range_call(kernel, row, ops.OP_MPROTECT, start, 8, set_flags=A_READ) == 0
    child = kernel.fork(row)
    assert kernel.areas(child)[0][2] & A_LOCKED == 0
    assert kernel.page_is(row, start) == "2 refs, read-only"
    assert range_call(kernel, row, ops.OP_MPROTECT, start, 8, set_flags=A_READ | A_WRITE) == 0
    assert kernel.page_is(row, start) == "exclusive, writable"


def test_mremap_grows_in_place_where_there_is_room(kernel: Kernel):
    row = kernel.process()
    start = kernel.mmap(row, 8, start=BASE)
    kernel.mmap(row, 8, start=BASE + 20)
    assert mremap(kernel, row, start, 8, 12) == 0
    assert (kernel.result(row), spans(kernel, row)) == (start, [(0, 12), (20, 8)])
    assert mremap(kernel, row, start, 12, 30) == ENOMEM
    assert kernel.result(row) == NONE


def test_mremap_goes_elsewhere_if_it_may(kernel: Kernel):
    row = kernel.process()
    start = kernel.mmap(row, 8, start=BASE)
    kernel.mmap(row, 8, start=BASE + 10)
    kernel.write(row, start, 8)
    frames = [kernel.pfn(row, start + page) for page in range(8)]
    assert mremap(kernel, row, start, 8, 40, may=1) == 0
    moved = kernel.result(row)
    assert moved not in (start, NONE)
    assert [kernel.pfn(row, moved + page) for page in range(8)] == frames
    assert spans(kernel, row) == [(10, 8)]
    assert kernel.space(row).rss_anon == 8 + 1  # and the stack's page


@pytest.mark.parametrize("away", [512 * 40, 512 * 40 + 7, 512 * 40 - 100])
def test_mremap_moves_entries_to_any_place(kernel: Kernel, away: int):
    """By whole tables where old and new place lie alike in theirs, else entry by entry."""
    row = kernel.process()
    start = kernel.mmap(row, 1300, start=BASE + 30)
    written = [0, 5, 481, 482, 483, 1000, 1299]
    for page in written:
        kernel.write(row, start + page)
    frames = {page: kernel.pfn(row, start + page) for page in written}
    before = kernel.in_use()
    assert mremap(kernel, row, start, 1300, 1300, to=start + away) == 0
    assert {page: kernel.pfn(row, start + away + page) for page in written} == frames
    assert len(kernel.resident(row)) == len(written) + 1
    assert abs(kernel.in_use() - before) <= 1  # a leaf table more or less
    kernel.exit(row)
    assert kernel.in_use() == 0


def test_mremap_shrinks_and_says_what_is_wrong(kernel: Kernel):
    row = kernel.process()
    start = kernel.mmap(row, 16, start=BASE)
    kernel.write(row, start, 16)
    assert mremap(kernel, row, start, 16, 4) == 0
    assert (kernel.result(row), spans(kernel, row)) == (start, [(0, 4)])
    assert kernel.page_is(row, start + 4) == "absent"
    assert mremap(kernel, row, start, 5, 8) == EFAULT
    assert mremap(kernel, row, start, 4, 0) == EINVAL
    assert mremap(kernel, row, start, 4, 2, to=BASE + 600) == EINVAL
    kernel.mmap(row, 4, start=BASE + 600)
    assert mremap(kernel, row, start, 4, 4, to=BASE + 598) == ENOMEM


def test_what_locked_memory_grows_by_is_faulted_in(kernel: Kernel):
    row = kernel.process()
    start = kernel.mmap(row, 4, start=BASE)
    assert mlock(kernel, row, start, 4) == 0
    assert mremap(kernel, row, start, 4, 9) == 0
    assert kernel.page_is(row, start + 8) == "exclusive, writable"
    kernel.mmap(row, 1, start=BASE + 9)
    assert mremap(kernel, row, start, 9, 11, may=1) == 0
    assert kernel.page_is(row, kernel.result(row) + 10) == "exclusive, writable"


def test_a_huge_page_moves_whole_or_is_split():
    kernel = Kernel(kernel="6.18", memory_pages=6000, thp=THP_ALWAYS)
    row = kernel.process()
    kernel.mmap(row, 512, start=BASE)
    kernel.write(row, BASE)
    tables = int(kernel.space(row).tables)
    assert mremap(kernel, row, BASE, 512, 512, to=BASE + 512 * 9) == 0
    assert kernel.space(row).tables == tables
    assert kernel.resident(row).keys() != {BASE}
    assert mremap(kernel, row, BASE + 512 * 9, 512, 512, to=BASE + 512 * 20 + 1) == 0
    assert kernel.page_is(row, BASE + 512 * 20 + 1 + 511) == "exclusive, writable"
    kernel.exit(row)
    assert kernel.in_use() == 0


def entry_and_frame(kernel: Kernel, row: int, vpn: int) -> tuple[bool, bool]:
    """Return whether the entry is dirty, and whether its frame is."""
    frame = kernel.arrays.frames[kernel.pfn(row, vpn)]
    return bool(kernel.entry(row, vpn) & PTE_DIRTY), bool(int(frame.bits) & F_DIRTY)


def test_freed_pages_stay_and_are_clean_until_written(kernel: Kernel):
    row = kernel.process()
    start = kernel.mmap(row, 4, start=BASE)
    kernel.write(row, start, 4)
    assert range_call(kernel, row, ops.OP_FREE, start, 2) == 0
    assert entry_and_frame(kernel, row, start) == (False, False)
    assert entry_and_frame(kernel, row, start + 2) == (True, False)
    kernel.write(row, start)
    assert kernel.work["COW_REUSE"] == 0
    assert entry_and_frame(kernel, row, start) == (True, False)


def test_freeing_part_of_a_huge_page_gives_back_what_was_never_written():
    kernel = Kernel(kernel="6.18", memory_pages=6000, thp=THP_ALWAYS)
    row = kernel.process()
    kernel.mmap(row, 512, start=BASE)
    kernel.write(row, BASE + 3, 2)
    assert range_call(kernel, row, ops.OP_FREE, BASE, 4) == 0
    assert kernel.page_is(row, BASE + 3) == "exclusive, writable"
    assert kernel.page_is(row, BASE + 5) == "zero page, read-only"
    assert kernel.space(row).rss_anon == 2 + 1
    assert not int(kernel.arrays.frames[kernel.pfn(row, BASE + 3)].bits) & F_LARGE
    assert entry_and_frame(kernel, row, BASE + 3) == (False, False)
    assert entry_and_frame(kernel, row, BASE + 4) == (True, True)


def test_a_page_of_a_folio_is_copied_while_others_map_another_page_of_it():
    kernel = Kernel(kernel="6.18", memory_pages=6000, cpus=2, thp=THP_ALWAYS)
    row = kernel.process()
    kernel.mmap(row, 512, start=BASE)
    kernel.write(row, BASE)
    child = kernel.fork(row)
    kernel.write(child, BASE + 7)
    kernel.write(row, BASE + 7)
    assert kernel.work["COW_COPY"] == 1
    kernel.exit(child)
    kernel.write(row, BASE + 8)
    assert kernel.work["COW_REUSE"] == 1
    kernel.machine.audit()


def call_on_file(kernel: Kernel, row: int, op: ops.Op, file: int, first: int, pages: int) -> int:
    assert kernel.call(row, op, file=file, file_page=first, pages=pages) == DONE
    kernel.machine.audit()
    return kernel.errno(row)


@pytest.mark.parametrize("call", ["msync", "fsync"])
def test_writing_back_cleans_and_protects_every_shared_entry(kernel: Kernel, call: str):
    row = kernel.process()
    file = map_file(kernel, row, 40, shared=True)
    child = kernel.fork(row)
    for task in (row, child):
        kernel.write(task, BASE + 35, 2)
    if call == "msync":
        assert range_call(kernel, row, ops.OP_MSYNC, BASE, 40) == 0
    else:
        assert kernel.call(row, ops.OP_FSYNC, file=file) == DONE
        assert kernel.errno(row) == 0
    for task in (row, child):
        assert kernel.entry(task, BASE + 35) & (PTE_DIRTY | PTE_WRITE) == 0
        assert entry_and_frame(kernel, task, BASE + 35) == (False, False)
    kernel.write(child, BASE + 35)
    assert kernel.work["SPURIOUS"] == 1


def test_msync_says_that_there_was_a_hole_and_goes_on_behind_it(kernel: Kernel):
    row = kernel.process()
    map_file(kernel, row, 40, shared=True)
    kernel.write(row, BASE, 40)
    kernel.munmap(row, BASE + 5, 3)
    assert range_call(kernel, row, ops.OP_MSYNC, BASE, 40) == ENOMEM
    assert entry_and_frame(kernel, row, BASE + 39) == (False, False)


def test_write_makes_pages_dirty_and_brings_in_what_is_absent(kernel: Kernel):
    row = kernel.process()
    file = kernel.machine.new_file(KIND_FILE, 100, known=True)
    before = kernel.in_use()
    assert call_on_file(kernel, row, ops.OP_FILE_WRITE, file, 10, 40) == 0
    assert kernel.in_use() == before + 40
    assert call_on_file(kernel, row, ops.OP_FILE_READ, file, 0, 100) == 0
    cached = kernel.arrays.cached[int(kernel.arrays.files[file].first) :][:100]
    assert [int(kernel.arrays.frames[int(pfn)].bits) & F_DIRTY != 0 for pfn in cached] == [
        10 <= page < 50 for page in range(100)
    ]
    assert call_on_file(kernel, row, ops.OP_FILE_READ, file, 99, 2) == EINVAL


def test_short_memory_changes_nothing_and_the_call_may_be_made_again():
    kernel = Kernel(memory_pages=60, kernel_pages=1, overcommit=1)
    row = kernel.process()
    start: Any = kernel.mmap(row, 100, start=BASE)
    fields = {"start": start, "pages": 100, "set_flags": A_LOCKED}
    assert kernel.call(row, ops.OP_MLOCK, **fields) != DONE
    kernel.machine.audit()
    resident = len(kernel.resident(row))
    assert kernel.go_on(row) != DONE
    assert len(kernel.resident(row)) == resident
