"""swapoff: all that is out comes back, charged to who it was of, and the device takes no more."""

from collections import Counter
from typing import Any

import pytest
from support.kernel import DONE, SHORT, Kernel
from support.swapping import page_out, references, swap_out

from sim.kernel import ops
from sim.kernel.calls.swapoff import fail_swapoff
from sim.kernel.files.requests import arrive_at_once
from sim.kernel.overcommit import OVERCOMMIT_NEVER, commit_limit, may_commit
from sim.kernel.work import EINVAL, ENOMEM, MORE, UNDER_WAY
from sim.machine.cached import find_page
from sim.machine.layout import (
    A_READ,
    A_SHARED,
    A_WRITE,
    F_LOCKED,
    F_WRITEBACK,
    FORK_ASYNC,
    FORK_COW,
    FORK_ON_DEMAND,
    KIND_SHMEM,
    NONE,
    PTE_ACCESSED,
    PTE_DIRTY,
    PTE_WRITE,
    ROOT,
    SWAP_IN_MEMORY,
    SWAP_ROTATING,
    SWAP_SOLID,
)
from sim.machine.page_counter import set_limits
from sim.machine.swap import get_nr_swap_pages, swap_usage_in_pages

BASE = 512 * 1000
PAGES = 16
OUT = 10
DEVICES = [SWAP_IN_MEMORY, SWAP_SOLID, SWAP_ROTATING]


def with_pages_out(kind: int = SWAP_IN_MEMORY, **host: Any) -> tuple[Kernel, int]:
    """Return a machine, and a process that has 16 written pages, 10 of which are out."""
    settings: dict[str, Any] = {"memory_pages": 4000, "swap_pages": 64, "swap_kind": kind} | host
    kernel = Kernel(**settings)
    row = kernel.process()
    kernel.mmap(row, PAGES, start=BASE)
    kernel.write(row, BASE, PAGES)
    for vpn in range(BASE, BASE + OUT):
        assert swap_out(kernel.arrays, 0, kernel.pfn(row, vpn)) != NONE
    return kernel, row


def swapoff(kernel: Kernel, row: int) -> Counter[str]:
    """Make the call, which must succeed; return what it did in all."""
    kernel.begin(row, ops.OP_SWAPOFF)
    done: Counter[str] = Counter()
    status = MORE
    while status in (MORE, UNDER_WAY):
        kernel.work.clear()
        status = kernel.one_step(row)
        done += kernel.work
    assert (status, kernel.errno(row)) == (DONE, 0)
    kernel.machine.audit()
    return done


@pytest.mark.parametrize("kind", DEVICES)
def test_each_page_is_mapped_read_only_and_not_used_yet(kind: int) -> None:
    kernel, row = with_pages_out(kind)
    done = swapoff(kernel, row)
    assert done["UNUSE_PTE"] == OUT
    assert done["MAJOR_FAULT"] == done["SWAP_MAP"] == 0, "none of it is a fault"
    assert done["SWAP_READ"] == (OUT if kind == SWAP_IN_MEMORY else 0)
    m = kernel.arrays
    assert references(m) == {}
    assert (int(kernel.space(row).swapents), int(kernel.space(row).rss_anon)) == (0, PAGES + 1)
    assert int(m.lruvecs[ROOT].pswpin) == OUT
    bits = PTE_WRITE | PTE_ACCESSED | PTE_DIRTY
    assert [kernel.entry(row, BASE + at) & bits for at in range(OUT)] == [0] * OUT
    kernel.read(row, BASE, PAGES)
    assert kernel.work["COW_REUSE"] == 0
    reused = 0
    for at in range(PAGES):
        kernel.write(row, BASE + at)
        reused += kernel.work["COW_REUSE"]
        assert kernel.work["COW_COPY"] == 0
    assert reused == OUT


@pytest.mark.parametrize("fork", [FORK_COW, FORK_ON_DEMAND, FORK_ASYNC])
@pytest.mark.parametrize("kind", DEVICES)
def test_those_who_share_a_page_share_it_again(fork: int, kind: int) -> None:
    kernel, row = with_pages_out(kind, fork_kind=fork)
    child = kernel.fork(row)
    swapoff(kernel, row)
    if fork == FORK_ASYNC:
        assert kernel.call(child, ops.OP_ASYNC_COPY) == DONE
    assert references(kernel.arrays) == {}
    assert [kernel.pfn(who, BASE + 3) != NONE for who in (row, child)] == [True, True]
    assert int(kernel.arrays.lruvecs[ROOT].pswpin) == OUT, "each is read once"
    copies = 0
    for at in range(PAGES):
        assert kernel.pfn(row, BASE + at) == kernel.pfn(child, BASE + at)
        kernel.write(child, BASE + at)
        copies += kernel.work["COW_COPY"]
    assert copies == PAGES
    kernel.exit(child)
    kernel.exit(row)
    kernel.machine.audit()


@pytest.mark.parametrize("kind", DEVICES)
def test_shared_memory_is_its_files_again(kind: int) -> None:
    settings: dict[str, Any] = {"memory_pages": 4000, "swap_pages": 64, "swap_kind": kind}
    kernel = Kernel(**settings)
    row = kernel.process()
    file = kernel.machine.new_file(KIND_SHMEM, PAGES)
    flags = A_READ | A_WRITE | A_SHARED
    mapping = {"start": BASE, "pages": PAGES, "map_flags": flags, "map_kind": KIND_SHMEM}
    assert kernel.call(row, ops.OP_MMAP, **mapping, file=file, file_page=0) == DONE
    kernel.write(row, BASE, PAGES)
    m = kernel.arrays
    for index in range(OUT):
        page_out(m, 0, int(find_page(m, file, index)))
        arrive_at_once(m)
    swapoff(kernel, row)
    assert (int(m.files[file].resident), int(m.charged[ROOT, KIND_SHMEM])) == (PAGES, PAGES)
    assert swap_usage_in_pages(m) == 0
    kernel.exit(row)
    kernel.machine.audit()


def test_a_page_under_way_is_waited_for() -> None:
    kernel, row = with_pages_out(SWAP_SOLID)
    kernel.disk_is_quick = False
    kernel.begin(row, ops.OP_SWAPOFF)
    m = kernel.arrays
    waits = 0
    while (status := kernel.one_step(row)) in (MORE, UNDER_WAY):
        if status == UNDER_WAY:
            waits += 1
            frame = m.frames[int(m.swap[int(kernel.operation(row).wait_index)].pfn)]
            assert frame.bits & (F_LOCKED | F_WRITEBACK)
            arrive_at_once(m)
    assert status == DONE
    assert 0 < waits < OUT, "pages that lie near are read at once"


def test_a_page_that_only_the_swap_cache_has_is_let_go() -> None:
    kernel, row = with_pages_out(SWAP_SOLID)
    m = kernel.arrays
    kernel.disk_is_quick = False
    page_out(m, 0, kernel.pfn(row, BASE + OUT))  # it is being written
    kernel.munmap(row, BASE, PAGES)
    assert (references(m), swap_usage_in_pages(m)) == ({}, 1)
    kernel.disk_is_quick = True
    arrive_at_once(m)
    swapoff(kernel, row)
    assert swap_usage_in_pages(m) == 0


def test_the_device_takes_no_more_until_it_is_on_again() -> None:
    kernel, row = with_pages_out()
    swapoff(kernel, row)
    m = kernel.arrays
    assert get_nr_swap_pages(m) == 0
    assert swap_out(m, 0, kernel.pfn(row, BASE)) == NONE
    assert (kernel.call(row, ops.OP_SWAPOFF), kernel.errno(row)) == (DONE, EINVAL)
    assert (kernel.call(row, ops.OP_SWAPON), kernel.errno(row)) == (DONE, 0)
    assert (kernel.call(row, ops.OP_SWAPON), kernel.errno(row)) == (DONE, EINVAL)
    assert get_nr_swap_pages(m) == 64
    assert swap_out(m, 0, kernel.pfn(row, BASE)) != NONE
    kernel.machine.audit()


def test_nothing_is_promised_on_a_device_that_is_off() -> None:
    kernel, row = with_pages_out(overcommit=OVERCOMMIT_NEVER, commit_limit_pages=4000)
    m = kernel.arrays
    space = int(kernel.task(row).space)

    def promised_at_most() -> int:
        return max(pages for pages in range(4001) if may_commit(m, row, space, pages))

    before = promised_at_most()
    swapoff(kernel, row)
    assert (commit_limit(m), promised_at_most()) == (4000 - 64, before - 64)
    kernel.call(row, ops.OP_SWAPON)
    assert (commit_limit(m), promised_at_most()) == (4000, before)


def test_it_is_refused_what_could_not_be_promised() -> None:
    kernel, row = with_pages_out(overcommit=OVERCOMMIT_NEVER, commit_limit_pages=4000)
    kernel.arrays.config[0].commit_limit = 60
    assert (kernel.call(row, ops.OP_SWAPOFF), kernel.errno(row)) == (DONE, ENOMEM)
    assert len(references(kernel.arrays)) == OUT
    assert get_nr_swap_pages(kernel.arrays) == 64 - OUT


def test_who_is_killed_in_it_leaves_the_device_on() -> None:
    kernel, row = with_pages_out()
    admin = kernel.process()
    kernel.begin(admin, ops.OP_SWAPOFF)
    assert [kernel.one_step(admin) for _ in range(5)] == [MORE] * 5
    assert get_nr_swap_pages(kernel.arrays) == 0
    kernel.exit(admin)
    assert 0 < get_nr_swap_pages(kernel.arrays) < 64
    kernel.machine.audit()
    kernel.read(row, BASE, PAGES)
    assert references(kernel.arrays) == {}


def in_a_group(pages: int, swapped: int) -> tuple[Kernel, int, int, int]:
    """Return a kernel, a process of a group that wrote pages, who has a capability, the group."""
    kernel = Kernel(memory_pages=4000, swap_pages=256, swap_kind=SWAP_IN_MEMORY, cpus=1)
    group = kernel.machine.new_group(ROOT)
    row, admin = kernel.process(), kernel.process()
    kernel.arrays.processes[int(kernel.task(row).process)].group = group
    kernel.mmap(row, pages, start=BASE)
    kernel.write(row, BASE, pages)
    for vpn in range(BASE, BASE + swapped):
        assert swap_out(kernel.arrays, 0, kernel.pfn(row, vpn)) != NONE
    return kernel, row, admin, group


def test_each_page_is_charged_to_the_group_that_it_was_of() -> None:
    kernel, row, admin, group = in_a_group(100, swapped=100)
    m = kernel.arrays
    before = int(m.groups[group].usage)
    assert int(m.groups[group].swap) == 100
    swapoff(kernel, admin)
    assert int(m.groups[group].swap) == 0
    assert {int(m.frames[kernel.pfn(row, BASE + at)].group) for at in range(100)} == {group}
    assert int(m.groups[group].usage) - before in range(36, 165), "but for what its stock had"


def test_a_limit_that_the_group_has_is_in_the_way() -> None:
    kernel, _, admin, group = in_a_group(200, swapped=150)
    m = kernel.arrays
    set_limits(m, group, max_pages=int(m.groups[group].usage) + 20)
    assert kernel.call(admin, ops.OP_SWAPOFF) == SHORT
    assert int(kernel.operation(admin).over) == group


@pytest.mark.parametrize("kind", DEVICES)
def test_an_address_space_stays_while_it_is_emptied_and_goes_with_the_call(kind: int) -> None:
    """Its owner may end meanwhile; what the program had mapped goes then, files and all."""
    kernel, row = with_pages_out(kind)
    admin = kernel.process()
    m = kernel.arrays
    flags = A_READ | A_WRITE | A_SHARED
    file = kernel.machine.new_file(KIND_SHMEM, PAGES)
    mapping = {"start": BASE + 512, "pages": PAGES, "map_flags": flags, "map_kind": KIND_SHMEM}
    assert kernel.call(row, ops.OP_MMAP, **mapping, file=file, file_page=0) == DONE
    kernel.write(row, BASE + 512, PAGES)
    before = int(kernel.space(admin).rss_anon)
    kernel.begin(admin, ops.OP_SWAPOFF)
    while kernel.task(admin).old_space == NONE or swap_usage_in_pages(m) > OUT // 2:
        assert kernel.one_step(admin) in (MORE, UNDER_WAY)
    space = int(kernel.task(row).space)
    kernel.exit(row)
    assert int(m.spaces[space].users) == 1
    kernel.machine.audit()
    while (status := kernel.one_step(admin)) in (MORE, UNDER_WAY):
        pass
    assert (status, kernel.errno(admin), swap_usage_in_pages(m)) == (DONE, 0, 0)
    assert (int(m.spaces[space].users), int(m.files[file].kind)) == (0, 0)
    assert int(kernel.space(admin).rss_anon) == before
    kernel.machine.audit()


def test_where_it_fails_the_device_is_on_again() -> None:
    kernel, row = with_pages_out()
    admin = kernel.process()
    m = kernel.arrays
    kernel.begin(admin, ops.OP_SWAPOFF)
    while kernel.task(admin).old_space == NONE:
        assert kernel.one_step(admin) == MORE
    kernel.exit(row)
    fail_swapoff(m, admin)
    assert kernel.go_on(admin) == DONE
    assert (kernel.errno(admin), get_nr_swap_pages(m), references(m)) == (ENOMEM, 64, {})
    kernel.machine.audit()
