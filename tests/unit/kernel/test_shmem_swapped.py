"""Shared anonymous memory that is swapped out: its file has a slot, whoever maps it."""

from typing import Any

import pytest
from support.kernel import DONE, Kernel
from support.swapping import page_out, references

from sim.kernel import ops
from sim.kernel.files.requests import arrive_at_once
from sim.kernel.work import MORE, UNDER_WAY
from sim.machine.cached import find_page, find_slot
from sim.machine.layout import (
    A_READ,
    A_SHARED,
    A_WRITE,
    F_WRITEBACK,
    KIND_ANON,
    KIND_SHMEM,
    NONE,
    ROOT,
    SLOTS_SWAP,
    SWAP_IN_MEMORY,
    SWAP_ROTATING,
    SWAP_SOLID,
)
from sim.observe.smaps import smaps

BASE = 512 * 1000
PAGES = 16


def with_shared_memory(kind: int = SWAP_IN_MEMORY, **host: Any) -> tuple[Kernel, int, int]:
    """Return a machine, a process that has written 12 of 16 pages and read the rest, the file."""
    settings: dict[str, Any] = {"memory_pages": 4000, "swap_pages": 64, "swap_kind": kind} | host
    kernel = Kernel(**settings)
    row = kernel.process()
    file = kernel.machine.new_file(KIND_SHMEM, PAGES)
    flags = A_READ | A_WRITE | A_SHARED
    mapping = {"start": BASE, "pages": PAGES, "map_flags": flags, "map_kind": KIND_SHMEM}
    assert kernel.call(row, ops.OP_MMAP, **mapping, file=file, file_page=0) == DONE
    kernel.write(row, BASE, 12)
    kernel.read(row, BASE + 12, 4)
    return kernel, row, file


def put_out(kernel: Kernel, file: int, index: int) -> int:
    """Have reclaim take a page of the file; say if it is gone."""
    gone = page_out(kernel.arrays, 0, int(find_page(kernel.arrays, file, index)))
    kernel.machine.audit()
    return int(gone)


def slots_in_use(kernel: Kernel) -> int:
    return int(kernel.arrays.slots[SLOTS_SWAP].used) - 1


def swapped(kernel: Kernel, row: int) -> int:
    """Return what smaps says is swapped out."""
    return int(smaps(kernel.arrays, int(kernel.task(row).space), BASE, BASE + PAGES)[4])


def test_all_who_share_a_page_lose_it_and_one_brings_it_back_for_all() -> None:
    kernel, row, file = with_shared_memory()
    m = kernel.arrays
    child = kernel.fork(row)
    kernel.read(child, BASE, 12)
    assert [put_out(kernel, file, index) for index in range(12)] == [1] * 12
    assert [find_slot(m, file, index) > 0 for index in range(PAGES)] == [True] * 12 + [False] * 4
    assert [kernel.entry(who, BASE + 3) for who in (row, child)] == [0, 0]
    assert (m.charged[ROOT, KIND_SHMEM], swapped(kernel, row), swapped(kernel, child)) == (
        4,
        12,
        12,
    )
    assert list(references(m).values()) == [1] * 12, "the file's, however many map it"
    kernel.read(child, BASE + 3)
    assert kernel.work["MAJOR_FAULT"] == 1
    assert (find_slot(m, file, 3), slots_in_use(kernel), swapped(kernel, row)) == (0, 11, 11)
    kernel.read(row, BASE + 3)
    assert kernel.work["MAJOR_FAULT"] == 0
    assert kernel.pfn(row, BASE + 3) == kernel.pfn(child, BASE + 3)
    assert put_out(kernel, file, 3) == 1
    assert slots_in_use(kernel) == 12, "it is dirty: what was on the device is gone"


def test_a_page_that_was_never_written_is_dropped() -> None:
    kernel, row, file = with_shared_memory()
    assert put_out(kernel, file, 14) == 1
    assert (slots_in_use(kernel), find_page(kernel.arrays, file, 14)) == (0, NONE)
    kernel.read(row, BASE + 14)
    assert kernel.work["MAJOR_FAULT"] == 0


def test_slots_go_with_the_last_who_maps_them() -> None:
    kernel, row, file = with_shared_memory(zram_page_bytes=4096)
    child = kernel.fork(row)
    for index in range(12):
        put_out(kernel, file, index)
    kernel.exit(row)
    assert slots_in_use(kernel) == 12
    kernel.munmap(child, BASE, PAGES)
    kernel.machine.audit()
    assert (slots_in_use(kernel), int(kernel.arrays.pool[0].zram_stored)) == (0, 0)


@pytest.mark.parametrize("kind", [SWAP_SOLID, SWAP_ROTATING])
def test_from_a_device_what_lies_near_on_it_is_read_as_well(kind: int) -> None:
    kernel, row, file = with_shared_memory(kind)
    m = kernel.arrays
    for index in range(12):
        assert put_out(kernel, file, index) == 0, "it is kept until it is written"
    arrive_at_once(m)
    for slot in range(1, 13):
        assert page_out(m, 0, int(m.swap[slot].pfn)) == 1
    kernel.machine.audit()
    assert m.charged[ROOT, KIND_ANON] == kernel.space(row).rss_anon
    first, major = kernel.arrays.lruvecs[ROOT].pswpin, 0
    for index in range(12):
        kernel.read(row, BASE + index)
        major += kernel.work["MAJOR_FAULT"]
        kernel.machine.audit()
    assert kernel.arrays.lruvecs[ROOT].pswpin - first >= 12
    assert major <= 4, "others had been read with them"
    assert swapped(kernel, row) == 0


def test_who_comes_while_it_is_written_waits_and_has_no_major_fault() -> None:
    kernel, row, file = with_shared_memory(SWAP_SOLID)
    m = kernel.arrays
    assert put_out(kernel, file, 5) == 0
    slot = int(find_slot(m, file, 5))
    assert m.frames[int(m.swap[slot].pfn)].bits & F_WRITEBACK != 0
    kernel.disk_is_quick = False
    kernel.begin(row, ops.OP_ACCESS, start=BASE + 5, pages=1, accesses=1, span=1, write=1)
    assert kernel.one_step(row) == UNDER_WAY
    assert (kernel.operation(row).wait_file, kernel.operation(row).wait_index) == (
        m.swap_area[0].file,
        slot,
    )
    arrive_at_once(m)
    assert kernel.one_step(row) == MORE
    kernel.machine.audit()
    assert kernel.one_step(row) == DONE
    assert (slots_in_use(kernel), kernel.work["MAJOR_FAULT"]) == (0, 0)


def test_without_swap_it_is_on_no_list() -> None:
    kernel, _, file = with_shared_memory(swap_pages=0, swap_kind=0)
    kernel.machine.audit()
    assert kernel.arrays.lrus.pages.sum() == 0
    assert kernel.arrays.charged[ROOT, KIND_SHMEM] == PAGES
    assert find_page(kernel.arrays, file, 0) != NONE
