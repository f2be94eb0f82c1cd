"""The running kernel's OOM reaper: what is gone two seconds after a kill, though the victim is not.

The victim exits on a thousandth of a CPU, by a quota of version 1 of the CPU controller.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sim.host.groups import group_pages, left_by_the_dead, new_group, no_group
from sim.host.kernel import compiled_program

CPU = Path("/sys/fs/cgroup/cpu")
WHY_NOT = no_group() or (
    "" if os.access(CPU / "cgroup.procs", os.W_OK) else "no group of the CPU controller may be made"
)
pytestmark = [
    pytest.mark.truth,
    pytest.mark.kernel,
    pytest.mark.skipif(bool(WHY_NOT), reason=f"unchecked: {WHY_NOT}"),
]
SOURCE = Path(__file__).with_name("oom_reaper.c")
MIB = 300
LIMIT = (MIB + 4) * 256
TRIES = 8
PERIOD_US, QUOTA_US = 1_000_000, 1_000


@contextmanager
def starved() -> Iterator[Path]:
    """Yield a group whose processes have a thousandth of a CPU."""
    for left in left_by_the_dead(CPU):
        left.rmdir()
    folder = CPU / f"cowpool-{os.getpid()}-1"
    folder.mkdir()
    try:
        (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (folder / "cpu.cfs_quota_us").write_text(str(QUOTA_US))
        yield folder
    finally:
        (folder / "cpu.cfs_quota_us").write_text("-1")
        end = time.monotonic() + 20
        while (folder / "cgroup.procs").read_text() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.1)
        folder.rmdir()


def test_a_victim_without_a_cpu_has_its_memory_taken_after_two_seconds() -> None:
    """As `tests/unit/engine/test_oom_reaper.py` predicts it; its own exit takes longer.

    One that has some of its quota left when it is killed exits at once: then it is asked again.
    """
    for _ in range(TRIES):
        half_gone_after_s, was_there = kill_one()
        if half_gone_after_s > 0.5:
            break
    else:
        pytest.skip(f"unchecked: {TRIES} victims had a CPU to exit on")
    assert was_there
    assert 1.8 < half_gone_after_s < 4


def kill_one() -> tuple[float, bool]:
    """Return how long after a kill half of the victim's memory is free, and if it is there then."""
    program = compiled_program("oom_reaper", [SOURCE])
    with starved() as slow, new_group(LIMIT) as group:
        pipe = subprocess.PIPE
        command = [program, group, slow, str(MIB)]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as victim:
            assert victim.stdout is not None
            assert victim.stdin is not None
            assert victim.stdout.readline() == "written\n"
            victim.stdin.write("\n")
            victim.stdin.flush()
            killed_s = first_s(lambda: kills(group) > 0)
            half_gone_s = first_s(lambda: group_pages(group, "usage_in_bytes") < MIB * 128)
            was_there = victim.poll() is None
            (slow / "cpu.cfs_quota_us").write_text("-1")
            assert victim.wait() == -9
    return half_gone_s - killed_s, was_there


def kills(group: Path) -> int:
    return int((group / "memory.oom_control").read_text(encoding="ascii").split()[-1])


def first_s(so: Callable[[], bool]) -> float:
    """Return when it is so at last, looked at every 10 ms."""
    end = time.monotonic() + 60
    while not so():
        assert time.monotonic() < end
        time.sleep(0.01)
    return time.monotonic()
