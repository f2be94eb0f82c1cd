"""Run a conformance script on the kernel that runs us.

The real side is a small C program, in ``driver/`` next to this file, compiled on first use.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.base.cache import cache_folder
from sim.base.errors import SimError
from sim.host.conditions import FILE_VERBS, THP_FOLDER, cannot_run, compiler, file_folder
from sim.host.conditions import read_setting as read_kernel_setting
from sim.host.groups import group_pages, new_group
from sim.script.grammar import FIRST_PROCESS, Operation, Verb
from sim.script.record import COUNTS, GONE, KILLED, OF_AREAS, Figures, OpRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCES: Final = Path(__file__).with_name("driver")
COMPILER_FLAGS: Final = ("-std=gnu11", "-O1", "-Wall", "-Wextra")
KHUGEPAGED_TRIES: Final = 5
MAX_PROCESSES: Final = 256
KB_PER_PAGE: Final = 4
ENDINGS: Final = {"ok": "", "segv": "SIGSEGV", "bus": "SIGBUS", "killed": KILLED, "gone": GONE}
_NO_SCORES: Final[dict[str, int]] = {}


class HostError(SimError):
    """The host cannot do what was asked of it; the message says what would help."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class InGroup:
    """What a script did in a control group of its own.

    `kernel_pages` is the kernel memory that it was charged for after each operation, `failcnt` how
    often its limit was met, `peak_pages` the most it was ever charged for, `touched` how many pages
    each read or write came to, whether its process was killed or not.
    """

    records: list[OpRecord]
    kernel_pages: list[int]
    touched: list[int]
    failcnt: int
    peak_pages: int


def driver_path(*flags: str) -> str:
    """Return the compiled driver; see `compiled_program`."""
    return compiled_program("driver", sorted(SOURCES.glob("*.c")), *flags)


def compiled_program(name: str, sources: Sequence[Path], *flags: str) -> str:
    """Return a C program, compiling it if its folder has not been compiled before as it is now.

    Raises `HostError` where there is no compiler, or where the compiler refuses.
    """
    reason = cannot_run()
    if reason is not None:
        raise HostError(reason)
    command = [str(compiler()), *COMPILER_FLAGS, *flags]
    digest = hashlib.sha256(" ".join(command).encode())
    folder, shared = sources[0].parent, Path(__file__).parent
    for source in [*sorted(folder.glob("*.[ch]")), *sorted(shared.glob("*.h"))]:
        digest.update(source.read_bytes())
    cache = cache_folder()
    if cache is None:
        raise HostError("there is no folder to compile into; COWPOOL_CACHE_DIR may name one")
    path = cache / f"{name}-{digest.hexdigest()[:16]}"
    if path.exists():
        return str(path)
    handle, made_name = tempfile.mkstemp(prefix=f"{name}-", dir=path.parent)
    os.close(handle)
    made = Path(made_name)
    try:
        done = subprocess.run(
            [*command, f"-I{shared}", "-o", made_name, *map(str, sources)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise HostError(f"`{command[0]}` cannot compile {folder}:\n{done.stderr.strip()}")
        made.chmod(0o755)
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)
    return str(path)


class KernelRunner:
    """Runs scripts on the running kernel, each in processes of its own.

    Holds a piece of memory that khugepaged knows of for as long as it lives: khugepaged looks at
    once at the first memory it hears of, and then rests for ten seconds.  So it is at rest during
    a script; should it wake in the middle and collapse something, the script is run again.

    Where huge pages are always on, regions are kept from them unless `huge_everywhere`.

    Raises `HostError` where no script can be run.
    """

    def __init__(self, *, cpu: int | None = None, huge_everywhere: bool = False) -> None:
        self._driver = driver_path()
        self._cpu = min(os.sched_getaffinity(0)) if cpu is None else cpu
        self._folder = file_folder()
        self._thp = read_kernel_setting(THP_FOLDER / "enabled")
        self._huge_everywhere = huge_everywhere
        self._decoy: mmap.mmap | None = None

    def run(self, script: Sequence[Operation]) -> list[OpRecord]:
        """Return what each operation of the valid `script` really did.

        `ending` is what the process saw; `minflt` includes the driver's own faults except for
        reads and writes.
        """
        if self._folder is None and any(operation.verb in FILE_VERBS for operation in script):
            raise HostError("there is no disk file system for mapped files; set TMPDIR to one")
        names, program = encode(script)
        return decode(script, names, self._run_driver(program, script))

    def run_in_group(
        self,
        script: Sequence[Operation],
        limit_pages: int,
        scores: Mapping[str, int] | None = None,
    ) -> InGroup:
        """Return what a script did whose first process is put into a new control group.

        The group may have `limit_pages`; nothing is swapped out.  `scores` is the oom_score_adj of
        processes by name; one that is not named has that of its parent.  The processes are of a
        static program, so that nothing else is charged.
        """
        names, program = encode(script, scores or {})
        driver = driver_path("-static")
        with new_group(limit_pages) as group:
            (group / "memory.swappiness").write_text("0")
            output = self._run_once(program, tables=False, group=str(group), driver=driver)
            failcnt = int((group / "memory.failcnt").read_text())
            peak = group_pages(group, "max_usage_in_bytes")
        records = decode(script, names, output)
        blocks = _blocks(output, len(script))
        kernel = [int(block["usage"][0][1]) for block in blocks]
        touched = [int(block["op"][0][-1]) for block in blocks]
        return InGroup(records, kernel, touched, failcnt, peak)

    def table_bytes(self, script: Sequence[Operation]) -> list[dict[str, int]]:
        """Return VmPTE of every living process after each operation, the driver's own included.

        VmPTE counts page tables of all levels.
        """
        names, program = encode(script)
        output = self._run_driver(program, script, tables=True)
        return [
            {by_slot[int(slot)]: int(kb) * 1024 for slot, kb in block.get("tables", [])}
            for by_slot, block in zip(names, _blocks(output, len(script)), strict=True)
        ]

    def _run_driver(
        self, program: str, script: Sequence[Operation], *, tables: bool = False
    ) -> str:
        """Return the driver's output of a run that khugepaged kept out of."""
        has_huge = self._huge_everywhere or any(op.verb is Verb.HUGEPAGE for op in script)
        if has_huge:
            self._calm_khugepaged()
        for _ in range(KHUGEPAGED_TRIES):
            before = self._collapsed()
            output = self._run_once(program, tables=tables)
            if not has_huge or self._collapsed() == before:
                return output
        raise HostError("khugepaged keeps collapsing pages; is something else very busy here?")

    def _calm_khugepaged(self) -> None:
        if self._decoy is None:
            self._decoy = mmap.mmap(-1, 4 << 20)
            self._decoy.madvise(mmap.MADV_HUGEPAGE)
            time.sleep(0.2)

    @staticmethod
    def _collapsed() -> str | None:
        return read_kernel_setting(THP_FOLDER / "khugepaged" / "pages_collapsed")

    def _run_once(
        self, program: str, *, tables: bool, group: str = "-", driver: str | None = None
    ) -> str:
        folder = str(self._folder) if self._folder else "/nonexistent"
        forbid_huge = "1" if self._thp == "always" and not self._huge_everywhere else "0"
        done = subprocess.run(
            [
                *(driver or self._driver, str(self._cpu), folder, forbid_huge),
                *(str(int(tables)), group),
            ],
            input=program,
            capture_output=True,
            text=True,
            check=False,
            env=None if group == "-" else {},  # what is in it is on the stack of a new image
        )
        if done.returncode:
            raise HostError(f"the driver failed: {done.stderr.strip() or done.returncode}")
        return done.stdout


def encode(
    script: Sequence[Operation], scores: Mapping[str, int] = _NO_SCORES
) -> tuple[list[list[str]], str]:
    """Return the driver's program, and who has which slot after each operation.

    `scores` is the oom_score_adj of processes by name.  Slots are numbers in order of birth.  The
    first value has, for each operation, the names of all processes born until then, by slot.
    """
    names = [FIRST_PROCESS]
    slot_of = {FIRST_PROCESS: 0}
    named, lines = [], [_adjust(0, scores[FIRST_PROCESS])] if FIRST_PROCESS in scores else []
    for operation in script:
        slot = slot_of[operation.process]
        child = -1
        if operation.child:
            child = len(names)
            if child >= MAX_PROCESSES:
                raise HostError(f"more than {MAX_PROCESSES} processes in one script")
            names.append(operation.child)
            slot_of[operation.child] = child
        named.append(list(names))
        lines.append(
            f"{slot} {operation.verb} {operation.region or '-'} {operation.first} {operation.end} "
            f"{operation.mode or '-'} {child} "
            f"{operation.behind or operation.below.lower() or '-'}\n"
        )
        if operation.child in scores:
            lines.append(_adjust(child, scores[operation.child]))
    return named, "".join(lines)


def _adjust(slot: int, score: int) -> str:
    return f"{slot} adjust - 0 {score} - -1 -\n"


def decode(
    script: Sequence[Operation], names: Sequence[Sequence[str]], output: str
) -> list[OpRecord]:
    """Return the driver's output as records, one an operation."""
    blocks = _blocks(output, len(script))
    records = []
    for operation, by_slot, block in zip(script, names, blocks, strict=True):
        figures = tuple(
            Figures(
                by_slot[int(slot)],
                region,
                **{n: int(kb) // KB_PER_PAGE for n, kb in zip(COUNTS, counts, strict=False)},
                joined="" if joined == "-" else joined,
                summed=() if joined == "-" else OF_AREAS if by_page == "1" else COUNTS,
            )
            for slot, region, *counts, joined, by_page in block.get("figures", [])
        )
        [(how, error, minflt, majflt, ns, _)] = block["op"]
        ending = ENDINGS[how]
        if not ending and int(error):
            ending = errno.errorcode.get(int(error), f"errno {error}")
        record = OpRecord(operation, int(minflt), figures, int(ns), ending, int(majflt))
        if "usage" in block:
            slots = sorted(int(slot) for [slot] in block.get("killed", []))
            killed = tuple(by_slot[slot] for slot in slots)
            record = replace(record, usage=int(block["usage"][0][0]), killed=killed)
        records.append(record)
    return records


def _blocks(output: str, operations: int) -> list[dict[str, list[list[str]]]]:
    """Return the words of each operation's lines, by the first word of the line."""
    blocks: list[dict[str, list[list[str]]]] = []
    for line in output.splitlines():
        kind, *words = line.split()
        if kind == "op":
            blocks.append({})
        blocks[-1].setdefault(kind, []).append(words)
    if len(blocks) != operations:
        raise HostError(f"the driver answered {len(blocks)} of {operations} operations")
    return blocks
