"""What the kernel promises (`__vm_enough_memory`), and how far a stack may grow."""

from collections.abc import Generator
from typing import Any

import pytest
from support.kernel import DONE, READ_WRITE, Kernel
from support.machines import flat_prices, run

from sim.base.errors import Refused
from sim.base.units import PAGE_BYTES
from sim.engine.verbs.process import Process
from sim.kernel import ops
from sim.kernel.overcommit import free_guess, may_commit
from sim.kernel.work import ENOMEM, SEGV
from sim.machine.area_tree import STACK_GAP_PAGES
from sim.machine.areas import STACK_TOP_VPN
from sim.machine.layout import A_READ, A_SHARED, A_WRITE, KIND_FILE, NONE, ROOT
from sim.machine.swap import get_swap_page

MEMORY = 300
LIMIT = 1000
START = 33  # pages promised to a new process: its stack


@pytest.mark.parametrize(
    ("mode", "request_pages", "granted"),
    [
        (0, MEMORY - 1, True),  # the kernel's share is one page
        (0, MEMORY, False),
        (1, 10 * MEMORY, True),
        (2, LIMIT - START - 10 - 1 - 1, True),  # 10 for root, 1 for the user (33 // 32)
        (2, LIMIT - START - 10 - 1, False),
    ],
)
def test_modes(mode: int, request_pages: int, granted: bool) -> None:
    kernel = Kernel(memory_pages=MEMORY, overcommit=mode, commit_limit_pages=LIMIT)
    row = kernel.process()
    pool = kernel.arrays.pool[0]
    config = kernel.arrays.config[0]
    config.admin_reserve, config.user_reserve = 10, 5
    fields = {"pages": request_pages, "start": NONE, "map_flags": READ_WRITE}
    assert kernel.call(row, ops.OP_MMAP, **fields) == DONE
    assert kernel.errno(row) == (0 if granted else ENOMEM)
    assert int(pool.committed) == START + (request_pages if granted else 0)
    kernel.brk(row, 1)
    assert kernel.errno(row) == (0 if mode != 2 or not granted else ENOMEM)
    kernel.machine.audit()


def test_mode_2_adds_up_and_gets_back() -> None:
    kernel = Kernel(memory_pages=MEMORY, overcommit=2, commit_limit_pages=LIMIT)
    one, two = kernel.process(), kernel.process()
    vpn = kernel.mmap(one, 600)
    assert kernel.call(two, ops.OP_MMAP, pages=400, start=NONE, map_flags=READ_WRITE) == DONE
    assert kernel.errno(two) == ENOMEM
    kernel.munmap(one, vpn, 300)
    kernel.mmap(two, 400)
    kernel.exit(one)
    kernel.mmap(two, 300)
    kernel.exit(two)
    assert int(kernel.arrays.pool[0].committed) == 0


def test_what_is_not_accounted_is_not_promised() -> None:
    """MAP_PRIVATE of what cannot be written."""
    kernel = Kernel(memory_pages=MEMORY, overcommit=2, commit_limit_pages=100)
    row = kernel.process()
    kernel.mmap(row, 500, bits=A_READ | A_WRITE)
    assert int(kernel.arrays.pool[0].committed) == START


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("mode", "heeded"), [(0, True), (1, True), (2, False)])
def test_map_noreserve_is_heeded_but_in_mode_2(mode: int, heeded: bool, shared: bool) -> None:
    machine = {"memory_pages": MEMORY, "overcommit": mode, "commit_limit_pages": 20 * LIMIT}
    seen = {}

    def program(task: Process) -> Generator[Any, Any, None]:
        before = int(task.system.machine.arrays.pool[0].committed)
        for pages in (100, 30 * LIMIT):
            try:
                yield from task.mmap(pages * PAGE_BYTES, shared=shared, noreserve=True)
            except Refused as error:
                seen["refused"] = pages, error.errno.name, error.by
        seen["committed"] = int(task.system.machine.arrays.pool[0].committed) - before

    run({"p": program}, host=machine, prices=flat_prices())
    if heeded:
        assert seen == {"committed": 0}
    else:
        assert seen == {"committed": 100, "refused": (30 * LIMIT, "ENOMEM", "promise")}


@pytest.mark.parametrize(
    ("mapped", "kept_back"), [(0, 33 // 32), (32 * 4, (33 + 128) // 32), (32 * 9, 5)]
)
def test_the_users_reserve_is_a_32nd_of_what_it_has_mapped_at_most(
    mapped: int, kept_back: int
) -> None:
    kernel = Kernel(memory_pages=MEMORY, overcommit=2, commit_limit_pages=LIMIT)
    row = kernel.process()
    config = kernel.arrays.config[0]
    config.admin_reserve, config.user_reserve = 0, 5
    kernel.mmap(row, max(1, mapped), bits=A_READ | A_WRITE)
    space = int(kernel.task(row).space)
    largest = LIMIT - START - kept_back - 1
    assert may_commit(kernel.arrays, row, space, largest)
    assert not may_commit(kernel.arrays, row, space, largest + 1)


@pytest.mark.parametrize(("swap", "more"), [(0, 0), (0, 1), (64, 0), (64, 1)])
def test_the_largest_request_of_mode_0_is_memory_and_swap(swap: int, more: int) -> None:
    kernel = Kernel(memory_pages=MEMORY, swap_pages=swap)
    row = kernel.process()
    fields = {"pages": MEMORY - 1 + swap + more, "start": NONE, "map_flags": READ_WRITE}
    assert kernel.call(row, ops.OP_MMAP, **fields) == DONE
    assert kernel.errno(row) == (ENOMEM if more else 0)


def largest_granted(kernel: Kernel, row: int) -> int:
    space = int(kernel.task(row).space)
    low, high = 0, 10 * LIMIT  # the largest is in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        if may_commit(kernel.arrays, row, space, middle):
            low = middle
        else:
            high = middle
    return low


@pytest.mark.parametrize(
    ("host", "kept_back"),
    [
        ({"overcommit": 2, "commit_limit_pages": LIMIT}, 10),
        ({"overcommit": 0, "kernel": "5.1"}, 10),
        ({"overcommit": 0, "kernel": "5.2"}, 0),
    ],
)
def test_nothing_is_kept_back_for_root_from_root(host: dict[str, Any], kept_back: int) -> None:
    """And its children are root too; those of others are not."""
    kernel = Kernel(memory_pages=MEMORY, **host)
    kernel.arrays.config[0].admin_reserve = 10
    other = kernel.process()
    without = largest_granted(kernel, other)
    kernel.machine.process_of(other).cap_sys_admin = 1
    assert largest_granted(kernel, other) == without + kept_back
    child = kernel.fork(other)
    assert int(kernel.machine.process_of(child).cap_sys_admin) == 1
    kernel.machine.process_of(other).cap_sys_admin = 0
    assert int(kernel.machine.process_of(kernel.fork(other)).cap_sys_admin) == 0


def test_mode_2_is_strict() -> None:
    """What would take `Committed_AS` to the limit itself is refused."""
    kernel = Kernel(memory_pages=MEMORY, overcommit=2, commit_limit_pages=LIMIT)
    row = kernel.process()
    config = kernel.arrays.config[0]
    config.admin_reserve = config.user_reserve = 0
    assert largest_granted(kernel, row) == LIMIT - START - 1


@pytest.mark.parametrize(
    ("zones", "later"),
    [((), 0), ((("DMA32", 1000), ("Normal", 5120)), 5120 // 256)],
)
def test_the_old_guess_leaves_what_the_zones_keep_back(
    zones: tuple[tuple[str, int], ...], later: int
) -> None:
    kernel = Kernel(memory_pages=6120, kernel="4.19", zones=zones, min_free_pages=100)
    high = sum(int(zone.high_pages) for zone in kernel.arrays.zones[: max(1, len(zones))])
    assert high >= 100
    assert int(free_guess(kernel.arrays)) == int(kernel.arrays.pool[0].free) - high - later


def test_the_old_guess_counts_free_swap_and_the_page_cache() -> None:
    """Shared memory it does not count, though that lies in the page cache too."""
    kernel = Kernel(memory_pages=MEMORY, kernel="4.19", swap_pages=64)
    row = kernel.process()
    before = int(free_guess(kernel.arrays))
    file = kernel.machine.new_file(KIND_FILE, 20, known=True)
    assert kernel.call(row, ops.OP_FILE_READ, file=file, file_page=0, pages=20) == DONE
    assert int(kernel.arrays.charged[ROOT, KIND_FILE]) == 20
    assert int(free_guess(kernel.arrays)) == before
    get_swap_page(kernel.arrays, NONE)
    assert int(free_guess(kernel.arrays)) == before - 1
    free = int(kernel.arrays.pool[0].free)
    at = kernel.mmap(row, 8, bits=READ_WRITE | A_SHARED)
    for page in range(8):
        kernel.write(row, at + page)
    taken = free - int(kernel.arrays.pool[0].free)
    assert taken >= 8
    assert int(free_guess(kernel.arrays)) == before - 1 - taken


# -- stacks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "status"),
    [(1, DONE), (33, DONE), (34, DONE), (64, DONE), (65, SEGV), (500, SEGV)],
)
@pytest.mark.parametrize("write", [0, 1])
def test_a_stack_grows_to_its_limit(depth: int, status: int, write: int) -> None:
    kernel = Kernel(memory_pages=MEMORY)
    row = kernel.process(stack_pages=64)
    assert kernel.access(row, STACK_TOP_VPN - depth, write) == status
    grown = max(33, depth) if status == DONE else 33
    assert kernel.areas(row)[-1][:2] == (STACK_TOP_VPN - grown, STACK_TOP_VPN)
    assert int(kernel.space(row).pages) == int(kernel.space(row).committed) == grown
    kernel.machine.audit()


@pytest.mark.parametrize(("gap", "status"), [(0, DONE), (1, DONE), (-1, SEGV), (-200, SEGV)])
def test_the_guard_gap_below_a_stack_stays_free(gap: int, status: int) -> None:
    """`stack_guard_gap`: 256 pages to the mapping below, and no mapping is placed in it."""
    kernel = Kernel(memory_pages=MEMORY)
    row = kernel.process(stack_pages=600)
    touched = STACK_TOP_VPN - 40
    kernel.mmap(row, 2, start=touched - STACK_GAP_PAGES - gap - 2)
    assert kernel.access(row, touched, 1) == status


def test_a_stack_that_may_not_be_promised_more_is_a_segmentation_fault() -> None:
    kernel = Kernel(memory_pages=MEMORY, overcommit=2, commit_limit_pages=50)
    row = kernel.process(stack_pages=64)
    kernel.arrays.config[0].admin_reserve = 0
    assert kernel.access(row, STACK_TOP_VPN - 47, 1) == DONE
    assert kernel.access(row, STACK_TOP_VPN - 49, 1) == SEGV
    kernel.machine.audit()


def test_pages_of_a_grown_stack_keep_their_offsets() -> None:
    kernel = Kernel(memory_pages=MEMORY)
    row = kernel.process(stack_pages=64)
    kernel.write(row, STACK_TOP_VPN - 50)
    *_, stack = kernel.area_rows(row)
    assert int(stack.offset) == int(stack.start)
    assert (
        int(kernel.arrays.frames[kernel.pfn(row, STACK_TOP_VPN - 50)].index) == STACK_TOP_VPN - 50
    )


def test_only_stacks_grow() -> None:
    kernel = Kernel(memory_pages=MEMORY)
    row = kernel.process()
    vpn = kernel.mmap(row, 4)
    assert kernel.access(row, vpn - 1, 1) == SEGV
