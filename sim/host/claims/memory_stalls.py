"""Have a process reclaim in a control group of its own, every CPU busy; print what came of it.

A program, run in a mount namespace of its own, as root: ``unshare --mount python -m
sim.host.claims.memory_stalls``. Reclaim is traced in an instance of its own. The file that is read
has no blocks: no device is waited for, should a page be read twice. Each page is mapped in many
places, so that its reclaim takes long: a stall begins before its trace does and ends after it, 0.5
us together, which is 4 % of a reclaim of pages that nobody maps. One JSON document on stdout, times
in us: SOME and FULL by which /proc/pressure/memory rose, time between begin and end of reclaim, as
traced, of the reader and of others, how much of all that was on a CPU, how often somebody came to a
CPU unseen, how many pages were read again, whether events were lost, and the number of CPUs.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sim.host.conditions import file_folder
from sim.host.groups import left_by_the_dead, new_group

TRACING: Final = Path("/sys/kernel/tracing")
EVENTS: Final = (
    "vmscan/mm_vmscan_memcg_reclaim_begin",
    "vmscan/mm_vmscan_memcg_reclaim_end",
    "vmscan/mm_vmscan_direct_reclaim_begin",
    "vmscan/mm_vmscan_direct_reclaim_end",
    "sched/sched_switch",
    "sched/sched_stat_runtime",
)
LIMIT_PAGES: Final = 4096
READS_S: Final = 4.0
CHUNK: Final = 1 << 20
PIECE: Final = 1 << 17
"""So little is read at a time that it is mapped before it can be reclaimed, nearly always."""
MADV_POPULATE_READ: Final = 22
PLACES: Final = 32
CHUNKS_MAPPED: Final = 32
"""Twice the limit: what is unmapped was reclaimed before."""
SPINNER: Final = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
while os.getppid() == int(sys.argv[2]):
    pass
"""
LINE: Final = re.compile(
    r"-(\d+)\s+\[\d+\].*?(\d+\.\d+): (?:mm_vmscan_\w+reclaim_(begin|end)"
    r"|sched_switch: .*?prev_pid=(\d+) .*?==> .*?next_pid=(\d+)"
    r"|sched_stat_runtime: .*?pid=(\d+) runtime=(\d+))"
)


@dataclass
class Reclaim:
    """What is known of one task's reclaim, in us: how long it took, and how much was on a CPU.

    A switch is traced by the task that leaves the CPU, and some tasks are in no trace.  Who comes
    after one of those comes unseen; next time the scheduler adds up how long it ran
    (``sched_stat_runtime``), it came that long ago.
    """

    stalled_us: float = 0.0
    on_cpu_us: float = 0.0
    unseen: int = 0
    begun: float | None = None
    running_since: float | None = None
    left: float | None = None
    """When it ended, if it came unseen and has not been told yet when it came."""

    def begin(self, at: float) -> None:
        """Take note that it begins to reclaim, which it does on a CPU."""
        self.begun = self.running_since = at

    def comes(self, at: float) -> None:
        """Take note that it is given a CPU."""
        if self.begun is not None:
            self.running_since = at

    def leaves(self, at: float) -> None:
        """Take note that it loses its CPU, or that what counts is over."""
        if self.begun is None:
            return
        if self.running_since is None:
            self.left = at
        else:
            self.on_cpu_us += at - self.running_since
        self.running_since = None

    def end(self, at: float) -> None:
        """Take note that it has reclaimed."""
        if self.begun is not None:
            self.leaves(at)
            self.stalled_us += at - self.begun
            self.begun = None

    def has_run(self, at: float, ran_us: float) -> None:
        """Take note that it has run for so long since it came, or since this was said last."""
        if self.left is not None:
            self.on_cpu_us += max(0.0, self.left - (at - ran_us))
            self.left = None
            self.unseen += 1
        elif self.begun is not None and self.running_since is None:
            self.running_since = at - ran_us
            self.unseen += 1


def reclaims(trace: str) -> dict[int, Reclaim]:
    """Return what a trace tells of reclaim, by pid."""
    tasks: dict[int, Reclaim] = defaultdict(Reclaim)
    for told in LINE.findall(trace):
        pid, off, on, ran = (int(word or -1) for word in (told[0], *told[3:6]))
        at = 1e6 * float(told[1])
        if told[2] == "begin":
            tasks[pid].begin(at)
        elif told[2] == "end":
            tasks[pid].end(at)
        elif ran in tasks:
            tasks[ran].has_run(at, int(told[6]) / 1000)
        if off in tasks:
            tasks[off].leaves(at)
        if on in tasks:
            tasks[on].comes(at)
    return tasks


def pressure() -> dict[str, int]:
    """Return the totals of the machine, in us."""
    lines = Path("/proc/pressure/memory").read_text(encoding="ascii").splitlines()
    return {line.split()[0]: int(line.rpartition("total=")[2]) for line in lines}


def read_holes(group: Path, name: str) -> None:
    """Read a file without blocks, in the group, on the first CPU; let the parent end it."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    (group / "cgroup.procs").write_text("0")
    file = os.open(name, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    mapped: deque[mmap.mmap] = deque()
    end = time.monotonic() + READS_S
    at = 0
    while time.monotonic() < end:
        places = [
            mmap.mmap(file, CHUNK, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ, offset=at)
            for _ in range(PLACES)
        ]
        for piece in range(0, CHUNK, PIECE):
            os.pread(file, PIECE, at + piece)
            for place in places:
                place.madvise(MADV_POPULATE_READ, piece, PIECE)
        mapped.extend(places)
        while len(mapped) > PLACES * CHUNKS_MAPPED:
            mapped.popleft().close()
        at += CHUNK


def main() -> None:
    """Print what came of it."""
    subprocess.run(["mount", "-t", "tracefs", "cowpool", str(TRACING)], check=True)
    for left in left_by_the_dead(TRACING / "instances"):
        left.rmdir()
    instance = TRACING / "instances" / f"cowpool-{os.getpid()}-stalls"
    instance.mkdir()
    cpus = sorted(os.sched_getaffinity(0))
    spinners = [
        subprocess.Popen([sys.executable, "-c", SPINNER, str(cpu), str(os.getpid())])
        for cpu in cpus
    ]
    try:
        (instance / "buffer_size_kb").write_text("32768")
        (instance / "trace_clock").write_text("mono")
        for event in EVENTS:
            (instance / f"events/{event}/enable").write_text("1")
        with (
            new_group(LIMIT_PAGES) as group,
            tempfile.NamedTemporaryFile(dir=file_folder()) as file,
        ):
            file.truncate(1 << 38)
            before = pressure()
            reader = os.fork()
            if reader == 0:
                read_holes(group, file.name)
                os._exit(0)
            _, status = os.waitpid(reader, 0)
            after = pressure()
            (instance / "tracing_on").write_text("0")
            trace = (instance / "trace").read_text(encoding="utf-8", errors="replace")
            stat = (group / "memory.stat").read_text(encoding="ascii")
            assert status == 0, "the reader failed"
    finally:
        for process in spinners:
            process.kill()
            process.wait()
        instance.rmdir()
    tasks = reclaims(trace)
    of_all = sum(task.stalled_us for task in tasks.values())
    told = {
        **{f"{how}_us": after[how] - before[how] for how in before},
        "reclaim_us": tasks[reader].stalled_us,
        "others_us": of_all - tasks[reader].stalled_us,
        "on_cpu_us": sum(task.on_cpu_us for task in tasks.values()),
        "unseen": sum(task.unseen for task in tasks.values()),
        "again": int(re.findall(r"^workingset_refault_file (\d+)", stat, re.MULTILINE)[0]),
        "lost": "LOST" in trace,
        "cpus": len(cpus),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
