"""Pages that are swapped out: whatever is done to their entries, each slot is counted and freed."""

import random
from typing import Any

import pytest
from support.entries import spaces_in_use, translations
from support.kernel import DONE, READ_WRITE, Kernel
from support.samples import sample
from support.scripted import forking_scripts, on_host
from support.swapping import references, swap_out

from sim.base.errors import KernelPanicError
from sim.kernel import step as ops
from sim.kernel.rmap import anon_referenced, next_mapper
from sim.kernel.work import EINVAL
from sim.machine.layout import (
    A_READ,
    A_WRITE,
    F_ANON,
    F_LARGE,
    FORK_ASYNC,
    FORK_COW,
    FORK_EAGER,
    FORK_ON_DEMAND,
    KIND_FILE,
    NONE,
    PTE_WRITE,
    ROOT,
    SWAP_IN_MEMORY,
    SWAP_SOLID,
)
from sim.machine.swap import get_swap_page, swap_duplicate, swap_free
from sim.observe.smaps import smaps
from sim.script.grammar import TOUCHING_VERBS, Operation, Verb
from sim.script.run import Scripted

BASE = 512 * 1000
TOUCHING = TOUCHING_VERBS | {Verb.POPULATEREAD, Verb.POPULATEWRITE, Verb.LOCK}
FORKS = [FORK_COW, FORK_EAGER, FORK_ON_DEMAND, FORK_ASYNC]


def with_pages_out(pages: int = 16, **host: Any) -> tuple[Kernel, int]:
    """Return a machine and a process that has 16 written pages, some of which are out."""
    kernel = Kernel(**{"memory_pages": 4000, "swap_pages": 64, **host})
    row = kernel.process()
    kernel.mmap(row, 16, start=BASE)
    kernel.write(row, BASE, 16)
    for vpn in range(BASE, BASE + pages):
        assert swap_out(kernel.arrays, 0, kernel.pfn(row, vpn)) != NONE
    kernel.machine.audit()
    return kernel, row


def swap_of(kernel: Kernel, row: int, start: int = BASE, pages: int = 16) -> int:
    """Return what smaps says is swapped out of a range."""
    return int(smaps(kernel.arrays, int(kernel.task(row).space), start, start + pages)[4])


def slots(kernel: Kernel) -> list[int]:
    """Return how many entries refer to each slot in use, after an audit."""
    kernel.machine.audit()
    return list(references(kernel.arrays).values())


def test_a_slot_is_free_with_its_last_reference() -> None:
    m = Kernel(memory_pages=200, swap_pages=2).arrays
    first, second = get_swap_page(m, NONE), get_swap_page(m, NONE)
    assert {first, second} == {1, 2}
    assert get_swap_page(m, NONE) == NONE
    swap_duplicate(m, first)
    swap_duplicate(m, first)
    swap_free(m, first)
    assert get_swap_page(m, NONE) == NONE
    swap_free(m, first)
    assert get_swap_page(m, NONE) == first
    assert get_swap_page(m, NONE) == NONE


def test_it_counts_in_no_resident_set() -> None:
    kernel, row = with_pages_out(6)
    assert (swap_of(kernel, row), int(kernel.space(row).swapents)) == (6, 6)
    assert int(kernel.space(row).rss_anon) == 10 + 1  # and the stack's
    assert slots(kernel) == [1] * 6


@pytest.mark.parametrize("fork", FORKS)
def test_fork_shares_the_slot(fork: int) -> None:
    kernel, row = with_pages_out(6, fork_kind=fork)
    child = kernel.fork(row)
    assert kernel.call(child, ops.OP_ASYNC_COPY) == DONE
    one_table = fork == FORK_ON_DEMAND
    assert slots(kernel) == [1 if one_table else 2] * 6
    assert (swap_of(kernel, child), int(kernel.space(child).swapents)) == (6, 6)
    kernel.write(child, BASE + 10)  # copies the table, if they share it
    assert slots(kernel) == [2] * 6
    kernel.exit(row)
    assert slots(kernel) == [1] * 6
    kernel.exit(child)
    assert slots(kernel) == []


def test_an_heir_that_gets_the_table_gets_what_is_out() -> None:
    kernel, row = with_pages_out(6, fork_kind=FORK_ASYNC)
    child = kernel.fork(row)
    kernel.exit(row)
    assert slots(kernel) == [1] * 6
    assert (swap_of(kernel, child), int(kernel.space(child).swapents)) == (6, 6)


def test_fork_shares_the_slots_of_a_private_file_mapping() -> None:
    kernel = Kernel(memory_pages=4000, swap_pages=64)
    row = kernel.process()
    file = kernel.machine.new_file(KIND_FILE, 16, known=True)
    where = {"start": BASE, "pages": 16, "map_kind": KIND_FILE, "file": file, "file_page": 0}
    assert kernel.call(row, ops.OP_MMAP, map_flags=READ_WRITE, **where) == DONE
    kernel.write(row, BASE, 8)
    kernel.read(row, BASE + 8, 8)
    swap_out(kernel.arrays, 0, kernel.pfn(row, BASE + 3))
    assert swap_out(kernel.arrays, 0, kernel.pfn(row, BASE + 9)) == NONE  # the cache's
    child = kernel.fork(row)
    assert slots(kernel) == [2]
    assert (swap_of(kernel, row), swap_of(kernel, child)) == (1, 1)


@pytest.mark.parametrize("to", [BASE + 512 * 4, BASE + 512 * 4 + 7])
def test_mremap_takes_it_along(to: int) -> None:
    kernel, row = with_pages_out(6)
    before = references(kernel.arrays)
    call = {"start": BASE, "pages": 16, "new_pages": 16, "new_start": to, "may_move": 0}
    assert kernel.call(row, ops.OP_MREMAP, **call) == DONE
    assert kernel.result(row) == to
    assert references(kernel.arrays) == before
    assert (swap_of(kernel, row), swap_of(kernel, row, to)) == (0, 6)
    assert slots(kernel) == [1] * 6


def test_mprotect_and_a_split_leave_it() -> None:
    kernel, row = with_pages_out(6)
    entries = [kernel.entry(row, BASE + i) for i in range(6)]
    for bits in (A_READ, 0, A_READ | A_WRITE):
        access = {"start": BASE + 2, "pages": 6, "set_flags": bits}
        assert kernel.call(row, ops.OP_MPROTECT, **access) == DONE
        assert [kernel.entry(row, BASE + i) for i in range(6)] == entries
        assert slots(kernel) == [1] * 6
    lock = {"start": BASE + 8, "pages": 4, "set_flags": 0, "clear_flags": 0}
    assert kernel.call(row, ops.OP_MADVISE, **lock) == DONE
    assert slots(kernel) == [1] * 6


@pytest.mark.parametrize("op", [ops.OP_MUNMAP, ops.OP_DONTNEED, ops.OP_FREE])
def test_what_drops_a_page_frees_its_slot(op: int) -> None:
    kernel, row = with_pages_out(6)
    assert kernel.call(row, op, start=BASE + 4, pages=1) == DONE
    assert slots(kernel) == [1] * 5
    assert kernel.entry(row, BASE + 4) == 0
    assert kernel.call(row, op, start=BASE, pages=16) == DONE
    assert slots(kernel) == []
    assert int(kernel.space(row).swapents) == 0


def test_exec_and_exit_free_the_slots() -> None:
    kernel, row = with_pages_out(6)
    child = kernel.fork(row)
    kernel.exec(row)
    assert slots(kernel) == [1] * 6
    kernel.exit(child)
    assert slots(kernel) == []


def test_brk_frees_the_slots() -> None:
    kernel, row = with_pages_out(0)
    heap = kernel.brk(row, 8)
    kernel.write(row, heap, 8)
    for vpn in range(heap, heap + 8):
        swap_out(kernel.arrays, 0, kernel.pfn(row, vpn))
    kernel.brk(row, -3)
    assert slots(kernel) == [1] * 5


def test_collapsing_passes_it_over() -> None:
    kernel = Kernel(memory_pages=4000, swap_pages=64, kernel="6.12")
    row = kernel.process()
    kernel.mmap(row, 512, start=BASE)
    kernel.write(row, BASE, 512)
    swap_out(kernel.arrays, 0, kernel.pfn(row, BASE + 100))
    assert kernel.call(row, ops.OP_COLLAPSE, start=BASE, pages=512) == DONE
    assert kernel.errno(row) == EINVAL
    assert slots(kernel) == [1]


@pytest.mark.parametrize("write", [0, 1])
@pytest.mark.parametrize("fork", [FORK_COW, FORK_ON_DEMAND])
def test_an_access_reads_it_back_for_one(fork: int, write: int) -> None:
    """A child reads a shared page into the swap cache; a write by it copies that at once."""
    kernel, row = with_pages_out(6, fork_kind=fork, swap_kind=SWAP_IN_MEMORY)
    child = kernel.fork(row)
    kernel.access(child, BASE + 2, write)
    assert kernel.work["MAJOR_FAULT"] == 1
    assert len(slots(kernel)) == 6  # the parent's entry refers to it still
    assert (swap_of(kernel, row), swap_of(kernel, child)) == (6, 5)
    assert kernel.entry(child, BASE + 2) & PTE_WRITE == (PTE_WRITE if write else 0)
    kernel.access(row, BASE + 2, 1)
    assert kernel.work.get("MAJOR_FAULT", 0) == 0  # from the swap cache
    assert len(slots(kernel)) == 5
    assert kernel.entry(row, BASE + 2) & PTE_WRITE


def test_the_only_one_gets_it_back_writable_and_its_slot_is_free() -> None:
    kernel, row = with_pages_out(6, swap_kind=SWAP_IN_MEMORY)
    kernel.read(row, BASE + 2)
    assert kernel.work["MAJOR_FAULT"] == 1
    assert slots(kernel) == [1] * 5
    before = kernel.entry(row, BASE + 2)
    assert before & PTE_WRITE
    kernel.write(row, BASE + 2)
    assert not kernel.work.get("COW_REUSE")


def test_what_was_read_ahead_is_in_no_area_until_it_is_asked_for() -> None:
    """Reclaim that comes to such a page, on the active list as well, finds nobody who uses it."""
    kernel, row = with_pages_out(swap_kind=SWAP_SOLID)
    kernel.read(row, BASE + 8)
    m = kernel.arrays
    ahead = [int(pfn) for pfn in m.swap["pfn"] if pfn != 0 and m.frames[pfn].maps == 0]
    assert len(ahead) > 0
    for pfn in ahead:
        assert tuple(next_mapper(m, pfn, NONE)) == (NONE,) * 4
        assert tuple(anon_referenced(m, pfn, ROOT)) == (0, False)


@pytest.mark.parametrize("fork", FORKS)
def test_random_histories_lose_no_slot(fork: int) -> None:
    """Pages go out between the operations of random scripts; the audit counts after each."""
    shared = out = 0
    for index, script in enumerate(forking_scripts(31 + fork, sample(3, 80))):
        rng = random.Random(f"{fork}/{index}")
        scripted = on_host(script, fork_kind=fork, swap_pages=4000)
        m = scripted.machine.arrays
        for operation in script:
            if _touches_what_is_out(scripted, operation):
                continue
            scripted.perform(operation)
            for pfn in _to_go(m, rng):
                out += swap_out(m, 0, pfn) != NONE
            scripted.machine.audit()
            shared += any(n > 1 for n in references(m).values())
        for name in list(scripted.processes):
            scripted.end(name)
        scripted.machine.audit()
        assert references(m) == {}
    assert out > 10
    assert shared > 0


def _to_go(m: Any, rng: random.Random) -> list[int]:
    """Draw some small anonymous pages, those that several entries map before the others."""
    maps = {t.pfn: 0 for space in spaces_in_use(m) for t in translations(m, space)}
    bits = {pfn: int(m.frames[pfn]["bits"]) & (F_ANON | F_LARGE) for pfn in maps}
    frames = sorted(pfn for pfn in maps if bits[pfn] == F_ANON)
    rng.shuffle(frames)
    frames.sort(key=lambda pfn: -int(m.frames[pfn]["maps"]))
    return frames[: rng.choice([0, 0, 2])]


def _touches_what_is_out(scripted: Scripted, operation: Operation) -> bool:
    """Whether an operation would be refused for what was swapped out."""
    process = scripted.processes[operation.process]
    if operation.verb not in TOUCHING or operation.region not in process.regions:
        return False
    region = process.regions[operation.region]
    space = scripted.space(process)
    swap = smaps(scripted.machine.arrays, space, region.start, region.start + region.pages)[4]
    return bool(swap)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda m, space: swap_duplicate(m, 1), "not referred to by as many entries"),
        (lambda m, space: swap_free(m, 1), "not referred to by as many entries"),
        (lambda m, space: get_swap_page(m, NONE), "not referred to by as many entries"),
        (lambda m, space: m.spaces.__getitem__(space).__setitem__("swapents", 5), "miscounted"),
    ],
)
def test_a_wrong_count_is_found(change: Any, complaint: str) -> None:
    """Negative control of the audit."""
    kernel, row = with_pages_out(6)
    change(kernel.arrays, int(kernel.task(row).space))
    with pytest.raises(KernelPanicError, match=complaint):
        kernel.machine.audit()
