"""exec of an image: what is mapped, what the kernel itself touches, what is left to fault in."""

import pytest
from support.kernel import DONE, Kernel

from sim.kernel import ops
from sim.kernel.work import E2BIG, ENOMEM, SEGV
from sim.machine.areas import STACK_TOP_VPN
from sim.machine.images import SegmentRow
from sim.machine.layout import A_ACCOUNT, A_GROWSDOWN, A_READ, A_WRITE, KIND_FILE, NONE, ROOT

R, RW = A_READ, A_READ | A_WRITE | A_ACCOUNT
TEXT, DATA, BSS = 0x400, 0x420, 0x428


def with_image(
    *, clears: bool = True, touches: tuple[tuple[int, bool], ...] = (), cold: bool = False
) -> tuple[Kernel, int, int]:
    """Return a kernel, a process that has one page, and an image of 32 + 8 + 8 pages."""
    kernel = Kernel(memory_pages=600)
    file = kernel.machine.new_file(KIND_FILE, 40, known=True)
    segments = (
        SegmentRow(TEXT, DATA, R, file),
        SegmentRow(DATA, BSS, RW, file, 32, clears),
        SegmentRow(BSS, BSS + 8, RW, NONE),
    )
    image = kernel.machine.images.add(segments, touches, heap=BSS + 8)
    row = kernel.process()
    kernel.write(row, kernel.mmap(row, 1))
    if not cold:
        run(kernel, row, image)
    return kernel, row, image


def run(kernel: Kernel, row: int, image: int, stack_pages: int = 1) -> None:
    call = {"image": image, "stack_limit": 64, "stack_pages": stack_pages}
    assert kernel.call(row, ops.OP_EXEC, **call) == DONE


def test_exec_maps_the_segments_and_a_stack() -> None:
    kernel, row, _ = with_image()
    assert kernel.areas(row) == [
        (TEXT, DATA, R),
        (DATA, BSS, RW),
        (BSS, BSS + 8, RW),
        (STACK_TOP_VPN - 33, STACK_TOP_VPN, RW | A_GROWSDOWN),
    ]
    assert int(kernel.space(row).brk) == BSS + 8
    assert int(kernel.space(row).committed) == 8 + 8 + 33
    kernel.machine.audit()


def test_the_kernel_touches_the_stack_and_the_page_where_bss_begins() -> None:
    kernel, row, image = with_image()
    assert list(kernel.resident(row)) == [BSS - 1, STACK_TOP_VPN - 1]
    run(kernel, row, image)
    work = kernel.work
    assert work["EXEC_BASE"] == work["ZERO_FILL"] == work["COW_COPY"] == 1
    assert "ACCESS" not in work  # the program itself has touched nothing
    assert "CACHE_FILL" not in work  # it was there already


def test_without_bss_in_it_the_last_page_of_data_stays_untouched() -> None:
    kernel, row, image = with_image(clears=False)
    run(kernel, row, image)
    assert "COW_COPY" not in kernel.work
    assert list(kernel.resident(row)) == [STACK_TOP_VPN - 1]


def test_long_arguments_cost_a_fault_a_page_and_room_below_them() -> None:
    kernel, row, image = with_image()
    run(kernel, row, image, stack_pages=7)
    assert kernel.work["ZERO_FILL"] == 7
    assert kernel.areas(row)[-1][:2] == (STACK_TOP_VPN - 7 - 32, STACK_TOP_VPN)


def test_the_file_of_a_new_program_is_brought_into_the_page_cache_once() -> None:
    kernel, row, image = with_image(cold=True)
    run(kernel, row, image)
    assert kernel.work["CACHE_FILL"] == 40
    assert int(kernel.arrays.charged[ROOT, KIND_FILE]) == 40
    kernel.exit(row)
    assert int(kernel.arrays.charged[ROOT, KIND_FILE]) == 40  # a known file stays
    kernel.machine.audit()


def test_text_comes_sixteen_pages_a_fault_and_data_one_copy_a_page() -> None:
    kernel, row, _ = with_image()
    kernel.read(row, TEXT, 32)
    assert kernel.work == {"ACCESS": 1}
    kinds = []
    for page in (TEXT, TEXT + 15, TEXT + 16, DATA):
        kernel, row, _ = with_image()
        if page == TEXT + 15:
            kernel.read(row, TEXT)
        kernel.access(row, page, int(page == DATA))
        kinds.append({name for name in kernel.work if name not in ("ACCESS", "TABLE_ALLOC")})
    around = {"FILE_MAP", "FILE_MAP_AROUND"}
    assert kinds == [around, set(), around, {"COW_COPY"}]


def test_a_program_that_starts_touches_its_pages_in_order() -> None:
    touches = ((TEXT, False), (DATA, False), (DATA, True), (BSS, True), (BSS + 1, False))
    kernel, row, image = with_image(touches=touches)
    assert kernel.call(row, ops.OP_START, image=image) == DONE
    work = kernel.work
    assert work["ACCESS"] == 5
    assert (work["FILE_MAP"], work["COW_COPY"]) == (2, 1)
    assert (work["ZERO_FILL"], work["ZERO_PAGE_MAP"]) == (1, 1)


def test_the_first_image_of_a_process_is_there_without_a_fault() -> None:
    kernel, _, image = with_image()
    row = kernel.machine.new_task()
    run(kernel, row, image)
    assert kernel.work == {"EXEC_BASE": 1}
    assert list(kernel.resident(row)) == [BSS - 1, STACK_TOP_VPN - 1]


OLD = 33 + 1  # what the old program was promised: its stack, a page


@pytest.mark.parametrize(
    ("limit", "borrowed", "stack_pages", "status", "error", "promised"),
    [
        (OLD + 1, False, 1, DONE, ENOMEM, OLD),  # not even a page of stack: the old one goes on
        (OLD + 2, False, 2, DONE, E2BIG, OLD),
        (OLD + 2, True, 1, SEGV, 0, 1),  # no room for the stack to grow, and no way back
        (OLD + 2, False, 1, SEGV, 0, 33),  # the old one's promises are back: 8 of data fail
        (33 + 8, False, 1, SEGV, 0, 33),
        (33 + 8 + 1, False, 1, SEGV, 0, 33 + 8),  # 8 of bss fail
        (33 + 8 + 8, False, 1, SEGV, 0, 33 + 8),
        (33 + 8 + 8 + 1, False, 1, DONE, 0, 33 + 8 + 8),
        (34 + 8 + 8 + 1, False, 2, DONE, 0, 34 + 8 + 8),
    ],
)
def test_what_exec_may_not_promise(
    limit: int, borrowed: bool, stack_pages: int, status: int, error: int, promised: int
) -> None:
    """Mode 2 grants what stays below the limit."""
    kernel, parent, image = with_image(cold=True)
    row = kernel.vfork(parent) if borrowed else parent
    pool = kernel.arrays.pool[0]
    config = kernel.arrays.config[0]
    assert int(pool.committed) == OLD
    config.overcommit, config.commit_limit, config.admin_reserve, config.user_reserve = (
        2,
        limit,
        0,
        0,
    )
    call = {"image": image, "stack_limit": 64, "stack_pages": stack_pages}
    assert kernel.call(row, ops.OP_EXEC, **call) == status
    assert kernel.errno(row) == error
    assert int(kernel.space(row).committed) == promised
    kernel.exit(row)
    kernel.machine.audit()


def test_an_image_of_many_segments_finds_room() -> None:
    kernel = Kernel(memory_pages=600)
    segments = tuple(SegmentRow(at, at + 1, R, NONE) for at in range(TEXT, TEXT + 400, 2))
    image = kernel.machine.images.add(segments, (), heap=TEXT + 400)
    row = kernel.process()
    run(kernel, row, image)
    assert len(kernel.areas(row)) == 201
    kernel.machine.audit()
