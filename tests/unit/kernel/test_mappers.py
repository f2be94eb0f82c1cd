"""What a large folio remembers of who maps it; against the kernel: `tests/truth/scripts`."""

import pytest
from support.kernel import Kernel

from sim.base.errors import KernelPanicError
from sim.kernel import ops
from sim.kernel.fault.folio import maybe_shared
from sim.kernel.fault.pmd import huge_entry
from sim.machine.layout import PFN_SHIFT, THP_ALWAYS

HUGE = 512
AT = HUGE * 1000


def huge_page(kernel: str = "6.18", kernel_pages: int = 1) -> tuple[Kernel, int]:
    """Return a machine, and a process with a huge page at AT."""
    k = Kernel(memory_pages=4096, kernel_pages=kernel_pages, thp=THP_ALWAYS, kernel=kernel)
    row = k.process()
    k.mmap(row, HUGE, start=AT)
    k.write(row, AT)
    return k, row


def frame(k: Kernel, row: int) -> int:
    """Return the frame at AT, mapped by a huge entry or a small one."""
    huge = int(huge_entry(k.arrays, int(k.task(row).space), AT))
    return huge >> PFN_SHIFT if huge else k.pfn(row, AT)


def shared(k: Kernel, row: int) -> bool:
    space = int(k.task(row).space)
    return bool(maybe_shared(k.arrays, space, AT, frame(k, row)))


def drop_all_but_two(k: Kernel, row: int) -> None:
    k.call(row, ops.OP_DONTNEED, start=AT + 2, pages=HUGE - 2)


def test_of_two_who_map_it_the_one_who_is_left_is_alone():
    k, row = huge_page()
    child = k.fork(row)
    assert shared(k, row)
    k.exit(row)
    drop_all_but_two(k, child)
    assert not shared(k, child)
    k.machine.audit()


def test_the_third_is_not_remembered():
    k, row = huge_page()
    second, third = k.fork(row), k.fork(row)
    drop_all_but_two(k, third)
    k.exit(row)
    k.exit(second)
    assert shared(k, third)
    k.machine.audit()
    k.call(third, ops.OP_DONTNEED, start=AT + 1, pages=1)
    assert not shared(k, third)  # a single page has one mapper


def test_before_6_15_mappings_are_counted():
    k, row = huge_page("6.12")
    second, third = k.fork(row), k.fork(row)
    drop_all_but_two(k, third)
    k.exit(row)
    k.exit(second)
    assert not shared(k, third)


@pytest.mark.parametrize("kernel_pages", [1, 2500], ids=["", "in the last frames"])
@pytest.mark.parametrize("field", ["total", "first_maps", "second", "shared"])
def test_the_audit_notices_what_is_wrong(field, kernel_pages):
    k, row = huge_page(kernel_pages=kernel_pages)
    k.fork(row)
    k.machine.audit()
    folio = k.arrays.folios[_row(k, row)]
    folio[field] = {"total": 3, "first_maps": 2, "second": -1, "shared": 0}[field]
    with pytest.raises(KernelPanicError, match="a large folio is wrong"):
        k.machine.audit()


def _row(k: Kernel, row: int) -> int:
    """Return the row of the folio, which compiled code only computes inline."""
    pfn = frame(k, row)
    shift = int(k.arrays.config[0].folio_shift)
    return (pfn // HUGE << shift) + ((HUGE + pfn % HUGE) >> int(k.arrays.frames[pfn].order))
