"""Have a process reclaim in a control group of its own, every CPU busy; print what came of it.

Run in a mount namespace of its own, as root: ``unshare --mount python memory_stalls.py``.  Reclaim
is traced in an instance of its own.  The file that is read has no blocks: no device is waited for,
and no page is read twice.  One JSON document on stdout, times in us: SOME and FULL by which
/proc/pressure/memory rose, time between begin and end of reclaim for a group, as traced, of the
reader and of others, and the number of CPUs.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sim.host.conditions import file_folder
from sim.host.groups import new_group

TRACING = Path("/sys/kernel/tracing")
EVENTS = ("memcg_reclaim_begin", "memcg_reclaim_end", "direct_reclaim_begin", "direct_reclaim_end")
LIMIT_PAGES = 4096
READS_S = 4.0
CHUNK = 1 << 20
LINE = re.compile(r"-(\d+)\s+\[\d+\].*?(\d+\.\d+): mm_vmscan_\w+reclaim_(begin|end)")


def pressure() -> dict[str, int]:
    """Return the totals of the machine, in us."""
    lines = Path("/proc/pressure/memory").read_text(encoding="ascii").splitlines()
    return {line.split()[0]: int(line.rpartition("total=")[2]) for line in lines}


def reclaimed_us(trace: str) -> dict[int, float]:
    """Return how long each task reclaimed, by pid."""
    begun: dict[int, float] = {}
    found: dict[int, float] = {}
    for pid, at, what in LINE.findall(trace):
        if what == "begin":
            begun[int(pid)] = float(at)
        elif int(pid) in begun:
            found[int(pid)] = found.get(int(pid), 0.0) + 1e6 * (float(at) - begun.pop(int(pid)))
    return found


def read_holes(group: Path, name: str) -> None:
    """Read a file without blocks, in the group, on the first CPU; let the parent end it."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    (group / "cgroup.procs").write_text("0")
    file = os.open(name, os.O_RDONLY)
    end = time.monotonic() + READS_S
    at = 0
    while time.monotonic() < end:
        os.pread(file, CHUNK, at)
        at += CHUNK


def main() -> None:
    """Print what came of it."""
    subprocess.run(["mount", "-t", "tracefs", "cowpool", str(TRACING)], check=True)
    instance = TRACING / "instances" / f"cowpool-{os.getpid()}"
    instance.mkdir()
    cpus = sorted(os.sched_getaffinity(0))
    spinner = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
    spinners = [subprocess.Popen([sys.executable, "-c", spinner, str(cpu)]) for cpu in cpus]
    try:
        (instance / "buffer_size_kb").write_text("32768")
        (instance / "trace_clock").write_text("mono")
        for event in EVENTS:
            (instance / f"events/vmscan/mm_vmscan_{event}/enable").write_text("1")
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
            assert status == 0, "the reader failed"
    finally:
        for process in spinners:
            process.kill()
            process.wait()
        instance.rmdir()
    by_task = reclaimed_us(trace)
    told = {
        **{f"{how}_us": after[how] - before[how] for how in before},
        "reclaim_us": by_task.pop(reader, 0.0),
        "others_us": sum(by_task.values()),
        "lost": "LOST" in trace,
        "cpus": len(cpus),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
