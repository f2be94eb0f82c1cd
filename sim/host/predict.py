"""Predictions: conformance scripts on the simulated machine, roomy and with nobody else on it.

Each process has a CPU of its own.  Regions lie where the grammar puts them, their figures are taken
from the page tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from sim.cost.catalogue import price_array
from sim.engine.direct import carry_out
from sim.errors import Errno, KernelPanicError, ScenarioError
from sim.host.record import Figures, OpRecord
from sim.host.script import FIRST_PROCESS, Operation, Verb
from sim.kernel import step as ops
from sim.kernel.work import DONE, EINVAL, ENOMEM, GROW, SEGV
from sim.machine.areas import find_area
from sim.machine.layout import (
    A_ACCOUNT,
    A_DONTFORK,
    A_GROWSDOWN,
    A_HUGEPAGE,
    A_NOHUGEPAGE,
    A_NORESERVE,
    A_READ,
    A_SHARED,
    A_WIPEONFORK,
    A_WRITE,
    HUGE_PAGES,
    KIND_ANON,
    KIND_FILE,
    KIND_SHMEM,
    N_LINES,
    N_QUANTILES,
    NONE,
    THP_MADVISE,
)
from sim.machine.machine import HostSpec, Machine
from sim.observe.smaps import smaps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

FIRST_REGION_VPN: Final = 0x1_0000_0000
"""Where regions are placed from, far from everything else in an address space."""
STACK_PAGES: Final = 2048
"""RLIMIT_STACK, 8 MiB."""
SPARE_PAGES: Final = 4096
KINDS: Final = {
    Verb.MAP: KIND_ANON,
    Verb.SHMAP: KIND_SHMEM,
    Verb.MAPFILE: KIND_FILE,
    Verb.MAPSHFILE: KIND_FILE,
    Verb.STACK: KIND_ANON,
}
SHARED: Final = frozenset({Verb.SHMAP, Verb.MAPSHFILE})
POPULATE: Final = {Verb.POPULATEREAD: ops.READ, Verb.POPULATEWRITE: ops.WRITE}
ACCESS: Final = {"none": 0, "r": A_READ, "rw": A_READ | A_WRITE}
ADVICE: Final = {  # flags that come, flags that go
    Verb.HUGEPAGE: (A_HUGEPAGE, A_NOHUGEPAGE),
    Verb.NOHUGEPAGE: (A_NOHUGEPAGE, A_HUGEPAGE),
    Verb.DONTFORK: (A_DONTFORK, 0),
    Verb.DOFORK: (0, A_DONTFORK),
    Verb.WIPEONFORK: (A_WIPEONFORK, 0),
    Verb.KEEPONFORK: (0, A_WIPEONFORK),
}
PREDICTED: Final = frozenset(
    {*KINDS, *ADVICE, *POPULATE, Verb.READ, Verb.WRITE, Verb.DONTNEED, Verb.UNMAP, Verb.PROTECT}
    | {Verb.FORK, Verb.VFORK, Verb.EXEC, Verb.EXIT}
)
"""The verbs there are predictions for."""
ERRNO_NAMES: Final = {ENOMEM: Errno.ENOMEM.name, EINVAL: Errno.EINVAL.name}


@dataclass(slots=True)
class _Region:
    start: int
    pages: int
    dontfork: bool = False


@dataclass(slots=True)
class _Process:
    row: int
    cpu: int
    regions: dict[str, _Region] = field(default_factory=dict)


def predict(
    script: Sequence[Operation],
    *,
    prices: Mapping[str, Any] | None = None,
    audit: bool = False,
) -> list[OpRecord]:
    """Return what each operation of a valid script does.

    `prices` are those of a resolved host (``host.prices``); without them `ns` is ``None``.  `audit`
    checks the machine's books after each operation.

    Raises `ScenarioError` for a verb that is not simulated.
    """
    for operation in script:
        if operation.verb not in PREDICTED:
            known = ", ".join(verb.value for verb in Verb if verb in PREDICTED)
            message = f"`{operation.verb}` is not simulated; use {known}"
            raise ScenarioError(message, line=operation.line or None)
    machine = _Scripted(script, None if prices is None else price_array(prices))
    records = []
    for operation in script:
        records.append(machine.perform(operation, timed=prices is not None))
        if audit:
            machine.audit()
    return records


class _Scripted:
    """A machine and the processes of a script, by name in order of birth."""

    def __init__(self, script: Sequence[Operation], prices: NDArray[np.int64] | None) -> None:
        import numpy as np

        births = 1 + sum(bool(operation.child) for operation in script)
        if prices is None:
            prices = np.zeros((N_LINES, N_QUANTILES), np.int64)
        self._machine = Machine(
            HostSpec(
                memory_pages=_pages_needed(script, births),
                cpus=births,
                overcommit=1,
                thp=THP_MADVISE,
                give_tables=True,
            ),
            prices=prices,
        )
        self._processes: dict[str, _Process] = {}
        self._born = 0
        self._next_vpn = FIRST_REGION_VPN
        first = self._new_process()
        self._processes[FIRST_PROCESS] = first
        self._do(first, ops.OP_EXEC, pages=0, count=STACK_PAGES)

    def audit(self) -> None:
        """Raise `KernelPanicError` unless the books balance."""
        self._machine.audit()

    def perform(self, operation: Operation, *, timed: bool) -> OpRecord:
        """Carry out one operation and say what it did."""
        process = self._processes[operation.process]
        ending, faults, ps = self._perform(operation, process)
        ns = (ps + 500) // 1000 if timed else None
        return OpRecord(operation, faults, self._figures(), ns, ending)

    def _perform(self, operation: Operation, process: _Process) -> tuple[str, int, int]:
        verb = operation.verb
        if verb in KINDS:
            return self._map(operation, process)
        if verb is Verb.FORK:
            return self._fork(operation, process)
        if verb is Verb.VFORK:
            child = self._processes[operation.child] = self._new_process()
            child.regions = process.regions
            return self._do(process, ops.OP_VFORK, other=child.row)
        if verb is Verb.EXEC:
            process.regions = {}
            return self._do(process, ops.OP_EXEC, pages=0, count=STACK_PAGES)
        if verb is Verb.EXIT:
            return self._end(operation.process)
        region = process.regions[operation.region]
        end = region.pages if operation.whole else operation.end
        at = {"start": region.start + operation.first, "pages": end - operation.first}
        if verb in (Verb.READ, Verb.WRITE):
            return self._touch(operation, process, at)
        if verb is Verb.UNMAP:
            result = self._do(process, ops.OP_MUNMAP, **at)
            if not self._is_mapped(process, region):
                del process.regions[operation.region]
            return result
        if verb in POPULATE:
            return self._do(process, ops.OP_POPULATE, write=POPULATE[verb], **at)
        if verb is Verb.DONTNEED:
            return self._do(process, ops.OP_DONTNEED, **at)
        if verb is Verb.PROTECT:
            return self._do(process, ops.OP_MPROTECT, bits=ACCESS[operation.mode], **at)
        if verb in (Verb.DONTFORK, Verb.DOFORK):
            region.dontfork = verb is Verb.DONTFORK
        bits, drop_bits = ADVICE[verb]
        return self._do(process, ops.OP_MADVISE, bits=bits, drop_bits=drop_bits, **at)

    # -- verbs --------------------------------------------------------------------------------

    def _map(self, operation: Operation, process: _Process) -> tuple[str, int, int]:
        verb, pages = operation.verb, operation.end
        kind = KINDS[verb]
        file = NONE if kind == KIND_ANON else self._machine.new_file(kind, pages)
        bits = A_READ | A_WRITE | (A_SHARED if verb in SHARED else 0)
        if operation.mode == "noreserve":
            bits |= A_NORESERVE
        elif verb not in SHARED:
            bits |= A_ACCOUNT
        start = self._next_vpn
        self._next_vpn += (-(-pages // HUGE_PAGES) + 1) * HUGE_PAGES
        process.regions[operation.region] = _Region(start, pages)
        where = {"start": start, "pages": pages, "kind": kind, "file": file, "index": 0}
        if verb is Verb.STACK:
            bits |= A_GROWSDOWN
            where |= {"start": start + pages - 1, "pages": 1}
        write = int(operation.mode == "populate")
        return self._do(process, ops.OP_MMAP, bits=bits, write=write, **where)

    def _touch(
        self, operation: Operation, process: _Process, at: dict[str, int]
    ) -> tuple[str, int, int]:
        how = {"count": at["pages"], "span": 1, "pattern": ops.SEQUENTIAL, "arrivals": 0, "drop": 0}
        write = int(operation.verb is Verb.WRITE)
        ending, faults, ps = self._do(process, ops.OP_ACCESS, write=write, **at, **how)
        if ending:
            ps += self._end(operation.process)[2]
        return ending, faults, ps

    def _fork(self, operation: Operation, process: _Process) -> tuple[str, int, int]:
        child = self._new_process()
        result = self._do(process, ops.OP_FORK, other=child.row)
        child.regions = {
            name: replace(region) for name, region in process.regions.items() if not region.dontfork
        }
        self._processes[operation.child] = child
        return result

    def _end(self, name: str) -> tuple[str, int, int]:
        process = self._processes.pop(name)
        result = self._do(process, ops.OP_EXIT)
        self._machine.free_task(process.row)
        return result

    # -- the machine --------------------------------------------------------------------------

    def _new_process(self) -> _Process:
        row = self._machine.new_task()
        draws = self._machine.arrays.draws[row]
        draws[:, 0] = self._born
        self._born += 1
        return _Process(row, self._born - 1)

    def _do(self, process: _Process, op: int, **fields: int) -> tuple[str, int, int]:
        """Carry out one operation; return how it ended, its minor faults, and its time in ps."""
        m = self._machine.arrays
        t = m.tasks[process.row]
        t.stage = t.at = t.within = t.errno = t.need = 0
        for name, value in fields.items():
            t[name] = value
        t.op = op
        faults = ps = 0
        while True:
            status, more_faults, more_ps = carry_out(m, process.cpu, process.row)
            faults += more_faults
            ps += more_ps
            if status == GROW:
                self._machine.make_room()
                m = self._machine.arrays
            elif status == SEGV:
                return "SIGSEGV", faults, ps
            elif status != DONE:
                raise KernelPanicError("a roomy machine ran out of memory", repr(process))
            else:
                errno = int(m.tasks[process.row].errno)
                return ERRNO_NAMES[errno] if errno else "", faults, ps

    def _space(self, process: _Process) -> int:
        return int(self._machine.arrays.tasks[process.row].space)

    def _is_mapped(self, process: _Process, region: _Region) -> bool:
        """Whether any page of the region is in an area."""
        m = self._machine.arrays
        area = find_area(m, self._space(process), region.start)
        return area != NONE and bool(m.areas[area].start < region.start + region.pages)

    def _figures(self) -> tuple[Figures, ...]:
        found = []
        for name, process in self._processes.items():
            space = self._space(process)
            for label, region in sorted(process.regions.items()):
                if self._is_mapped(process, region):
                    rss, anon, pdirty, sdirty, huge = smaps(
                        self._machine.arrays, space, region.start, region.start + region.pages
                    )
                    found.append(Figures(name, label, rss, anon, pdirty, sdirty, 0, huge))
        return tuple(found)


def _pages_needed(script: Sequence[Operation], births: int) -> int:
    """Return memory that the script cannot run out of, in pages."""
    mapped = sum(-(-op.end // HUGE_PAGES) + 1 for op in script if op.verb in KINDS) * HUGE_PAGES
    return mapped * (births + 1) * 5 // 4 + (births + 1) * 64 + SPARE_PAGES
