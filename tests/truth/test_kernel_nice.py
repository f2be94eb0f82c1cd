"""How the running kernel shares one CPU between processes of different nice, against the model.

Shares among them follow their weights whatever else runs there: all wait in one queue.  So it is
CPU time that is measured for, however long that takes on a busy machine.
"""

import os
import platform
import signal
import time
from collections.abc import Generator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.machines import flat_prices, run

from sim.engine.verbs.process import Process

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

NICES = {"plain": 0, "humble": 3, "humbler": 6}
MEASURED_NS = 1_000_000_000
"""The CPU time that all of them get in the stretch."""
BAND = 0.05
"""Of that: slices of a few ms at both ends of the stretch."""
GIVES_UP_S = 60


def spin(cpu: int, nice: int) -> int:
    """Return the pid of a child that does nothing but compute on one CPU."""
    pid = os.fork()
    if pid == 0:
        try:
            os.sched_setaffinity(0, {cpu})
            os.nice(nice)
            while True:
                pass
        finally:
            os._exit(1)
    return pid


def used_ns(pid: int) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])


def run_for(pids: Mapping[str, int], before: Mapping[str, int], cpu_ns: int) -> dict[str, int]:
    """Wait until all have used `cpu_ns` together since `before`; return what each has used."""
    give_up = time.monotonic() + GIVES_UP_S
    while True:
        used = {name: used_ns(pid) - before[name] for name, pid in pids.items()}
        if sum(used.values()) >= cpu_ns:
            return used
        if time.monotonic() > give_up:
            pytest.skip(f"unchecked: they got no {cpu_ns} ns of CPU time in {GIVES_UP_S} s")
        time.sleep(0.01)


def kernels_use() -> Mapping[str, int]:
    """Return the CPU time that each gets in a stretch, in ns."""
    cpu = max(os.sched_getaffinity(0))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    if own + max(NICES.values()) > 19:
        pytest.skip(f"unchecked: this process has nice {own} itself")
    pids = {name: spin(cpu, nice) for name, nice in NICES.items()}
    try:
        before = run_for(pids, dict.fromkeys(pids, 0), MEASURED_NS // 5)
        return run_for(pids, before, MEASURED_NS)
    finally:
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def computing(task: Process) -> Generator[Any, Any, None]:
    yield from task.compute(10**12)


def test_shares_by_nice_are_those_of_the_kernel() -> None:
    if tuple(int(n) for n in platform.release().split(".")[:2]) < (6, 6):
        pytest.skip("unchecked: EEVDF came with 6.6")
    if not Path("/proc/self/schedstat").exists():
        pytest.skip("unchecked: this kernel keeps no schedstat")
    took = kernels_use()
    document = run(
        dict.fromkeys(NICES, computing),
        host={"memory_pages": 2000, "cpus": 1, "hz": 1000},
        prices=flat_prices(),
        scheduler="eevdf",
        quantum_ns=1_400_000,
        nices=NICES,
        horizon_ns=1_000_000_000,
    )
    model = {p["name"]: p["cpu_ns"] / 1e9 for p in document["processes"]}
    for name, share in model.items():
        assert took[name] / sum(took.values()) == pytest.approx(share, abs=BAND), name
    shares = sorted(model.values())
    assert min(b - a for a, b in pairwise(shares)) > 2 * BAND, (
        "negative control: the band tells one from another"
    )
