"""What a call has processors forget: as much as it took away, once for each address space."""

import pytest
from support.entries import spaces_in_use, translations
from support.kernel import DONE, Kernel
from support.samples import sample
from support.scripted import forking_scripts, on_host

from sim.kernel import step as ops
from sim.machine.layout import (
    A_READ,
    A_SHARED,
    A_WRITE,
    FORK_ASYNC,
    FORK_COW,
    FORK_EAGER,
    FORK_ON_DEMAND,
    KIND_FILE,
    PTE_BLANK,
    PTE_DIRTY,
    THP_ALWAYS,
    THP_NEVER,
    VPN_BITS,
)
from sim.script.processes import ScriptedProcess
from sim.script.run import Scripted

BASE = 512 * 1000
Flushes = dict[int, list[tuple[int, int]]]


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(memory_pages=4000)


def flushes(kernel: Kernel, row: int) -> int:
    return int(kernel.space(row).tlb_gen)


def last(kernel: Kernel, row: int) -> tuple[int, int]:
    """Return the pages of the last flush, counted from `BASE`."""
    space = kernel.space(row)
    return int(space.flush_start) - BASE, int(space.flush_end) - BASE


def test_what_only_adds_needs_no_flush(kernel: Kernel) -> None:
    row = kernel.process()
    kernel.mmap(row, 16, start=BASE)
    kernel.read(row, BASE, 4)
    kernel.write(row, BASE + 8, 4)
    child = kernel.fork(row)
    kernel.exit(child)
    before = flushes(kernel, row)
    kernel.write(row, BASE + 8, 4)  # the last reference: used again
    kernel.read(row, BASE + 8, 4)
    assert flushes(kernel, row) == before


def test_the_zero_page_gives_way(kernel: Kernel) -> None:
    row = kernel.process()
    kernel.mmap(row, 16, start=BASE)
    kernel.read(row, BASE, 4)
    before = flushes(kernel, row)
    kernel.write(row, BASE + 2)
    assert (flushes(kernel, row), last(kernel, row)) == (before + 1, (2, 3))


def test_fork_flushes_the_parent_once_and_a_copy_one_page(kernel: Kernel) -> None:
    row = kernel.process()
    kernel.mmap(row, 1200, start=BASE)
    kernel.write(row, BASE, 1200)
    before = flushes(kernel, row)
    child = kernel.fork(row)
    assert (flushes(kernel, row), last(kernel, row)) == (
        before + 1,
        (-BASE, (1 << VPN_BITS) - BASE),
    )
    assert kernel.work["FORK_FLUSH"] == 1
    fresh = flushes(kernel, child)
    kernel.write(child, BASE + 700)
    assert (flushes(kernel, child), last(kernel, child)) == (fresh + 1, (700, 701))
    assert flushes(kernel, row) == before + 1


def test_a_call_flushes_once_a_leaf_table(kernel: Kernel) -> None:
    row = kernel.process()
    kernel.mmap(row, 1024, start=BASE)
    kernel.write(row, BASE, 1024)
    before = flushes(kernel, row)
    access = {"start": BASE + 10, "pages": 20, "set_flags": A_READ}
    assert kernel.call(row, ops.OP_MPROTECT, **access) == DONE
    assert (flushes(kernel, row), last(kernel, row)) == (before + 1, (10, 30))
    access["set_flags"] |= A_WRITE
    assert kernel.call(row, ops.OP_MPROTECT, **access) == DONE
    assert flushes(kernel, row) == before + 1
    kernel.munmap(row, BASE + 100, 600)
    assert (flushes(kernel, row), last(kernel, row)) == (before + 3, (512, 700))


def test_writing_back_flushes_each_address_space_once(kernel: Kernel) -> None:
    row = kernel.process()
    file = kernel.machine.new_file(KIND_FILE, 8, known=True)
    where = {"start": BASE, "pages": 8, "map_kind": KIND_FILE, "file": file, "file_page": 0}
    bits = A_READ | A_WRITE | A_SHARED
    assert kernel.call(row, ops.OP_MMAP, map_flags=bits, **where) == DONE
    child = kernel.fork(row)
    for who in (row, child):
        kernel.write(who, BASE, 8)
    before = [flushes(kernel, who) for who in (row, child)]
    assert kernel.call(child, ops.OP_FSYNC, file=file) == DONE
    assert [flushes(kernel, who) for who in (row, child)] == [n + 1 for n in before]
    assert [last(kernel, who) for who in (row, child)] == [(0, 8)] * 2


class Ranges:
    """A watch that collects the pages of all flushes since `found` was emptied."""

    def __init__(self, scripted: Scripted) -> None:
        self._m = scripted.machine.arrays
        self._seen = self._m.spaces["tlb_gen"].copy()
        self.found: Flushes = {}

    def before(self, process: ScriptedProcess) -> None:
        self._seen = self._m.spaces["tlb_gen"].copy()

    def after(self, process: ScriptedProcess) -> None:
        spaces = self._m.spaces[: len(self._seen)]
        more = spaces["tlb_gen"] - self._seen
        assert set(more.tolist()) <= {0, 1}
        assert not spaces["flush_due"].any()
        for slot in more.nonzero()[0].tolist():
            span = (int(spaces[slot].flush_start), int(spaces[slot].flush_end))
            self.found.setdefault(slot, []).append(span)

    def invalid(self, process: ScriptedProcess) -> None:
        self.after(process)


def seen_by_processors(scripted: Scripted) -> dict[int, dict[int, tuple[int, bool, bool]]]:
    """Return frame, whether it may be written and whether it was, by address space and page."""
    m = scripted.machine.arrays
    return {
        space: {
            t.vpn: (t.pfn, t.writable, t.entry & (PTE_DIRTY | PTE_BLANK) != 0)
            for t in translations(m, space)
        }
        for space in spaces_in_use(m)
    }


def not_flushed(
    before: dict[int, dict[int, tuple[int, bool, bool]]],
    now: dict[int, dict[int, tuple[int, bool, bool]]],
    found: Flushes,
) -> list[tuple[int, int]]:
    """Return the pages that lost something and that no flush covers."""
    return [
        (space, vpn)
        for space, pages in before.items()
        if space in now
        for vpn, (pfn, *had) in pages.items()
        if not any(start <= vpn < end for start, end in found.get(space, []))
        and (
            vpn not in now[space]
            or now[space][vpn][0] != pfn
            or any(was and not is_so for was, is_so in zip(had, now[space][vpn][1:], strict=True))
        )
    ]


@pytest.mark.stress
@pytest.mark.parametrize("thp", [THP_NEVER, THP_ALWAYS])
@pytest.mark.parametrize("fork", [FORK_COW, FORK_EAGER, FORK_ON_DEMAND, FORK_ASYNC])
def test_whatever_is_taken_away_is_flushed(fork: int, thp: int) -> None:
    missing = 0
    few = 1 if fork in (FORK_ON_DEMAND, FORK_ASYNC) else 2  # of long scripts
    for script in forking_scripts(11 + 10 * fork + thp, sample(few, 60)):
        scripted = on_host(script, fork_kind=fork, thp=thp)
        scripted.watch = ranges = Ranges(scripted)
        before = seen_by_processors(scripted)
        for operation in script:
            ranges.found = {}
            scripted.perform(operation)
            now = seen_by_processors(scripted)
            assert not_flushed(before, now, ranges.found) == [], operation
            missing += len(not_flushed(before, now, {}))
            before = now
    assert missing > 20  # negative control: without flushes it would have been noticed
