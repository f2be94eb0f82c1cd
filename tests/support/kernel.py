"""Kernel operations on a small machine, a call each: no time, no engine, no chance."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from sim.kernel import ops, stream
from sim.kernel.files.requests import arrive_at_once
from sim.kernel.step import step
from sim.kernel.work import DONE, GROW, MORE, SHORT
from sim.machine.layout import (
    A_ACCOUNT,
    A_READ,
    A_WRITE,
    F_EXCLUSIVE,
    NONE,
    PFN_SHIFT,
    PTE_PRESENT,
    PTE_WRITE,
    PTE_ZERO,
    TABLE_MASK,
    TABLE_SHIFT,
)
from sim.machine.tables import find_table
from sim.machine.work import NAMES
from support.machines import flat_prices, machine

READ_WRITE = A_READ | A_WRITE | A_ACCOUNT


class Kernel:
    """A machine and the system calls of its tasks; a task is known by its row."""

    def __init__(self, **host: Any) -> None:
        self.machine = machine(flat_prices(), **host)
        self.disk_is_quick = True  # what is asked for has come when the step ends
        self.work: Counter[str] = Counter()
        """What the last call did, in units by line of work."""

    @property
    def arrays(self) -> Any:
        return self.machine.arrays

    # -- calls ------------------------------------------------------------------------------

    def begin(self, row: int, op: ops.Op, **fields: int) -> None:
        """Put a call into the task's row; `go_on` carries it out."""
        ops.begin(self.arrays, row, op, fields)
        self.work.clear()

    def one_step(self, row: int, cpu: int = 0) -> int:
        """Do one step of the task's call and return how it ended."""
        status = int(step(self.arrays, cpu, row))
        while status == GROW:
            self.machine.make_room()
            status = int(step(self.arrays, cpu, row))
        if status in (MORE, DONE):
            for line, units in self.arrays.receipt[: int(self.arrays.clock[0].lines)]:
                self.work[NAMES[line].upper()] += int(units)
        if status == DONE:
            self.arrays.operations[row].op = ops.OP_NONE
        if self.disk_is_quick:
            arrive_at_once(self.arrays)
        return status

    def go_on(self, row: int, cpu: int = 0) -> int:
        """Carry the task's call on until it is done or refused; return which."""
        while (status := self.one_step(row, cpu)) == MORE:
            pass
        return status

    def call(self, row: int, op: ops.Op, *, cpu: int = 0, **fields: int) -> int:
        """Make a whole call."""
        self.begin(row, op, **fields)
        return self.go_on(row, cpu)

    def task(self, row: int) -> Any:
        return self.arrays.tasks[row]

    def operation(self, row: int) -> Any:
        return self.arrays.operations[row]

    def space(self, row: int) -> Any:
        return self.arrays.spaces[int(self.task(row).space)]

    def result(self, row: int) -> int:
        return int(self.operation(row).result)

    def errno(self, row: int) -> int:
        return int(self.operation(row).errno)

    # -- the calls, by name; each must succeed ------------------------------------------------

    def process(self, image_pages: int = 0, stack_pages: int = 64) -> int:
        """Start a task as init does: its first address space is an image of its own."""
        row = self.machine.new_task()
        self.exec(row, image_pages, stack_pages)
        return row

    def exec(self, row: int, image_pages: int = 0, stack_pages: int = 64, cpu: int = 0) -> None:
        assert (
            self.call(row, ops.OP_EXEC, cpu=cpu, image_pages=image_pages, stack_limit=stack_pages)
            == DONE
        )

    def mmap(self, row: int, pages: int, *, start: int = NONE, bits: int = READ_WRITE) -> int:
        assert self.call(row, ops.OP_MMAP, pages=pages, start=start, map_flags=bits) == DONE
        assert self.errno(row) == 0
        return self.result(row)

    def munmap(self, row: int, start: int, pages: int) -> None:
        assert self.call(row, ops.OP_MUNMAP, start=start, pages=pages) == DONE

    def brk(self, row: int, pages: int) -> int:
        assert self.call(row, ops.OP_BRK, pages=pages) == DONE
        return self.result(row)

    def access(self, row: int, vpn: int, write: int, *, cpu: int = 0) -> int:
        """Touch one page; return DONE, SHORT or SEGV."""
        return self.call(
            row,
            ops.OP_ACCESS,
            cpu=cpu,
            start=vpn,
            pages=1,
            accesses=1,
            span=1,
            write=write,
            pattern=stream.SEQUENTIAL,
        )

    def write(self, row: int, vpn: int, pages: int = 1, cpu: int = 0) -> None:
        for page in range(vpn, vpn + pages):
            assert self.access(row, page, 1, cpu=cpu) == DONE

    def read(self, row: int, vpn: int, pages: int = 1, cpu: int = 0) -> None:
        for page in range(vpn, vpn + pages):
            assert self.access(row, page, 0, cpu=cpu) == DONE

    def fork(self, row: int, cpu: int = 0) -> int:
        child = self.machine.new_task()
        assert self.call(row, ops.OP_FORK, cpu=cpu, child=child) == DONE
        assert self.errno(row) == 0
        return child

    def vfork(self, row: int, cpu: int = 0) -> int:
        child = self.machine.new_task()
        assert self.call(row, ops.OP_VFORK, cpu=cpu, child=child) == DONE
        return child

    def exit(self, row: int, cpu: int = 0) -> None:
        assert self.call(row, ops.OP_EXIT, cpu=cpu) == DONE
        self.machine.free_task(row)

    # -- what there is to see -------------------------------------------------------------------

    def entry(self, row: int, vpn: int) -> int:
        """Return the page-table entry of a page, 0 if there is none."""
        leaf = int(find_table(self.arrays, int(self.task(row).space), vpn, 0))
        return 0 if leaf == NONE else int(self.arrays.tables[leaf, vpn & TABLE_MASK])

    def pfn(self, row: int, vpn: int) -> int:
        """Return the frame of a page that has one of its own or shared; NONE otherwise."""
        entry = self.entry(row, vpn)
        if entry & PTE_PRESENT == 0 or entry & PTE_ZERO != 0:
            return NONE
        return entry >> PFN_SHIFT

    def page_is(self, row: int, vpn: int) -> str:
        """Say in words what a page's entry and frame are."""
        entry = self.entry(row, vpn)
        if entry & PTE_PRESENT == 0:
            return "absent"
        access = "writable" if entry & PTE_WRITE else "read-only"
        if entry & PTE_ZERO:
            return f"zero page, {access}"
        frame = self.arrays.frames[entry >> PFN_SHIFT]
        owner = "exclusive" if int(frame.bits) & F_EXCLUSIVE else f"{int(frame.refs)} refs"
        return f"{owner}, {access}"

    def areas(self, row: int) -> list[tuple[int, int, int]]:
        """Return start, end and flags of the task's areas, in address order."""
        return [(int(a.start), int(a.end), int(a.vm_flags)) for a in self.area_rows(row)]

    def area_rows(self, row: int) -> Iterator[Any]:
        slot = int(self.space(row).head)
        while slot != NONE:
            yield self.arrays.areas[slot]
            slot = int(self.arrays.areas[slot].next)

    def tables_by_level(self, row: int) -> dict[int, int]:
        """Count the page tables of a task by level, walking down from its top table."""
        found = Counter({3: 1})
        slots = [int(self.space(row).top)]
        for level in (2, 1, 0):
            rows = self.arrays.tables[slots]
            slots = [int(e) >> PFN_SHIFT for e in rows[(rows & PTE_PRESENT) != 0].ravel()]
            found[level] = len(slots)
        return dict(found)

    def resident(self, row: int) -> dict[int, int]:
        """Return the present entries of a task by page."""
        found: dict[int, int] = {}
        self._walk(int(self.space(row).top), 3, 0, found)
        return found

    def _walk(self, slot: int, level: int, vpn: int, found: dict[int, int]) -> None:
        table = self.arrays.tables[slot]
        for at in np.flatnonzero(table & PTE_PRESENT).tolist():
            page = vpn + (at << (TABLE_SHIFT * level))
            if level == 0:
                found[page] = int(table[at])
            else:
                self._walk(int(table[at]) >> PFN_SHIFT, level - 1, page, found)

    def free(self) -> int:
        """Return all free frames, those on per-CPU lists included."""
        return int(self.arrays.pool[0].free + self.arrays.percpu["count"].sum())

    def in_use(self) -> int:
        """Return the frames that were taken since the machine started."""
        return self.machine.free_at_start_pages - self.free()


__all__ = ["DONE", "NONE", "READ_WRITE", "SHORT", "Kernel"]
