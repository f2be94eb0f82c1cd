"""Whom the running kernel kills, in a control group of its own that runs out of memory.

The kernel's log shows each candidate as the killer saw it, so the figures are exact, and says who
was killed.  The policy is given the same figures.
"""

import os
import re
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sim.host.kernel import compiled_program
from sim.policy.oom import NEVER, Candidate, badness_pages, choose_victim

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

PROGRAM = Path(__file__).parents[1] / "support" / "programs" / "oom_member.c"
GROUPS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)
LIMIT_PAGES = 65_536 + 999  # not a multiple of 1000: it is divided by that
KILLS = 8
PATIENCE_S = 60

MEMBERS = (
    (0, 3000, "plain"),
    (0, 3000, "plain"),
    (0, 3000, "plain"),
    (0, 6000, "fork"),
    (0, 8000, "vfork"),
    (1000, 10, "plain"),
    (999, 60, "plain"),
    (60, 100, "plain"),
    (-40, 6000, "plain"),
    (-999, 5000, "plain"),
)
"""oom_score_adj, pages, how."""

LINE = re.compile(
    r"\[\s*(\d+)\]\s+\d+\s+\d+\s+\d+\s+(\d+)\s+(?:\d+\s+\d+\s+\d+\s+)?(\d+)\s+(\d+)\s+(-?\d+)\s"
)
KILLED = re.compile(r"Memory cgroup out of memory: Killed process (\d+) \(")


@dataclass(frozen=True, slots=True)
class Kill:
    """Who could have been killed, in order of birth, and who was."""

    candidates: tuple[Candidate, ...]
    victim: int


@contextmanager
def control_group() -> Iterator[Path]:
    """Make a control group of the memory controller, of either version, with a limit."""
    for folder, limit in GROUPS:
        group = folder / f"cowpool-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / limit).exists():
                (group / limit).write_text(str(LIMIT_PAGES * 4096))
                yield group
                return
        finally:
            for _ in range(100):
                for pid in (group / "cgroup.procs").read_text().split():
                    os.kill(int(pid), 9)
                try:
                    group.rmdir()
                    break
                except OSError:
                    time.sleep(0.05)
    pytest.skip("unchecked: no control group of the memory controller may be made here")


@pytest.fixture(scope="module")
def kills() -> list[Kill]:
    if Path("/proc/sys/vm/oom_kill_allocating_task").read_text() != "0\n":
        pytest.skip("unchecked: the killer does not choose here")
    if len(Path("/proc/swaps").read_text().splitlines()) > 1:
        pytest.skip("unchecked: with swap the group would be swapped out first")
    try:
        program = compiled_program("oom_member", [PROGRAM])
        log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        pytest.skip(f"unchecked: {error}")
    os.lseek(log, 0, os.SEEK_END)
    started: list[subprocess.Popen[str]] = []
    borrowers: set[int] = set()
    cpu = {min(os.sched_getaffinity(0))}  # counters are kept by CPU
    try:
        with control_group() as group:
            for adjustment, pages, how in (*MEMBERS, (0, 10, "grow")):
                words = [program, str(group / "cgroup.procs"), str(adjustment), str(pages), how]
                process = subprocess.Popen(
                    words,
                    stdout=subprocess.PIPE,
                    text=True,
                    preexec_fn=lambda: os.sched_setaffinity(0, cpu),  # no threads here
                )
                started.append(process)
                assert process.stdout is not None
                told = process.stdout.readline().split()
                if not told and adjustment < 0:
                    continue  # who may not ask for less than nought is one fewer
                child = int(told[1])
                if how == "vfork":
                    borrowers.add(child)
            return read_kills(log, borrowers)
    finally:
        os.close(log)
        for process in started:
            process.kill()
            process.communicate()


def read_kills(log: int, borrowers: set[int]) -> list[Kill]:
    """Read the kernel's log until it has killed often enough."""
    found: list[Kill] = []
    table: list[Candidate] = []
    until = time.monotonic() + PATIENCE_S
    while len(found) < KILLS and time.monotonic() < until:
        select.select([log], [], [], 1)
        try:
            line = os.read(log, 8192).decode(errors="replace")
        except BlockingIOError:
            continue
        if "Tasks state (memory values in pages)" in line:
            table = []
        elif (row := LINE.search(line)) is not None:
            pid, resident, tables, swapped, adjustment = map(int, row.groups())
            borrows = pid in borrowers
            table.append(Candidate(pid, resident, swapped, tables // 4096, adjustment, borrows))
        elif (killed := KILLED.search(line)) is not None:
            found.append(Kill(tuple(table), int(killed[1])))
    return found


def chosen(kill: Kill) -> int | None:
    return choose_victim(kill.candidates, LIMIT_PAGES)


def test_the_victim_is_the_one_that_the_policy_names(kills: list[Kill]):
    assert len(kills) == KILLS
    assert [chosen(kill) for kill in kills] == [kill.victim for kill in kills]


def earlier_of_equals(kill: Kill) -> int | None:
    return choose_victim(kill.candidates[::-1], LIMIT_PAGES)


def without_adjustment(kill: Kill) -> int | None:
    plain = [
        replace(c, oom_score_adj=max(c.oom_score_adj, NEVER) // NEVER * NEVER)
        for c in kill.candidates
    ]
    return choose_victim(plain, LIMIT_PAGES)


def borrowers_too(kill: Kill) -> int | None:
    return choose_victim([replace(c, in_vfork=False) for c in kill.candidates], LIMIT_PAGES)


@pytest.mark.parametrize("wrong", [earlier_of_equals, without_adjustment, borrowers_too])
def test_a_wrong_policy_would_show(kills: list[Kill], wrong: Callable[[Kill], int | None]):
    """Negative control."""
    assert any(wrong(kill) != kill.victim for kill in kills)


def test_there_were_equals(kills: list[Kill]):
    """Or the later of equals would not have been asked for."""
    scores = [[badness_pages(c, LIMIT_PAGES) for c in kill.candidates] for kill in kills]
    worst = [max(s for s in of if s is not None) for of in scores]
    assert any(of.count(most) > 1 for of, most in zip(scores, worst, strict=True))
