"""Have a process reclaim in a control group of its own, every CPU busy; print what came of it.

Run in a mount namespace of its own, as root: ``unshare --mount python memory_stalls.py``.  Reclaim
is traced in an instance of its own.  The file that is read has no blocks: no device is waited for,
and no page is read twice.  One JSON document on stdout, times in us: SOME and FULL by which
/proc/pressure/memory rose, time between begin and end of reclaim for a group, as traced, of the
reader and of others, how much of it the reader was on its CPU, and the number of CPUs.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from sim.host.conditions import file_folder
from sim.host.groups import new_group

TRACING = Path("/sys/kernel/tracing")
EVENTS = ("memcg_reclaim_begin", "memcg_reclaim_end", "direct_reclaim_begin", "direct_reclaim_end")
LIMIT_PAGES = 4096
READS_S = 4.0
CHUNK = 1 << 20
LINE = re.compile(
    r"-(\d+)\s+\[\d+\].*?(\d+\.\d+): (?:mm_vmscan_\w+reclaim_(begin|end)"
    r"|sched_switch: .*?prev_pid=(\d+) .*?==> .*?next_pid=(\d+))"
)


def pressure() -> dict[str, int]:
    """Return the totals of the machine, in us."""
    lines = Path("/proc/pressure/memory").read_text(encoding="ascii").splitlines()
    return {line.split()[0]: int(line.rpartition("total=")[2]) for line in lines}


def reclaimed_us(trace: str) -> tuple[dict[int, float], dict[int, float]]:
    """Return how long each task reclaimed, by pid, and how much of that it had a CPU."""
    begun: dict[int, float] = {}
    running_since: dict[int, float] = {}
    found: dict[int, float] = defaultdict(float)
    on_cpu: dict[int, float] = defaultdict(float)
    for told in LINE.findall(trace):
        pid, off, on = (int(word or -1) for word in (told[0], *told[3:]))
        at = 1e6 * float(told[1])
        if told[2] == "begin":
            begun[pid] = running_since[pid] = at
        elif told[2] == "end" and pid in begun:
            found[pid] += at - begun.pop(pid)
            on_cpu[pid] += at - running_since[pid]
        if off in begun:
            on_cpu[off] += at - running_since[off]
        if on in begun:
            running_since[on] = at
    return found, on_cpu


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
        for event in (*(f"vmscan/mm_vmscan_{event}" for event in EVENTS), "sched/sched_switch"):
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
            assert status == 0, "the reader failed"
    finally:
        for process in spinners:
            process.kill()
            process.wait()
        instance.rmdir()
    by_task, on_cpu = reclaimed_us(trace)
    told = {
        **{f"{how}_us": after[how] - before[how] for how in before},
        "reclaim_us": by_task.pop(reader, 0.0),
        "on_cpu_us": on_cpu[reader],
        "others_us": sum(by_task.values()),
        "lost": "LOST" in trace,
        "cpus": len(cpus),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
