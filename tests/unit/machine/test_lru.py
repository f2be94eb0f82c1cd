"""The lists that reclaim goes by: who comes to which, and when."""

import pytest
from support.kernel import Kernel
from support.readers import Reader

from sim.base.errors import KernelPanicError
from sim.kernel.files.fadvise import DONTNEED
from sim.machine.layout import (
    BATCH_PAGES,
    F_ACTIVE,
    F_REFERENCED,
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_FILE,
    N_LRU,
    NONE,
    ROOT,
)
from sim.machine.lru import next_group


def test_pages_come_to_the_inactive_list_a_batch_at_a_time() -> None:
    reader = Reader()
    reader.pread(*range(BATCH_PAGES - 1))
    assert reader.on(LRU_INACTIVE_FILE) == []
    reader.machine.audit()
    reader.pread(BATCH_PAGES - 1)
    assert reader.on(LRU_INACTIVE_FILE) == list(range(BATCH_PAGES))[::-1]
    assert reader.on(LRU_INACTIVE_FILE, ROOT) == []
    reader.machine.audit()


def test_each_cpu_has_a_batch_of_its_own() -> None:
    reader = Reader()
    reader.pread(*range(20))
    reader.pread(*range(20, 40), cpu=1)
    assert reader.on(LRU_INACTIVE_FILE) == []
    reader.drain(1)
    assert reader.on(LRU_INACTIVE_FILE) == list(range(20, 40))[::-1]


def test_the_second_use_activates() -> None:
    reader = Reader()
    reader.pread(*range(40))
    assert reader.bits(3) & F_REFERENCED
    reader.pread(3, 5)
    assert reader.on(LRU_ACTIVE_FILE) == []
    assert reader.bits(3) & (F_REFERENCED | F_ACTIVE) == 0
    reader.drain()
    assert reader.on(LRU_ACTIVE_FILE) == [5, 3]
    assert reader.arrays.lruvecs[reader.group].pgactivate == 2
    assert reader.arrays.lruvecs[reader.group].nonresident_age == 2
    assert reader.arrays.lruvecs[ROOT].nonresident_age == 2
    reader.machine.audit()


def test_a_page_that_waits_in_a_batch_is_activated_there() -> None:
    reader = Reader()
    reader.pread(0, 1, 0)
    assert reader.bits(0) & F_ACTIVE
    reader.drain()
    assert reader.on(LRU_ACTIVE_FILE) == [0]
    assert reader.on(LRU_INACTIVE_FILE) == [1]
    assert reader.arrays.lruvecs[reader.group].pgactivate == 0


def test_but_not_in_the_batch_of_another_cpu() -> None:
    reader = Reader()
    reader.pread(0, 1)
    reader.pread(0, cpu=1)
    assert reader.bits(0) & (F_ACTIVE | F_REFERENCED) == 0


def test_reading_on_in_the_page_that_was_read_last_is_no_second_use() -> None:
    reader = Reader()
    reader.pread(*range(40), 7, 7, 7)
    reader.drain()
    assert reader.on(LRU_ACTIVE_FILE) == [7]
    assert reader.bits(7) & F_REFERENCED == 0


def test_a_page_that_is_dropped_leaves_list_and_batch() -> None:
    reader = Reader()
    reader.pread(*range(50), 3)
    reader.advise(DONTNEED)
    assert reader.on(LRU_INACTIVE_FILE) == []
    reader.drain()
    assert reader.on(LRU_ACTIVE_FILE) == reader.on(LRU_INACTIVE_FILE) == []
    reader.machine.audit()


def test_a_large_folio_goes_at_once_and_counts_for_its_pages() -> None:
    reader = Reader(4096, kernel="6.18", read_ahead_pages=1024)
    reader.arrays.files[reader.file].random = 0
    for page in range(4096):
        reader.pread(page)
    lists = reader.arrays.lrus[reader.group * N_LRU + LRU_INACTIVE_FILE]
    assert len(reader.on(LRU_INACTIVE_FILE)) < 40
    assert lists.pages + reader.arrays.batches[0, 0] == 4096
    reader.machine.audit()


@pytest.mark.parametrize("which", ["lost", "twice", "wrong list", "count"])
def test_the_audit_finds_a_broken_list(which: str) -> None:
    reader = Reader()
    reader.pread(*range(62))
    m = reader.arrays
    inactive = m.lrus[reader.group * N_LRU + LRU_INACTIVE_FILE]
    head = int(inactive.head)
    if which == "lost":
        inactive.head = m.frames[head].next
    elif which == "twice":
        m.batches[0, 0] = 1
        m.batches[0, 1] = head
    elif which == "wrong list":
        m.frames[head].bits |= F_ACTIVE
    else:
        inactive.pages += 1
    with pytest.raises(KernelPanicError, match=r"lists that reclaim|on no list"):
        reader.machine.audit()


def test_a_walk_comes_to_a_group_before_those_in_it() -> None:
    kernel = Kernel(memory_pages=256, cpus=1)
    new = kernel.machine.new_group
    a = new()
    b = new()
    inner = new(a)
    innermost = new(inner)
    other = new(a)
    walk = []
    group = next_group(kernel.arrays, ROOT, NONE)
    while group != NONE:
        walk.append(group)
        group = next_group(kernel.arrays, ROOT, group)
    assert walk == [ROOT, a, inner, innermost, other, b]
    assert next_group(kernel.arrays, a, other) == NONE
    assert next_group(kernel.arrays, innermost, innermost) == NONE
