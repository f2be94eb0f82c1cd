"""vfork, exec and exit: who borrows, who drops what, and what comes back."""

import pytest
from support.kernel import DONE, SHORT, Kernel

from sim.kernel import ops
from sim.kernel.work import MORE
from sim.machine.areas import STACK_TOP_VPN, TEXT_VPN
from sim.machine.layout import A_GROWSDOWN, NONE

KERNEL_STACK = 4
NEW_IMAGE = 5  # the top table, one of each level below for the stack, and the stack's first page


def written(kernel: Kernel, pages: int = 4) -> tuple[int, int]:
    row = kernel.process()
    vpn = kernel.mmap(row, pages)
    kernel.write(row, vpn, pages)
    return row, vpn


def test_vfork_takes_a_kernel_stack_and_nothing_else() -> None:
    kernel = Kernel(memory_pages=300)
    row, vpn = written(kernel)
    used = kernel.in_use()
    child = kernel.vfork(row)
    assert kernel.work == {"VFORK_BASE": 1}
    assert kernel.in_use() == used + KERNEL_STACK
    assert int(kernel.task(child).space) == int(kernel.task(row).space)
    assert int(kernel.space(row).users) == 2
    assert kernel.page_is(row, vpn) == "exclusive, writable"


def test_a_borrower_writes_into_its_parents_memory() -> None:
    kernel = Kernel(memory_pages=300)
    row, vpn = written(kernel)
    child = kernel.vfork(row)
    assert kernel.access(child, vpn, 1) == DONE
    assert kernel.work == {"ACCESS": 1}
    new = kernel.mmap(child, 3)
    kernel.exit(child)
    assert (new, new + 4 + 3) == kernel.areas(row)[0][:2]  # merged below the other mapping


@pytest.mark.parametrize("exec_first", [False, True])
def test_the_loan_ends_with_exec_or_exit(exec_first: bool) -> None:
    kernel = Kernel(memory_pages=300)
    row, vpn = written(kernel)
    before = kernel.in_use(), kernel.resident(row)
    child = kernel.vfork(row)
    if exec_first:
        kernel.exec(child)
        assert int(kernel.space(row).users) == int(kernel.space(child).users) == 1
        assert kernel.in_use() == before[0] + KERNEL_STACK + NEW_IMAGE
    kernel.exit(child)
    assert (kernel.in_use(), kernel.resident(row)) == before
    assert kernel.access(row, vpn, 1) == DONE
    assert kernel.work == {"ACCESS": 1}  # nothing was ever shared: no fault


def test_after_the_child_execs_each_write_of_the_parent_is_a_reuse() -> None:
    kernel = Kernel(memory_pages=300)
    row, vpn = written(kernel, 4)
    child = kernel.fork(row)
    kernel.exec(child)
    free = kernel.free()
    for page in range(vpn, vpn + 4):
        kernel.write(row, page)
        assert kernel.work == {"ACCESS": 1, "COW_REUSE": 1}
    assert kernel.free() == free


def test_exec_builds_first_and_then_drops_a_leaf_table_a_step() -> None:
    kernel = Kernel(memory_pages=3000)
    row = kernel.process()
    kernel.write(row, kernel.mmap(row, 1024, start=1 << 29), 1024)
    used = kernel.in_use()
    kernel.begin(row, ops.OP_EXEC, image_pages=10, stack_limit=64)
    assert kernel.one_step(row) == MORE
    assert kernel.in_use() == used + 1  # the top table
    assert kernel.one_step(row) == MORE
    assert kernel.in_use() == used + NEW_IMAGE
    for left in (512, 0):
        assert kernel.one_step(row) == MORE
        assert kernel.in_use() == used + NEW_IMAGE - (1024 - left) - (2 if left == 0 else 1)
    assert kernel.go_on(row) == DONE
    assert kernel.in_use() == NEW_IMAGE + KERNEL_STACK
    assert kernel.work["TABLE_FREE"] == 3 + 2 + 2  # from the leaves up; the top is part of the call
    kernel.machine.audit()


def test_the_new_image() -> None:
    kernel = Kernel(memory_pages=300)
    row = kernel.process(image_pages=10, stack_pages=64)
    areas = kernel.areas(row)
    assert [(start, end) for start, end, _ in areas] == [
        (TEXT_VPN, TEXT_VPN + 10),
        (STACK_TOP_VPN - 33, STACK_TOP_VPN),
    ]
    assert areas[1][2] & A_GROWSDOWN
    space = kernel.space(row)
    assert int(space.brk) == int(space.heap_start) == TEXT_VPN + 10
    assert int(space.heap) == NONE
    assert int(kernel.machine.process_of(row).stack_limit) == 64
    assert list(kernel.resident(row)) == [STACK_TOP_VPN - 1]
    assert int(space.committed) == int(space.pages) == 43


def test_exec_that_is_short_leaves_the_old_image() -> None:
    kernel = Kernel(memory_pages=60)
    row, vpn = written(kernel)
    kernel.write(row, kernel.mmap(row, 50), kernel.free() - NEW_IMAGE + 1)
    before = kernel.resident(row), kernel.areas(row)
    assert kernel.call(row, ops.OP_EXEC, image_pages=0, stack_limit=64) == SHORT
    assert kernel.operation(row).need == NEW_IMAGE
    assert (kernel.resident(row), kernel.areas(row)) == before
    assert kernel.access(row, vpn, 1) == DONE


def test_exit_gives_everything_back_a_leaf_table_a_step() -> None:
    kernel = Kernel(memory_pages=3000)
    row = kernel.process()
    kernel.write(row, kernel.mmap(row, 1024, start=1 << 29), 1024)
    kernel.begin(row, ops.OP_EXIT)
    steps = 1
    while kernel.one_step(row) == MORE:
        steps += 1
    assert steps == 1 + 3 + 1  # begin; leaf tables; tables above, areas, kernel stack
    assert kernel.work["UNMAP_PTE"] == 1024 + 1
    assert kernel.work["TABLE_FREE"] == 3 + 2 + 2  # the top is part of the call
    assert kernel.work["FRAME_FREE"] == 1024 + 1 + KERNEL_STACK
    assert kernel.in_use() == 0


def test_exit_frees_only_what_nobody_else_has() -> None:
    kernel = Kernel(memory_pages=300)
    row, vpn = written(kernel, 4)
    child = kernel.fork(row)
    kernel.write(child, vpn)
    kernel.exit(child)
    assert kernel.work["FRAME_FREE"] == 1 + KERNEL_STACK
    assert [kernel.page_is(row, vpn + at) for at in range(2)] == ["1 refs, read-only"] * 2
    kernel.machine.audit()


def test_the_parent_may_go_first() -> None:
    kernel = Kernel(memory_pages=300)
    row, vpn = written(kernel, 4)
    child = kernel.fork(row)
    kernel.exit(row)
    kernel.write(child, vpn)
    assert kernel.work["COW_REUSE"] == 1
    kernel.exit(child)
    assert kernel.in_use() == 0


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6])
def test_a_fork_abandoned_at_any_step_gives_everything_back(steps: int) -> None:
    kernel = Kernel(memory_pages=300, queueing=True)
    row, _ = written(kernel)
    child = kernel.machine.new_task()
    kernel.begin(row, ops.OP_FORK, child=child)
    for _ in range(steps):
        kernel.one_step(row)
    kernel.exit(row)
    kernel.machine.audit()
    kernel.exit(child)
    kernel.machine.audit()
    assert kernel.in_use() == int(kernel.arrays.pool[0].reserved) == 0


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_an_exec_abandoned_at_any_step_gives_both_images_back(steps: int) -> None:
    kernel = Kernel(memory_pages=300)
    row, _ = written(kernel)
    kernel.begin(row, ops.OP_EXEC, image_pages=3, stack_limit=64)
    for _ in range(steps):
        kernel.one_step(row)
    kernel.exit(row)
    kernel.machine.audit()
    assert kernel.in_use() == 0
