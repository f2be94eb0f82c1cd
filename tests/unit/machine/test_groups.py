"""Control groups: whom a frame is charged to, and for how long."""

from typing import Any

import pytest
from support.kernel import DONE, NONE, READ_WRITE, Kernel

from sim.base.errors import KernelPanicError
from sim.kernel import ops
from sim.machine.groups import drain_all_stock
from sim.machine.layout import (
    HUGE_PAGES,
    KIND_ANON,
    KIND_FILE,
    KIND_SHMEM,
    KIND_STACK,
    KIND_TABLE,
    ROOT,
    STOCK_PAGES,
    THP_ALWAYS,
)

A_PROCESS = {KIND_ANON: 1, KIND_TABLE: 4, KIND_STACK: 4}
"""What one takes that has only just begun."""


def grouped(group: int, **host: Any) -> tuple[Kernel, int, int]:
    """Return a kernel, the group with that number after the root, and a process in it."""
    kernel = Kernel(memory_pages=4 * HUGE_PAGES, cpus=2, **host)
    for _ in range(group):
        kernel.machine.new_group()
    row = kernel.machine.new_task()
    kernel.machine.put_into_group(row, group)
    kernel.exec(row)
    return kernel, group, row


def charged(kernel: Kernel, group: int) -> dict[int, int]:
    return {kind: int(n) for kind, n in enumerate(kernel.arrays.charged[group]) if n != 0}


def test_a_process_is_charged_for_its_memory_and_tables_and_stack() -> None:
    kernel, group, row = grouped(2)
    assert charged(kernel, group) == A_PROCESS
    assert charged(kernel, 1) == {}
    kernel.write(row, kernel.mmap(row, 5), 5)
    assert charged(kernel, group) == A_PROCESS | {KIND_ANON: 6, KIND_TABLE: 5}
    kernel.exit(row)
    assert charged(kernel, group) == {}
    drain_all_stock(kernel.arrays, group)
    assert kernel.arrays.groups[group].usage == 1  # of kernel objects, at hand
    assert kernel.arrays.groups[group].peak == STOCK_PAGES


def test_what_was_charged_stays_charged_when_the_process_moves() -> None:
    kernel, group, row = grouped(1)
    other = kernel.machine.new_group()
    vpn = kernel.mmap(row, 9)
    kernel.write(row, vpn, 5)
    kernel.machine.put_into_group(row, other)
    kernel.write(row, vpn + 5, 4)
    assert charged(kernel, group) == A_PROCESS | {KIND_ANON: 6, KIND_TABLE: 5}
    assert charged(kernel, other) == {KIND_ANON: 4}
    kernel.munmap(row, vpn, 9)
    assert charged(kernel, group) == A_PROCESS
    assert charged(kernel, other) == {}


@pytest.mark.parametrize("call", ["fork", "vfork"])
def test_a_child_is_in_the_group_of_its_parent(call: str) -> None:
    kernel, group, row = grouped(1)
    child = getattr(kernel, call)(row)
    assert int(kernel.machine.process_of(child).group) == int(kernel.space(child).group) == group
    assert charged(kernel, ROOT) == charged(kernel, group)
    assert kernel.arrays.charged[group, KIND_STACK] == 8


def test_a_copy_is_charged_to_whom_it_was_made_for() -> None:
    kernel, group, row = grouped(1)
    vpn = kernel.mmap(row, 3)
    kernel.write(row, vpn, 3)
    child = kernel.fork(row)
    other = kernel.machine.new_group()
    kernel.machine.put_into_group(child, other)
    kernel.write(child, vpn, 2, cpu=1)
    assert charged(kernel, other) == {KIND_ANON: 2}
    before = charged(kernel, group)
    kernel.exit(row)  # the page they still share is the parent's; it stays charged while it is used
    assert charged(kernel, group)[KIND_ANON] == 2  # with that of the stack
    kernel.exit(child)
    assert (charged(kernel, group), charged(kernel, other)) == ({}, {})
    assert before[KIND_ANON] == 4


def test_a_group_counts_what_is_charged_to_groups_in_it() -> None:
    kernel, outer, row = grouped(1)
    inner = kernel.machine.new_group(outer)
    kernel.machine.put_into_group(row, inner)
    vpn = kernel.mmap(row, 3)
    kernel.write(row, vpn, 3)
    assert charged(kernel, inner) == {KIND_ANON: 3, KIND_TABLE: 1}
    assert charged(kernel, outer) == charged(kernel, ROOT)
    for group in (outer, inner):
        drain_all_stock(kernel.arrays, group)
    groups = kernel.arrays.groups
    slab = int(groups[outer].slab_pages)
    assert int(groups[outer].usage) == int(groups[inner].usage) + 9 + slab
    kernel.machine.audit()


@pytest.mark.parametrize("kind", [KIND_FILE, KIND_SHMEM])
def test_a_page_of_a_file_is_charged_to_who_reads_it_in_and_stays_so(kind: int) -> None:
    kernel, group, row = grouped(1)
    other = kernel.machine.new_group()
    file = kernel.machine.new_file(kind, 6, known=True, cold=True)
    fields = {"pages": 6, "start": NONE, "map_flags": READ_WRITE, "map_kind": kind}
    assert kernel.call(row, ops.OP_MMAP, file=file, **fields) == DONE
    start = kernel.result(row)
    kernel.read(row, start, 6)
    pages = charged(kernel, group)[kind]
    assert pages == int(kernel.arrays.files[file].resident) > 0
    kernel.exit(row)
    assert charged(kernel, group) == {kind: pages}
    reader = kernel.machine.new_task()
    kernel.machine.put_into_group(reader, other)
    kernel.exec(reader)
    assert kernel.call(reader, ops.OP_MMAP, file=file, **fields) == DONE
    kernel.read(reader, kernel.result(reader), 6)
    assert (charged(kernel, group), kind in charged(kernel, other)) == ({kind: pages}, False)


def test_khugepaged_charges_whose_memory_it_collapses() -> None:
    kernel, group, row = grouped(1, thp=THP_ALWAYS)
    vpn = kernel.mmap(row, 2 * HUGE_PAGES)
    base = -(-vpn // HUGE_PAGES) * HUGE_PAGES
    kernel.arrays.config[0].thp = 0
    kernel.write(row, base, 3)
    kernel.arrays.config[0].thp = THP_ALWAYS
    daemon = kernel.machine.new_task()
    kernel.task(daemon).scan_space = 0
    kernel.task(daemon).scan_left = 4096
    kernel.call(daemon, ops.OP_KHUGEPAGED)
    assert charged(kernel, ROOT) == charged(kernel, group)
    assert charged(kernel, group)[KIND_ANON] == HUGE_PAGES + 1
    kernel.machine.audit()
    kernel.exit(row)
    assert charged(kernel, group) == {}


@pytest.mark.parametrize("whole", [True, False])
def test_a_huge_page_goes_back_to_its_group_whole_or_in_pieces(whole: bool) -> None:
    kernel, group, row = grouped(1, thp=THP_ALWAYS)
    base = -(-kernel.mmap(row, 2 * HUGE_PAGES) // HUGE_PAGES) * HUGE_PAGES
    kernel.write(row, base, 1)
    assert charged(kernel, group)[KIND_ANON] == HUGE_PAGES + 1
    child = kernel.fork(row)
    kernel.machine.put_into_group(child, kernel.machine.new_group())
    kernel.exit(row)
    assert charged(kernel, group)[KIND_ANON] == HUGE_PAGES + 1  # the child still uses all of it
    if not whole:
        kernel.munmap(child, base, 100)
        assert charged(kernel, group)[KIND_ANON] == HUGE_PAGES + 1 - 100
    kernel.machine.audit()
    kernel.exit(child)
    assert charged(kernel, group) == charged(kernel, ROOT) == {}


def test_there_may_be_many_groups() -> None:
    kernel = Kernel(memory_pages=100)
    groups = [kernel.machine.new_group() for _ in range(40)]
    kernel.machine.put_into_group(row := kernel.machine.new_task(), groups[-1])
    kernel.exec(row)
    assert groups == list(range(1, 41))
    assert charged(kernel, 40) == A_PROCESS
    kernel.machine.audit()


@pytest.mark.parametrize("what", ["charged", "usage", "peak", "group"])
def test_the_audit_holds_groups_against_frames(what: str) -> None:
    kernel, group, row = grouped(1)
    vpn = kernel.mmap(row, 1)
    kernel.write(row, vpn)
    kernel.machine.audit()
    if what == "charged":
        kernel.arrays.charged[group, KIND_ANON] += 1
    elif what == "group":
        kernel.arrays.frames[kernel.pfn(row, vpn)].group = ROOT
    else:
        kernel.arrays.groups[group][what] -= 1
    with pytest.raises(KernelPanicError, match="does not count the frames"):
        kernel.machine.audit()
