"""What starting a program costs a parent of any size: a real parent and a real program, predicted.

The parent and the program (`sim/host/spawn/programs`) are built without a C library, so that
what they touch is what their sources say.  The prediction has the simulated kernel do the same
calls on images read from the same files; how many faults each call takes is its affair.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.base.errors import KernelPanicError
from sim.base.units import PAGE_BYTES
from sim.engine.build import build_machine
from sim.engine.images import install
from sim.kernel import ops
from sim.machine.layout import (
    A_ACCOUNT,
    A_READ,
    A_WRITE,
    KIND_ANON,
    KIND_FILE,
    NONE,
    THP_MADVISE,
)
from sim.machine.layout.fields import Child, Exec, Mapping, Nothing, Range
from sim.machine.spec import HostSpec
from sim.program.image import SPAWN_STACK_PAGES, ProgramImage, Segment, Touch
from sim.script.operation import at_once, each_page, run_operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

OWN_STACK_VPN: Final = 0x20000
"""Where both programs have their stack of one page (a linker flag, `sim.host.spawn.real`)."""
STACK_TOP: Final = 0x7FFFFFFFF000
"""The end of a stack whose place is not randomised (x86-64)."""


class Method(StrEnum):
    """How a child is started; the value is what people say."""

    FORK = "fork + exec"
    VFORK = "vfork + exec"
    SPAWN = "posix_spawn"


@dataclass(frozen=True, slots=True)
class Spawn:
    """What one spawn cost, in minor faults; times in ns.

    `child` counts from its birth to its end, `parent` from before the call until the child is
    reaped, `rewrite` while the parent then writes all its pages again.  `spawn_ns` is the time
    until the parent goes on.
    """

    child: int
    parent: int
    rewrite: int
    spawn_ns: int | None = None

    @property
    def faults(self) -> tuple[int, int, int]:
        """The three counts."""
        return self.child, self.parent, self.rewrite


@dataclass(frozen=True, slots=True)
class SpawnedProgram:
    """A program that is started: its image with all it touches, and the pages exec fills for it."""

    image: ProgramImage
    stack_pages: int


def exec_stack_pages(
    path: str, arguments: Sequence[str], environment: Sequence[str], auxiliary_words: int
) -> int:
    """Return how many pages of the new stack exec writes.

    Read in Linux 6.12 `fs/exec.c` (`copy_strings`: file name, environment and arguments, each
    with its 0, below a word of 0) and `fs/binfmt_elf.c` (`create_elf_tables`: the platform's name,
    16 random bytes, auxiliary vector, pointers and count, the last at a multiple of 16).
    """
    size = 8 + sum(len(os.fsencode(text)) + 1 for text in (path, *arguments, *environment))
    at = (STACK_TOP - size) // 16 * 16
    at -= len("x86_64") + 1 + 16
    at -= 8 * auxiliary_words
    at -= 8 * (len(arguments) + 1 + len(environment) + 1 + 1)
    return (STACK_TOP - at // 16 * 16 + PAGE_BYTES - 1) // PAGE_BYTES


def auxiliary_words() -> int:
    """Return how many words the auxiliary vector has on the running kernel."""
    return len(Path("/proc/self/auxv").read_bytes()) // 8


def own_touches(entry_vpn: int) -> tuple[Touch, ...]:
    """Return what both programs touch by running at all: their code, and their stack."""
    return Touch(entry_vpn, write=False), Touch(OWN_STACK_VPN, write=True)


def some_touches(image: ProgramImage) -> tuple[Touch, ...]:
    """Return touches of every kind: the ends of each segment read, those of data written then."""
    touches = []
    for segment in image.segments:
        ends = (segment.start_vpn, segment.start_vpn + segment.pages - 1)
        touches += [Touch(vpn, write=False) for vpn in ends]
        if segment.writable:
            touches += [Touch(vpn, write=True) for vpn in ends]
    return tuple(touches)


NOMINAL_PARENT: Final = ProgramImage(
    segments=(
        Segment(0x400, 1, False, "spawner"),
        Segment(0x401, 1, False, "spawner", 1, text=True),
        Segment(OWN_STACK_VPN, 1, True, "spawner", 2),
    ),
    files=(("spawner", 3),),
    touches=own_touches(0x401),
    heap_vpn=OWN_STACK_VPN + 1,
    source="readelf -lW of the parent, gcc 12.2, binutils 2.40",
)
"""The parent as a usual linker lays it out, for hosts that have none."""

_NOMINAL_SEGMENTS: Final = (
    Segment(0x400, 1, False, "spawned"),
    Segment(0x401, 41, False, "spawned", 1, text=True),
    Segment(0x42A, 40, False, "spawned", 42),
    Segment(0x452, 41, True, "spawned", 82, clears=True),
    Segment(0x47B, 40, True),
    Segment(OWN_STACK_VPN, 1, True, "spawned", 123),
)
NOMINAL_PROGRAM: Final = ProgramImage(
    segments=_NOMINAL_SEGMENTS,
    files=(("spawned", 124),),
    touches=own_touches(0x401),
    heap_vpn=OWN_STACK_VPN + 1,
    source="readelf -lW of the program, gcc 12.2, binutils 2.40",
)
"""The program likewise."""


def predict_spawns(
    method: Method,
    pages: int,
    *,
    program: SpawnedProgram,
    parent: ProgramImage = NOMINAL_PARENT,
    spawns: int = 2,
    prices: NDArray[np.int64] | None = None,
    audit: bool = False,
) -> list[Spawn]:
    """Return what each of `spawns` spawns costs a parent that has written `pages` pages.

    Without prices there are no times.  `audit` checks the machine's books at the end.
    """
    machine = _Machine(pages, parent, program, prices)
    found = [machine.spawn(method) for _ in range(spawns)]
    if audit:
        machine.audit()
    return found


class _Machine:
    """A machine with one parent; each process has a CPU of its own, and nobody else is there."""

    def __init__(
        self,
        pages: int,
        parent: ProgramImage,
        program: SpawnedProgram,
        prices: NDArray[np.int64] | None,
    ) -> None:
        self._timed = prices is not None
        files = sum(size for image in (parent, program.image) for _, size in image.files)
        # The worst case: every page a version for parent and child, and tables for both.
        needed = 2 * pages + pages // 100 + files + 4096
        self._machine = build_machine(
            HostSpec(memory_pages=needed, cpus=2, overcommit=1, thp=THP_MADVISE), prices
        )
        self._files: dict[str, int] = {}
        self._parent_image, self._program = parent, program
        self._program_row = install(self._machine, program.image, self._file_named)
        self._pages = pages
        self._ps = 0
        self._faults: dict[int, int] = {}
        self._parent = self._new_task(1)
        row = install(self._machine, parent, self._file_named)
        self._exec(self._parent, row, parent, 1)
        self._start(self._parent, parent)
        self._memory = NONE
        if pages:
            self._memory = self._mmap(self._parent, pages)
            self._touch(self._parent, self._memory, pages, write=True)

    def spawn(self, method: Method) -> Spawn:
        """Start a child, wait for it, and have the parent write its pages again."""
        child = self._new_task(2)
        before = self._faults[self._parent]
        self._ps = 0
        stack = NONE
        if method is Method.FORK:
            self._call(self._parent, ops.OP_FORK, Child(child=child))
            goes_on_ps = self._ps
        else:
            if method is Method.SPAWN:
                stack = self._mmap(self._parent, SPAWN_STACK_PAGES)
            self._call(self._parent, ops.OP_VFORK, Child(child=child))
            if method is Method.SPAWN:
                self._touch(child, stack + SPAWN_STACK_PAGES - 1, 1, write=True)
        self._start(child, self._parent_image)
        self._exec(child, self._program_row, self._program.image, self._program.stack_pages)
        if method is not Method.FORK:
            goes_on_ps = self._ps
        self._start(child, self._program.image)
        self._start(self._parent, self._parent_image)
        if stack != NONE:
            self._call(self._parent, ops.OP_MUNMAP, Range(start=stack, pages=SPAWN_STACK_PAGES))
        self._call(child, ops.OP_EXIT, Nothing())
        self._machine.free_task(child)
        reaped = self._faults[self._parent]
        if self._pages:
            self._touch(self._parent, self._memory, self._pages, write=True)
        return Spawn(
            self._faults[child],
            reaped - before,
            self._faults[self._parent] - reaped,
            (goes_on_ps + 500) // 1000 if self._timed else None,
        )

    def audit(self) -> None:
        """Raise `KernelPanicError` unless the machine's books balance."""
        self._machine.audit()

    def _exec(self, row: int, image_row: int, image: ProgramImage, stack_pages: int) -> None:
        limit = image.stack_bytes // PAGE_BYTES
        fields = Exec(image=image_row, stack_limit=limit, stack_pages=stack_pages)
        self._call(row, ops.OP_EXEC, fields)

    def _file_named(self, name: str, pages: int) -> int:
        if name not in self._files:
            self._files[name] = self._machine.new_file(KIND_FILE, pages, known=True)
        return self._files[name]

    def _new_task(self, key: int) -> int:
        row = self._machine.new_task()
        self._machine.arrays.draws[row][:, 0] = key
        self._faults[row] = 0
        return row

    def _start(self, row: int, image: ProgramImage) -> None:
        """Touch what a program touches by running."""
        for touch in image.touches:
            self._touch(row, touch.vpn, 1, write=touch.write)

    def _mmap(self, row: int, pages: int) -> int:
        fields = Mapping(
            start=NONE,
            pages=pages,
            map_flags=A_READ | A_WRITE | A_ACCOUNT,
            map_kind=KIND_ANON,
            file=NONE,
            file_page=0,
            populate=0,
        )
        self._call(row, ops.OP_MMAP, fields)
        return int(self._machine.arrays.operations[row].result)

    def _touch(self, row: int, vpn: int, pages: int, *, write: bool) -> None:
        self._call(row, ops.OP_ACCESS, each_page(vpn, pages, write=write))

    def _call(self, row: int, op: ops.Op[ops.F], fields: ops.F) -> None:
        """Carry out one operation of a task, and count its faults and its time."""
        work = run_operation(self._machine, row, int(row != self._parent), op, fields)
        ending, faults, ps = at_once(work)
        self._faults[row] += faults
        self._ps += ps
        if ending:
            raise KernelPanicError(f"operation {op} ended with {ending} on a large machine")
