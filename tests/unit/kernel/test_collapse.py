"""Collapsing small pages to a huge one: what it takes and gives back, and when it cannot be."""

import pytest
from support.kernel import DONE, Kernel

from sim.base.errors import ScenarioError
from sim.kernel import ops
from sim.kernel.work import EINVAL, ENOMEM
from sim.machine.layout import THP_NEVER
from sim.script.predict import predict
from sim.script.validity import check_script, parse_script

HUGE = 512


def collapse(k: Kernel, row: int, start: int, pages: int) -> int:
    """Return the error of the call."""
    assert k.call(row, ops.OP_COLLAPSE, start=start, pages=pages) == DONE
    return k.errno(row)


def small_pages(memory_pages: int = 4096, kernel: str = "6.18") -> tuple[Kernel, int, int]:
    """Return a machine, a process, and where 3 of 512 pages have been written."""
    k = Kernel(memory_pages=memory_pages, kernel=kernel, thp=THP_NEVER, overcommit=1)
    row = k.process()
    start = k.mmap(row, HUGE, start=HUGE * 1000)
    for page in range(3):
        k.write(row, start + page)
    return k, row, start


def test_it_takes_a_block_and_gives_the_pages_back():
    k, row, start = small_pages()
    before = k.in_use()
    assert collapse(k, row, start, HUGE) == 0
    assert k.in_use() == before + HUGE - 3
    assert k.work["COLLAPSE"] == 1
    assert k.work["UNMAP_PTE"] == k.work["FRAME_FREE"] == 3
    k.machine.audit()
    assert collapse(k, row, start, HUGE) == 0  # it is huge already
    assert k.work["COLLAPSE"] == 0
    k.exit(row)
    assert k.in_use() == 0


def test_of_shared_pages_copies_are_made():
    k, row, start = small_pages()
    child = k.fork(row)
    before = k.in_use()
    assert collapse(k, child, start, HUGE) == 0
    assert k.in_use() == before + HUGE
    assert int(k.arrays.pool[0].cow_copies) == 3
    k.machine.audit()
    k.write(row, start)
    assert k.work["COW_REUSE"] == 1
    k.exit(row)
    k.machine.audit()
    assert int(k.arrays.pool[0].cow_copies) == 0


def test_without_a_block_of_frames_it_fails_and_changes_nothing():
    k, row, start = small_pages(memory_pages=400)
    before = k.in_use()
    assert collapse(k, row, start, HUGE) == ENOMEM
    assert k.in_use() == before
    k.machine.audit()


def test_there_is_no_such_call_before_6_1():
    k, row, start = small_pages(kernel="5.19")
    assert collapse(k, row, start, HUGE) == EINVAL
    k, row, start = small_pages(kernel="6.1")
    assert collapse(k, row, start, HUGE) == 0


@pytest.mark.parametrize(("kernel", "ending"), [("6.17", "EINVAL"), ("6.18", "")])
def test_what_is_read_only_is_collapsed_since_6_18(kernel, ending):
    script = "P map A 512\nP write A 0 1\nP protect A 0 512 r\nP collapse A\n"
    assert predict(parse_script(script), kernel=kernel, audit=True)[-1].ending == ending


def test_only_private_anonymous_regions_can_be_told_to():
    with pytest.raises(ScenarioError, match="private anonymous regions"):
        check_script(parse_script("P shmap A 512\nP collapse A\n"))
