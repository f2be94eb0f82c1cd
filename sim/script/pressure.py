"""Anonymous memory under a limit, with swap: which pages are in memory, as the kernel has it.

A script is a list of steps by one program in a control group of its own: regions are mapped, and
their pages read and written one after the other.  What is asked is which pages are in memory now
and then, and what was scanned and swapped meanwhile; the real side is `sim.host.pressure`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.base.errors import KernelPanicError
from sim.engine.build import build_machine
from sim.engine.direct import carry_out
from sim.kernel import ops
from sim.kernel.reclaim.memcg import NO_ROOM, ROOM, make_room
from sim.kernel.work import DONE, GROW, MORE, SHORT
from sim.machine.entries import pte_present
from sim.machine.groups import move_process
from sim.machine.layout import (
    A_ACCOUNT,
    A_READ,
    A_WRITE,
    KIND_ANON,
    NONE,
    SWAP_IN_MEMORY,
    TABLE_MASK,
)
from sim.machine.layout.fields import Access, Exec, Mapping
from sim.machine.lru import lru_add_drain
from sim.machine.slab import objects_bytes
from sim.machine.spec import HostSpec
from sim.machine.tables import find_table
from sim.machine.work import MAJOR_FAULT
from sim.observe.faults import FAULT_KINDS
from sim.script.operation import at_once, run_operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAP, READ, WRITE, TELL, PAUSE = range(1, 6)
"""Operations: map a region of so many pages, touch one, tell which are in memory, tell counts."""
_OP_SHIFT: Final = 56
_REGION_SHIFT: Final = 48
_REGION_MASK: Final = 0xFF
_PAGE_MASK: Final = 0xFFFF_FFFF
ARENA_VPN: Final = 0x1_0000_0000
APART: Final = 1 << 18
"""Pages from one region to the next."""
COUNTED: Final = {
    "pswpin": ("pswpin",),
    "pswpout": ("pswpout",),
    "pgscan_anon": ("pgscan_direct",),
    "pgsteal_anon": ("pgsteal_direct",),
    "pgactivate": ("pgactivate",),
    "pgdeactivate": ("pgdeactivate",),
}
"""What is counted, by its name in ``/proc/vmstat``, and the columns of `LRUVEC` that are summed."""


def word(operation: int, region: int = 0, pages: int = 0) -> int:
    """Return a step."""
    return operation << _OP_SHIFT | region << _REGION_SHIFT | pages


def parts(step: int) -> tuple[int, int, int]:
    """Return what `word` was given."""
    return step >> _OP_SHIFT, step >> _REGION_SHIFT & _REGION_MASK, step & _PAGE_MASK


@dataclass(frozen=True, slots=True)
class Touches:
    """What became of a script.

    `resident` has a map for each step that asked for one; `counts` what was counted from one pause
    to the next, the first from the beginning on, with minor and major faults.  `killed` is the
    number of the step at which the program was killed for want of memory, None if it was not.
    """

    resident: list[NDArray[np.bool_]]
    counts: list[dict[str, int]]
    killed: int | None = None


def touch_pages(
    steps: Sequence[int],
    *,
    limit_pages: int,
    swap_pages: int = 1 << 19,
    swap_kind: int = SWAP_IN_MEMORY,
    swappiness: int = 60,
    kernel: str = "6.18",
) -> Touches:
    """Carry out a script on a simulated machine; nothing but its regions is charged."""
    host = HostSpec(
        memory_pages=2 * limit_pages + 16384,
        cpus=1,
        kernel=kernel,
        cgroup="v1",
        swap_pages=swap_pages,
        swap_kind=swap_kind,
        swappiness=swappiness,
        overcommit=1,
    )
    toucher = _Toucher(host, limit_pages)
    killed = None
    for number, step in enumerate(steps):
        if not toucher.carry_out(*parts(step)):
            killed = number
            break
    toucher.machine.audit()
    toucher.machine.release()
    return Touches(toucher.resident, toucher.counts, killed)


class _Toucher:
    """A program with nothing but its regions, alone in a group."""

    def __init__(self, host: HostSpec, limit_pages: int) -> None:
        self.machine = build_machine(host)
        self.resident: list[NDArray[np.bool_]] = []
        self.counts: list[dict[str, int]] = []
        self._task = self.machine.new_task()
        bare = Exec(image=0, image_pages=0, stack_limit=64)
        at_once(run_operation(self.machine, self._task, 0, ops.OP_EXEC, bare))
        self._group = self.machine.new_group(max_pages=limit_pages)
        m = self.machine.arrays
        earlier_bytes = objects_bytes(m, int(m.tasks[self._task].space))
        lru_add_drain(m, 0)  # so does the program, with MADV_COLD
        move_process(m, self._task, self._group, earlier_bytes)
        self._pages: dict[int, int] = {}
        self._before = self._totals()

    def carry_out(self, operation: int, region: int, pages: int) -> bool:
        """Carry out a step; False if the program is killed for it."""
        start = ARENA_VPN + region * APART
        if operation == MAP:
            self._pages[region] = pages
            return self._do(
                ops.OP_MMAP,
                Mapping(
                    start=start,
                    pages=pages,
                    map_flags=A_READ | A_WRITE | A_ACCOUNT,
                    map_kind=KIND_ANON,
                    file=NONE,
                    file_page=0,
                    populate=0,
                ),
            )
        if operation in (READ, WRITE):
            write = 1 if operation == WRITE else 0
            return self._do(
                ops.OP_ACCESS, Access(start=start + pages, pages=1, accesses=1, write=write)
            )
        if operation == TELL:
            self.resident.append(self._in_memory(start, self._pages[region]))
        else:
            totals = self._totals()
            self.counts.append({name: totals[name] - self._before[name] for name in totals})
            self._before = totals
        return True

    def _do(self, operation: ops.Op[Any], fields: Any) -> bool:
        m = self.machine.arrays
        ops.begin(m, self._task, operation, fields)
        while (status := carry_out(m, 0, self._task)[0]) != DONE:
            if status == GROW:
                self.machine.make_room()
            elif status == SHORT:
                room = make_room(m, 0, self._task)
                if room == NO_ROOM:
                    return False
                assert room == ROOM, "nothing here is written to a device"
            elif status != MORE:
                raise KernelPanicError(f"a step ended with {status}", "of memory under a limit")
        return True

    def _in_memory(self, start: int, pages: int) -> NDArray[np.bool_]:
        m = self.machine.arrays
        space = int(m.tasks[self._task].space)
        resident = np.zeros(pages, dtype=bool)
        for page in range(pages):
            leaf = find_table(m, space, start + page, 0)
            if leaf != NONE:
                resident[page] = pte_present(int(m.tables[leaf, (start + page) & TABLE_MASK]))
        return resident

    def _totals(self) -> dict[str, int]:
        m = self.machine.arrays
        v = m.lruvecs[self._group]
        totals = {
            name: sum(int(v[column]) for column in columns) for name, columns in COUNTED.items()
        }
        counts = m.counts[self._task]
        totals["minor"] = sum(int(counts[line]) for lines in FAULT_KINDS.values() for line in lines)
        totals["major"] = int(counts[MAJOR_FAULT])
        return totals


@dataclass(frozen=True, slots=True)
class PressureScript:
    """A drawn script, with the limit of its group and how willingly that swaps."""

    steps: tuple[int, ...]
    limit_pages: int
    swappiness: int


def random_script(seed: int, index: int) -> PressureScript:
    """Draw a script: 2 to 6 rounds over one to three regions, 1.1 to 2.2 times the limit in all.

    A round writes or reads in order, backwards, at random, or a small set again and again.  Which
    pages are in memory is asked after each.
    """
    draw = np.random.default_rng((seed, index))
    limit = int(draw.integers(1024, 4096))
    total = int(limit * draw.uniform(1.1, 2.2))
    regions = int(draw.integers(1, 4))
    sizes = [total // regions] * regions
    steps = [word(MAP, region, size) for region, size in enumerate(sizes)]
    steps.append(word(PAUSE))
    for number in range(int(draw.integers(2, 7))):
        region = int(draw.integers(regions)) if number >= regions else number
        operation = WRITE if number < regions else int(draw.choice([READ, WRITE]))
        steps += [word(operation, region, page) for page in _round(draw, sizes[region])]
        steps.append(word(PAUSE))
        steps += [word(TELL, other) for other in range(regions)]
    return PressureScript(tuple(steps), limit, int(draw.integers(1, 201)))


def _round(draw: np.random.Generator, pages: int) -> list[int]:
    """Draw the pages that one round touches, in its order."""
    kind = draw.integers(5)
    order = np.arange(pages)
    if kind == 1:
        order = order[::-1]
    elif kind == 2:
        order = draw.integers(0, pages, pages)
    elif kind == 3:
        order = np.tile(draw.choice(pages, max(1, pages // 8), replace=False), 8)
    elif kind == 4:
        order = order[: int(draw.integers(1, pages + 1))]
    return list(map(int, order))
