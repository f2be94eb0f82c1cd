"""Reclaim of anonymous memory, rule by rule, where recorded scripts do not come.

Those last less than two seconds, so that no statistics are flushed, have no pages of files, one
group, and a device in memory.  All figures here are worked out by hand.
"""

import pytest
from support.swapper import BASE, Swapper, looked_at

from sim.kernel.files.requests import arrive_at_once
from sim.kernel.reclaim.balance import (
    SCAN_ANON,
    SCAN_EQUAL,
    SCAN_FILE,
    SCAN_FRACT,
    prepare_scan_control,
    pressure_on,
    scan_balance,
    scan_count,
)
from sim.kernel.reclaim.pageout import NR_REQUESTS
from sim.kernel.reclaim.vmscan import (
    DEF_PRIORITY,
    shrink_active_list,
    shrink_inactive_list,
    shrink_lruvec,
    shrink_node,
)
from sim.machine.layout import (
    A_LOCKED,
    A_RANDOM,
    EV_SWAP_FAIL,
    F_ACTIVE,
    F_LOCKED,
    F_REFERENCED,
    F_WORKINGSET,
    LRU_ACTIVE_ANON,
    LRU_INACTIVE_ANON,
    N_LRU,
    ROOT,
    SWAP_CLUSTER_MAX,
    SWAP_SOLID,
)
from sim.machine.lru import flush_stats, lru_note_cost

# -- how far each list is looked at ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "balance"),
    [
        ({}, SCAN_FRACT),
        ({"no_swap": 1}, SCAN_FILE),  # memory and swap are limited together: it would not help
        ({"swap_limit": 0}, SCAN_FILE),
        ({"swap_limit": 1}, SCAN_FRACT),
        ({"swappiness": 0}, SCAN_FILE),
        ({"swappiness": 0, "group": ROOT}, SCAN_FRACT),
        ({"swappiness": 0, "group": ROOT, "priority": 0}, SCAN_FRACT),
        ({"priority": 0}, SCAN_EQUAL),
        ({"priority": 0, "cache_trim": 1, "file_is_tiny": 1}, SCAN_EQUAL),
        ({"file_is_tiny": 1}, SCAN_ANON),
        ({"file_is_tiny": 1, "cache_trim": 1}, SCAN_ANON),
        ({"cache_trim": 1}, SCAN_FILE),
    ],
)
def test_which_lists_are_looked_at(conditions: dict[str, int], balance: int) -> None:
    swapper = Swapper(1)
    m, group = swapper.arrays, swapper.group
    m.groups[group].swap_limit = conditions.pop("swap_limit", 100)
    m.groups[group].swappiness = conditions.pop("swappiness", 60)
    m.scans[0].group, m.scans[0].priority = group, 1
    for name, value in conditions.items():
        m.scans[0][name] = value
    assert scan_balance(m, 0, group) == balance


@pytest.mark.parametrize(
    ("costs", "swappiness", "anon", "file"),
    [
        ((0, 0), 60, 60, 140),
        ((0, 0), 200, 200, 0),
        # 400 in all, so 700 and 500, of 1,200: 100 * 1201 // 701 and 100 * 1201 // 501
        ((300, 100), 100, 171, 239),
        # 32, so 64 and 32, of 96: 60 * 97 // 65 and 140 * 97 // 33
        ((32, 0), 60, 89, 411),
    ],
)
def test_what_cost_more_is_looked_at_less(
    costs: tuple[int, int], swappiness: int, anon: int, file: int
) -> None:
    swapper = Swapper(155, swappiness=swappiness)
    m, group = swapper.arrays, swapper.group
    m.scans[0].anon_cost, m.scans[0].file_cost = costs
    assert tuple(pressure_on(m, 0, group, True)) == (anon, anon + file)
    assert tuple(pressure_on(m, 0, group, False)) == (file, anon + file)
    m.scans[0].priority = 2
    counts = [
        scan_count(m, 0, group, LRU_INACTIVE_ANON, balance)
        for balance in (SCAN_FRACT, SCAN_EQUAL, SCAN_ANON, SCAN_FILE)
    ]
    assert counts == [38 * anon // (anon + file), 38, 38, 0]


def test_cost_is_halved_beyond_a_quarter_of_the_lists_and_all_around_pay() -> None:
    swapper = Swapper(1)
    inner = swapper.machine.new_group(swapper.group)
    for group in (inner, swapper.group, ROOT):
        swapper.vec(group).flushed_inactive_anon = 300
        swapper.vec(group).flushed_active_file = 100
    swapper.vec(swapper.group).file_cost = 4
    for rotated, costs in ((64, (96, 4)), (1, (48, 2))):  # 100 is a quarter, 101 is more
        lru_note_cost(swapper.arrays, inner, True, 1 if rotated == 64 else 0, rotated)
        assert (swapper.vec().anon_cost, swapper.vec().file_cost) == costs
    assert [int(swapper.vec(group).anon_cost) for group in (inner, ROOT)] == [97, 97]


@pytest.mark.parametrize(
    ("came_back", "flushed", "anon_stays"),
    [(False, True, True), (False, False, False), (True, True, False)],
)
def test_inactive_pages_of_files_go_first_unless_some_came_back(
    came_back: bool, flushed: bool, anon_stays: bool
) -> None:
    """`cache_trim_mode`: 200 give 1, 3, 6, 11 and 22 pages, from priority 7 on."""
    swapper = Swapper(100, swappiness=100)
    swapper.pread(*range(200))
    swapper.drain()
    swapper.vec().workingset_activate = int(came_back)
    if flushed:
        flush_stats(swapper.arrays)
    reclaimed = swapper.shrink()
    assert (len(swapper.mapped()) == 100) == anon_stays
    if anon_stays:
        assert reclaimed == 200 - len(swapper.cached()) == 1 + 3 + 6 + 11 + 22


@pytest.mark.parametrize(("anon", "file", "left"), [(160, 40, (96, 8)), (40, 160, (8, 96))])
def test_the_longer_list_is_looked_at_once_more(
    anon: int, file: int, left: tuple[int, int]
) -> None:
    """32 of each are enough; 19 % of the shorter are left: of the longer 81 % are wanted.

    129 less the 32 it had: so there is another portion, after which the shorter has none.
    """
    swapper = Swapper(anon)
    swapper.pread(*range(file))
    swapper.drain()
    scan = swapper.arrays.scans[0]
    scan.group, scan.wanted, scan.priority = swapper.group, SWAP_CLUSTER_MAX, 0
    shrink_lruvec(swapper.arrays, 0, swapper.group)
    assert (len(swapper.mapped()), len(swapper.cached())) == left
    assert scan.reclaimed == 96


@pytest.mark.parametrize(
    ("everywhere", "kswapd", "priority", "freed"),
    [
        (True, 0, DEF_PRIORITY, 64),
        (True, 0, DEF_PRIORITY - 1, 32),
        (True, 1, DEF_PRIORITY, 32),
        (False, 0, DEF_PRIORITY, 32),
    ],
)
def test_a_portion_is_enough_but_for_the_machines_first_look(
    everywhere: bool, kswapd: int, priority: int, freed: int
) -> None:
    """`proportional_reclaim`; the list is said to be as long as would give two portions."""
    swapper = Swapper(160)
    m, scan = swapper.arrays, swapper.arrays.scans[0]
    scan.group = ROOT if everywhere else swapper.group
    scan.wanted, scan.priority, scan.kswapd = SWAP_CLUSTER_MAX, priority, kswapd
    m.lrus[swapper.group * N_LRU + LRU_INACTIVE_ANON].pages += 64 << priority
    shrink_lruvec(m, 0, swapper.group)
    assert swapper.mapped() == list(range(freed, 160))


def test_files_are_tiny_where_they_and_what_is_free_are_at_the_high_watermark() -> None:
    """Of the whole machine alone, while there are inactive anonymous pages, and enough of them."""
    swapper = Swapper(62)
    swapper.pread(*range(31))
    swapper.drain()
    m, scan = swapper.arrays, swapper.arrays.scans[0]
    at_high = int(m.pool[0].free) + 31
    for high, group, priority, tiny in (
        (at_high, ROOT, 5, 1),
        (at_high - 1, ROOT, 5, 0),
        (at_high, ROOT, 6, 0),  # 62 >> 6: none would be looked at
        (at_high, swapper.group, 5, 0),
    ):
        m.zones[0].high_pages = high
        scan.group, scan.priority = group, priority
        prepare_scan_control(m, 0)
        assert scan.file_is_tiny == tiny
    m.lruvecs[ROOT].flushed_active_anon = 100  # too many: they become inactive first
    m.zones[0].high_pages, scan.group, scan.priority = at_high, ROOT, 5
    prepare_scan_control(m, 0)
    assert scan.file_is_tiny == 0


def test_groups_have_their_turn() -> None:
    """A walk ends once 32 are reclaimed, and the next goes on behind the group that gave them."""
    swapper = Swapper(100)
    m = swapper.arrays
    other = swapper.process()
    inner = swapper.new_group(other, parent=swapper.group)
    swapper.mmap(other, 100, start=BASE)
    swapper.write(other, BASE, 100)
    swapper.drain()
    scan = m.scans[0]
    scan.group, scan.wanted, scan.priority = swapper.group, SWAP_CLUSTER_MAX, 0
    seen = []
    for _ in range(3):
        scan.reclaimed = 0
        shrink_node(m, 0)
        looked = swapper.vec().pgscan_direct, swapper.vec(inner).pgscan_direct
        seen.append(tuple(int(pages) for pages in looked))
    # what the other has written it has used: all of that is looked at, and kept, to the walk's end
    assert seen == [(32, 0), (32, 100), (64, 100)]


# -- active pages ----------------------------------------------------------------------------------


def test_active_pages_become_inactive_used_or_not_once_statistics_say_they_are_too_many() -> None:
    """At each priority 32, so all at two of them; then 1, 3, 7, 12 and 19 go, the oldest ones."""
    swapper = Swapper(62)
    swapper.activate(range(62))
    swapper.read(swapper.row, BASE, 62)
    assert swapper.shrink() == 0, "in a new group nothing says so"
    assert swapper.vec().pgdeactivate == 0
    flush_stats(swapper.arrays)
    assert swapper.shrink() == 1 + 3 + 7 + 12 + 19
    assert swapper.vec().pgdeactivate == 62
    assert swapper.mapped() == list(range(42, 62))
    assert swapper.lengths() == (20, 0)
    assert all(swapper.page(n).bits & F_WORKINGSET for n in range(42, 62))


def test_pages_that_come_back_make_active_ones_inactive_for_one_reclaim() -> None:
    """`may_deactivate`: 93 inactive pages are enough beside 62, unless some came back since."""
    swapper = Swapper(155)
    swapper.activate(range(62))
    flush_stats(swapper.arrays)
    swapper.vec().workingset_activate_anon = 1
    before = swapper.lengths()
    flush_stats(swapper.arrays)
    assert (before, looked_at(*before)) == ((93, 62), (40, 23))
    assert swapper.shrink() == 40
    assert swapper.vec().pgdeactivate == 23
    swapper.shrink()
    assert swapper.vec().pgdeactivate == 23, "that has been seen"


def test_what_is_on_its_way_to_a_list_comes_there_first() -> None:
    swapper = Swapper(62)
    swapper.activate(range(62))
    swapper.mmap(swapper.row, 5, start=BASE + 1024)
    swapper.write(swapper.row, BASE + 1024, 5)
    assert swapper.lengths() == (0, 62)
    swapper.arrays.scans[0].group = swapper.group
    shrink_active_list(swapper.arrays, 0, swapper.group, LRU_ACTIVE_ANON, 1)
    assert swapper.on(LRU_INACTIVE_ANON) == [BASE, *range(BASE + 1028, BASE + 1023, -1)]
    assert swapper.lengths() == (6, 61)


def test_where_enough_are_inactive_active_pages_stay() -> None:
    swapper = Swapper(155)
    swapper.activate(range(62))
    flush_stats(swapper.arrays)
    assert swapper.shrink() == looked_at(93, 0)[0]
    assert swapper.vec().pgdeactivate == 0
    assert swapper.lengths()[1] == 62


@pytest.mark.parametrize(("kernel", "walks"), [("6.12", 2), ("6.1", 1)])
def test_where_nothing_else_goes_active_pages_have_to(kernel: str, walks: int) -> None:
    """Ten inactive pages cannot: 1, 2, 5 and 10 of them are looked at, since 6.9 all that twice.

    Then at priorities 3 to 0 active ones become inactive, 7, 13, 21 and 21; 1, 4, 15 and 44 pages
    are looked at, of which 0, 0, 7 and 34 go: what cannot go is at the tail at first.
    """
    swapper = Swapper(72, kernel=kernel)
    swapper.activate(range(10, 72))
    for n in range(10):
        swapper.page(n)["bits"] |= F_LOCKED
    assert swapper.shrink() == 41
    assert swapper.vec().pgdeactivate == 62
    assert swapper.vec().pgscan_direct == walks * 18 + 64


@pytest.mark.parametrize(("pages", "recent"), [(42, True), (41, False)])
@pytest.mark.parametrize(
    ("list_of", "counts"),
    [
        ("active_anon", True),
        ("active_file", True),
        ("inactive_file", True),
        ("inactive_anon", False),
    ],
)
def test_a_page_that_comes_back_soon_enough_is_activated(
    list_of: str, counts: bool, pages: int, recent: bool
) -> None:
    """42 have gone since the first one; other lists than its own might have made room for them."""
    swapper = Swapper(62)
    swapper.activate(range(62))
    flush_stats(swapper.arrays)
    assert swapper.shrink() == 42
    vec = swapper.vec()
    assert vec.nonresident_age == 42
    for name in ("active_anon", "active_file", "inactive_file"):
        vec[f"flushed_{name}"] = 0
    vec.flushed_inactive_anon = 1000  # so that no cost is halved
    vec[f"flushed_{list_of}"] = pages if counts else 1000
    vec.anon_cost = 0
    swapper.read(swapper.row, BASE)
    activated = int(recent and counts)
    assert vec.workingset_refault_anon == 1
    assert vec.workingset_activate_anon == vec.workingset_restore_anon == activated
    assert vec.nonresident_age == 42 + activated
    assert vec.anon_cost == (32 if activated else 0), "as if it had been written"
    kept = swapper.page(0).bits & (F_ACTIVE | F_WORKINGSET)
    assert kept == (F_ACTIVE | F_WORKINGSET if activated else 0)


def test_one_that_was_not_active_before_costs_nothing_when_it_comes_back() -> None:
    swapper = Swapper(62)
    swapper.shrink()
    swapper.vec().flushed_active_anon = 1000
    swapper.vec().anon_cost = 0
    swapper.read(swapper.row, BASE)
    assert (swapper.vec().workingset_activate_anon, swapper.vec().workingset_restore_anon) == (1, 0)
    assert swapper.page(0).bits & (F_ACTIVE | F_WORKINGSET) == F_ACTIVE
    assert swapper.vec().anon_cost == 0


def test_without_room_in_swap_its_lists_would_not_have_helped_a_page_of_a_file() -> None:
    for slots, recent in ((4096, True), (0, False)):
        reader = Swapper(1, swappiness=0)
        reader.pread(*range(62))
        reader.drain()
        assert reader.shrink() == 42
        reader.vec().flushed_inactive_anon = 42
        reader.arrays.groups[reader.group].swap_limit = slots
        reader.pread(0)
        assert reader.vec().workingset_activate == recent


# -- use -------------------------------------------------------------------------------------------


def used_by_a_child(same_group: bool) -> Swapper:
    """Return whose page 0 was used by its child alone, after reclaim."""
    swapper = Swapper(62)
    child = swapper.fork(swapper.row)
    swapper.machine.process_of(child).group = swapper.group
    swapper.space(child).group = swapper.group
    if not same_group:
        swapper.new_group(child)
    swapper.read(child, BASE)
    swapper.shrink()
    return swapper


def test_use_by_others_than_the_group_does_not_count() -> None:
    assert BASE in used_by_a_child(True).resident(1)
    assert BASE not in used_by_a_child(False).resident(1)


@pytest.mark.parametrize(
    ("flag", "stays", "active"),
    [(0, True, False), (A_RANDOM, False, False), (A_LOCKED, True, True)],
)
def test_what_the_area_says_of_a_used_page(flag: int, stays: bool, active: bool) -> None:
    """Used once it stays; not where it is read at random; locked it does, and becomes active."""
    swapper = Swapper(62)
    next(a for a in swapper.area_rows(swapper.row) if a.start == BASE).vm_flags |= flag
    swapper.read(swapper.row, BASE)
    swapper.shrink()
    assert (0 in swapper.mapped()) == stays
    if stays:
        assert (BASE in swapper.on(LRU_ACTIVE_ANON)) == active


def test_what_is_used_twice_becomes_active_costs_as_kept_and_counts_as_time() -> None:
    """The first of 62: 1 is looked at, then 3, 7, 12 and 19 of the 61 others, which are written."""
    swapper = Swapper(62)
    swapper.vec().flushed_inactive_anon = 10_000  # so that no cost is halved
    swapper.read(swapper.row, BASE)
    swapper.page(0)["bits"] |= F_REFERENCED
    assert swapper.shrink() == 41
    vec = swapper.vec()
    assert swapper.on(LRU_ACTIVE_ANON) == [BASE]
    assert (vec.pgscan_direct, vec.pgactivate, vec.nonresident_age) == (42, 1, 42)
    assert vec.anon_cost == 41 * 32 + 1


def test_no_page_is_looked_at_twice_in_a_portion() -> None:
    swapper = Swapper(10)
    for n in range(10):
        swapper.page(n)["bits"] |= F_LOCKED
    swapper.arrays.scans[0].group = swapper.group
    shrink_inactive_list(swapper.arrays, 0, swapper.group, LRU_INACTIVE_ANON, SWAP_CLUSTER_MAX)
    assert swapper.vec().pgscan_direct == 10


# -- the device ------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [True, False])
def test_a_page_that_gets_no_slot_becomes_active(group: bool) -> None:
    """Of 62 pages 1, 3 and 7 are looked at: one more than there are slots; then none any more."""
    swapper = Swapper(62, swap_pages=4096 if group else 10)
    if group:
        swapper.arrays.groups[swapper.group].swap_limit = 10
    assert swapper.shrink() == 10
    assert swapper.lengths() == (51, 1)
    assert swapper.vec().pgscan_direct == 11
    assert swapper.arrays.events[swapper.group, EV_SWAP_FAIL] == 1


def test_what_is_being_written_is_kept_then_spared_and_goes_when_it_is_written() -> None:
    """The list gets no shorter, so that 1, 3, 7, 15 and 31 pages are written: that is enough."""
    swapper = Swapper(62, kind=SWAP_SOLID)
    vec, scan = swapper.vec(), swapper.arrays.scans[0]
    assert swapper.shrink() == 0
    assert vec.pswpout == scan.written == vec.pgscan_direct == 57
    assert swapper.lengths() == (62, 0)
    assert swapper.shrink() == 0
    assert vec.pswpout == 62
    assert swapper.lengths() == (0, 62), "all were found to be written yet, or again"
    arrive_at_once(swapper.arrays)
    assert swapper.lengths() == (62, 0), "at the tail: next to go"
    assert swapper.shrink() == 42
    assert vec.pswpout == 62, "what is on the device is not written again"


def test_a_page_that_is_not_used_again_loses_its_mark() -> None:
    """It stays until it is written; used until then, it was used once."""
    swapper = Swapper(62, kind=SWAP_SOLID)
    frame = swapper.page(0)
    frame["bits"] |= F_REFERENCED
    swapper.shrink()
    assert frame["bits"] & F_REFERENCED == 0


@pytest.mark.parametrize(("waiting", "written"), [(NR_REQUESTS, 0), (NR_REQUESTS - 1, 1)])
def test_no_more_is_given_to_a_device_that_has_enough_to_do(waiting: int, written: int) -> None:
    swapper = Swapper(62, kind=SWAP_SOLID)
    m = swapper.arrays
    m.files[int(m.swap_area[0].file)].writing = waiting
    assert swapper.shrink() == 0
    assert (swapper.vec().pswpout, int(m.scans[0].congested)) == (written, 1)
