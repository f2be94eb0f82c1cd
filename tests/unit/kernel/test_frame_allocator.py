"""Buddy lists, per-CPU lists in front of them, watermarks and zones."""

import random
from itertools import pairwise
from typing import Any

import pytest
from support.kernel import DONE, NONE, SHORT, Kernel
from support.machines import flat_prices, machine

from sim.base.errors import KernelPanicError
from sim.kernel import ops
from sim.machine.buddy import buddy_alloc, buddy_free
from sim.machine.layout import F_RESERVED, N_ORDERS, ROOT
from sim.machine.machine import Machine
from sim.machine.pool import drain, drain_all, refill, refill_or_drain


def box(pages: int, **host: Any) -> Machine:
    return machine(flat_prices(), memory_pages=pages, **host)


def blocks(m: Any, zone: int = 0) -> list[int]:
    """Return how many free blocks there are of each order."""
    return [int(free.count) for free in m.buddy[zone]]


def free_blocks(*by_order: int) -> list[int]:
    return [*by_order, *[0] * (N_ORDERS - len(by_order))]


# -- buddies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pages", "kernel", "expected"),
    [
        (16, 1, free_blocks(1, 1, 1, 1)),  # 1, 2-3, 4-7, 8-15
        (16, 8, free_blocks(0, 0, 0, 1)),
        (17, 8, free_blocks(1, 0, 0, 1)),
        (16, 3, free_blocks(1, 0, 1, 1)),
        (4096, 1024, [0] * 10 + [3]),
    ],
)
def test_memory_starts_in_the_largest_aligned_blocks(
    pages: int, kernel: int, expected: list[int]
) -> None:
    m = box(pages, kernel_pages=kernel).arrays
    assert blocks(m) == expected
    assert int(m.pool[0].free) == int(m.zones[0].free) == pages - kernel


def test_a_block_is_split_in_halves() -> None:
    m = box(64, kernel_pages=32).arrays
    assert blocks(m) == free_blocks(0, 0, 0, 0, 0, 1)
    assert buddy_alloc(m, 0, 2) == 32
    assert blocks(m) == free_blocks(0, 0, 1, 1, 1)  # 36-39, 40-47, 48-63
    assert buddy_alloc(m, 0, 2) == 36
    assert buddy_alloc(m, 0, 0) == 40
    assert blocks(m) == free_blocks(1, 1, 1, 0, 1)
    assert int(m.pool[0].free) == 32 - 9


@pytest.mark.parametrize("order_of_return", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_buddies_merge_whatever_the_order(order_of_return: tuple[int, ...]) -> None:
    m = box(64, kernel_pages=32).arrays
    taken = [buddy_alloc(m, 0, 3) for _ in range(4)]
    assert buddy_alloc(m, 0, 0) == NONE
    for at in order_of_return:
        buddy_free(m, taken[at], 3)
    assert blocks(m) == free_blocks(0, 0, 0, 0, 0, 1)


def test_neighbours_that_are_no_buddies_do_not_merge() -> None:
    m = box(64, kernel_pages=32).arrays
    taken = [buddy_alloc(m, 0, 0) for _ in range(32)]
    buddy_free(m, taken[1], 0)
    buddy_free(m, taken[2], 0)
    assert blocks(m) == free_blocks(2)
    buddy_free(m, taken[3], 0)
    assert blocks(m) == free_blocks(1, 1)
    buddy_free(m, taken[0], 0)
    assert blocks(m) == free_blocks(0, 0, 1)


def test_a_buddy_of_another_order_does_not_merge() -> None:
    m = box(64, kernel_pages=32).arrays
    low, high = buddy_alloc(m, 0, 2), buddy_alloc(m, 0, 2)
    buddy_free(m, high, 1)  # half of it: the other half is still in use
    buddy_free(m, low, 2)
    assert blocks(m) == free_blocks(0, 1, 1, 1, 1)


def test_any_history_ends_as_it_began() -> None:
    dice = random.Random(7)
    machine = box(300, kernel_pages=5)
    m = machine.arrays
    before = blocks(m)
    taken: list[tuple[int, int]] = []
    for _ in range(400):
        if taken and dice.random() < 0.5:
            buddy_free(m, *taken.pop(dice.randrange(len(taken))))
        else:
            order = dice.choice([0, 0, 0, 1, 2, 5])
            if (pfn := int(buddy_alloc(m, 0, order))) != NONE:
                assert pfn % (1 << order) == 0
                taken.append((pfn, order))
    for pfn, order in taken:
        buddy_free(m, pfn, order)
    assert blocks(m) == before
    machine.audit()


# -- per-CPU lists -------------------------------------------------------------------------------


def list_lengths(m: Any) -> list[int]:
    return [int(mine.count) for mine in m.percpu]


def test_a_refill_takes_a_batch_and_the_next_frames_come_from_it() -> None:
    kernel = Kernel(memory_pages=300, percpu_batch_pages=7, percpu_high_pages=30)
    row = kernel.process()  # takes 9: of two refills
    m = kernel.arrays
    drain_all(m)
    vpn = kernel.mmap(row, 9)
    free = int(m.pool[0].free)
    kernel.write(row, vpn, 1)
    assert (int(m.pool[0].free), list_lengths(m)) == (free - 7, [5])  # a page and its leaf table
    kernel.write(row, vpn + 1, 5)
    assert (int(m.pool[0].free), list_lengths(m)) == (free - 7, [0])
    kernel.write(row, vpn + 6, 1)
    assert (int(m.pool[0].free), list_lengths(m)) == (free - 14, [6])


def test_a_list_that_is_too_long_gives_a_batch_back() -> None:
    kernel = Kernel(memory_pages=300, percpu_batch_pages=7, percpu_high_pages=10)
    row = kernel.process()
    vpn = kernel.mmap(row, 20)
    kernel.write(row, vpn, 20)
    m = kernel.arrays
    drain_all(m)
    lengths = []
    for page in range(vpn, vpn + 13):
        kernel.munmap(row, page, 1)
        lengths += list_lengths(m)
    assert lengths == [*range(1, 11), 4, 5, 6]
    kernel.machine.audit()


def test_frames_freed_on_a_cpu_stay_on_its_list() -> None:
    kernel = Kernel(memory_pages=300, cpus=2, percpu_batch_pages=7, percpu_high_pages=20)
    row = kernel.process()
    vpn = kernel.mmap(row, 3)
    kernel.write(row, vpn, 3)
    m = kernel.arrays
    drain_all(m)
    assert kernel.call(row, ops.OP_DONTNEED, cpu=1, start=vpn, pages=3) == DONE
    assert list_lengths(m) == [0, 3]
    drain(m, 1, 2)
    assert list_lengths(m) == [0, 1]
    drain_all(m)
    assert list_lengths(m) == [0, 0]
    kernel.machine.audit()


def test_without_lists_every_frame_goes_back_at_once() -> None:
    kernel = Kernel(memory_pages=300, cpus=2)
    row = kernel.process()
    assert list_lengths(kernel.arrays) == [0, 0]
    kernel.exit(row)
    assert list_lengths(kernel.arrays) == [0, 0]
    assert int(kernel.arrays.pool[0].free) == kernel.machine.free_at_start_pages


def test_all_lists_are_drained_before_memory_is_declared_short() -> None:
    kernel = Kernel(memory_pages=60, cpus=2, percpu_batch_pages=20, percpu_high_pages=40)
    row, other = kernel.process(), kernel.process()
    m = kernel.arrays
    drain_all(m)
    assert refill(m, 1, 20, 0, False)
    spare = int(m.pool[0].free)
    vpn = kernel.mmap(row, 50)
    kernel.write(row, vpn, spare - 1 + 10)  # a leaf table, and ten from the other CPU's list
    assert kernel.free() == 10
    kernel.write(other, kernel.mmap(other, 20), 10 - 1, cpu=1)
    assert kernel.access(row, vpn + 49, 1) == SHORT
    assert kernel.free() == 0


# -- watermarks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [0, 7])
def test_no_allocation_takes_the_free_pages_below_min(batch: int) -> None:
    kernel = Kernel(memory_pages=100, min_free_pages=20, percpu_batch_pages=batch)
    row = kernel.process()
    vpn = kernel.mmap(row, 90)
    pages = 0
    while kernel.access(row, vpn + pages, 1) == DONE:
        pages += 1
    assert kernel.operation(row).need == 1
    assert kernel.free() == 20 == int(kernel.arrays.zones[0].min_pages)
    kernel.task(row).killed = 1  # one that is being killed may dip into the reserve
    kernel.write(row, vpn + pages, 20)
    assert kernel.access(row, vpn + pages + 20, 1) == SHORT
    assert kernel.free() == 0
    kernel.machine.audit()


def test_a_refused_refill_moves_nothing() -> None:
    m = box(100, min_free_pages=20, percpu_batch_pages=7, percpu_high_pages=20).arrays
    before = blocks(m), list_lengths(m)
    assert not refill(m, 0, 80, 0, False)
    assert (blocks(m), list_lengths(m)) == before
    assert refill(m, 0, 79, 0, False)
    assert (int(m.pool[0].free), list_lengths(m)) == (20, [79])


@pytest.mark.parametrize("lists", [0, 7])
def test_frames_set_aside_for_one_are_left_by_the_others(lists: int) -> None:
    box_ = box(100, min_free_pages=20, percpu_batch_pages=lists, percpu_high_pages=20)
    m = box_.arrays
    one, two = box_.new_task(), box_.new_task()
    m.pool[0].reserved = m.tasks[one].reserved = 30
    assert refill(m, 0, min(lists, 7), 0, False)
    assert not refill_or_drain(m, 0, two, 50)
    assert refill_or_drain(m, 0, two, 49)
    drain_all(m)
    assert refill_or_drain(m, 0, one, 79)


# -- zones ---------------------------------------------------------------------------------------


ZONES = (("DMA", 64), ("DMA32", 128), ("Normal", 256))


def test_each_zone_has_its_share_of_the_watermarks() -> None:
    m = box(448, zones=ZONES, kernel_pages=16, min_free_pages=54, scale_factor=1000).arrays
    managed = [48, 128, 256]
    assert [int(z.managed) for z in m.zones] == [int(z.free) for z in m.zones] == managed
    minima = [54 * pages // 432 for pages in managed]
    assert [int(z.min_pages) for z in m.zones] == minima == [6, 16, 32]
    gaps = [max(low // 4, pages // 10) for low, pages in zip(minima, managed, strict=True)]
    assert [int(z.low_pages - z.min_pages) for z in m.zones] == gaps
    assert [int(z.high_pages - z.low_pages) for z in m.zones] == gaps


def test_normal_is_used_first_and_dma_last() -> None:
    kernel = Kernel(memory_pages=448, zones=ZONES, kernel_pages=16, min_free_pages=54)
    m = kernel.arrays
    row = kernel.process()
    vpn = kernel.mmap(row, 432)
    free = []
    pages = 0
    while kernel.access(row, vpn + pages, 1) == DONE:
        pages += 1
        if pages % 30 == 0:
            free.append([int(z.free) for z in m.zones])
    assert [int(z.free) for z in m.zones] == [int(z.min_pages) for z in m.zones]
    for earlier, later in pairwise(free):
        if later[1] < 128:
            assert later[2] == 32  # Normal is at its min before DMA32 is touched
        if later[0] < 48:
            assert later[1] == 16
        assert later <= earlier
    kernel.exit(row)
    kernel.machine.audit()
    assert [int(z.free) for z in m.zones] == [48, 128, 256]


def test_frames_go_back_to_their_own_zone_and_merge_not_across_its_border() -> None:
    kernel = Kernel(memory_pages=96, zones=(("DMA", 32), ("Normal", 64)), kernel_pages=1)
    m = kernel.arrays
    before = [blocks(m, zone) for zone in (0, 1)]
    row = kernel.process()
    kernel.write(row, kernel.mmap(row, 80), 80)
    kernel.exit(row)
    assert [blocks(m, zone) for zone in (0, 1)] == before


def test_a_request_that_no_zone_can_meet_is_met_by_several() -> None:
    kernel = Kernel(memory_pages=96, zones=(("DMA", 32), ("Normal", 64)), kernel_pages=1)
    assert refill(kernel.arrays, 0, 90, 0, False)
    assert [int(z.free) for z in kernel.arrays.zones] == [5, 0]


TWO = {"memory_pages": 300, "zones": (("DMA", 100), ("Normal", 200)), "kernel_pages": 4}


def lists_by_zone(m: Any, cpus: int = 1) -> list[list[int]]:
    """Return how long the lists of all CPUs are, by zone as zones are tried."""
    lengths = list_lengths(m)
    return [lengths[at : at + cpus] for at in range(0, len(lengths), cpus)]


def test_a_frame_is_freed_to_the_list_of_its_zone() -> None:
    kernel = Kernel(**TWO, cpus=2, percpu_batch_pages=7, percpu_high_pages=40)
    row = kernel.process()
    vpn = kernel.mmap(row, 260)
    kernel.write(row, vpn, 260)
    m = kernel.arrays
    drain_all(m)
    zone_of = [int(m.frames[kernel.pfn(row, vpn + at)].zone) for at in range(260)]
    assert zone_of == sorted(zone_of, reverse=True)
    first_of_dma = zone_of.index(0)
    fields = {"start": vpn + first_of_dma - 5, "pages": 8}
    assert kernel.call(row, ops.OP_DONTNEED, cpu=1, **fields) == DONE
    assert lists_by_zone(m, 2) == [[0, 5], [0, 3]]
    kernel.machine.audit()


def test_a_zones_list_is_filled_before_the_next_zone_gives_one() -> None:
    """Linux `rmqueue`: a list with a frame of DMA on it is no reason to take that."""
    kernel = Kernel(**TWO, percpu_batch_pages=7, percpu_high_pages=40)
    row = kernel.process()
    m = kernel.arrays
    vpn = kernel.mmap(row, 290)
    kernel.write(row, vpn, 260)
    drain_all(m)
    kernel.munmap(row, vpn, 20)  # of Normal
    drain_all(m)
    kernel.munmap(row, vpn + 250, 3)  # of DMA
    assert lists_by_zone(m) == [[0], [3]]
    kernel.write(row, vpn + 30, 0)
    kernel.write(row, vpn + 260, 2)
    assert lists_by_zone(m) == [[5], [3]]
    free = [int(z.free) for z in m.zones]
    kernel.write(row, vpn + 262, 18)  # what was left in Normal, and no batch of DMA
    assert lists_by_zone(m) == [[0], [3]]
    assert [int(z.free) for z in m.zones] == [free[0], 0]
    kernel.write(row, vpn + 280, 1)
    assert lists_by_zone(m) == [[0], [2]]
    kernel.machine.audit()


def test_lists_of_small_zones_are_as_long_as_their_zones_formulas_say() -> None:
    gib = 2**18
    zones = (("DMA", 4096), ("DMA32", gib // 2), ("Normal", 4 * gib))
    pages = sum(size for _, size in zones)
    said = {"memory_pages": pages, "zones": zones, "min_free_pages": 4000, "cpus": 2}
    by_formula = box(pages, **{k: v for k, v in said.items() if k != "memory_pages"},
                     percpu_batch_pages=None).arrays.zones  # fmt: skip
    largest = by_formula[2]
    host = {k: v for k, v in said.items() if k != "memory_pages"}
    told = box(
        pages, **host,
        percpu_batch_pages=int(largest.batch), percpu_high_pages=int(largest.pcp_high),
    ).arrays.zones  # fmt: skip
    assert [int(z.batch) for z in told] == [int(z.batch) for z in by_formula] == [1, 31, 63]
    for ours, linux in zip(told, by_formula, strict=True):
        assert abs(int(ours.pcp_high) - int(linux.pcp_high)) <= 1


def unbalanced_zones(kernel: Kernel) -> list[int]:
    """Return the zones whose free, listed and used frames do not add up to what they manage."""
    m = kernel.arrays
    cpus = int(m.config[0].n_cpus)
    listed = [sum(of_zone) for of_zone in lists_by_zone(m, cpus)][::-1]
    wrong = []
    for zone, z in enumerate(m.zones):
        frames = m.frames[z.start : z.end]
        used = int((frames.refs > 0).sum()) - int((frames.bits == F_RESERVED).sum())
        if int(z.free) + listed[zone] + used != z.managed:
            wrong.append(zone)
    return wrong


@pytest.mark.parametrize("seed", range(5))
def test_free_listed_and_used_frames_of_each_zone_are_all_it_has(seed: int) -> None:
    dice = random.Random(seed)
    kernel = Kernel(**TWO, cpus=2, percpu_batch_pages=7, percpu_high_pages=20)
    row = kernel.process()
    vpn = kernel.mmap(row, 270)
    for _ in range(60):
        at, pages = vpn + dice.randrange(230), dice.randint(1, 40)
        fields = {"start": at, "pages": pages}
        if dice.random() < 0.4:
            assert kernel.call(row, ops.OP_DONTNEED, cpu=dice.randrange(2), **fields) == DONE
        else:
            for page in range(at, at + pages):
                assert kernel.access(row, page, 1) == DONE
        assert unbalanced_zones(kernel) == []
        charged = sum(int(n) for n in kernel.arrays.charged[ROOT])
        free = int(kernel.arrays.pool[0].free) + sum(list_lengths(kernel.arrays))
        assert charged + free == kernel.machine.free_at_start_pages
        kernel.machine.audit()


def test_a_frame_on_the_list_of_another_zone_is_noticed() -> None:
    kernel = Kernel(**TWO, percpu_batch_pages=7, percpu_high_pages=40)
    m = kernel.arrays
    assert refill(m, 0, 3, 0, False)
    normal, dma = m.percpu
    pfn = int(normal.head)
    normal.head, normal.count = m.frames[pfn].next, normal.count - 1
    m.frames[pfn].next, dma.head, dma.count = NONE, pfn, 1
    assert unbalanced_zones(kernel) == [0, 1]
    with pytest.raises(KernelPanicError, match="a per-CPU list of another zone"):
        kernel.machine.audit()


def test_zones_must_add_up() -> None:
    with pytest.raises(KernelPanicError, match="zones do not add up"):
        box(100, zones=(("DMA", 10), ("Normal", 80)))
