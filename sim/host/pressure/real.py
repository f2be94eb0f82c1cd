"""The real side of `sim.script.pressure`: swap in memory, a control group, processes that touch.

Swap is switched on for the whole machine while a script runs, and off again: on a zram device of
its own, with the lowest priority.  Groups that other programs have limits for may swap meanwhile.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np

from sim.base.units import PAGE_BYTES
from sim.host.groups import group_pages, left_by_the_dead, new_group
from sim.host.kernel import HostError, compiled_program
from sim.script.pressure.grammar import FORK, MAP, MOST_PROCESSES, SHARE, WAIT, parts
from sim.script.pressure.predict import (
    APART,
    ARENA_VPN,
    AWAY,
    COUNTED,
    IN_MEMORY,
    SWAPPED,
    Told,
    Touches,
    since,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sim.script.pressure.grammar import PressureScript

SOURCE: Final = Path(__file__).with_name("programs") / "toucher.c"
FLAGS: Final = (
    "-static",
    "-fno-stack-protector",
    "-fno-jump-tables",
    "-fno-tree-loop-distribute-patterns",
    "-fcf-protection=none",
)
"""What a process of it calls, and has of memory, is what it says itself."""
NO_RSEQ: Final = "glibc.pthread.rseq=0"
"""The kernel would write to memory of the C library's, which is not there any more."""
SHARED_IN: Final = Path("/dev/shm")
LOOK_S: Final = 0.0005
KILLED: Final = 100
STEPS_AT: Final = (1 + MOST_PROCESSES) * PAGE_BYTES
N_STEPS_AT: Final = 2 * 8
STEP_AT: Final = 8
N_PROCESSES_AT: Final = 3 * 8
PIDS_AT: Final = 6 * 8
"""Where in what is shared they are, in bytes: see `toucher.c`."""
PRESENT, SWAP = (np.uint64(1 << bit) for bit in (63, 62))
"""Of an entry of ``/proc/PID/pagemap``."""


def touch_really(script: PressureScript, *, cpu: int | None = None) -> Touches:
    """Carry out a script in a new group of the running kernel; swap is on.

    Raises `HostError` where that cannot be done.
    """
    program = compiled_program("toucher", [SOURCE], *FLAGS)
    steps = script.steps
    remove_left_folders()
    folder = Path(tempfile.mkdtemp(prefix=f"cowpool-{os.getpid()}-", dir=SHARED_IN))
    try:
        text = bytearray(STEPS_AT) + np.array(steps, dtype="<i8").tobytes()
        struct.pack_into("q", text, N_STEPS_AT, len(steps))
        (folder / "shared").write_bytes(text)
        with (
            new_group(script.limit_pages, script.swappiness) as group,
            (folder / "shared").open("r+b") as file,
            mmap.mmap(file.fileno(), 0) as shared,
        ):
            command: list[str | Path] = [program, group / "cgroup.procs", folder / "shared"]
            return _carry_out(command, steps, shared, cpu)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_left_folders() -> None:
    """Remove what processes of root that are no more told their programs through."""
    for left in left_by_the_dead(SHARED_IN):
        with suppress(OSError):
            if left.stat().st_uid == 0:  # not somebody else's
                shutil.rmtree(left, ignore_errors=True)


def _carry_out(
    command: Sequence[str | Path], steps: Sequence[int], shared: mmap.mmap, cpu: int | None
) -> Touches:
    """Run the program, and look at its processes whenever it waits to be."""
    mine = os.sched_getaffinity(0)
    cpus = {min(mine) if cpu is None else cpu}
    process = subprocess.Popen(
        ["setarch", "-R", *command],
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),  # no threads here
        env={**os.environ, "GLIBC_TUNABLES": NO_RSEQ},
    )
    told: list[Told] = []
    with ExitStack() as stack:
        stack.callback(_end, process)
        os.sched_setaffinity(0, mine - cpus or mine)  # the program does not let go of its CPU
        stack.callback(os.sched_setaffinity, 0, mine)
        watch = _Watch(steps, shared, Path(command[1]).parent, stack)
        while process.poll() is None:
            if struct.unpack_from("q", shared, 0)[0] != 1:
                time.sleep(LOOK_S)
                continue
            try:
                told.append(watch.look())
            except (FileNotFoundError, ProcessLookupError):  # one of them has just been killed
                process.wait()
            struct.pack_into("q", shared, 0, 0)
    if process.returncode not in (0, KILLED):
        raise HostError(f"the program that touches pages ended with {process.returncode}")
    killed = struct.unpack_from("q", shared, STEP_AT)[0] if process.returncode else None
    return Touches(told[1:], killed)  # the first is from before the group is joined


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program, if it has not ended: its processes end with it (`PR_SET_PDEATHSIG`)."""
    process.kill()
    process.wait()


class _Watch:
    """What is known of the processes of a script under way, from outside of their group."""

    def __init__(
        self, steps: Sequence[int], shared: mmap.mmap, group: Path, stack: ExitStack
    ) -> None:
        self._steps = steps
        self._shared = shared
        self._group = group
        self._stack = stack
        self._seen = 0
        self._regions: list[dict[int, int]] = [{}]
        self._pagemaps: list[BinaryIO] = []
        self._before: dict[str, int] = {}

    def look(self) -> Told:
        """Return what is to be told at the step that is under way."""
        (at,) = struct.unpack_from("q", self._shared, STEP_AT)
        waited = False
        for operation, process, region, pages in map(parts, self._steps[self._seen : at]):
            waited |= operation == WAIT
            if operation in (MAP, SHARE):
                self._regions[process][region] = pages
            elif operation == FORK:
                self._regions.append(dict(self._regions[process]))
        self._seen = at
        totals = {**_vmstat(), "major": sum(map(_major_faults, self._pids()))}
        counts, self._before = since(self._before, totals, waited=waited)
        for pid in self._pids()[len(self._pagemaps) :]:
            pagemap = Path(f"/proc/{pid}/pagemap")
            self._pagemaps.append(self._stack.enter_context(pagemap.open("rb", buffering=0)))
        maps = {
            (number, region): _map(self._pagemaps[number], region, pages)
            for number, sizes in enumerate(self._regions)
            for region, pages in sizes.items()
        }
        both, memory, kernel = (
            group_pages(self._group, f"{name}usage_in_bytes") for name in ("memsw.", "", "kmem.")
        )
        return Told(maps, {**counts, "kernel_pages": kernel, "in_swap": both - memory})

    def _pids(self) -> tuple[int, ...]:
        (count,) = struct.unpack_from("q", self._shared, N_PROCESSES_AT)
        return struct.unpack_from(f"{count}q", self._shared, PIDS_AT)


def _map(pagemap: BinaryIO, region: int, pages: int) -> NDArray[np.uint8]:
    pagemap.seek((ARENA_VPN + region * APART) * 8)
    entries = np.frombuffer(pagemap.read(pages * 8), dtype="<u8")
    found = np.full(pages, AWAY, dtype=np.uint8)
    found[entries & PRESENT != 0] = IN_MEMORY
    found[entries & SWAP != 0] = SWAPPED
    return found


def _major_faults(pid: int) -> int:
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    return int(text.rpartition(")")[2].split()[9])


def _vmstat() -> dict[str, int]:
    lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    values = dict(line.split() for line in lines)
    return {name: int(values[name]) for name in COUNTED}
