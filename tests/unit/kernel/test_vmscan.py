"""Reclaim of the pages of files: which go, which stay, and what is remembered of them."""

from typing import Any

import pytest
from support.kernel import DONE, READ_WRITE, SHORT, Kernel
from support.readers import Reader

from sim.kernel import ops
from sim.kernel.files import requests
from sim.kernel.files.fadvise import DONTNEED, NORMAL
from sim.kernel.reclaim.balance import inactive_is_low
from sim.kernel.reclaim.memcg import ROOM, make_room
from sim.kernel.reclaim.vmscan import shrink_active_list, shrink_group
from sim.kernel.reclaim.workingset import pack_shadow, unpack_shadow
from sim.kernel.work import MORE
from sim.machine.layout import (
    A_EXEC,
    A_LOCKED,
    A_RANDOM,
    A_READ,
    A_SHARED,
    A_WRITE,
    EV_FAILCNT,
    EV_MAX,
    F_ACTIVE,
    F_RECLAIM,
    F_REFERENCED,
    F_WORKINGSET,
    FORK_ON_DEMAND,
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_FILE,
    ROOT,
)
from sim.machine.lru import FLUSH_NS, flush_stats
from sim.machine.tree import shadow_order
from sim.machine.work import PAGE_STOLEN, RECLAIM_PAGE

GIB = 1 << 18


def plain(function: Any) -> Any:
    """Return the Python of what is compiled into its callers only."""
    return getattr(function, "py_func", function)


def taken(size: int, wanted: int = 32) -> int:
    """Return how many clean pages go from an inactive list of `size`: 12 priorities at most."""
    reclaimed = 0
    for priority in range(12, -1, -1):
        reclaimed += (size - reclaimed) >> priority
        if reclaimed >= wanted:
            break
    return reclaimed


@pytest.mark.parametrize(
    ("inactive", "active", "low"),
    [
        (0, 0, False),
        (0, 1, True),
        (10, 10, False),
        (9, 10, True),
        (GIB // 4, 3 * GIB // 4, False),  # 1 GiB: a third of the active ones is enough
        (GIB // 4 - 1, 3 * GIB // 4 + 2, True),
        (GIB, 10 * GIB, False),  # 11 GiB: a tenth
        (GIB, 10 * GIB + 1, True),
    ],
)
def test_how_few_inactive_pages_are_too_few(inactive: int, active: int, low: bool) -> None:
    assert inactive_is_low(inactive, active) == low


@pytest.mark.parametrize("shadow", [(0, 0, 0, 0), (65535, 1 << 40, 1, 9), (1, 7, 0, 6)])
def test_a_shadow_is_below_zero_and_says_what_it_was_told(shadow: tuple[int, ...]) -> None:
    packed = pack_shadow(*shadow)
    assert packed < 0
    assert unpack_shadow(packed) == shadow[:3]
    assert plain(shadow_order)(packed) == shadow[3]


@pytest.mark.parametrize("size", [33, 62, 93, 124, 200])
def test_the_oldest_pages_go_as_many_as_priorities_say(size: int) -> None:
    reader = Reader()
    reader.pread(*range(size))
    reader.drain()
    assert reader.shrink() == taken(size)
    assert reader.cached() == list(range(taken(size), size))
    assert reader.vec().pgscan_direct == reader.vec().pgsteal_direct == taken(size)
    receipt = reader.arrays.receipt[: reader.arrays.clock[0].lines].tolist()
    assert receipt == [[RECLAIM_PAGE, taken(size)], [PAGE_STOLEN, taken(size)]]


def test_what_read_has_used_once_goes_as_well() -> None:
    reader = Reader()
    reader.pread(*range(100))
    assert reader.bits(0) & F_REFERENCED
    reader.shrink()
    assert 0 not in reader.cached()


def test_frames_that_are_freed_are_charged_to_nobody() -> None:
    reader = Reader()
    reader.pread(*range(124))
    usage, free = int(reader.arrays.groups[reader.group].usage), reader.free()
    reclaimed = reader.shrink()
    assert reader.arrays.groups[reader.group].usage == usage - reclaimed
    assert reader.free() == free + reclaimed


def test_a_page_is_mapped_by_its_first_use_and_active_at_the_second() -> None:
    reader = Reader()
    vpn = reader.map_file(bits=A_READ | A_SHARED)
    reader.pread(*range(16))
    reader.read(reader.row, vpn)
    reader.pread(*range(80, 200))
    reader.drain()
    for page in range(16):
        reader.frame(page).bits &= ~F_REFERENCED
    reader.shrink(1)
    assert reader.resident(reader.row).keys() >= set(range(vpn, vpn + 16))
    assert reader.bits(0) & (F_REFERENCED | F_ACTIVE) == F_REFERENCED
    reader.read(reader.row, vpn)
    while 5 in reader.cached():  # which is used no more
        reader.shrink(1)
    assert 0 in reader.on(LRU_ACTIVE_FILE)
    assert vpn + 5 not in reader.resident(reader.row)


def used_once(flags: int) -> Reader:
    """Return the reader of a file whose first pages were read, and used once through a mapping."""
    reader = Reader()
    reader.pread(*range(62))
    reader.drain()
    reader.read(reader.row, reader.map_file(bits=A_READ | A_SHARED | flags))
    for page in range(16):
        reader.frame(page).bits &= ~F_REFERENCED
    reader.shrink(1)
    return reader


def test_text_is_active_at_its_first_use() -> None:
    assert 0 in used_once(A_EXEC).on(LRU_ACTIVE_FILE)
    assert 0 in used_once(0).on(LRU_INACTIVE_FILE)


@pytest.mark.parametrize("flags", [A_EXEC, 0])
def test_text_that_was_used_again_stays_active(flags: int) -> None:
    reader = Reader()
    reader.pread(*range(62), *range(62))
    reader.drain()
    reader.read(reader.row, reader.map_file(bits=A_READ | A_SHARED | flags))
    cost = int(reader.vec().file_cost)
    shrink_active_list(reader.arrays, 0, reader.group, LRU_ACTIVE_FILE, 32)
    reader.machine.audit()
    assert set(range(16)) <= set(reader.on(LRU_ACTIVE_FILE if flags else LRU_INACTIVE_FILE))
    assert reader.vec().pgdeactivate == (16 if flags else 32)
    assert (reader.vec().file_cost > cost) == bool(flags)


def test_two_who_use_a_page_make_it_active_at_once() -> None:
    reader = Reader()
    other = reader.process()
    reader.machine.process_of(other).group = reader.group
    reader.space(other).group = reader.group
    for row in (reader.row, other):
        reader.read(row, reader.map_file(row, A_READ | A_SHARED))
    reader.drain()
    for page in range(16):
        reader.frame(page).bits &= ~F_REFERENCED
    reader.shrink(1)
    assert 0 in reader.on(LRU_ACTIVE_FILE)


def test_use_by_others_than_the_group_does_not_count() -> None:
    reader = Reader()
    stranger = reader.process()
    reader.pread(*range(32))
    vpn = reader.map_file(stranger, A_READ | A_SHARED)
    reader.read(stranger, vpn)
    reader.shrink()
    assert reader.cached() == []
    assert vpn not in reader.resident(stranger)
    assert reader.space(stranger).rss_file == 0


@pytest.mark.parametrize("advised", [A_RANDOM, 0])
def test_use_through_an_area_that_is_read_at_random_does_not_count(advised: int) -> None:
    reader = Reader()
    reader.pread(*range(32))
    reader.read(reader.row, reader.map_file(bits=A_READ | A_SHARED | advised))
    reader.shrink(1)
    assert (0 in reader.cached()) == (advised == 0)


def test_giving_back_what_was_used_counts_as_use() -> None:
    reader = Reader()
    reader.pread(*range(40))
    vpn = reader.map_file(bits=A_READ | A_SHARED)
    reader.read(reader.row, vpn)
    reader.munmap(reader.row, vpn, reader.pages)
    reader.drain()
    assert sorted(reader.on(LRU_ACTIVE_FILE)) == list(range(16))


def test_what_is_dirty_is_passed_over_and_the_flusher_woken() -> None:
    reader = Reader()
    reader.pwrite(0, 62)
    assert reader.shrink() == 0
    assert reader.arrays.pool[0].flusher_woken == 1
    assert reader.cached() == list(range(62))
    assert all(reader.bits(page) & F_RECLAIM for page in range(62))


def test_a_dirty_entry_makes_its_page_dirty_when_it_goes() -> None:
    reader = Reader()
    reader.pread(*range(32))
    vpn = reader.map_file(bits=READ_WRITE | A_SHARED | A_RANDOM)
    reader.write(reader.row, vpn)
    reader.call(reader.row, ops.OP_FSYNC, file=reader.file)
    reader.write(reader.row, vpn)
    reader.shrink()
    assert reader.cached() == [0]
    assert reader.entry(reader.row, vpn) == 0


def test_what_is_locked_stays() -> None:
    reader = Reader()
    reader.pread(*range(32))
    vpn = reader.map_file(bits=A_READ | A_SHARED | A_LOCKED)
    reader.read(reader.row, vpn)
    for _ in range(3):
        reader.shrink()
    assert reader.cached() == list(range(16))


def test_what_is_under_way_stays() -> None:
    reader = Reader()
    reader.pread(*range(32))
    reader.disk_is_quick = False
    reader.begin(reader.row, ops.OP_FILE_READ, file=reader.file, file_page=40, pages=1)
    reader.one_step(reader.row)
    reader.drain()
    for _ in range(2):
        reader.shrink()
    assert reader.cached() == [40]


def test_pages_that_share_a_leaf_table_go_from_both_address_spaces() -> None:
    reader = Reader(fork_kind=FORK_ON_DEMAND)
    reader.pread(*range(32))
    vpn = reader.mmap(reader.row, 4)
    reader.write(reader.row, vpn, 4)
    start = reader.map_file(bits=A_READ | A_WRITE | A_RANDOM)
    reader.read(reader.row, start, 4)
    child = reader.fork(reader.row)
    reader.shrink()
    assert reader.cached() == []
    for row in (reader.row, child):
        assert reader.space(row).rss_file == 0


def test_active_pages_go_when_there_are_no_others() -> None:
    """Nothing says that there are too many active ones, so that is the last resort."""
    reader = Reader()
    reader.pread(*range(62), *range(62))
    reader.drain()
    assert len(reader.on(LRU_ACTIVE_FILE)) == 62
    assert reader.shrink() >= 32
    assert reader.vec().pgdeactivate >= 32
    assert all(reader.bits(page) & F_WORKINGSET for page in reader.on(LRU_INACTIVE_FILE))


def test_active_pages_become_inactive_once_statistics_say_they_are_too_many() -> None:
    reader = Reader()
    reader.pread(*range(124), *range(93))
    reader.drain()
    reader.shrink()
    assert reader.vec().pgdeactivate == 0
    reader.pread(*range(124, 155))
    flush_stats(reader.arrays)
    reader.shrink()
    assert reader.vec().pgdeactivate > 0


def test_statistics_are_flushed_every_two_seconds() -> None:
    reader = Reader()
    reader.pread(*range(31))
    reader.arrays.cpus[0].next_ns = 2_000_000_000 - 1
    reader.drain()
    assert reader.vec().flushed_inactive_file == 0
    reader.arrays.cpus[0].next_ns = 2_000_000_000
    reader.pread(*range(31, 62))
    assert reader.vec().flushed_inactive_file == 31
    assert reader.vec(ROOT).flushed_inactive_file == 31
    assert reader.arrays.clock[0].flush_ns == 2 * FLUSH_NS


@pytest.mark.parametrize("flushed", [False, True])
def test_a_page_that_comes_back_soon_enough_is_activated(flushed: bool) -> None:
    reader = Reader()
    reader.pread(*range(124), *range(60, 122))
    reader.drain()
    reader.shrink()
    assert 0 not in reader.cached()
    if flushed:
        flush_stats(reader.arrays)
    age = int(reader.vec().nonresident_age)
    reader.pread(0)
    assert reader.vec().workingset_refault == 1
    assert reader.vec().workingset_activate == flushed
    assert reader.vec().nonresident_age == age + flushed
    reader.drain()
    assert (0 in reader.on(LRU_ACTIVE_FILE)) == flushed


def test_what_was_active_before_is_known_when_it_comes_back() -> None:
    reader = Reader()
    reader.pread(*range(62), *range(62))
    reader.drain()
    reader.shrink()
    reader.vec().flushed_active_file = 1000
    reader.pread(0)
    assert reader.vec().workingset_restore == 1
    assert reader.bits(0) & F_WORKINGSET


def test_what_is_written_anew_has_not_come_back() -> None:
    reader = Reader()
    reader.pread(*range(62))
    reader.shrink()
    assert reader.shadow(0) < 0
    reader.pwrite(0, 1)
    assert reader.vec().workingset_refault == 0


def test_dropping_pages_forgets_those_that_are_gone() -> None:
    reader = Reader()
    reader.pread(*range(62))
    reader.shrink()
    reader.advise(DONTNEED)
    assert [reader.shadow(page) for page in range(62)] == [0] * 62
    assert reader.arrays.groups[reader.group].slab == 0


def test_reclaim_for_a_group_leaves_others_alone() -> None:
    reader = Reader()
    reader.pread(*range(93))
    outer = reader.group
    inner = reader.new_group(reader.row, outer)
    reader.pread(*range(93, 155))
    stranger = reader.new_group(reader.row)
    reader.pread(*range(155, 186))
    reader.shrink(group=inner)
    assert set(reader.cached()) >= {*range(93), *range(155, 186)}
    before = reader.vec(outer).pgsteal_direct, reader.vec(inner).pgsteal_direct
    reader.shrink(group=outer)
    reader.shrink(group=outer)
    assert reader.vec(outer).pgsteal_direct > before[0]
    assert reader.vec(inner).pgsteal_direct > before[1]
    assert reader.vec(stranger).pgscan_direct == 0
    while shrink_group(reader.arrays, 0, ROOT, 32, 0) > 0:
        pass
    assert reader.cached() == []
    reader.machine.audit()


def test_there_is_nothing_to_reclaim_without_pages_of_files() -> None:
    kernel = Kernel(memory_pages=512, cpus=1)
    row = kernel.process()
    kernel.write(row, kernel.mmap(row, 50), 50)
    assert shrink_group(kernel.arrays, 0, ROOT, 32, 0) == 0


def test_large_folios_go_whole() -> None:
    reader = Reader(4096, kernel="6.18", read_ahead_pages=1024)
    reader.arrays.files[reader.file].random = 0
    for page in range(4096):
        reader.pread(page)
    reader.drain()
    orders = {page: int(reader.frame(page).order) for page in reader.cached()}
    assert max(orders.values()) > 4
    before = set(reader.cached())
    assert reader.shrink(600) >= 600
    gone = before - set(reader.cached())
    for page in gone:
        first = page >> orders[page] << orders[page]
        assert gone >= set(range(first, first + (1 << orders[page])))
    reader.pread(*sorted(gone)[:40])
    reader.machine.audit()


@pytest.mark.parametrize("random", [True, False])
def test_each_reclaim_for_what_is_read_is_an_event_of_the_full_group(random: bool) -> None:
    """Running kernel (v1): 50,108 failures for 49,280 pages stolen, 57 by each reclaim."""
    reader = Reader(1000)
    if not random:
        reader.advise(NORMAL)
    m = reader.arrays
    m.groups[reader.group].limit = 400
    for first in range(0, 1000, 20):
        fields = {"file": reader.file, "file_page": first, "pages": 20}
        status = MORE
        reader.begin(reader.row, ops.OP_FILE_READ, **fields)
        while status != DONE:
            status = reader.one_step(reader.row, 0)
            if status == SHORT:
                assert make_room(m, 0, reader.row) == ROOM
            else:
                requests.arrive_at_once(m)
    stolen = int(m.lruvecs[reader.group].pgsteal_direct)
    events = int(m.events[reader.group, EV_MAX])
    assert stolen > 500
    assert stolen / 64 <= events <= stolen / 32
    assert m.events[reader.group, EV_FAILCNT] > events
