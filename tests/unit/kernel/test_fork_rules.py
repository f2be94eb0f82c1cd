"""What fork copies, shares, skips, and takes: `dup_mmap` and `copy_page_range`."""

import pytest
from support.kernel import DONE, READ_WRITE, SHORT, Kernel

from sim.kernel import ops
from sim.kernel.work import ENOMEM, MORE
from sim.machine.layout import (
    A_DONTFORK,
    A_WIPEONFORK,
    FORK_ASYNC,
    FORK_COW,
    FORK_EAGER,
    FORK_ON_DEMAND,
    PTE_ACCESSED,
)

TABLE = 512  # pages below one leaf table
GIB_PAGES = 1 << 18
FORK_KINDS = [FORK_COW, FORK_EAGER, FORK_ON_DEMAND, FORK_ASYNC]
STACK = 1  # the one page of a new process's stack


@pytest.mark.parametrize(
    ("bits", "reads", "writes", "entries", "child_has"),
    [
        (READ_WRITE, 0, 0, 0, True),  # never touched: nothing to copy
        (READ_WRITE, 4, 0, 0, True),  # only read: no family yet, the child faults by itself
        (READ_WRITE, 0, 4, 4, True),
        (READ_WRITE, 3, 4, 7, True),  # with a family, entries of the zero page are copied too
        (READ_WRITE | A_DONTFORK, 0, 4, 0, False),
        (READ_WRITE | A_WIPEONFORK, 0, 4, 0, True),
    ],
)
def test_what_is_copied(bits: int, reads: int, writes: int, entries: int, child_has: bool) -> None:
    kernel = Kernel(memory_pages=300)
    row = kernel.process()
    vpn = kernel.mmap(row, 16, bits=bits)
    kernel.read(row, vpn + 8, reads)
    kernel.write(row, vpn, writes)
    child = kernel.fork(row)
    assert kernel.work["FORK_PTE"] == entries + STACK
    assert kernel.work["FORK_FOLIO"] == (writes if entries else 0) + STACK
    assert ((vpn, vpn + 16, bits) in kernel.areas(child)) == child_has
    assert len(kernel.resident(child)) == entries + STACK
    assert int(kernel.space(child).rss_anon) == (writes if entries else 0) + STACK
    kernel.machine.audit()


def test_a_wiped_area_reads_zero_and_is_wiped_for_the_grandchild_too() -> None:
    kernel = Kernel(memory_pages=300)
    row = kernel.process()
    vpn = kernel.mmap(row, 1, bits=READ_WRITE | A_WIPEONFORK)
    kernel.write(row, vpn)
    child = kernel.fork(row)
    kernel.write(child, vpn)
    assert kernel.work["ZERO_FILL"] == 1
    grandchild = kernel.fork(child)
    assert kernel.page_is(grandchild, vpn) == "absent"
    assert kernel.page_is(row, vpn) == "exclusive, writable"


def test_both_entries_become_read_only_and_the_childs_is_old() -> None:
    kernel = Kernel(memory_pages=300)
    row = kernel.process()
    vpn = kernel.mmap(row, 2)
    kernel.write(row, vpn)
    kernel.read(row, vpn + 1)
    child = kernel.fork(row)
    assert kernel.page_is(row, vpn) == kernel.page_is(child, vpn) == "2 refs, read-only"
    assert kernel.pfn(row, vpn) == kernel.pfn(child, vpn)
    for page in (vpn, vpn + 1):
        assert kernel.entry(row, page) & PTE_ACCESSED
        assert not kernel.entry(child, page) & PTE_ACCESSED


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_references_count_the_generations(depth: int) -> None:
    kernel = Kernel(memory_pages=300)
    row = kernel.process()
    vpn = kernel.mmap(row, 1)
    kernel.write(row, vpn)
    last = row
    for _ in range(depth):
        last = kernel.fork(last)
    frame = kernel.arrays.frames[kernel.pfn(row, vpn)]
    assert int(frame.refs) == int(frame.maps) == depth + 1


@pytest.mark.parametrize(("pages", "leaves"), [(1, 1), (512, 1), (513, 2), (1500, 3)])
def test_tables_a_fork_takes(pages: int, leaves: int) -> None:
    """A leaf for each 2 MiB touched, one above it for each GiB, one for 512 GiB, and the top."""
    kernel = Kernel(memory_pages=9000)
    row = kernel.process()
    vpn = kernel.mmap(row, pages, start=1 << 29)
    kernel.write(row, vpn, pages)
    used = kernel.in_use()
    child = kernel.fork(row)
    stack = {3: 1, 2: 1, 1: 1, 0: 1}
    wanted = {3: stack[3], 2: stack[2] + 1, 1: stack[1] + 1, 0: stack[0] + leaves}
    assert kernel.tables_by_level(child) == wanted
    assert kernel.work["FORK_TABLE"] == sum(wanted.values()) - 1  # the top is in FORK_BASE
    assert kernel.in_use() - used == sum(wanted.values()) + 4  # kernel stack


@pytest.mark.parametrize(
    ("pages", "written", "upper"),
    [
        (TABLE, [0], {3: 1, 2: 1, 1: 1}),
        (3 * GIB_PAGES, [0, 2 * GIB_PAGES], {3: 1, 2: 1, 1: 2}),  # nothing in the second GiB
        (3 * GIB_PAGES, [], {3: 1}),  # never had any
    ],
)
@pytest.mark.parametrize("kind", FORK_KINDS)
def test_upper_tables_are_copied_though_nothing_is_below(
    pages: int, written: list[int], upper: dict[int, int], kind: int
) -> None:
    """`copy_pud_range`, `copy_pmd_range`: MADV_DONTNEED gave back the leaf tables alone."""
    kernel = Kernel(memory_pages=900, overcommit=1, fork_kind=kind, kernel="6.18")
    row = kernel.process()
    vpn = kernel.mmap(row, pages, start=1 << 30)
    for page in written:
        kernel.write(row, vpn + page)
        kernel.call(row, ops.OP_DONTNEED, start=vpn + page, pages=TABLE)
    stack = {3: 1, 2: 1, 1: 1, 0: 1}
    assert kernel.tables_by_level(row) == {n: stack[n] + upper.get(n, 0) - (n == 3) for n in stack}
    before = kernel.in_use()
    child = kernel.fork(row)
    if kind == FORK_ASYNC:
        stack[0] = 0  # the child is still to copy it
    expected = {n: stack[n] + upper.get(n, 0) - (n == 3) for n in stack}
    assert kernel.tables_by_level(child) == expected
    kernel.machine.audit()
    kernel.exit(child)
    assert kernel.in_use() == before
    kernel.machine.audit()


def test_without_a_frame_for_an_upper_table_fork_waits() -> None:
    kernel = Kernel(memory_pages=100, overcommit=1, kernel="6.18")
    row = kernel.process()
    vpn = kernel.mmap(row, TABLE, start=1 << 30)
    kernel.write(row, vpn)
    kernel.call(row, ops.OP_DONTNEED, start=vpn, pages=TABLE)
    hog = kernel.process()
    at = kernel.mmap(hog, 200)
    kernel.write(hog, at)
    room = 4 + 1 + 1  # the child's kernel stack and top, and one of the two upper tables
    while kernel.free() > room:
        at += 1
        kernel.write(hog, at)
    child = kernel.machine.new_task()
    assert kernel.call(row, ops.OP_FORK, child=child) == SHORT
    assert kernel.operation(row).need == 1
    kernel.machine.audit()
    kernel.exit(hog)
    assert kernel.go_on(row) == DONE
    kernel.machine.audit()


def test_an_area_a_step_and_a_leaf_table_a_step() -> None:
    kernel = Kernel(memory_pages=9000)
    row = kernel.process()  # one area: its stack
    kernel.write(row, kernel.mmap(row, 1024, start=1 << 29), 1024)
    child = kernel.machine.new_task()
    kernel.begin(row, ops.OP_FORK, child=child)
    steps = 1
    while kernel.one_step(row) == MORE:
        steps += 1
    begin, areas, leaves, end = 1, 2, 2 + 1, 1
    assert steps == begin + areas + leaves + end
    assert kernel.work["FORK_AREA"] == areas
    assert kernel.work["FORK_FLUSH"] == 1


def test_eager_fork_copies_every_frame_at_once_but_not_the_zero_page() -> None:
    kernel = Kernel(memory_pages=300, fork_kind=FORK_EAGER)
    row = kernel.process()
    vpn = kernel.mmap(row, 4)
    kernel.write(row, vpn, 3)
    kernel.read(row, vpn + 3)
    child = kernel.fork(row)
    assert kernel.work["FORK_EAGER_COPY"] == 3 + STACK
    assert kernel.work["FORK_FOLIO"] == 0
    for page in range(vpn, vpn + 3):
        assert kernel.page_is(row, page) == kernel.page_is(child, page) == "exclusive, writable"
        assert kernel.pfn(row, page) != kernel.pfn(child, page)
    assert kernel.page_is(child, vpn + 3) == "zero page, read-only"
    assert int(kernel.arrays.pool[0].cow_copies) == 3 + STACK
    kernel.write(child, vpn)
    assert not {"COW_COPY", "COW_REUSE"} & set(kernel.work)
    kernel.machine.audit()


def test_the_child_has_the_parents_heap_and_stack_limit() -> None:
    kernel = Kernel(memory_pages=300)
    row = kernel.process(stack_pages=77)
    kernel.brk(row, 5)
    kernel.write(row, int(kernel.space(row).heap_start))
    child = kernel.fork(row)
    assert kernel.areas(child) == kernel.areas(row)
    for name in ("brk", "heap_start", "mmap_top", "pages", "committed"):
        assert kernel.space(child)[name] == kernel.space(row)[name]
    assert int(kernel.machine.process_of(child).stack_limit) == 77
    old = int(kernel.space(row).brk)
    kernel.brk(child, 3)
    assert int(kernel.space(row).brk) == old
    assert int(kernel.space(child).brk) == old + 3


def test_a_fork_that_is_short_midway_goes_on_where_it_was() -> None:
    """Under Linux's policy nothing is set aside: a fork may meet a shortage in the middle."""
    kernel = Kernel(memory_pages=60)
    other = kernel.process()
    row = kernel.process()
    kernel.write(row, vpn := kernel.mmap(row, 8, start=1 << 29), 8)
    kernel.write(row, kernel.mmap(row, 50), kernel.free() - 7)
    child = kernel.machine.new_task()
    assert kernel.call(row, ops.OP_FORK, child=child) == SHORT
    assert kernel.operation(row).stage == 1
    assert kernel.operation(row).need == 3
    assert kernel.work["FORK_BASE"] == 1
    kernel.machine.audit()
    kernel.exit(other)
    assert kernel.go_on(row) == DONE
    assert kernel.work["FORK_BASE"] == 0  # not begun again
    assert kernel.pfn(child, vpn) == kernel.pfn(row, vpn)
    kernel.machine.audit()


@pytest.mark.parametrize(("spare", "status"), [(0, SHORT), (-1, SHORT), (1, DONE)])
def test_under_wait_a_fork_takes_all_its_frames_or_none(spare: int, status: int) -> None:
    kernel = Kernel(memory_pages=60, queueing=True)
    row = kernel.process()
    kernel.write(row, kernel.mmap(row, 8, start=1 << 29), 8)
    needs = 4 + (1 + 3 + 3)  # kernel stack; top, and three tables each for stack and mapping
    kernel.write(row, kernel.mmap(row, 50, start=(1 << 29) + 8), kernel.free() - needs + 1 - spare)
    assert kernel.free() == needs - 1 + spare
    child = kernel.machine.new_task()
    assert kernel.call(row, ops.OP_FORK, child=child) == status
    if status == SHORT:
        assert kernel.operation(row).need == needs
        assert kernel.operation(row).stage == 0
        assert int(kernel.task(child).space) == int(kernel.task(child).stack) == -1
    assert int(kernel.arrays.pool[0].reserved) == 0
    kernel.machine.audit()


@pytest.mark.parametrize("batch", [0, 7])
def test_what_a_fork_has_set_aside_is_nobody_elses(batch: int) -> None:
    """Not even from the list of a CPU that the forking task has filled."""
    kernel = Kernel(memory_pages=100, queueing=True, percpu_batch_pages=batch, percpu_high_pages=20)
    row = kernel.process()
    kernel.write(row, kernel.mmap(row, 8, start=1 << 29), 8)
    other = kernel.process()
    vpn = kernel.mmap(other, 80)
    kernel.write(other, vpn)
    child = kernel.machine.new_task()
    kernel.begin(row, ops.OP_FORK, child=child)
    assert kernel.one_step(row) == MORE
    kept = int(kernel.task(row).reserved)
    assert kept > 0
    pages = 1
    while kernel.access(other, vpn + pages, 1) == DONE:
        pages += 1
    assert kernel.free() == kept
    assert kernel.go_on(row) == DONE
    assert kernel.access(other, vpn + pages, 1) == SHORT or kept == 0
    kernel.machine.audit()


@pytest.mark.parametrize(
    ("mode", "areas", "refused"),
    [
        (0, (250, 250), False),  # each by itself is not more than memory
        (0, (301,), True),
        (1, (301, 301), False),
        (2, (100,), False),
        (2, (200, 200), True),  # the sum counts
    ],
)
def test_overcommit_refuses_a_fork(mode: int, areas: tuple[int, ...], refused: bool) -> None:
    kernel = Kernel(memory_pages=300, overcommit=1, commit_limit_pages=600)
    row = kernel.process()
    for number, pages in enumerate(areas):
        kernel.mmap(row, pages, start=(1 << 29) + 1024 * number)
    kernel.arrays.config[0].overcommit = mode
    child = kernel.machine.new_task()
    committed, free = int(kernel.arrays.pool[0].committed), kernel.free()
    assert kernel.call(row, ops.OP_FORK, child=child) == DONE
    assert kernel.errno(row) == (ENOMEM if refused else 0)
    if refused:
        assert int(kernel.arrays.pool[0].committed) == committed
        assert kernel.free() == free
        assert int(kernel.task(child).space) == -1
    kernel.machine.audit()


def test_what_is_not_inherited_is_not_promised() -> None:
    kernel = Kernel(memory_pages=300, overcommit=1)
    row = kernel.process()
    kernel.mmap(row, 301, bits=READ_WRITE | A_DONTFORK)
    kernel.arrays.config[0].overcommit = 0
    child = kernel.fork(row)
    assert int(kernel.space(child).committed) == 33
