"""Charging a control group: stocks, batches, limits; Linux `try_charge_memcg`, a row a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.kernel import Kernel

from sim.machine.groups import (
    charge_block,
    charge_group,
    charge_to,
    count_event,
    drain_all_stock,
    is_within,
    margin,
    refill_stock,
    secure_charge,
    settle_objects,
    settle_slab,
    stock_of,
)
from sim.machine.layout import (
    EV_FAILCNT,
    EV_MAX,
    FOREVER,
    KIND_ANON,
    N_STOCKS,
    NONE,
    ROOT,
    STOCK_PAGES,
)
from sim.machine.page_counter import page_counter_charge, page_counter_try_charge
from sim.machine.slab import count_slab

if TYPE_CHECKING:
    from sim.machine.machine import Machine


def machine(kernel: str = "6.18") -> tuple[Machine, Any, int]:
    made = Kernel(memory_pages=4096, cpus=2, kernel=kernel).machine
    return made, made.arrays, made.new_task()


def stocked(m: Any, cpu: int, group: int) -> int:
    at = stock_of(m, cpu, group)
    return 0 if at == NONE else int(m.stocks[at].pages)


@pytest.mark.parametrize(
    ("limit", "before", "wanted", "enough", "usage", "stock", "failed"),
    [
        (FOREVER, 0, 1, True, 64, 64, 0),  # a batch
        (FOREVER, 0, 65, True, 128, 128, 0),  # two
        (64, 0, 64, True, 64, 64, 0),  # the limit itself is allowed
        (100, 64, 1, True, 65, 1, 1),  # no room for a batch: a page
        (100, 99, 1, True, 100, 1, 1),
        (100, 100, 1, False, 100, 0, 2),  # the batch and the page
        (100, 98, 3, False, 100, 2, 4),  # what there is stays in the stock
        (10, 0, 10, True, 10, 10, 10),  # a batch is tried for each page
    ],
)
def test_a_charge_takes_a_batch_or_just_what_is_needed(
    limit: int, before: int, wanted: int, enough: bool, usage: int, stock: int, failed: int
) -> None:
    made, m, task = machine()
    group = made.new_group(max_pages=limit)
    page_counter_charge(m, group, before)
    charge_to(m, 0, group)
    assert secure_charge(m, 0, task, wanted) is enough
    assert (int(m.groups[group].usage), stocked(m, 0, group)) == (usage, stock)
    assert int(m.events[group, EV_FAILCNT]) == failed
    if not enough:
        assert (int(m.operations[task].over), int(m.operations[task].need)) == (group, wanted)


def test_who_is_being_killed_passes_the_limit() -> None:
    made, m, task = machine()
    group = made.new_group(max_pages=10)
    page_counter_charge(m, group, 10)
    charge_to(m, 0, group)
    m.tasks[task].killed = 1
    assert secure_charge(m, 0, task, 3)
    assert int(m.groups[group].usage) == 13


def test_the_lowest_limit_on_the_way_up_is_in_the_way() -> None:
    made, m, _ = machine()
    outer = made.new_group(max_pages=100)
    inner = made.new_group(outer, max_pages=200)
    assert page_counter_try_charge(m, inner, 100) == NONE
    assert page_counter_try_charge(m, inner, 1) == outer
    assert [int(m.groups[g].usage) for g in (outer, inner)] == [100, 100]
    assert margin(m, inner) == 0
    page_counter_charge(m, inner, -40)
    assert margin(m, inner) == 40
    assert margin(m, ROOT) == FOREVER


@pytest.mark.parametrize(("kernel", "groups"), [("6.15", 1), ("6.16", N_STOCKS)])
def test_a_cpu_has_as_many_stocks_as_its_release(kernel: str, groups: int) -> None:
    made, m, task = machine(kernel)
    rows = [made.new_group() for _ in range(N_STOCKS + 1)]
    for group in rows:
        charge_to(m, 0, group)
        assert secure_charge(m, 0, task, 1)
    assert sum(stocked(m, 0, group) > 0 for group in rows) == groups
    assert stocked(m, 0, rows[-1]) == STOCK_PAGES
    assert sum(int(m.groups[group].usage) for group in rows) == groups * STOCK_PAGES


def test_the_stock_of_the_step_under_way_makes_way_for_nobody() -> None:
    made, m, task = machine("6.1")
    mine, other = made.new_group(), made.new_group()
    charge_to(m, 0, mine)
    secure_charge(m, 0, task, 1)
    page_counter_charge(m, other, 5)
    refill_stock(m, 0, other, 5)
    assert (stocked(m, 0, mine), int(m.groups[other].usage)) == (STOCK_PAGES, 0)


def test_a_stock_that_grows_too_large_is_drained_whole() -> None:
    made, m, _ = machine()
    group = made.new_group()
    page_counter_charge(m, group, 100)
    refill_stock(m, 1, group, 60)
    assert (int(m.groups[group].usage), stocked(m, 1, group)) == (100, 60)
    refill_stock(m, 1, group, 4)
    assert stocked(m, 1, group) == STOCK_PAGES
    refill_stock(m, 1, group, 1)
    assert (int(m.groups[group].usage), stocked(m, 1, group)) == (35, 0)


@pytest.mark.parametrize(
    ("wanted", "freed", "left"),
    [
        (60, 1, 5),  # what is spare and what is freed make no batch
        (60, 60, 64),
        (60, 61, 0),  # they do: they are given up, the 60 are not
        (64, 64, 64),
        (65, 1, 64),
        (65, 2, 0),
        (200, 9, 0),
    ],
)
def test_what_a_step_is_still_to_take_stays_in_stock(wanted: int, freed: int, left: int) -> None:
    made, m, task = machine()
    group = made.new_group()
    charge_to(m, 0, group)
    assert secure_charge(m, 0, task, wanted)
    page_counter_charge(m, group, freed)  # what another frees that was charged to the group
    refill_stock(m, 0, group, freed)
    charge_group(m, 0, 0, KIND_ANON, wanted)
    assert stocked(m, 0, group) == left
    assert int(m.groups[group].usage) == wanted + left
    settle_objects(m, 0)
    page_counter_charge(m, group, STOCK_PAGES)
    refill_stock(m, 0, group, STOCK_PAGES)  # the step is over: a stock like any other
    assert stocked(m, 0, group) == (STOCK_PAGES if left == 0 else 0)


def test_a_block_leaves_what_is_secured_for_other_pages() -> None:
    made, m, task = machine()
    group = made.new_group(max_pages=STOCK_PAGES + 10)
    charge_to(m, 0, group)
    assert secure_charge(m, 0, task, 60)
    assert charge_block(m, 0, task, 8)  # 4 are spare: 8 more are charged
    assert not charge_block(m, 0, task, 16)
    charge_group(m, 0, 0, KIND_ANON, 8)
    charge_group(m, 0, 8, KIND_ANON, 60)
    assert (int(m.groups[group].usage), stocked(m, 0, group)) == (72, 4)


def test_draining_looks_on_all_cpus_at_the_group_and_those_in_it() -> None:
    made, m, task = machine()
    outer = made.new_group()
    inner, beside = made.new_group(outer), made.new_group()
    for cpu, group in ((0, outer), (1, inner), (1, beside)):
        charge_to(m, cpu, group)
        secure_charge(m, cpu, task, 1)
    drain_all_stock(m, outer)
    assert [int(m.groups[g].usage) for g in (outer, inner, beside)] == [0, 0, STOCK_PAGES]
    assert is_within(m, inner, outer)
    assert not is_within(m, beside, outer)


@pytest.mark.parametrize(
    ("limit", "pages", "fits", "usage"),
    [(FOREVER, 16, True, 64), (FOREVER, 512, True, 512), (40, 16, True, 16), (500, 512, False, 0)],
)
def test_a_block_is_charged_whole_or_not_at_all(
    limit: int, pages: int, fits: bool, usage: int
) -> None:
    made, m, task = machine()
    group = made.new_group(max_pages=limit)
    charge_to(m, 0, group)
    assert charge_block(m, 0, task, pages) is fits
    assert int(m.groups[group].usage) == usage


def test_kernel_objects_are_charged_by_whole_pages_and_go_back_into_the_stock() -> None:
    made, m, task = machine()
    group = made.new_group()
    charge_to(m, 0, group)
    secure_charge(m, 0, task, 1)
    count_slab(m, group, 4097)
    settle_slab(m, 0, group)
    assert int(m.groups[group].slab_pages) == 2
    assert (int(m.groups[group].usage), stocked(m, 0, group)) == (64, 62)
    count_slab(m, group, -4097)
    settle_slab(m, 0, group)
    assert (int(m.groups[group].slab_pages), stocked(m, 0, group)) == (1, 63)  # one is at hand


def test_what_is_freed_goes_back_once_more_than_a_page_is_at_hand() -> None:
    made, m, task = machine()
    group = made.new_group()
    charge_to(m, 0, group)
    secure_charge(m, 0, task, 1)
    count_slab(m, group, 4097)
    settle_slab(m, 0, group)
    count_slab(m, group, -1)
    settle_slab(m, 0, group)
    assert int(m.groups[group].slab_pages) == 2, "just a page is at hand"
    count_slab(m, group, -1)
    settle_slab(m, 0, group)
    assert int(m.groups[group].slab_pages) == 1


def test_an_event_counts_for_all_groups_around() -> None:
    made, m, _ = machine()
    outer = made.new_group()
    inner = made.new_group(outer)
    count_event(m, inner, EV_MAX, 2)
    count_event(m, outer, EV_MAX, 1)
    assert [int(m.events[g, EV_MAX]) for g in (ROOT, outer, inner)] == [3, 3, 2]
