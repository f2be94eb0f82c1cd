"""The simulated machine that carries out conformance scripts, operation by operation.

Each process has a CPU of its own.  Regions lie where the grammar puts them, their figures are taken
from the page tables.  How much memory there is, and what happens when it runs out, is the caller's
affair; who wants to know what every single step did watches.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from sim.base.errors import ScenarioError
from sim.engine.build import STACK_PAGES, build_machine
from sim.engine.direct import carry_out
from sim.kernel import ops
from sim.kernel.files import fadvise
from sim.kernel.work import DONE, MORE, SEGV
from sim.machine.areas import find_area
from sim.machine.layout import (
    A_ACCOUNT,
    A_GROWSDOWN,
    A_NORESERVE,
    A_READ,
    A_SHARED,
    A_WRITE,
    FORK_ASYNC,
    HUGE_PAGES,
    KIND_ANON,
    KIND_HUGETLB,
    NONE,
)
from sim.machine.layout.fields import (
    Child,
    Exec,
    File,
    FileAdvice,
    FilePages,
    Flags,
    Mapping,
    Nothing,
    Pages,
    Populate,
    Protection,
    Range,
    Remapping,
)
from sim.machine.work import MAJOR_FAULT
from sim.observe.smaps import smaps
from sim.script.grammar import FIRST_PROCESS, Operation, Verb
from sim.script.joined import joined_regions
from sim.script.operation import at_once, each_page, run_operation
from sim.script.processes import ScriptedProcess, ScriptedRegion
from sim.script.record import Figures, OpRecord
from sim.script.verbs import (
    ACCESS,
    ADVICE,
    FILE_IO,
    KINDS,
    LOCKING,
    ON_RANGES,
    POPULATE,
    READING,
    SHARED,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sim.machine.spec import HostSpec
    from sim.script.operation import Ended, Work
    from sim.script.processes import Watch

FIRST_REGION_VPN: Final = 0x1_0000_0000
"""Where regions are placed from, far from everything else in an address space."""
HEAP_VPN: Final = 0x2_0000_0000
"""Where heaps begin."""


def births(script: Sequence[Operation]) -> int:
    """Return how many processes a script has, the first included."""
    return 1 + sum(bool(operation.child) for operation in script)


class Scripted:
    """A machine and the processes of a script, by name in order of birth.

    Operations are begun with `begin`, and what that returns is sent on until it is done.  The first
    process is there from the start.
    """

    def __init__(self, host: HostSpec, prices: NDArray[np.int64] | None = None) -> None:
        self.machine = build_machine(host, prices)
        self.processes: dict[str, ScriptedProcess] = {}
        self.watch: Watch | None = None
        self._born = 0
        self._next_vpn = FIRST_REGION_VPN
        self.processes[FIRST_PROCESS] = self._new_process()
        at_once(self._exec(self.processes[FIRST_PROCESS]))

    def perform(self, operation: Operation, *, timed: bool = False) -> OpRecord:
        """Carry out one operation where memory cannot run out, and say what it did."""
        m = self.machine.arrays
        row = self._asked(operation).row
        major = -int(m.counts[row, MAJOR_FAULT])
        record = self.record(operation, at_once(self.begin(operation)), timed=timed)
        return replace(record, majflt=major + int(m.counts[row, MAJOR_FAULT]), unsure=self.unsure())

    def unsure(self) -> frozenset[tuple[str, str]]:
        """Return the regions of files that were read ahead, see `OpRecord.unsure`."""
        files = self.machine.arrays.files
        return frozenset(
            (name, label)
            for name, process in self.processes.items()
            for label, region in process.regions.items()
            if region.file != NONE and files[region.file].guessed == 1
        )

    def record(self, operation: Operation, ended: Ended, *, timed: bool = False) -> OpRecord:
        """Return what an operation that has ended did, and what all regions look like now."""
        ending, faults, ps = ended
        ns = (ps + 500) // 1000 if timed else None
        return OpRecord(operation, faults, self.figures(), ns, ending)

    def begin(self, operation: Operation) -> Work:
        """Begin an operation of a living process.

        Raises `ScenarioError` where it cannot be, because the pool of huge pages ran out before.
        """
        process = self._asked(operation)
        verb = operation.verb
        if verb in KINDS:
            return self._map(operation, process)
        if verb is Verb.FORK:
            return self._fork(operation, process)
        if verb is Verb.VFORK:
            return self._vfork(operation, process)
        if verb is Verb.EXEC:
            return self._exec(process)
        if verb is Verb.EXIT:
            return self._exit(operation.process)
        if verb is Verb.BRK:
            return self._brk(operation, process)
        region = process.regions.get(operation.region)
        if region is None:
            raise self._cannot(operation, f"the mapping of {operation.region} was refused")
        if verb in (Verb.MOVE, Verb.RESIZE):
            return self._remap(operation, process, region)
        end = region.pages if operation.whole else operation.end
        pages = end - operation.first
        if verb in (Verb.DROP, Verb.WILLNEED):
            return self._advise_file(operation, process, region)
        if verb in READING:
            return self._advise_reading(operation, process, region)
        if verb is Verb.FSYNC:
            return self._do(process, ops.OP_FSYNC, File(file=region.file))
        if verb in FILE_IO:
            where = FilePages(file=region.file, file_page=operation.first, pages=pages)
            return self._do(process, FILE_IO[verb], where)
        return self._on_range(operation, process, region.start + operation.first, pages)

    def _asked(self, operation: Operation) -> ScriptedProcess:
        if operation.process not in self.processes:
            raise self._cannot(operation, f"{operation.process} was killed by SIGBUS")
        return self.processes[operation.process]

    @staticmethod
    def _cannot(operation: Operation, why: str) -> ScenarioError:
        return ScenarioError(why, line=operation.line or None)

    def _on_range(
        self, operation: Operation, process: ScriptedProcess, start: int, pages: int
    ) -> Work:
        verb = operation.verb
        at = Range(start=start, pages=pages)
        if verb in (Verb.READ, Verb.WRITE):
            return self._touch(operation, process, at)
        if verb is Verb.UNMAP:
            return self._unmap(operation, process, at)
        if verb in POPULATE:
            return self._do(process, ops.OP_POPULATE, Populate(**at, populate_mode=POPULATE[verb]))
        if verb in ON_RANGES:
            return self._do(process, ON_RANGES[verb], at)
        if verb is Verb.PROTECT:
            access = Protection(**at, set_flags=ACCESS[operation.mode])
            return self._do(process, ops.OP_MPROTECT, access)
        if verb in (Verb.DONTFORK, Verb.DOFORK):
            process.regions[operation.region].dontfork = verb is Verb.DONTFORK
        op = ops.OP_MLOCK if verb in LOCKING else ops.OP_MADVISE
        come, go = LOCKING[verb] if verb in LOCKING else ADVICE[verb]
        return self._do(process, op, Flags(**at, set_flags=come, clear_flags=go))

    def end(self, name: str) -> int:
        """Let a process exit, whatever it was about; return how long that took, in ps."""
        process = self.processes.pop(name)
        ps = at_once(self._do(process, ops.OP_EXIT, Nothing()))[2]
        self.machine.free_task(process.row)
        return ps

    # -- verbs --------------------------------------------------------------------------------

    def _map(self, operation: Operation, process: ScriptedProcess) -> Work:
        verb, pages = operation.verb, operation.end
        kind = KINDS[verb]
        hugetlb = kind == KIND_HUGETLB
        file = NONE
        if kind != KIND_ANON:
            file = self.machine.new_file(kind, pages // HUGE_PAGES if hugetlb else pages)
            yield from self._make_file(process, file)
        bits = A_READ | A_WRITE | (A_SHARED if verb in SHARED else 0)
        if operation.mode == "noreserve":
            bits |= A_NORESERVE
        elif verb not in SHARED and not hugetlb:
            bits |= A_ACCOUNT
        if operation.behind:
            before = process.regions[operation.behind]
            start = before.start + before.pages
        elif operation.below:
            start = process.regions[operation.below].start - pages
        else:
            start = self._new_place(pages)
        old = process.regions.get(operation.region)
        process.regions[operation.region] = ScriptedRegion(start, pages, file, pages)
        fields = Mapping(
            start=start,
            pages=pages,
            map_flags=bits,
            map_kind=kind,
            file=file,
            file_page=0,
            populate=int(operation.mode == "populate"),
        )
        if verb is Verb.STACK:
            fields |= {"start": start + pages - 1, "pages": 1, "map_flags": bits | A_GROWSDOWN}
        ended = yield from self._do(process, ops.OP_MMAP, fields)
        if ended[0]:
            del process.regions[operation.region]
            if old is not None:  # the name still stands for what it stood for
                process.regions[operation.region] = old
            if file != NONE:
                self.machine.drop_file(file)
        return ended

    def _make_file(self, process: ScriptedProcess, file: int) -> Work:
        """Write a new file, and read it: where memory is no matter, mapping it brings it in."""
        yield from ()
        return "", 0, 0

    def _new_place(self, pages: int) -> int:
        """Return where a region of `pages` pages goes."""
        start = self._next_vpn
        self._next_vpn += (-(-pages // HUGE_PAGES) + 1) * HUGE_PAGES
        return start

    def _brk(self, operation: Operation, process: ScriptedProcess) -> Work:
        heap = process.regions.setdefault(operation.region, ScriptedRegion(HEAP_VPN, 0))
        more, heap.pages = operation.pages - heap.pages, operation.pages
        return self._do(process, ops.OP_BRK, Pages(pages=more))

    def _remap(
        self, operation: Operation, process: ScriptedProcess, region: ScriptedRegion
    ) -> Work:
        fields = Remapping(start=region.start, pages=region.pages, new_start=NONE)
        if operation.verb is Verb.RESIZE:
            region.pages = operation.pages
        else:
            fields["new_start"] = region.start = self._new_place(region.made_pages)
        fields["new_pages"] = region.pages
        return self._do(process, ops.OP_MREMAP, fields)

    def _touch(self, operation: Operation, process: ScriptedProcess, at: Range) -> Work:
        how = each_page(**at, write=operation.verb is Verb.WRITE)
        ending, faults, ps = yield from self._do(process, ops.OP_ACCESS, how)
        if ending:
            ps += self.end(operation.process)
        return ending, faults, ps

    def _advise_reading(
        self, operation: Operation, process: ScriptedProcess, region: ScriptedRegion
    ) -> Work:
        come, go, advice = READING[operation.verb]
        flags = Flags(start=region.start, pages=region.pages, set_flags=come, clear_flags=go)
        ending, faults, ps = yield from self._do(process, ops.OP_MADVISE, flags)
        _, _, more_ps = yield from self._fadvise(process, region.file, 0, region.pages, advice)
        return ending, faults, ps + more_ps

    def _advise_file(
        self, operation: Operation, process: ScriptedProcess, region: ScriptedRegion
    ) -> Work:
        if operation.verb is Verb.DROP:
            ps = (yield from self._do(process, ops.OP_FSYNC, File(file=region.file)))[2]
            dropped = self._fadvise(process, region.file, 0, region.pages, fadvise.DONTNEED)
            return "", 0, ps + (yield from dropped)[2]
        ps = 0
        for index in range(operation.first, operation.end):
            ps += (yield from self._fadvise(process, region.file, index, 1, fadvise.WILLNEED))[2]
        return "", 0, ps

    def _fadvise(
        self, process: ScriptedProcess, file: int, first: int, pages: int, advice: int
    ) -> Work:
        given = FileAdvice(file=file, file_page=first, pages=pages, advice=advice)
        return self._do(process, ops.OP_FADVISE, given)

    def _unmap(self, operation: Operation, process: ScriptedProcess, at: Range) -> Work:
        ended = yield from self._do(process, ops.OP_MUNMAP, at)
        if not self.is_mapped(process, process.regions[operation.region]):
            del process.regions[operation.region]
        return ended

    def _fork(self, operation: Operation, process: ScriptedProcess) -> Work:
        child = self._new_process(process.born)
        try:
            ended = yield from self._do(process, ops.OP_FORK, Child(child=child.row))
        except GeneratorExit:  # the parent is killed: so is the child that it was building
            at_once(self._do(child, ops.OP_EXIT, Nothing()))
            raise
        child.regions = {
            name: replace(region) for name, region in process.regions.items() if not region.dontfork
        }
        self.processes[operation.child] = child
        if self.machine.arrays.config[0].fork_kind == FORK_ASYNC:  # what the call left to the child
            yield from self._do(child, ops.OP_ASYNC_COPY, Nothing())
        return ended

    def _vfork(self, operation: Operation, process: ScriptedProcess) -> Work:
        child = self._new_process(process.born)
        ended = yield from self._do(process, ops.OP_VFORK, Child(child=child.row))
        child.regions = process.regions
        self.processes[operation.child] = child
        return ended

    def _exec(self, process: ScriptedProcess) -> Work:
        ended = yield from self._do(process, ops.OP_EXEC, Exec(stack_limit=STACK_PAGES))
        process.regions = {}
        space = self.machine.arrays.spaces[self.space(process)]
        space.heap_start = space.brk = HEAP_VPN
        return ended

    def _exit(self, name: str) -> Work:
        process = self.processes.pop(name)
        ended = yield from self._do(process, ops.OP_EXIT, Nothing())
        self.machine.free_task(process.row)
        return ended

    # -- the machine --------------------------------------------------------------------------

    def _new_process(self, parent: int | None = None) -> ScriptedProcess:
        row = self.machine.new_task()
        self.machine.arrays.draws[row][:, 0] = self._born
        self._born += 1
        return ScriptedProcess(row, self._born - 1, self._born - 1, parent)

    def _do(self, process: ScriptedProcess, op: ops.Op[ops.F], fields: ops.F) -> Work:
        """Have a process carry out a kernel operation with these fields."""
        carry = None if self.watch is None else partial(self._carry_out, process, self.watch)
        return run_operation(self.machine, process.row, process.cpu, op, fields, carry)

    def _carry_out(self, process: ScriptedProcess, watch: Watch) -> tuple[int, int, int]:
        """Do steps until one is not followed by another, one call a step."""
        m = self.machine.arrays
        faults = ps = 0
        status = MORE
        while status == MORE:
            watch.before(process)
            status, fault, more_ps = carry_out(m, process.cpu, process.row, 1)
            faults += fault
            ps += more_ps
            if status <= DONE:
                watch.after(process)
            elif status == SEGV:
                watch.invalid(process)
        return status, faults, ps

    def space(self, process: ScriptedProcess) -> int:
        """Return the slot of the address space of a process."""
        return int(self.machine.arrays.tasks[process.row].space)

    def is_mapped(self, process: ScriptedProcess, region: ScriptedRegion) -> bool:
        """Whether any page of the region is in an area."""
        m = self.machine.arrays
        area = find_area(m, self.space(process), region.start)
        return area != NONE and bool(m.areas[area].start < region.start + region.pages)

    def figures(self) -> tuple[Figures, ...]:
        """Return what smaps would show of every region, in order of birth and name."""
        found = []
        for name, process in self.processes.items():
            space = self.space(process)
            joined = joined_regions(self.machine.arrays, space, process.regions)
            for label, region in sorted(process.regions.items()):
                if self.is_mapped(process, region):
                    end = region.start + region.pages
                    counts = smaps(self.machine.arrays, space, region.start, end)
                    found.append(Figures(name, label, *counts, joined.get(label, "")))
        return tuple(found)
