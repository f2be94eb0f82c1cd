"""Predictions of scripts of malloc and free: a model of the library on the simulated machine.

The machine is large and otherwise idle.  Each process has a CPU of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sim.alloc.calls import Brk, Dontneed, Mmap, Mremap, Munmap, Protect
from sim.alloc.models import MODELS
from sim.base.errors import Errno, KernelPanicError, Refused, ScenarioError
from sim.base.units import GIB, PAGE_BYTES
from sim.engine.build import STACK_PAGES, build_machine
from sim.kernel import ops
from sim.machine.layout import A_ACCOUNT, A_NORESERVE, A_READ, A_WRITE, KIND_ANON, NONE
from sim.machine.layout.fields import (
    Child,
    Exec,
    Mapping,
    Nothing,
    Pages,
    Protection,
    Range,
    Remapping,
)
from sim.machine.spec import HostSpec
from sim.script.grammar import FIRST_PROCESS
from sim.script.malloc.grammar import Operation, Verb
from sim.script.malloc.record import HeapFigures, HeapRecord
from sim.script.operation import SIGSEGV, at_once, each_page, run_operation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sim.alloc.calls import Call
    from sim.alloc.calls import Operation as Work
    from sim.alloc.models import Allocator

FIRST_MAPPING: Final = 0x1000_0000_0000
"""Where mappings are placed from, in bytes."""
ROOM: Final = 20 * GIB
"""From one mapping to the next at least: none has to move to grow, none joins another."""
SPARE_PAGES: Final = 8192
DTV_BYTES: Final = 272
"""What starting a thread allocates for its thread-local variables: 17 pointers of 16 bytes."""
BEFORE_MAIN: Final = {"jemalloc": (72_704,)}
"""What is allocated before a program begins: by libstdc++, which jemalloc is linked to."""
COUNTED: Final = frozenset(
    {Verb.MALLOC, Verb.CALLOC, Verb.REALLOC, Verb.FREE, Verb.WRITE, Verb.READ}
    | {Verb.TRIM, Verb.MALLOPT}
)


@dataclass(slots=True)
class _Process:
    row: int
    cpu: int
    heap: Allocator
    blocks: dict[str, tuple[int, int]] = field(default_factory=dict)  # address, bytes
    threads: dict[str, int] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)  # of threads: their variables' address


def predict(
    script: Sequence[Operation],
    library: str,
    *,
    make_heap: Callable[[], Allocator] | None = None,
    audit: bool = False,
) -> list[HeapRecord]:
    """Return what each operation of a valid script does with the model of `library`.

    `make_heap` makes another model instead.  `audit` checks the machine's books after each
    operation.

    Raises `ScenarioError` for what a model does not have.
    """
    for operation in script:
        if operation.verb is Verb.THREAD and library == "jemalloc":
            message = "the model of jemalloc has one thread; leave `thread` out"
            raise ScenarioError(message, line=operation.line or None)
    machine = _Heaps(script, library, make_heap or MODELS[library])
    records = []
    for operation in script:
        records.append(machine.perform(operation))
        if audit:
            machine.audit()
    return records


class _Heaps:
    """A machine, and the processes of a script with their heaps, in order of birth."""

    def __init__(
        self, script: Sequence[Operation], library: str, make_heap: Callable[[], Allocator]
    ) -> None:
        births = 1 + sum(operation.verb is Verb.FORK for operation in script)
        self._machine = build_machine(
            HostSpec(memory_pages=_pages_needed(script, births), cpus=births, overcommit=1)
        )
        self._born = 0
        self._next = FIRST_MAPPING
        first = self._new_process(make_heap())
        self._processes = {FIRST_PROCESS: first}
        self._threads: dict[str, str] = {}
        self._do(first, ops.OP_EXEC, Exec(stack_limit=STACK_PAGES))
        self._run(first, first.heap.begin())
        for size in BEFORE_MAIN.get(library, ()):
            self._run(first, first.heap.malloc(size))
        self._base = self._space_figures(first)

    def audit(self) -> None:
        """Raise `KernelPanicError` unless the books balance."""
        self._machine.audit()

    def perform(self, operation: Operation) -> HeapRecord:
        """Carry out one operation and say what it did."""
        name = self._threads.get(operation.process, operation.process)
        process = self._processes[name]
        thread = process.threads.get(operation.process, 0)
        verb = operation.verb
        ending, faults = "", 0
        if verb is Verb.FORK:
            self._fork(process, operation.name)
        elif verb is Verb.THREAD:
            self._begin_thread(name, process, operation.name)
        elif verb is Verb.EXIT and thread:
            self._end_thread(process, operation.process)
        elif verb is Verb.EXIT:
            self._do(self._processes.pop(name), ops.OP_EXIT, Nothing())
        elif verb in (Verb.READ, Verb.WRITE):
            address, size = process.blocks[operation.name]
            end = size if operation.end < 0 else operation.end
            first_page = (address + operation.first) // PAGE_BYTES
            pages = (address + end - 1) // PAGE_BYTES + 1 - first_page
            faults = self._access(process, first_page, pages, verb is Verb.WRITE)
        else:
            try:
                faults = self._call(process, operation, thread)
            except Refused as refused:
                ending = refused.errno.name
        figures = []
        for label, owner in self._processes.items():
            rss, size = self._space_figures(owner)
            figures.append(HeapFigures(label, rss - self._base[0], size - self._base[1]))
        return HeapRecord(operation, faults, tuple(figures), ending)

    # -- verbs --------------------------------------------------------------------------------

    def _call(self, process: _Process, operation: Operation, thread: int) -> int:
        heap, name, size, verb = process.heap, operation.name, operation.end, operation.verb
        if verb is Verb.FREE:
            address, _ = process.blocks.pop(name)
            return self._run(process, heap.free(address, thread=thread))[1]
        if verb is Verb.TRIM:
            return self._run(process, heap.trim(thread=thread))[1]
        if verb is Verb.MALLOPT:
            return self._run(process, heap.mallopt(name, size))[1]
        if verb is Verb.REALLOC:
            work = heap.realloc(process.blocks[name][0], size, thread=thread)
        else:
            work = (heap.malloc if verb is Verb.MALLOC else heap.calloc)(size, thread=thread)
        address, faults = self._run(process, work)
        process.blocks[name] = address, size
        return faults

    def _fork(self, process: _Process, name: str) -> None:
        child = self._new_process(process.heap.fork())
        self._do(process, ops.OP_FORK, Child(child=child.row))
        child.blocks = dict(process.blocks)
        self._processes[name] = child

    def _begin_thread(self, owner: str, process: _Process, name: str) -> None:
        self._threads[name] = owner
        process.threads[name] = len(process.threads) + 1
        process.tables[name] = self._run(process, process.heap.calloc(DTV_BYTES))[0]

    def _end_thread(self, process: _Process, name: str) -> None:
        self._run(process, process.heap.end_thread(process.threads[name]))
        self._run(process, process.heap.free(process.tables.pop(name)))

    def _run(self, process: _Process, work: Work[Any]) -> tuple[Any, int]:
        """Carry out an operation of the library; return its result and its minor faults."""
        faults = 0
        result: Any = None
        refused: Refused | None = None
        while True:
            try:
                call = work.throw(refused) if refused is not None else work.send(result)
            except StopIteration as stop:
                return stop.value, faults + self._touch(process)
            faults += self._touch(process)
            result = refused = None
            try:
                result = self._carry_out(process, call)
            except Refused as error:
                refused = error

    def _touch(self, process: _Process) -> int:
        """Carry out the touches noted; return their minor faults."""
        return sum(self._access(process, *touch) for touch in process.heap.trace.take())

    # -- the machine --------------------------------------------------------------------------

    def _carry_out(self, process: _Process, call: Call) -> int:
        match call:
            case Brk(delta):
                self._do(process, ops.OP_BRK, Pages(pages=delta // PAGE_BYTES))
                return self._result(process) * PAGE_BYTES
            case Mmap(size, reserved, alignment):
                start = -(-self._next // alignment) * alignment
                self._next = start + ROOM
                bits = A_NORESERVE if reserved else A_READ | A_WRITE | A_ACCOUNT
                at = _range(start, size)
                self._do(process, ops.OP_MMAP, _anonymous(at, bits))
                return start
            case Munmap(start, size):
                self._do(process, ops.OP_MUNMAP, _range(start, size))
            case Mremap(start, old, new):
                to = Remapping(
                    **_range(start, old), new_start=NONE, may_move=1, new_pages=new // PAGE_BYTES
                )
                self._do(process, ops.OP_MREMAP, to)
                return self._result(process) * PAGE_BYTES
            case Protect(start, size):
                access = Protection(**_range(start, size), set_flags=A_READ | A_WRITE)
                self._do(process, ops.OP_MPROTECT, access)
            case Dontneed(start, size):
                self._do(process, ops.OP_DONTNEED, _range(start, size))
        return 0

    def _access(self, process: _Process, first_page: int, pages: int, write: bool) -> int:
        return self._do(process, ops.OP_ACCESS, each_page(first_page, pages, write=write))

    def _new_process(self, heap: Allocator) -> _Process:
        row = self._machine.new_task()
        self._machine.arrays.draws[row, :, 0] = self._born
        self._born += 1
        return _Process(row, self._born - 1, heap)

    def _do(self, process: _Process, op: ops.Op[ops.F], fields: ops.F) -> int:
        """Carry out one operation of the kernel; return its minor faults."""
        work = run_operation(self._machine, process.row, process.cpu, op, fields)
        ending, faults, _ = at_once(work)
        if ending == SIGSEGV:
            raise KernelPanicError(f"a step ended with {ending}", f"{op} {fields}")
        if ending:
            raise Refused(Errno[ending], f"call {op}")
        return faults

    def _result(self, process: _Process) -> int:
        return int(self._machine.arrays.operations[process.row].result)

    def _space_figures(self, process: _Process) -> tuple[int, int]:
        m = self._machine.arrays
        space = m.spaces[int(m.tasks[process.row].space)]
        return int(space.rss_anon), int(space.pages)


def _range(start: int, size: int) -> Range:
    return Range(start=start // PAGE_BYTES, pages=size // PAGE_BYTES)


def _anonymous(at: Range, bits: int) -> Mapping:
    return Mapping(**at, map_flags=bits, map_kind=KIND_ANON, file=NONE, file_page=0, populate=0)


def _pages_needed(script: Sequence[Operation], births: int) -> int:
    """Return memory that the script cannot run out of, in pages."""
    asked = sum(
        op.end // PAGE_BYTES + 2
        for op in script
        if op.verb in (Verb.MALLOC, Verb.CALLOC, Verb.REALLOC)
    )
    return asked * (births + 1) + (births + 1) * 64 + SPARE_PAGES
