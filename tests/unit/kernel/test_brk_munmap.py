"""The heap, holes in areas, and which page tables go with them (`free_pgd_range`)."""

import pytest
from support.kernel import DONE, READ_WRITE, Kernel

from sim.kernel import ops
from sim.kernel.work import EINVAL, ENOMEM, MORE, SEGV
from sim.machine.layout import A_HEAP

HEAP = READ_WRITE | A_HEAP
AT = 1 << 29  # the start of a table at every level but the top


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(memory_pages=5000)


@pytest.fixture
def row(kernel: Kernel) -> int:
    return kernel.process(image_pages=2)


def heap(kernel: Kernel, row: int) -> list[tuple[int, int]]:
    """Return the heap's areas, relative to its start."""
    start = int(kernel.space(row).heap_start)
    return [(a - start, b - start) for a, b, bits in kernel.areas(row) if bits == HEAP]


# -- brk -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moves", "areas"),
    [
        ([5], [(0, 5)]),
        ([5, 3], [(0, 8)]),
        ([5, -2], [(0, 3)]),
        ([5, -5], []),
        ([5, -5, 4], [(0, 4)]),
        ([5, 0], [(0, 5)]),
    ],
)
def test_the_heap_follows_the_break(
    kernel: Kernel, row: int, moves: list[int], areas: list[tuple[int, int]]
) -> None:
    start = int(kernel.space(row).heap_start)
    at = 0
    for move in moves:
        result = kernel.brk(row, move)
        at += move
        assert kernel.errno(row) == 0
        assert result == start + (at if move < 0 else at - move)
    assert int(kernel.space(row).brk) == start + at
    assert heap(kernel, row) == areas
    assert int(kernel.space(row).committed) == 2 + 33 + at
    kernel.machine.audit()


def test_growing_takes_no_frame_until_it_is_touched(kernel: Kernel, row: int) -> None:
    used = kernel.in_use()
    start = kernel.brk(row, 1000)
    assert kernel.in_use() == used
    assert kernel.work == {"BRK_CALL": 1}
    kernel.write(row, start + 999)
    assert kernel.in_use() - used == 1 + kernel.work["TABLE_ALLOC"] == 1 + 3


def test_shrinking_gives_the_frames_back(kernel: Kernel, row: int) -> None:
    start = kernel.brk(row, 10)
    kernel.write(row, start, 10)
    used = kernel.in_use()
    kernel.brk(row, -4)
    assert kernel.in_use() == used - 4
    assert kernel.access(row, start + 6, 1) == SEGV
    kernel.brk(row, 4)
    kernel.read(row, start + 6)
    assert kernel.work["ZERO_PAGE_MAP"] == 1


@pytest.mark.parametrize(("grown", "move"), [(0, -1), (5, -6)])
def test_the_break_stays_above_the_heaps_start(
    kernel: Kernel, row: int, grown: int, move: int
) -> None:
    kernel.brk(row, grown)
    before = kernel.areas(row)
    kernel.brk(row, move)
    assert kernel.errno(row) == EINVAL
    assert kernel.areas(row) == before


def test_the_break_stops_at_a_mapping(kernel: Kernel, row: int) -> None:
    start = int(kernel.space(row).heap_start)
    kernel.mmap(row, 4, start=start + 10)
    kernel.brk(row, 10)
    assert kernel.errno(row) == 0
    kernel.brk(row, 1)
    assert kernel.errno(row) == ENOMEM
    assert int(kernel.space(row).brk) == start + 10


def test_a_heap_whose_end_is_unmapped_grows_from_the_break(kernel: Kernel, row: int) -> None:
    start = kernel.brk(row, 10)
    kernel.write(row, start, 10)
    kernel.munmap(row, start + 6, 4)
    assert kernel.brk(row, 5) == start + 10
    assert heap(kernel, row) == [(0, 6), (10, 15)]
    assert kernel.access(row, start + 8, 1) == SEGV
    kernel.brk(row, -8)
    assert heap(kernel, row) == [(0, 6)]
    assert int(kernel.space(row).brk) == start + 7
    kernel.machine.audit()


def test_a_heap_that_is_unmapped_altogether(kernel: Kernel, row: int) -> None:
    start = kernel.brk(row, 10)
    kernel.munmap(row, start, 10)
    kernel.brk(row, -2)
    assert kernel.errno(row) == EINVAL
    assert kernel.brk(row, 3) == start + 10
    assert heap(kernel, row) == [(10, 13)]
    child = kernel.fork(row)
    assert kernel.brk(child, 2) == start + 13
    assert heap(kernel, child) == [(10, 15)]
    kernel.machine.audit()


# -- munmap --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "pages", "left"),
    [
        (0, 20, []),
        (0, 5, [(5, 20)]),
        (15, 5, [(0, 15)]),
        (5, 10, [(0, 5), (15, 20)]),
        (-3, 10, [(7, 20)]),
        (-3, 30, []),
        (18, 30, [(0, 18)]),
        (19, 1, [(0, 19)]),
        (20, 4, [(0, 20)]),
    ],
)
def test_a_hole_splits_an_area(
    kernel: Kernel, row: int, first: int, pages: int, left: list[tuple[int, int]]
) -> None:
    kernel.mmap(row, 20, start=AT)
    kernel.write(row, AT, 20)
    kernel.munmap(row, AT + first, pages)
    areas = [a for a in kernel.area_rows(row) if AT - 100 < int(a.start) < AT + 100]
    assert [(int(a.start) - AT, int(a.end) - AT) for a in areas] == left
    assert all(int(a.offset) == int(a.start) for a in areas)  # a page keeps its offset
    assert len({int(a.anon_root) for a in areas}) == min(len(left), 1)  # and its anon_vma
    remaining = {page for start, end in left for page in range(start, end)}
    assert {v - AT for v in kernel.resident(row) if AT <= v < AT + 20} == remaining
    assert int(kernel.space(row).pages) == 2 + 33 + len(remaining)
    assert kernel.work["UNMAP_PTE"] == 20 - len(remaining)
    kernel.machine.audit()


def test_a_hole_over_several_areas(kernel: Kernel, row: int) -> None:
    for at in (0, 20, 40):
        kernel.mmap(row, 10, start=AT + at)
        kernel.write(row, AT + at, 10)
    kernel.munmap(row, AT + 5, 40)
    assert [(a - AT, b - AT) for a, b, _ in kernel.areas(row)[:-2]] == [(0, 5), (45, 50)]
    assert kernel.work["UNMAP_AREA"] == 3
    kernel.machine.audit()


@pytest.mark.parametrize(("start", "pages"), [(AT, 0), (AT, -1), (-5, 3), ((1 << 36) - 2, 3)])
def test_impossible_ranges_are_refused(kernel: Kernel, row: int, start: int, pages: int) -> None:
    assert kernel.call(row, ops.OP_MUNMAP, start=start, pages=pages) == DONE
    assert kernel.errno(row) == EINVAL


def test_adjacent_mappings_are_one_area_until_a_hole(kernel: Kernel, row: int) -> None:
    first = kernel.mmap(row, 4)
    second = kernel.mmap(row, 4)
    assert second == first - 4
    assert (second, second + 8, READ_WRITE) in kernel.areas(row)
    kernel.munmap(row, second + 3, 2)
    assert len(kernel.areas(row)) == 4
    assert kernel.mmap(row, 2) == second + 3  # the highest gap that is large enough
    assert (second, second + 8, READ_WRITE) in kernel.areas(row)


def test_the_highest_gap_that_fits_is_taken(kernel: Kernel, row: int) -> None:
    first = kernel.mmap(row, 30)
    kernel.munmap(row, first + 20, 3)
    kernel.munmap(row, first + 10, 5)
    assert kernel.mmap(row, 4) == first + 11
    assert kernel.mmap(row, 3) == first + 20
    assert kernel.mmap(row, 2) == first - 2


# -- page tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("areas", "hole", "freed"),
    [
        # alone in its 512 GiB: a table of each level below the top
        ([(0, 20)], (0, 20), 3),
        # part of an area: nothing may go
        ([(0, 20)], (0, 10), 0),
        # a neighbour in the same 2 MiB, below or above
        ([(0, 20), (100, 110)], (0, 20), 0),
        ([(0, 20), (100, 110)], (100, 10), 0),
        # both of them
        ([(0, 20), (100, 110)], (0, 110), 3),
        # a neighbour in the next 2 MiB: only the leaf goes
        ([(0, 20), (512, 522)], (0, 20), 1),
        # a neighbour in the next GiB
        ([(0, 20), (1 << 18, (1 << 18) + 5)], (0, 20), 2),
        # over three leaves, both edges shared: the middle one goes
        ([(100, 1400)], (200, 1100), 1),
        # from the edge of one leaf to the edge of another
        ([(0, 1536)], (512, 512), 1),
        ([(0, 1536)], (511, 514), 1),
        ([(0, 1536)], (513, 511), 0),
    ],
)
def test_page_tables_that_go(
    kernel: Kernel,
    row: int,
    areas: list[tuple[int, int]],
    hole: tuple[int, int],
    freed: int,
) -> None:
    for start, end in areas:
        kernel.mmap(row, end - start, start=AT + start)
        kernel.write(row, AT + start)
        kernel.write(row, AT + end - 1)
        for page in range(start, end, 256):
            kernel.write(row, AT + page)
    tables = int(kernel.space(row).tables)
    kernel.munmap(row, AT + hole[0], hole[1])
    assert kernel.work["TABLE_FREE"] == freed
    assert (
        int(kernel.space(row).tables) == tables - freed == sum(kernel.tables_by_level(row).values())
    )
    kernel.machine.audit()


def test_the_last_of_two_neighbours_takes_the_table_with_it(kernel: Kernel, row: int) -> None:
    for at in (0, 100):
        kernel.mmap(row, 10, start=AT + at)
        kernel.write(row, AT + at, 10)
    kernel.munmap(row, AT, 10)
    assert kernel.work["TABLE_FREE"] == 0
    kernel.munmap(row, AT + 100, 10)
    assert kernel.work["TABLE_FREE"] == 3


def test_a_leaf_table_a_step(kernel: Kernel, row: int) -> None:
    kernel.mmap(row, 1536, start=AT)
    kernel.write(row, AT, 1536)
    kernel.begin(row, ops.OP_MUNMAP, start=AT, pages=1536)
    used = kernel.in_use()
    assert kernel.one_step(row) == MORE  # areas are split first
    assert kernel.in_use() == used
    for freed in (512, 1024):
        assert kernel.one_step(row) == MORE
        assert kernel.in_use() == used - freed
    assert kernel.one_step(row) == DONE
    assert kernel.in_use() == used - 1536 - 3 - 2


def test_dontneed_takes_entries_and_leaves_areas_and_tables(kernel: Kernel, row: int) -> None:
    kernel.mmap(row, 20, start=AT)
    kernel.write(row, AT, 10)
    kernel.read(row, AT + 10, 5)
    areas, tables = kernel.areas(row), int(kernel.space(row).tables)
    used = kernel.in_use()
    assert kernel.call(row, ops.OP_DONTNEED, start=AT + 5, pages=20) == DONE
    assert kernel.work == {"MADVISE_CALL": 1, "UNMAP_PTE": 5 + 5, "FRAME_FREE": 5}
    assert kernel.in_use() == used - 5
    assert (kernel.areas(row), int(kernel.space(row).tables)) == (areas, tables)
    kernel.read(row, AT + 5)
    assert kernel.work["ZERO_PAGE_MAP"] == 1


def test_dontneed_of_a_shared_page_drops_a_reference(kernel: Kernel, row: int) -> None:
    kernel.mmap(row, 1, start=AT)
    kernel.write(row, AT)
    child = kernel.fork(row)
    assert kernel.call(child, ops.OP_DONTNEED, start=AT, pages=1) == DONE
    assert kernel.work["FRAME_FREE"] == 0
    assert kernel.page_is(row, AT) == "1 refs, read-only"
    kernel.write(row, AT)
    assert kernel.work["COW_REUSE"] == 1
