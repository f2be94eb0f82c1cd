"""The real side of `sim.script.pressure`: swap in memory, a control group, a program that touches.

Swap is switched on for the whole machine while a script runs, and off again: on a zram device of
its own, with the lowest priority.  Groups that other programs have limits for may swap meanwhile.
"""

from __future__ import annotations

import itertools
import mmap
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.host.groups import new_group
from sim.host.kernel import HostError, compiled_program
from sim.script.pressure import COUNTED, MAP, PAUSE, TELL, Touches, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE: Final = Path(__file__).with_name("programs") / "toucher.c"
HEADER_BYTES: Final = 4096
LOOK_S: Final = 0.0005


def touch_really(
    steps: Sequence[int], *, limit_pages: int, swappiness: int, cpu: int | None = None
) -> Touches:
    """Carry out a script in a new group of the running kernel; swap is on.

    Raises `HostError` where that cannot be done.
    """
    program = compiled_program("toucher", [SOURCE], "-static")
    sizes = {region: pages for operation, region, pages in map(parts, steps) if operation == MAP}
    told = [sizes[region] for operation, region, _ in map(parts, steps) if operation == TELL]
    pauses = sum(parts(step)[0] == PAUSE for step in steps)
    shared = Path(tempfile.mkdtemp(prefix="cowpool-", dir="/dev/shm"))
    try:
        (shared / "steps").write_bytes(np.array(steps, dtype="<i8").tobytes())
        (shared / "answer").write_bytes(bytes(HEADER_BYTES + max(1, sum(told))))
        with (
            new_group(limit_pages, swappiness) as group,
            (shared / "answer").open("r+b") as file,
            mmap.mmap(file.fileno(), 0) as answer,
        ):
            counts, killed = _carry_out(program, group, shared, answer, pauses, cpu)
            resident = np.frombuffer(bytes(answer)[HEADER_BYTES:], np.uint8) & 1
    finally:
        shutil.rmtree(shared, ignore_errors=True)
    if killed is not None:
        told = told[: sum(parts(step)[0] == TELL for step in steps[:killed])]
    ends = np.cumsum(told)
    maps = [resident[end - size : end].astype(bool) for end, size in zip(ends, told, strict=True)]
    return Touches(maps, counts, killed)


def _carry_out(
    program: str, group: Path, shared: Path, answer: mmap.mmap, pauses: int, cpu: int | None
) -> tuple[list[dict[str, int]], int | None]:
    """Run the program; return what was counted from pause to pause, and the step it died at."""
    cpus = {min(os.sched_getaffinity(0)) if cpu is None else cpu}
    process = subprocess.Popen(
        ["setarch", "-R", program, group / "cgroup.procs", shared / "steps", shared / "answer"],
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),  # no threads here
    )
    totals: list[dict[str, int]] = []
    for _ in range(pauses + 1):  # the first is before the group is joined
        while struct.unpack_from("q", answer, 0)[0] != 1 and process.poll() is None:
            time.sleep(LOOK_S)
        if process.returncode is not None:
            break
        _, _, major, _ = struct.unpack_from("4q", answer, 0)
        totals.append({**_vmstat(), "major": major})
        struct.pack_into("q", answer, 0, 0)
    if process.wait() not in (0, -signal.SIGKILL):
        raise HostError(f"the program that touches pages ended with {process.returncode}")
    killed = struct.unpack_from("5q", answer, 0)[4] if process.returncode else None
    counts = [
        {name: after[name] - before[name] for name in after}
        for before, after in itertools.pairwise(totals)
    ]
    return counts, killed


def _vmstat() -> dict[str, int]:
    lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    values = dict(line.split() for line in lines)
    return {name: int(values[name]) for name in COUNTED}
