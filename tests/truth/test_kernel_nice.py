"""How the running kernel shares one CPU between processes of different nice, against the model.

Shares among them follow their weights whatever else runs; a machine that leaves them too little of
the CPU tells nothing, and is left unchecked.
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
MEASURED_S = 1.0
BAND = 0.05
"""Of the CPU: slices of a few ms at both ends of the stretch, and what balancing moves."""
LEAST = 0.7
"""Of the CPU that they must get together."""


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


def kernels_use() -> Mapping[str, int]:
    """Return the CPU time that each gets in a stretch, in ns."""
    cpu = max(os.sched_getaffinity(0))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    if own + max(NICES.values()) > 19:
        pytest.skip(f"unchecked: this process has nice {own} itself")
    pids = {name: spin(cpu, nice) for name, nice in NICES.items()}
    try:
        time.sleep(0.2)
        before = {name: used_ns(pid) for name, pid in pids.items()}
        time.sleep(MEASURED_S)
        return {name: used_ns(pid) - before[name] for name, pid in pids.items()}
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
    if sum(took.values()) < LEAST * MEASURED_S * 1e9:
        pytest.skip("unchecked: the machine is busy")
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
