"""Run a script of malloc and free with a real library, on the kernel that runs us.

The program that calls the library is ``heap.c`` next to this file, compiled on first use.
"""

from __future__ import annotations

import ctypes.util
import os
import select
import struct
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.host.kernel import HostError, compiled_program
from sim.script.grammar import FIRST_PROCESS
from sim.script.malloc.grammar import UNCOUNTED_VERBS, Operation, Verb
from sim.script.malloc.record import HeapFigures, HeapRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE: Final = Path(__file__).with_name("heap.c")
CODES: Final = (
    Verb.MALLOC,
    Verb.CALLOC,
    Verb.REALLOC,
    Verb.FREE,
    Verb.WRITE,
    Verb.READ,
    Verb.TRIM,
    Verb.MALLOPT,
    Verb.THREAD,
    "join",
    Verb.FORK,
    Verb.EXIT,
)
"""Numbers of the verbs in ``heap.c``."""
MALLOPT_NUMBERS: Final = {
    "trim_threshold": -1,
    "top_pad": -2,
    "mmap_threshold": -3,
    "mmap_max": -4,
}
COMMAND: Final = struct.Struct("=iiqqii")
ANSWER: Final = struct.Struct("=qqq")
ANSWER_WITHIN_S: Final = 60
KB_PER_PAGE: Final = 4

LIBRARIES: Final = {"glibc": None, "jemalloc": "jemalloc"}
"""What is loaded before the C library, by the name of the model."""

PLAIN_FUNCTIONS: Final = "glibc.cpu.hwcaps=" + ",".join(
    f"-{feature}"
    for feature in (
        "AVX", "AVX2", "AVX512F", "AVX512VL", "AVX512BW", "BMI2", "ERMS", "FSRM", "RTM", "SSSE3",
        "SSE4_1", "SSE4_2", "MOVBE", "LZCNT", "POPCNT", "XSAVEC", "XSAVE",
        "AVX_Fast_Unaligned_Load", "Fast_Unaligned_Copy", "Fast_Unaligned_Load",
        "Fast_Copy_Backward", "Fast_Rep_String", "Prefer_ERMS", "Prefer_FSRM",
        "Prefer_No_VZEROUPPER", "Slow_BSF",
    )
)  # fmt: skip
"""glibc chooses functions by CPU, each with pages of its own: these are chosen on any x86-64."""


def library_path(library: str) -> str | None:
    """Return what to load before the C library, ``None`` if nothing.

    Raises `HostError` if it is not installed.
    """
    name = LIBRARIES[library]
    if name is None:
        if os.confstr("CS_GNU_LIBC_VERSION") is None:
            raise HostError("this host's C library is not glibc")
        return None
    found = ctypes.util.find_library(name)
    if found is None:
        raise HostError(f"{library} is not installed (Debian: apt-get install lib{library}2)")
    return found


def run_script(script: Sequence[Operation], library: str, *, options: str = "") -> list[HeapRecord]:
    """Return what each operation of a valid script really did.

    `options` are jemalloc's (``MALLOC_CONF``).  Raises `HostError` where it cannot be run.
    """
    with ExitStack() as stack:
        real = _Real(script, library, options, stack)
        return [real.perform(operation) for operation in script]


class _Real:
    """The processes and threads of a script that is running."""

    def __init__(
        self, script: Sequence[Operation], library: str, options: str, stack: ExitStack
    ) -> None:
        actors = [FIRST_PROCESS]
        actors += [op.name for op in script if op.verb in (Verb.FORK, Verb.THREAD)]
        self._slot_of = {name: slot for slot, name in enumerate(actors)}
        blocks = [op.name for op in script if op.verb in (Verb.MALLOC, Verb.CALLOC)]
        self._block_of = {name: number for number, name in enumerate(dict.fromkeys(blocks))}
        self._sizes: dict[str, dict[str, int]] = {FIRST_PROCESS: {}}
        self._parent_of: dict[str, str] = {}
        pipes = [(*os.pipe(), *os.pipe()) for _ in actors]
        for pipe in pipes:
            for descriptor in (pipe[0], pipe[2], pipe[3]):
                stack.callback(os.close, descriptor)
        self._to = [pipe[1] for pipe in pipes]
        self._from = [pipe[2] for pipe in pipes]
        theirs = [fd for pipe in pipes for fd in (pipe[0], pipe[3])]
        preload = library_path(library)
        cpu = min(os.sched_getaffinity(0))
        environment = {"GLIBC_TUNABLES": PLAIN_FUNCTIONS}
        if preload:
            environment |= {"LD_PRELOAD": preload, "MALLOC_CONF": options}
        self._driver = subprocess.Popen(
            [compiled_program("heap", [SOURCE], "-fno-builtin-malloc"), *map(str, theirs)],
            pass_fds=theirs,
            env=environment,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
        )
        stack.callback(self._end)
        self._pids = {FIRST_PROCESS: self._answer(0)[1]}
        self._base = _figures(self._pids[FIRST_PROCESS])

    def perform(self, operation: Operation) -> HeapRecord:
        """Carry out one operation and say what it did."""
        actor, verb = operation.process, operation.verb
        process = self._parent_of.get(actor, actor)
        slot = self._slot_of[actor]
        minflt = refused = 0
        if verb is Verb.EXIT:
            self._exit(actor, process)
        else:
            self._command(slot, operation, self._sizes[process])
            minflt, _, refused = self._answer(slot)
        if verb is Verb.FORK:
            self._pids[operation.name] = self._answer(self._slot_of[operation.name])[1]
            self._sizes[operation.name] = dict(self._sizes[process])
        elif verb is Verb.THREAD:
            self._parent_of[operation.name] = process
        elif verb in (Verb.MALLOC, Verb.CALLOC, Verb.REALLOC) and not refused:
            self._sizes[process][operation.name] = operation.end
        figures = []
        for name, pid in self._pids.items():
            rss, size = _figures(pid)
            figures.append(HeapFigures(name, rss - self._base[0], size - self._base[1]))
        counted = 0 if verb in UNCOUNTED_VERBS else minflt
        return HeapRecord(operation, counted, tuple(figures), "ENOMEM" if refused else "")

    def _command(self, slot: int, operation: Operation, sizes: dict[str, int]) -> None:
        verb, first, end, child = operation.verb, operation.first, operation.end, -1
        block = self._block_of.get(operation.name, 0)
        if verb in (Verb.WRITE, Verb.READ) and end < 0:
            end = sizes[operation.name]
        elif verb in (Verb.MALLOC, Verb.CALLOC, Verb.REALLOC):
            first = end
        elif verb is Verb.MALLOPT:
            first = MALLOPT_NUMBERS[operation.name]
        elif verb in (Verb.FORK, Verb.THREAD):
            child = self._slot_of[operation.name]
        self._send(slot, CODES.index(verb), block, first, end, child)

    def _exit(self, actor: str, process: str) -> None:
        slot = self._slot_of[actor]
        if actor != process:
            self._send(slot, CODES.index(Verb.EXIT), 0, 0, 0, -1)
            self._send(self._slot_of[process], CODES.index("join"), 0, 0, 0, slot)
            self._answer(self._slot_of[process])
            return
        end = os.pidfd_open(self._pids.pop(process))
        self._send(slot, CODES.index(Verb.EXIT), 0, 0, 0, -1)
        ended, _, _ = select.select([end], [], [], ANSWER_WITHIN_S)
        os.close(end)
        if not ended:
            raise HostError(f"{process} does not end")

    def _send(self, slot: int, verb: int, block: int, first: int, end: int, child: int) -> None:
        os.write(self._to[slot], COMMAND.pack(verb, block, first, end, child, 0))

    def _answer(self, slot: int) -> tuple[int, int, int]:
        """Return an actor's minor faults, its process's number, and whether it was refused."""
        ready, _, _ = select.select([self._from[slot]], [], [], ANSWER_WITHIN_S)
        data = os.read(self._from[slot], ANSWER.size) if ready else b""
        if len(data) != ANSWER.size:
            raise HostError(f"the program that calls malloc does not answer: {self._driver.poll()}")
        minflt, pid, refused = ANSWER.unpack(data)
        return minflt, pid, refused

    def _end(self) -> None:
        """Let everybody end: who reads the end of its commands does."""
        for descriptor in self._to:
            os.close(descriptor)
        try:
            self._driver.communicate(timeout=ANSWER_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._driver.kill()
            self._driver.communicate()


def _figures(pid: int) -> tuple[int, int]:
    """Return resident anonymous pages of a process, and mapped pages."""
    folder = Path(f"/proc/{pid}")
    rollup = (folder / "smaps_rollup").read_text(encoding="ascii")
    anonymous = next(line for line in rollup.splitlines() if line.startswith("Anonymous:"))
    size = (folder / "statm").read_text(encoding="ascii").split()[0]
    return int(anonymous.split()[1]) // KB_PER_PAGE, int(size)
