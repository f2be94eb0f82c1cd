"""What the kernel promises (`__vm_enough_memory`), and how far a stack may grow."""

import pytest
from support.kernel import DONE, READ_WRITE, Kernel

from sim.kernel import ops
from sim.kernel.overcommit import may_commit
from sim.kernel.work import ENOMEM, SEGV
from sim.machine.area_tree import STACK_GAP_PAGES
from sim.machine.areas import STACK_TOP_VPN
from sim.machine.layout import A_READ, A_WRITE, NONE

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
    """MAP_NORESERVE, or a mapping that cannot be written."""
    kernel = Kernel(memory_pages=MEMORY, overcommit=2, commit_limit_pages=100)
    row = kernel.process()
    kernel.mmap(row, 500, bits=A_READ | A_WRITE)
    assert int(kernel.arrays.pool[0].committed) == START


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
    assert may_commit(kernel.arrays, space, largest)
    assert not may_commit(kernel.arrays, space, largest + 1)


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
