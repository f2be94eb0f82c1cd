"""Scripts of anonymous memory under a limit on a simulated machine, as the kernel has it.

A script is carried out by processes in a control group of its own, one after the other, on one CPU;
nothing but their regions, and what fork makes, is charged to it.  What is asked is which pages are
in memory now and then, and what was scanned and swapped meanwhile; the real side is
`sim.host.pressure`.
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
from sim.machine.entries import is_swap_pte, pte_present
from sim.machine.groups import move_process
from sim.machine.layout import (
    A_ACCOUNT,
    A_READ,
    A_SHARED,
    A_WRITE,
    FOREVER,
    KIND_ANON,
    KIND_SHMEM,
    KIND_STACK,
    KIND_TABLE,
    NONE,
    SWAP_IN_MEMORY,
    TABLE_MASK,
)
from sim.machine.layout.fields import Access, Child, Exec, Mapping, Range
from sim.machine.lru import flush_stats, lru_add_drain
from sim.machine.rules.limits import R_VICTIM_ITSELF
from sim.machine.slab import count_slab, objects_bytes
from sim.machine.spec import HostSpec
from sim.machine.tables import find_table
from sim.machine.work import MAJOR_FAULT
from sim.policy.oom import Candidate, badness_pages, choose_victim
from sim.script.driver_memory import SHARED_BYTES
from sim.script.operation import at_once, run_operation
from sim.script.pressure.grammar import FORK, MAP, READ, SHARE, TELL, WAIT, WRITE, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sim.machine.layout import Arrays
    from sim.script.pressure.grammar import PressureScript

ARENA_VPN: Final = 0x1_0000_0000
APART: Final = 1 << 18
"""Pages from one region to the next."""
OWN: Final = ((0x401, 1), (0x4_0000, 512 - 64), (0x4_0000 + 512 - 64, 64))
"""What the program has besides: its code, what its processes talk through, and what it changes the
rights to in order to flush the TLB (`sim/host/pressure/programs/toucher.c`): first page, pages."""
LESS_BYTES: Final = 312
"""Kernel objects that a child has less than one of the driver's (`sim.machine.slab`).

Fitted, its cause unknown: with 312 to 316 bytes kernel memory is that of Linux 6.18 for up to 15
children with 1 to 8 regions, and for a script by hand.
"""
CLOSE_PAGES: Final = 2 * 4 * 32
"""Scores closer than that may be either way round to the kernel.

It reads four counters of each process that lack up to 32 pages for each CPU it has run on, here one
(`percpu_counter_read_positive`, 6.2 and later).
"""
COUNTED: Final = {
    "pswpin": "pswpin",
    "pswpout": "pswpout",
    "pgscan_anon": "pgscan_direct",
    "pgsteal_anon": "pgsteal_direct",
    "pgactivate": "pgactivate",
    "pgdeactivate": "pgdeactivate",
    "workingset_refault_anon": "workingset_refault_anon",
    "workingset_activate_anon": "workingset_activate_anon",
}
"""What is counted, by its name in ``/proc/vmstat``, and the column of `LRUVEC`."""
COUNTED_LATE: Final = frozenset({"workingset_refault_anon", "workingset_activate_anon"})
"""What Linux adds up every second (`vmstat_update`): it is told of between waits."""
AWAY, IN_MEMORY, SWAPPED = range(3)
"""What a page is, in a map: not there, in memory, or swapped out."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one step told: `maps` of all processes' regions, by numbers, and `counts`.

    A map has AWAY, IN_MEMORY or SWAPPED for each page.  Counts are those since the last such step;
    but ``kernel_pages`` is what the group is charged for of page tables, stacks and objects now,
    and ``in_swap`` what it has on the device and not in memory.  Of a wait there are
    those of `COUNTED_LATE` alone, from the second one on, since the last one.
    """

    maps: dict[tuple[int, int], NDArray[np.uint8]]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Touches:
    """What became of a script: what its steps told.

    `killed` is the number of the step at which a process was killed for want of memory, with which
    the script ends; None if none was.  `bystander` says that it was not the one whose step it was,
    `close` that it may or may not have been: scores are too close to tell.
    """

    told: list[Told]
    killed: int | None = None
    bystander: bool = False
    close: bool = False


def touch_pages(
    script: PressureScript,
    *,
    swap_pages: int = 1 << 19,
    swap_kind: int = SWAP_IN_MEMORY,
    zram_page_bytes: int = 0,
    kernel: str = "6.18",
) -> Touches:
    """Carry out a script on a simulated machine."""
    host = HostSpec(
        memory_pages=2 * script.limit_pages + 16384,
        cpus=1,
        kernel=kernel,
        cgroup="v1",
        swap_pages=swap_pages,
        swap_kind=swap_kind,
        zram_page_bytes=zram_page_bytes,
        swappiness=script.swappiness,
        overcommit=1,
    )
    touchers = _Touchers(host, script.limit_pages)
    killed, bystander, close = None, False, False
    for number, step in enumerate(script.steps):
        _, process, *_ = parts(step)
        if not touchers.carry_out(*parts(step)):
            killed, bystander = number, touchers.victim() != process
            close = touchers.is_close(process)
            break
    touchers.machine.audit()
    touchers.machine.release()
    return Touches(touchers.told, killed, bystander, close)


class _Touchers:
    """Processes with nothing but their regions, alone in a group."""

    def __init__(self, host: HostSpec, limit_pages: int) -> None:
        self.machine = build_machine(host)
        self.told: list[Told] = []
        m = self.machine.arrays
        first = self.machine.new_task()
        self._tasks = [first]
        self._parents: list[int | None] = [None]
        self._regions: list[dict[int, int]] = [{}]
        bare = Exec(image=0, image_pages=0, stack_limit=64)
        at_once(run_operation(self.machine, first, 0, ops.OP_EXEC, bare))
        for start, pages in self._areas(first):
            self._do(first, ops.OP_MUNMAP, Range(start=start, pages=pages))
        for start, pages in OWN:
            file = self.machine.new_file(KIND_SHMEM, pages, known=True)
            self._map(first, start, pages, file)
        self._begin(first)
        self._group = self.machine.new_group(max_pages=limit_pages)
        earlier_bytes = objects_bytes(m, int(m.tasks[first].space))
        lru_add_drain(m, 0)  # so does the program, with MADV_COLD
        move_process(m, first, self._group, earlier_bytes)
        self._before = since({}, self._totals(), waited=False)[1]
        self._waited = False

    def carry_out(self, operation: int, process: int, region: int, pages: int) -> bool:
        """Carry out a step; False if a process is killed for it."""
        m = self.machine.arrays
        task = self._tasks[process]
        start = ARENA_VPN + region * APART
        if operation in (MAP, SHARE):
            self._regions[process][region] = pages
            if operation == MAP:
                return self._map(task, start, pages)
            count_slab(self.machine.arrays, self._group, SHARED_BYTES)
            return self._map(task, start, pages, self.machine.new_file(KIND_SHMEM, pages))
        if operation in (READ, WRITE):
            return self._touch(task, start + pages, write=operation == WRITE)
        if operation == FORK:
            child = self.machine.new_task()
            count_slab(self.machine.arrays, self._group, -LESS_BYTES)
            self._tasks.append(child)
            self._regions.append(dict(self._regions[process]))
            self._parents.append(process)
            return self._do(task, ops.OP_FORK, Child(child=child)) and self._begin(child)
        if operation == WAIT:
            flush_stats(m)
            self._waited = True
            return True
        assert operation == TELL
        counts, self._before = since(self._before, self._totals(), waited=self._waited)
        self._waited = False
        maps = {
            (number, at): self._in_memory(number, at, size)
            for number, sizes in enumerate(self._regions)
            for at, size in sizes.items()
        }
        self.told.append(Told(maps, {**counts, **self._levels()}))
        return True

    def victim(self) -> int | None:
        """Return the number of the process that is killed for want of memory now."""
        child_first = not self.machine.arrays.config[0].rules & R_VICTIM_ITSELF
        ram = self.machine.host.ram_pages
        return choose_victim(self._candidates(), ram, child_first=child_first)

    def is_close(self, process: int) -> bool:
        """Whether the score of a process is close to the highest of others, above or below."""
        scores = [badness_pages(c, self.machine.host.ram_pages) or 0 for c in self._candidates()]
        own = scores.pop(process)
        return bool(scores) and abs(own - max(scores)) < CLOSE_PAGES

    def _candidates(self) -> list[Candidate]:
        spaces = self.machine.arrays.spaces[self.machine.arrays.tasks["space"][self._tasks]]
        return [
            Candidate(
                number,
                int(s.rss_anon + s.rss_file + s.rss_shmem),
                int(s.swapents),
                int(s.tables),
                0,
                parent=self._parents[number],
            )
            for number, s in enumerate(spaces)
        ]

    def _areas(self, task: int) -> list[tuple[int, int]]:
        m = self.machine.arrays
        area = int(m.spaces[int(m.tasks[task].space)].head)
        found = []
        while area != NONE:
            a = m.areas[area]
            found.append((int(a.start), int(a.end - a.start)))
            area = int(a.next)
        return found

    def _map(self, task: int, start: int, pages: int, file: int = NONE) -> bool:
        fields = Mapping(
            start=start,
            pages=pages,
            map_flags=A_READ | A_WRITE | (A_ACCOUNT if file == NONE else A_SHARED),
            map_kind=KIND_ANON if file == NONE else KIND_SHMEM,
            file=file,
            file_page=0,
            populate=0,
        )
        return self._do(task, ops.OP_MMAP, fields)

    def _begin(self, task: int) -> bool:
        """Touch what a process touches of the program's own as it begins."""
        return all(self._touch(task, start, write=False) for start, _ in OWN)

    def _touch(self, task: int, page: int, *, write: bool) -> bool:
        fields = Access(start=page, pages=1, accesses=1, write=int(write))
        return self._do(task, ops.OP_ACCESS, fields)

    def _do(self, task: int, operation: ops.Op[Any], fields: Any) -> bool:
        m = self.machine.arrays
        ops.begin(m, task, operation, fields)
        while (status := carry_out(m, 0, task, FOREVER)[0]) != DONE:
            if status == GROW:
                self.machine.make_room()
            elif status == SHORT:
                room = make_room(m, 0, task)
                if room == NO_ROOM:
                    return False
                assert room == ROOM, "nothing here is written to a device"
            elif status != MORE:
                raise KernelPanicError(f"a step ended with {status}", "of memory under a limit")
        return True

    def _in_memory(self, process: int, region: int, pages: int) -> NDArray[np.uint8]:
        m = self.machine.arrays
        space = int(m.tasks[self._tasks[process]].space)
        start = ARENA_VPN + region * APART
        found = np.full(pages, AWAY, dtype=np.uint8)
        for page in range(pages):
            leaf = find_table(m, space, start + page, 0)
            if leaf != NONE:
                entry = int(m.tables[leaf, (start + page) & TABLE_MASK])
                if pte_present(entry):
                    found[page] = IN_MEMORY
                elif is_swap_pte(entry):
                    found[page] = SWAPPED
        return found

    def _levels(self) -> dict[str, int]:
        m = self.machine.arrays
        kinds = m.charged[self._group]
        g = m.groups[self._group]
        return {
            "kernel_pages": int(kinds[KIND_TABLE] + kinds[KIND_STACK] + g.slab_pages),
            "in_swap": int(g.swap),
        }

    def _totals(self) -> dict[str, int]:
        return totals_of(self.machine.arrays, self._group, self._tasks)


def since(
    before: dict[str, int], totals: dict[str, int], *, waited: bool
) -> tuple[dict[str, int], dict[str, int]]:
    """Return what was counted since the last step that told, and what the next one subtracts.

    What was counted during a wait was others'.
    """
    known = {name: n for name, n in totals.items() if waited or name not in COUNTED_LATE}
    told = (name for name in known if (name in COUNTED_LATE) == waited and name in before)
    return {name: totals[name] - before[name] for name in told}, before | known


def totals_of(m: Arrays, group: int, tasks: Sequence[int]) -> dict[str, int]:
    """Return what was counted of a group since the start, and the major faults of tasks."""
    lruvec = m.lruvecs[group]
    totals = {name: int(lruvec[column]) for name, column in COUNTED.items()}
    totals["major"] = sum(int(m.counts[task][MAJOR_FAULT]) for task in tasks)
    return totals
