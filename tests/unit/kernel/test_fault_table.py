"""A row each of the decision table in `sim.kernel.fault.fault`."""

from collections.abc import Callable

import pytest
from support.kernel import DONE, READ_WRITE, SHORT, Kernel

from sim.kernel.work import SEGV
from sim.machine.layout import A_ACCOUNT, A_READ, F_EXCLUSIVE, PTE_ACCESSED, PTE_DIRTY

READ, WRITE = 0, 1


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(memory_pages=300)


Row = tuple[Kernel, int, int]


def absent(kernel: Kernel) -> Row:
    row = kernel.process()
    return kernel, row, kernel.mmap(row, 4)


def zero_page(kernel: Kernel) -> Row:
    _, row, vpn = absent(kernel)
    kernel.read(row, vpn)
    return kernel, row, vpn


def own(kernel: Kernel) -> Row:
    _, row, vpn = absent(kernel)
    kernel.write(row, vpn)
    return kernel, row, vpn


def shared(kernel: Kernel) -> Row:
    _, row, vpn = own(kernel)
    kernel.fork(row)
    return kernel, row, vpn


def zero_page_of_two(kernel: Kernel) -> Row:
    _, row, vpn = own(kernel)
    kernel.read(row, vpn + 1)
    kernel.fork(row)
    return kernel, row, vpn + 1


def last_reference(kernel: Kernel) -> Row:
    """Both were sharers; the other has copied its page."""
    _, row, vpn = own(kernel)
    kernel.write(kernel.fork(row), vpn)
    return kernel, row, vpn


def other_has_exited(kernel: Kernel) -> Row:
    _, row, vpn = own(kernel)
    kernel.exit(kernel.fork(row))
    return kernel, row, vpn


def exclusive_read_only(kernel: Kernel) -> Row:
    """Written while the last reference, then made read-only by a fork whose child is gone."""
    _, row, vpn = other_has_exited(kernel)
    kernel.write(row, vpn)
    return kernel, row, vpn


@pytest.mark.parametrize(
    ("prepare", "write", "fault", "page"),
    [
        (absent, READ, "ZERO_PAGE_MAP", "zero page, read-only"),
        (absent, WRITE, "ZERO_FILL", "exclusive, writable"),
        (own, READ, None, "exclusive, writable"),
        (own, WRITE, None, "exclusive, writable"),
        (zero_page, READ, None, "zero page, read-only"),
        (zero_page, WRITE, "ZERO_FILL", "exclusive, writable"),
        (zero_page_of_two, WRITE, "ZERO_FILL", "exclusive, writable"),
        (shared, READ, None, "2 refs, read-only"),
        (shared, WRITE, "COW_COPY", "exclusive, writable"),
        (last_reference, READ, None, "1 refs, read-only"),
        (last_reference, WRITE, "COW_REUSE", "exclusive, writable"),
        (other_has_exited, WRITE, "COW_REUSE", "exclusive, writable"),
        (exclusive_read_only, WRITE, None, "exclusive, writable"),
    ],
)
def test_what_an_access_does(
    kernel: Kernel, prepare: Callable[[Kernel], Row], write: int, fault: str | None, page: str
) -> None:
    _, row, vpn = prepare(kernel)
    assert kernel.access(row, vpn, write) == DONE
    work = dict(kernel.work)
    assert work.pop("ACCESS") == 1
    work.pop("TABLE_ALLOC", None)
    assert work == ({} if fault is None else {fault: 1})
    assert kernel.page_is(row, vpn) == page
    kernel.machine.audit()


@pytest.mark.parametrize("write", [READ, WRITE])
@pytest.mark.parametrize("prepare", [absent, own, shared, zero_page])
def test_hardware_notes_every_access(
    kernel: Kernel, prepare: Callable[[Kernel], Row], write: int
) -> None:
    _, row, vpn = prepare(kernel)
    kernel.access(row, vpn, write)
    wanted = PTE_ACCESSED | (PTE_DIRTY if write else 0)
    assert kernel.entry(row, vpn) & wanted == wanted


def test_exclusive_and_read_only_is_reused_though_a_reference_is_left(kernel: Kernel) -> None:
    """As after mprotect, or with a page still in an LRU batch: the exclusive flag decides."""
    _, row, vpn = own(kernel)
    kernel.fork(row)
    frame = kernel.arrays.frames[kernel.pfn(row, vpn)]
    frame.bits |= F_EXCLUSIVE
    kernel.write(row, vpn)
    assert kernel.work["COW_REUSE"] == 1


@pytest.mark.parametrize("write", [READ, WRITE])
def test_outside_every_area_is_a_segmentation_fault(kernel: Kernel, write: int) -> None:
    _, row, vpn = absent(kernel)
    for page in (vpn - 1, vpn + 4, 5):
        assert kernel.access(row, page, write) == SEGV
        assert kernel.operation(row).fault_page == page
    assert not kernel.work


@pytest.mark.parametrize(
    ("bits", "write", "status"),
    [
        (A_READ | A_ACCOUNT, WRITE, SEGV),
        (A_READ | A_ACCOUNT, READ, DONE),
        (A_ACCOUNT, READ, SEGV),
        (READ_WRITE, WRITE, DONE),
    ],
)
def test_permissions_of_the_area(kernel: Kernel, bits: int, write: int, status: int) -> None:
    row = kernel.process()
    vpn = kernel.mmap(row, 1, bits=bits)
    assert kernel.access(row, vpn, write) == status


@pytest.mark.parametrize(
    ("pages", "missing"),
    [
        (1, 1),  # the process has its text's and its stack's tables: top and upper are there
        (512, 1),
        (1024, 2),
    ],
)
def test_a_leaf_table_is_built_for_each_two_mib(kernel: Kernel, pages: int, missing: int) -> None:
    kernel = Kernel(memory_pages=4000)
    row = kernel.process()
    kernel.write(row, kernel.mmap(row, 1))
    before = kernel.tables_by_level(row)
    vpn = kernel.mmap(row, pages, start=1 << 29)  # a 2 MiB boundary, no table near
    kernel.write(row, vpn, pages)
    after = kernel.tables_by_level(row)
    assert after[0] - before[0] == missing
    assert after[1] - before[1] == 1
    assert after[2] == before[2] + 1
    assert int(kernel.space(row).tables) == sum(after.values())


def test_page_tables_are_counted_as_they_are_built(kernel: Kernel) -> None:
    row = kernel.process()
    vpn = kernel.mmap(row, 2, start=1 << 29)
    assert kernel.access(row, vpn, WRITE) == DONE
    assert kernel.work["TABLE_ALLOC"] == 3
    assert kernel.access(row, vpn + 1, WRITE) == DONE
    assert kernel.work["TABLE_ALLOC"] == 0


def test_the_zero_page_needs_no_frame_and_is_not_resident(kernel: Kernel) -> None:
    _, row, vpn = own(kernel)
    free, resident = kernel.free(), int(kernel.space(row).rss_anon)
    kernel.read(row, vpn + 1)
    assert kernel.free() == free
    assert int(kernel.space(row).rss_anon) == resident
    kernel.write(row, vpn + 1)
    assert kernel.free() == free - 1
    assert int(kernel.space(row).rss_anon) == resident + 1


def test_the_last_owner_needs_no_frame() -> None:
    kernel = Kernel(memory_pages=60)
    _, row, vpn = own(kernel)
    child = kernel.fork(row)
    kernel.write(row, kernel.mmap(row, 55), kernel.free())
    assert kernel.free() == 0
    assert kernel.access(row, vpn, WRITE) == SHORT
    kernel.exit(child)
    kernel.write(row, vpn)
    assert kernel.work["COW_REUSE"] == 1


@pytest.mark.parametrize(("sharers", "writers"), [(2, 1), (2, 2), (4, 2), (4, 4), (5, 4)])
def test_n_sharers_of_whom_k_write_cost_the_lesser_of_k_and_n_less_1_copies(
    kernel: Kernel, sharers: int, writers: int
) -> None:
    _, row, vpn = own(kernel)
    rows = [row, *(kernel.fork(row) for _ in range(sharers - 1))]
    copies = 0
    for writer in rows[:writers]:
        kernel.write(writer, vpn)
        copies += kernel.work["COW_COPY"]
    assert copies == min(writers, sharers - 1)
    assert int(kernel.arrays.pool[0].cow_copies) == copies


@pytest.mark.parametrize("write", [READ, WRITE])
def test_a_refused_access_changes_nothing(write: int) -> None:
    """A page in a new 2 MiB needs a leaf table even if it is only read."""
    kernel = Kernel(memory_pages=60)
    row = kernel.process()
    far = kernel.mmap(row, 1, start=1 << 29)
    kernel.write(row, kernel.mmap(row, 55), kernel.free() - 2)
    free, before = kernel.free(), kernel.resident(row)
    assert kernel.access(row, far, write) == SHORT
    assert kernel.operation(row).need == 3 + write
    assert (kernel.free(), kernel.resident(row)) == (free, before)
    kernel.machine.audit()
