"""The real side of `sim.script.filepage`: files, a control group, and a program that reads."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.base.units import PAGE_BYTES
from sim.host.conditions import file_folder, read_setting
from sim.host.groups import group_pages, new_group, no_group
from sim.host.kernel import HostError, compiled_program
from sim.host.programs import Folders, run_on_cpu
from sim.script.filepage.grammar import MAP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sim.script.filepage.grammar import PageScript

FREE: Final = -2
"""A step that waits until what was freed has left the group's account."""
SOURCE: Final = Path(__file__).with_name("programs") / "reader.c"
FLAGS: Final = ("-static",)
REFAULTS: Final = "workingset_refault_file"
FLUSHED_WITHIN_S: Final = 2.5
"""``memory.stat`` may lack what was counted since the last flush, every 2 s (`FLUSH_TIME`).

Reading it flushes too, but not for less than 64 changes a CPU.
"""
COUNTED: Final = (
    "pgscan_file",
    "pgsteal_file",
    "pgactivate",
    "pgdeactivate",
    REFAULTS,
    "workingset_activate_file",
)
"""What is counted for the whole machine, in ``/proc/vmstat``: on a quiet one, for the group."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What the kernel made of a script.

    `resident` has a map for each step that asked for one: for each file, which pages are there.
    `counts` are the differences in ``/proc/vmstat`` while it ran; `refaults` those that the group
    itself has in ``memory.stat``; `kernel_pages` what it was charged for beside the page cache at
    the end.
    """

    resident: list[list[NDArray[np.bool_]]]
    counts: dict[str, int]
    kernel_pages: int
    refaults: int = 0


def why_not() -> str:
    """Return why pages of files cannot be asked about here, "" if they can."""
    if reason := no_group():
        return reason
    generations = read_setting("/sys/kernel/mm/lru_gen/enabled")
    if generations is not None and int(generations, 16) != 0:
        return "the kernel keeps pages in generations (MGLRU), not on active and inactive lists"
    if file_folder() is None:
        return "there is no folder on a disk file system"
    return ""


class FileReader(Folders):
    """Has a program read files in a group of its own.  A context: it removes what it has made.

    Raises `HostError` where that cannot be done.
    """

    def __init__(self, pages: Sequence[int], *, cpu: int | None = None) -> None:
        super().__init__()
        if why := why_not():
            raise HostError(why)
        self._program = compiled_program("reader", [SOURCE], *FLAGS)
        self._cpu = cpu
        self._folder = self.new_folder(file_folder())
        self._shared = self.new_folder("/dev/shm")
        self._pages = list(pages)
        self._files = [self._folder / f"file{number}" for number in range(len(pages))]

    def run(
        self,
        script: PageScript,
        *,
        limit_pages: int,
        random: bool = True,
        freed_at: Sequence[int] = (),
        refaults: int | None = None,
    ) -> Reads:
        """Read as a script says in a new group of `limit_pages`, nothing cached.

        Behind the steps `freed_at` the program waits until RCU has freed what is to be freed.
        Where the group has not as many `refaults` as are expected, it is asked once more after the
        next flush of statistics.
        """
        self._lay_out()
        steps = np.insert(script.steps, [at + 1 for at in freed_at], FREE)
        maps = int((steps == MAP).sum())
        (self._shared / "steps").write_bytes(steps.astype("<i8").tobytes())
        answer = self._shared / "answer"
        answer.write_bytes(bytes(max(1, maps * sum(self._pages))))
        try:
            with new_group(limit_pages) as group:
                before = _vmstat()
                self._carry_out(group, random)
                after = _vmstat()
                refaulted = _refaults(group, refaults)
                charged = group_pages(group, "kmem.usage_in_bytes")
                self._remove_files()
        finally:
            self._remove_files()
        told = np.frombuffer(answer.read_bytes(), np.uint8) & 1
        resident = []
        for number in range(maps):
            at = number * sum(self._pages)
            row = []
            for size in self._pages:
                row.append(told[at : at + size].astype(bool))
                at += size
            resident.append(row)
        counts = {name: after[name] - before[name] for name in COUNTED}
        return Reads(resident, counts, charged, refaulted)

    def _carry_out(self, group: Path, random: bool) -> None:
        done = run_on_cpu(
            [
                *(self._program, group / "cgroup.procs", "r" if random else "n"),
                *(self._shared / "steps", self._shared / "answer", *self._files),
            ],
            self._cpu,
        )
        if done.returncode:
            raise HostError(f"the program that reads files failed with status {done.returncode}")

    def _lay_out(self) -> None:
        """Write the files, new ones, and take their pages out of the page cache."""
        for path, size in zip(self._files, self._pages, strict=True):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(handle, os.urandom(size * PAGE_BYTES))
                os.fsync(handle)
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)

    def _remove_files(self) -> None:
        for path in self._files:
            path.unlink(missing_ok=True)


def _refaults(group: Path, expected: int | None) -> int:
    """Return the refaults of a group: those expected, or those behind the next flush."""
    if expected is not None and _group_refaults(group) != expected:
        time.sleep(FLUSHED_WITHIN_S)
    return _group_refaults(group)


def _group_refaults(group: Path) -> int:
    lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    return next((int(n) for name, n in map(str.split, lines) if name == REFAULTS), 0)


def _vmstat() -> dict[str, int]:
    lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}
