"""What comes back from swap: how much is read at once, what an entry may do, who keeps its slot."""

from typing import Any

import pytest
from support.swapper import BASE, Swapper
from support.swapping import page_out, references

from sim.kernel.fault.swap_window import (
    near_in_memory,
    near_on_device,
    note_hit,
    swapin_nr_pages,
)
from sim.kernel.files.requests import arrive_at_once
from sim.kernel.reclaim.pageout import activate
from sim.machine.layout import (
    A_LOCKED,
    F_DIRTY,
    F_EXCLUSIVE,
    F_LRU,
    NONE,
    PTE_ACCESSED,
    PTE_DIRTY,
    PTE_WRITE,
    SWAP_ROTATING,
    SWAP_SOLID,
)
from sim.machine.swap import get_nr_swap_pages, get_swap_page

# -- windows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("far", "hits", "most", "last", "pages"),
    [
        (2, 0, 8, 0, 1),
        (1, 0, 8, 0, 2),  # its neighbour was the last one
        (-1, 0, 8, 0, 2),
        (2, 1, 8, 0, 4),  # 3, as a power of 2, at least 4
        (2, 2, 8, 0, 4),
        (2, 3, 8, 0, 8),  # 5
        (2, 6, 8, 0, 8),
        (2, 7, 16, 0, 16),  # 9
        (2, 7, 8, 0, 8),
        (2, 0, 8, 8, 4),  # it shrinks by half at most
        (2, 0, 8, 2, 1),
    ],
)
def test_how_many_pages_are_read(far: int, hits: int, most: int, last: int, pages: int) -> None:
    assert swapin_nr_pages(1000, 1000 + far, hits, most, last) == pages


def known(before: int, window: int, hits: int) -> int:
    """Return what an area knows of its read-ahead (`SWAP_RA_VAL`)."""
    return before << 12 | window << 6 | hits


@pytest.mark.parametrize(
    ("info", "vpn", "cluster", "near"),
    [
        (0, 100, 3, (97, 105)),  # nothing known: 4 hits are assumed, 8 pages, 3 of them below
        (known(99, 4, 2), 100, 3, (100, 104)),  # forwards
        (known(101, 4, 2), 100, 3, (97, 101)),  # backwards
        (known(50, 4, 2), 100, 3, (99, 103)),  # 1 below
        (known(50, 1, 0), 100, 3, (100, 101)),
        (known(50, 8, 6), 100, 0, (100, 101)),
        (known(50, 8, 6), 11, 3, (10, 16)),  # not before the area
        (known(50, 8, 6), 698, 3, (695, 700)),  # nor behind it
        (known(50, 8, 6), 512, 3, (512, 517)),  # nor before the leaf table
        (known(50, 8, 6), 511, 3, (508, 512)),  # nor behind it
        (known(50, 32, 40), 100, 6, (85, 117)),  # 32 at most, whatever `page-cluster` is
    ],
)
def test_which_pages_lie_near_in_memory(
    info: int, vpn: int, cluster: int, near: tuple[int, int]
) -> None:
    """In an area [10, 700) behind the start of a leaf table; a read forgets its hits."""
    swapper = Swapper(1, page_cluster=cluster)
    m = swapper.arrays
    base = BASE + 1024
    swapper.mmap(swapper.row, 690, start=base + 10)
    row = next(n for n, a in enumerate(m.areas) if a["start"] == base + 10)
    m.areas[row]["swap_readahead"] = info + (base << 12 if info else 0)
    assert tuple(near_in_memory(m, row, base + vpn)) == (base + near[0], base + near[1])
    if cluster:
        after = int(m.areas[row]["swap_readahead"])
        assert (after >> 12, after & 63) == (base + vpn, 0)


@pytest.mark.parametrize(
    ("slot", "hits", "cluster", "near", "last"),
    [
        (21, 4, 3, (16, 24), 0),  # 8 slots, from one that 8 divides
        (24, 4, 3, (24, 32), 0),
        (3, 4, 3, (1, 8), 0),  # slot 0 is no page's
        (63, 4, 3, (56, 64), 0),
        (64, 4, 3, (64, 65), 0),  # the last one
        (21, 0, 3, (21, 22), 21),  # no hits: 1, and where that was is kept
        (21, 4, 0, (21, 22), 0),
    ],
)
def test_which_slots_lie_near_on_the_device(
    slot: int, hits: int, cluster: int, near: tuple[int, int], last: int
) -> None:
    m = Swapper(1, kind=SWAP_ROTATING, swap_pages=64, page_cluster=cluster).arrays
    m.swap_area[0].hits = hits
    assert tuple(near_on_device(m, slot)) == near
    assert m.swap_area[0].last_offset == last
    assert m.swap_area[0].hits == (0 if cluster else hits)


def test_a_device_is_taken_to_have_had_four_hits() -> None:
    m = Swapper(1, kind=SWAP_ROTATING, swap_pages=64).arrays
    assert tuple(near_on_device(m, 21)) == (16, 24)
    assert tuple(near_on_device(m, 50)) == (48, 52), "of none of these 8: half as many"


@pytest.mark.parametrize("kind", [SWAP_SOLID, SWAP_ROTATING])
def test_a_page_that_was_read_ahead_is_a_hit_once(kind: int) -> None:
    swapper = Swapper(16, kind=kind, swap_pages=64)
    m = swapper.arrays
    m.swap[5].ahead = 1
    row = next(n for n, a in enumerate(m.areas) if a["start"] == BASE)
    m.areas[row]["swap_readahead"] = known(BASE, 8, 2)
    m.swap_area[0].hits = 2
    for _ in range(2):
        note_hit(m, row, BASE + 9, 5)
    if kind == SWAP_ROTATING:
        assert m.swap_area[0].hits == 3
    else:
        assert int(m.areas[row]["swap_readahead"]) == known(BASE + 9, 8, 3)


# -- entries and slots -----------------------------------------------------------------------------


def out(swapper: Swapper, number: int = 0) -> None:
    """Have a page leave, by way of the device."""
    pfn = swapper.pfn(swapper.row, BASE + number)
    if not page_out(swapper.arrays, 0, pfn):
        arrive_at_once(swapper.arrays)
        assert page_out(swapper.arrays, 0, pfn)
    assert swapper.pfn(swapper.row, BASE + number) == NONE


def back(*, write: int = 0, **host: Any) -> Swapper:
    """Return who has its page 0 back from a solid-state disk, alone."""
    swapper = Swapper(4, kind=SWAP_SOLID, page_cluster=0, **host)
    out(swapper)
    swapper.access(swapper.row, BASE, write)
    assert swapper.work["MAJOR_FAULT"] == 1
    return swapper


@pytest.mark.parametrize("write", [0, 1])
def test_who_had_it_alone_has_it_alone_again(write: int) -> None:
    """Though the swap cache refers to it: its entry has kept the mark (`pte_swp_exclusive`)."""
    swapper = back(write=write)
    entry = swapper.entry(swapper.row, BASE)
    dirty = PTE_DIRTY if write else 0
    assert entry & (PTE_WRITE | PTE_ACCESSED | PTE_DIRTY) == PTE_WRITE | PTE_ACCESSED | dirty
    assert swapper.page(0).bits & F_EXCLUSIVE
    assert swapper.work["COW_COPY"] == 0


@pytest.mark.parametrize(("cluster", "write", "there"), [(0, 0, False), (0, 1, True), (3, 0, True)])
def test_a_window_and_a_write_bring_pages_to_their_list(
    cluster: int, write: int, there: bool
) -> None:
    """A page that is read alone waits in its CPU's batch (`lru_add_drain`)."""
    swapper = Swapper(4, kind=SWAP_SOLID, page_cluster=cluster)
    out(swapper)
    swapper.access(swapper.row, BASE, write)
    assert bool(swapper.page(0).bits & F_LRU) == there


def test_what_is_clean_goes_without_being_written_again() -> None:
    swapper = back()
    assert swapper.page(0).slot != 0
    assert swapper.vec().pswpout == 1
    out(swapper)
    assert swapper.vec().pswpout == 1
    swapper.read(swapper.row, BASE)
    swapper.write(swapper.row, BASE)  # its entry is dirty, the page has its slot
    assert swapper.page(0).slot != 0
    out(swapper)
    assert swapper.vec().pswpout == 2


def test_a_write_gives_the_slot_back() -> None:
    swapper = back(write=1)
    assert swapper.page(0).slot == 0
    out(swapper)
    assert swapper.vec().pswpout == 2


@pytest.mark.parametrize(("free", "kept"), [(32, True), (31, False)])
def test_a_slot_is_kept_until_half_of_all_are_taken(free: int, kept: bool) -> None:
    swapper = Swapper(4, kind=SWAP_SOLID, page_cluster=0, swap_pages=64)
    m = swapper.arrays
    out(swapper)
    while get_nr_swap_pages(m) > free:
        get_swap_page(m, NONE)
    swapper.read(swapper.row, BASE)
    assert (swapper.page(0).slot != 0) == kept
    assert bool(swapper.page(0).bits & F_DIRTY) == (not kept)


@pytest.mark.parametrize(
    ("cgroup", "limit", "kept"), [("v2", 3, True), ("v2", 2, False), ("v1", 2, True)]
)
def test_so_it_is_with_what_a_group_of_version_2_may_have(
    cgroup: str, limit: int, kept: bool
) -> None:
    swapper = Swapper(4, kind=SWAP_SOLID, page_cluster=0, cgroup=cgroup)
    swapper.arrays.groups[swapper.group].swap_limit = limit
    out(swapper)
    swapper.read(swapper.row, BASE)
    assert (swapper.page(0).slot != 0) == kept


def test_what_is_locked_keeps_no_slot() -> None:
    swapper = Swapper(4, kind=SWAP_SOLID, page_cluster=0)
    out(swapper)
    next(a for a in swapper.area_rows(swapper.row) if a.start == BASE).vm_flags |= A_LOCKED
    swapper.read(swapper.row, BASE)
    assert swapper.page(0).slot == 0


@pytest.mark.parametrize(("free", "kept"), [(32, True), (31, False)])
def test_what_becomes_active_gives_its_slot_back_once_few_are_left(free: int, kept: bool) -> None:
    swapper = back(swap_pages=64)
    m = swapper.arrays
    while get_nr_swap_pages(m) > free:
        get_swap_page(m, NONE)
    activate(m, swapper.pfn(swapper.row, BASE))
    assert (swapper.page(0).slot != 0) == kept


def test_but_not_while_it_is_written() -> None:
    swapper = Swapper(4, kind=SWAP_SOLID, page_cluster=0, swap_pages=2)
    swapper.disk_is_quick = False
    m = swapper.arrays
    pfn = swapper.pfn(swapper.row, BASE)
    assert page_out(m, 0, pfn) == 0
    swapper.read(swapper.row, BASE)
    assert get_swap_page(m, NONE) != NONE
    for written in (False, True):
        if written:
            arrive_at_once(m)
        activate(m, pfn)
        assert (m.frames[pfn].slot == 0) == written


def test_a_page_that_fork_shares_on_its_way_out_is_nobodys_alone() -> None:
    """It is in the swap cache, where no page is exclusive: who writes first gets a copy."""
    swapper = Swapper(4, kind=SWAP_SOLID, page_cluster=0)
    assert page_out(swapper.arrays, 0, swapper.pfn(swapper.row, BASE)) == 0
    child = swapper.fork(swapper.row)
    arrive_at_once(swapper.arrays)
    for row in (swapper.row, child):
        swapper.read(row, BASE)
        assert swapper.entry(row, BASE) & PTE_WRITE == 0
    swapper.write(child, BASE)
    assert swapper.work["COW_COPY"] == 1
    swapper.machine.audit()


def shared_and_out(*, written: bool, **host: Any) -> Swapper:
    """Return who shared its page 0 with a child that is gone; it went while both had it."""
    swapper = Swapper(4, kind=SWAP_SOLID, **host)
    child = swapper.fork(swapper.row)
    if written:
        out(swapper)
    else:
        swapper.disk_is_quick = False
        assert page_out(swapper.arrays, 0, swapper.pfn(swapper.row, BASE)) == 0
    swapper.exit(child)
    return swapper


@pytest.mark.parametrize(("written", "copies"), [(True, 0), (False, 1)])
def test_a_write_by_the_last_one_copies_only_what_is_being_written(
    written: bool, copies: int
) -> None:
    """Its slot cannot go until then, so that the swap cache has the page as well."""
    swapper = shared_and_out(written=written, page_cluster=3)
    if written:
        out(swapper, 1)
        swapper.read(swapper.row, BASE + 1)  # reads page 0 ahead
    swapper.write(swapper.row, BASE)
    kinds = ("MAJOR_FAULT", "SWAP_MAP", "COW_COPY")
    assert [swapper.work[kind] for kind in kinds] == [0, 1 - copies, copies]
    assert swapper.page(0).bits & F_EXCLUSIVE


@pytest.mark.parametrize(("free", "alone"), [(32, False), (31, True)])
def test_a_read_by_the_last_one_makes_it_the_owner_where_the_slot_goes(
    free: int, alone: bool
) -> None:
    swapper = shared_and_out(written=True, swap_pages=64, page_cluster=0)
    m = swapper.arrays
    while get_nr_swap_pages(m) > free:
        get_swap_page(m, NONE)
    swapper.read(swapper.row, BASE)
    assert bool(swapper.page(0).bits & F_EXCLUSIVE) == alone
    assert bool(swapper.entry(swapper.row, BASE) & PTE_WRITE) == alone


def test_each_page_of_a_window_is_charged_to_the_group_that_it_was_of() -> None:
    """A child in another group reads 8, of which it has asked for one."""
    swapper = Swapper(16, kind=SWAP_SOLID)
    child = swapper.fork(swapper.row)
    swapper.new_group(child)
    for number in range(16):
        out(swapper, number)
    swapper.read(child, BASE + 8)
    m = swapper.arrays
    read = [int(pfn) for pfn in m.swap["pfn"] if pfn != 0]
    assert len(read) == 8
    assert {int(m.frames[pfn].group) for pfn in read} == {swapper.group}


def test_a_page_that_nobody_refers_to_any_more_is_not_written() -> None:
    """Who copies a page holds it: reclaim leaves it in the swap cache, and it is unmapped there."""
    swapper = Swapper(4, kind=SWAP_SOLID)
    m = swapper.arrays
    pfn = swapper.pfn(swapper.row, BASE)
    m.scans[0].held = pfn
    assert page_out(m, 0, pfn) == 0
    m.scans[0].held = 0
    assert m.frames[pfn].slot != 0
    swapper.munmap(swapper.row, BASE, 1)
    if m.frames[pfn].slot != 0:
        assert page_out(m, 0, pfn) == 1
    assert (swapper.vec().pswpout, len(references(m))) == (0, 0)
    swapper.machine.audit()
