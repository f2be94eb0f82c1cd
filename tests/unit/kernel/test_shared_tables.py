"""on-demand-fork and Async-fork: leaf tables shared, or left to the child; copied when changed."""

import pytest
from support.kernel import DONE, SHORT, Kernel

from sim.base.errors import KernelPanicError
from sim.kernel import ops
from sim.kernel.work import MORE
from sim.machine.layout import FORK_ASYNC, FORK_COW, FORK_ON_DEMAND, NONE
from sim.observe.footprint import footprint

TABLE = 512  # pages below one leaf table
PAGES = 3 * TABLE


def parent_of(kind: int, **host: int) -> tuple[Kernel, int, int]:
    """Return a machine, a process with three full leaf tables, and their first page."""
    kernel = Kernel(**{"memory_pages": 4000, "fork_kind": kind, **host})
    row = kernel.process()
    start = 1 << 20
    kernel.mmap(row, PAGES, start=start)
    kernel.write(row, start, PAGES)
    return kernel, row, start


def did(kernel: Kernel) -> dict[str, int]:
    """Return what the last call did besides touching pages."""
    return {line: units for line, units in kernel.work.items() if units and line != "ACCESS"}


def copy_tables(kernel: Kernel, child: int) -> None:
    assert kernel.call(child, ops.OP_ASYNC_COPY) == DONE


@pytest.mark.parametrize("kind", [FORK_ON_DEMAND, FORK_ASYNC])
def test_fork_copies_entries_one_level_up_only(kind: int) -> None:
    kernel, row, _ = parent_of(kind)
    before = kernel.in_use()
    child = kernel.fork(row)
    tables = 3 + 2  # three above the data, two more above the stack; the leaf tables are not copied
    assert kernel.in_use() - before == 4 + tables
    assert int(kernel.space(row).shared_tables) == 4  # of the stack, too
    kernel.machine.audit()
    assert int(kernel.space(child).rss_anon) == (PAGES + 1 if kind == FORK_ON_DEMAND else 0)


def test_a_shared_leaf_table_counts_in_both() -> None:
    kernel, row, _ = parent_of(FORK_ON_DEMAND)
    child = kernel.fork(row)
    assert int(kernel.space(child).tables) == int(kernel.space(row).tables)
    resident, pss, unique = footprint(kernel.arrays, int(kernel.task(child).space))
    assert (resident, pss, unique) == (PAGES + 1, (PAGES + 1) * 4096 // 2, 0)


def test_reading_changes_nothing() -> None:
    kernel, row, start = parent_of(FORK_ON_DEMAND)
    child = kernel.fork(row)
    before = kernel.in_use()
    kernel.read(child, start, PAGES)
    kernel.read(row, start, PAGES)
    assert kernel.in_use() == before
    assert int(kernel.space(child).shared_tables) == 4


@pytest.mark.parametrize("writer", ["parent", "child"])
def test_the_first_write_copies_the_table_and_the_page(writer: str) -> None:
    kernel, row, start = parent_of(FORK_ON_DEMAND)
    child = kernel.fork(row)
    who = row if writer == "parent" else child
    before = kernel.in_use()
    kernel.write(who, start + 7)
    assert did(kernel) == {"COW_COPY": 1, "FORK_TABLE": 1, "FORK_FOLIO": TABLE, "FORK_PTE": TABLE}
    assert kernel.in_use() == before + 2
    kernel.write(who, start + 8)
    assert did(kernel) == {"COW_COPY": 1}
    kernel.machine.audit()


def test_who_is_left_alone_takes_a_table_back_in_one_fault() -> None:
    """512 pages are reused by one fault: nobody has changed their entries."""
    kernel, row, start = parent_of(FORK_ON_DEMAND)
    kernel.exit(kernel.fork(row))
    before = kernel.in_use()
    kernel.write(row, start)
    assert did(kernel) == {"COW_REUSE": 1}
    kernel.write(row, start + 1)
    assert did(kernel) == {}
    assert kernel.in_use() == before
    assert int(kernel.space(row).shared_tables) == 3


def test_with_cow_it_takes_a_fault_a_page() -> None:
    """Negative control of the test above."""
    kernel, row, start = parent_of(FORK_COW)
    kernel.exit(kernel.fork(row))
    kernel.write(row, start)
    kernel.write(row, start + 1)
    assert did(kernel) == {"COW_REUSE": 1}


@pytest.mark.parametrize("kind", [FORK_ON_DEMAND, FORK_ASYNC])
def test_a_table_of_two_areas_is_copied_in_the_call(kind: int) -> None:
    kernel, row, start = parent_of(kind)
    kernel.mmap(row, 1, start=start + PAGES + 5)
    kernel.write(row, start + PAGES + 5)
    kernel.munmap(row, start + PAGES - 2, 1)  # the third leaf table serves two areas now
    kernel.fork(row)
    assert (
        int(kernel.space(row).shared_tables) == 4
    )  # two of the first area, the lonely page's, the stack's


@pytest.mark.parametrize("op", [ops.OP_MUNMAP, ops.OP_DONTNEED])
def test_removing_pages_copies_the_tables_first(op: int) -> None:
    kernel, row, start = parent_of(FORK_ON_DEMAND)
    child = kernel.fork(row)
    assert kernel.call(child, op, start=start + 5, pages=TABLE) == DONE
    assert int(kernel.space(child).shared_tables) == 2
    assert int(kernel.space(child).rss_anon) == PAGES + 1 - TABLE
    assert int(kernel.space(row).rss_anon) == PAGES + 1
    kernel.machine.audit()


def test_the_child_of_an_async_fork_copies_a_table_a_step() -> None:
    kernel, row, start = parent_of(FORK_ASYNC)
    child = kernel.fork(row)
    kernel.begin(child, ops.OP_ASYNC_COPY)
    assert kernel.one_step(child) == MORE
    assert int(kernel.space(child).rss_anon) == TABLE
    kernel.write(row, start + TABLE)  # the parent does not wait: it copies the table itself
    assert kernel.work["FORK_TABLE"] == 1
    assert kernel.work["COW_COPY"] == 1
    assert int(kernel.space(child).rss_anon) == 2 * TABLE
    kernel.machine.audit()
    assert kernel.go_on(child) == DONE
    assert int(kernel.space(child).rss_anon) == PAGES + 1
    assert int(kernel.space(row).shared_tables) == 0
    assert (int(kernel.space(row).async_child), int(kernel.space(child).async_parent)) == (
        NONE,
        NONE,
    )


def test_a_second_async_fork_ends_the_first() -> None:
    kernel, row, _ = parent_of(FORK_ASYNC)
    first = kernel.fork(row)
    second = kernel.fork(row)
    assert int(kernel.space(first).rss_anon) == PAGES + 1
    copy_tables(kernel, first)
    copy_tables(kernel, second)
    kernel.machine.audit()


@pytest.mark.parametrize("how", ["adopts", "exits"])
def test_what_becomes_of_the_first_child_is_nothing_to_the_second(how: str) -> None:
    kernel, row, start = parent_of(FORK_ASYNC)
    first = kernel.fork(row)
    second = kernel.fork(row)
    kernel.machine.audit()
    if how == "adopts":
        copy_tables(kernel, first)
    else:
        kernel.exit(first)
    kernel.write(row, start)
    copy_tables(kernel, second)
    kernel.machine.audit()
    assert int(kernel.space(second).rss_anon) == PAGES + 1
    assert kernel.pfn(second, start) != kernel.pfn(row, start)


def test_the_audit_notices_an_heir_that_does_not_know_its_lender() -> None:
    kernel, row, _ = parent_of(FORK_ASYNC)
    child = kernel.fork(row)
    kernel.space(child)["async_parent"] = NONE
    with pytest.raises(KernelPanicError, match="do not name each other"):
        kernel.machine.audit()


def test_a_parent_that_goes_leaves_its_tables_to_the_child() -> None:
    kernel, row, start = parent_of(FORK_ASYNC)
    child = kernel.fork(row)
    before = kernel.in_use()
    kernel.exit(row)
    assert kernel.in_use() < before
    copy_tables(kernel, child)
    kernel.machine.audit()
    kernel.write(child, start)
    assert did(kernel) == {}  # the table came as it was, its pages the child's alone


def test_a_child_that_goes_first_costs_a_fault_a_table() -> None:
    kernel, row, start = parent_of(FORK_ASYNC)
    kernel.exit(kernel.fork(row))
    kernel.write(row, start)
    assert did(kernel) == {"COW_REUSE": 1}
    kernel.write(row, start + 1)
    assert did(kernel) == {}


@pytest.mark.parametrize("kind", [FORK_ON_DEMAND, FORK_ASYNC])
def test_short_of_frames_nothing_changes(kind: int) -> None:
    kernel, row, start = parent_of(kind, memory_pages=PAGES + 40)
    child = kernel.fork(row)
    hog = kernel.mmap(row, 60)
    while kernel.access(row, hog, 1) == DONE:
        hog += 1
    shared = int(kernel.space(row).shared_tables)
    assert kernel.access(row, start, 1) == SHORT
    assert int(kernel.space(row).shared_tables) == shared
    kernel.machine.audit()
    kernel.exit(child)
    assert kernel.go_on(row) == DONE


def test_moving_copies_the_table_it_moves_to() -> None:
    kernel, row, start = parent_of(FORK_ON_DEMAND)
    kernel.munmap(row, start + PAGES - 20, 20)
    far = start + 2 * PAGES
    kernel.mmap(row, 8, start=far)
    kernel.write(row, far, 8)
    child = kernel.fork(row)
    there = start + PAGES - 10  # below a leaf table that the parent uses as well
    assert (
        kernel.call(
            child, ops.OP_MREMAP, start=far, pages=8, new_pages=8, new_start=there, may_move=1
        )
        == DONE
    )
    assert kernel.errno(child) == 0
    kernel.machine.audit()
    assert kernel.pfn(child, there) == kernel.pfn(row, far)
    assert kernel.entry(row, there) == 0
