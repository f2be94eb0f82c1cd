"""What the running kernel charges a control group of its own, and whom it kills in it.

In a control group (version 1) of the test's own, which is removed again.  What is claimed is in
`sim.host.claims`; here each claim is held to the kernel, and to what a wrong one would show.
"""

import platform
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from support.samples import sample

from sim.base.errors import ScenarioError
from sim.base.units import PAGE_BYTES
from sim.host.claims import charging, scripts
from sim.host.claims.charging import (
    LIMITS,
    PLENTY,
    SET_LIMIT,
    SETS,
    children,
    first_killed,
    of_a_child,
    over_the_limit,
    page_by_page,
    processes,
)
from sim.host.claims.claim import Claim
from sim.host.groups import _remove, group_pages, new_group
from sim.host.kernel import KernelRunner
from sim.machine.releases import parse_release
from sim.machine.rules.cgroup import DIFFERENCES
from sim.machine.rules.rule import ONLY_V2
from sim.machine.slab import group_bytes
from sim.script import group as predicting
from sim.script.grammar import FIRST_PROCESS, Verb
from sim.script.group import predict_in_group
from sim.script.record import GroupRun
from sim.script.validity import parse_script

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

FIRST_FAILCNT = 36
"""A batch, a single page, once more when stocks are drained, 16 retries; killed, 17 more."""


NESTED = 32


@pytest.fixture(scope="module")
def kernel() -> KernelRunner:
    if reason := charging.why_not():
        pytest.skip(f"unchecked: {reason}")
    return KernelRunner()


@pytest.mark.parametrize(
    ("claim", "cases"),
    [
        (charging.USAGE, 1024),
        (charging.KILL, sample(5, len(LIMITS))),
        (charging.VICTIM, sample(3, SETS)),
        (charging.KERNEL_MEMORY, 4),
        (charging.STORM, 3),
        (scripts.GROUP_SCRIPTS, sample(6, scripts.SCRIPTS)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_kernel_does_what_is_claimed(
    kernel: KernelRunner, claim: Claim, cases: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charging, "CHILDREN", sample(12, charging.CHILDREN))
    found = list(claim.check(cases, 0, True))
    assert found
    assert [case for case in found if not case.held] == []


# -- what is claimed is what the rules say ---------------------------------------------------------


def charges(run: GroupRun) -> list[tuple[int | None, int]]:
    return charging.charges(run)


def test_version_1_has_none_of_what_only_version_2_has() -> None:
    rows = [row for row in DIFFERENCES.values() if row.checked == ONLY_V2]
    with new_group(1024) as group:
        files = {path.name for path in group.iterdir()}
    said = " ".join(row.v2 for row in rows)
    names = ("memory.high", "memory.min", "memory.low", "memory.oom.group", "memory.pressure")
    assert all(f"`{name}`" in said for name in names)
    assert not files.intersection(names)
    assert {"memory.failcnt", "memory.oom_control", "memory.swappiness"} <= files


def test_usage_grows_by_64_pages() -> None:
    mine = charges(predict_in_group(page_by_page(1024), PLENTY))
    for n, (usage, kernel_pages) in enumerate(mine):
        assert usage == 64 * -(-(n + kernel_pages) // 64), n
    assert [mine[n][1] for n in (0, 1, 512, 513, 1024)] == [1, 4, 4, 5, 5]


def killed_at(limit: int) -> int:
    """Return the page after which a process is killed: tables and a page of objects count."""
    return max(n for n in range(limit) if n + -(-n // 512) + 3 <= limit)


@pytest.mark.parametrize("limit", LIMITS[: sample(5, len(LIMITS))])
def test_the_page_at_which_the_limit_kills(limit: int) -> None:
    mine = predict_in_group(over_the_limit(limit), limit)
    assert mine.records[1].ending == "killed"
    assert mine.records[1].killed == (FIRST_PROCESS,)
    assert mine.records[1].minflt == killed_at(limit)
    assert mine.peak_pages == limit
    assert mine.failcnt == FIRST_FAILCNT + limit % 64


EVERYTHING = """
P map A 8
P write A 0 1
P mapfile D 64
P mapshfile F 64
P shmap S 20
P read D 0 1
P write D 0 20
P filewrite D 0 10
P fsync D
P write F 0 10
P sync F 0 10
P fork C
C write D 0 40
C filewrite F 0 64
P willneed D 0 64
C vfork V
V mapfile J 100
V write J 0 50
V fork W
V exec
V mapfile K 64
V write K 0 64
C write A 0 4
W write A 0 2
"""


def test_files_vfork_and_exec_are_charged_as_the_kernel_does(kernel: KernelRunner) -> None:
    script = parse_script(EVERYTHING)
    mine = scripts.predicted(script)
    assert all(record.usage_sure for record in mine.records)
    real = charging.run_until(script, PLENTY, lambda real: scripts.differences(mine, real) == 0)
    assert scripts.differences(mine, real) == 0


def test_a_file_without_buffer_heads_would_be_noticed(
    kernel: KernelRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = parse_script("P mapfile D 512\nP map A 1\n")
    real = charging.charges(kernel.run_in_group(script, PLENTY))
    mine = charges(scripts.predicted(script))
    bare = replace(script[0], verb=Verb.SHMAP)  # as many pages and nodes, which no disk has
    without = charges(scripts.predicted([bare, script[1]]))
    assert abs(mine[-1][1] - real[-1][1]) <= 1 < real[-1][1] - without[-1][1]


@pytest.mark.parametrize(
    ("line", "more"),
    [
        ("P map A 16", 64),
        ("P protect Z 0 1 r", 64),
        ("P lock Z 0 3", 64),
        ("P map B 16 behind Z", 0),
        ("P read Z 0 1", 0),
    ],
)
def test_a_new_area_takes_a_page_for_the_time_of_the_call(
    kernel: KernelRunner, line: str, more: int
) -> None:
    """So an empty stock is filled, and one with a page in it is not."""
    for pages, grown in ((59, 0), (60, more)):
        script = parse_script(f"P map Z 200\nP write Z 0 {pages}\n{line}\n")
        mine = predict_in_group(script, PLENTY)
        assert [record.usage for record in mine.records] == [64, 64, 64 + grown]
        told = charges(mine)
        real = charging.run_until(script, PLENTY, partial(is_charged, told))
        assert charges(real) == told


def is_charged(told: list[tuple[int | None, int]], real: GroupRun) -> bool:
    return charges(real) == told


def test_what_cannot_be_followed_is_refused_with_its_reason() -> None:
    dirty = parse_script("P mapfile D 500\nP filewrite D 0 500\nP map A 600\nP write A 0 600\n")
    with pytest.raises(ScenarioError, match="when dirty pages of files are written is not"):
        predict_in_group(dirty, 700)
    borrowed = parse_script("P map A 600\nP vfork C\nC write A 0 600\n")
    with pytest.raises(ScenarioError, match=r"who dies while memory is borrowed \(vfork\) is not"):
        predict_in_group(borrowed, 300)
    with pytest.raises(ScenarioError, match="`maphugetlb` cannot be followed in a control group"):
        predict_in_group(parse_script("P maphugetlb A 512\n"), PLENTY)


# -- what a wrong claim would show -----------------------------------------------------------------


def test_another_batch_would_be_noticed(kernel: KernelRunner) -> None:
    """The formula with 32 in place of 64 does not hold for what the kernel says."""
    real = charging.charges(kernel.run_in_group(page_by_page(200), PLENTY))
    half = [32 * -(-(n + pages) // 32) for n, (_, pages) in enumerate(real)]
    assert [usage for usage, _ in real] != half


def test_a_limit_without_its_tables_would_be_noticed(kernel: KernelRunner) -> None:
    real = kernel.run_in_group(over_the_limit(LIMITS[0]), LIMITS[0])
    assert real.touched[1] != LIMITS[0]


def test_the_largest_alone_would_be_noticed(kernel: KernelRunner) -> None:
    """Without oom_score_adj somebody else is predicted for a set."""
    for number in range(SETS):
        script, scores, mine = processes(number)
        largest = predict_in_group(script, SET_LIMIT)
        if first_killed(largest) != first_killed(mine):
            break
    real = kernel.run_in_group(script, SET_LIMIT, scores)
    assert first_killed(real) != first_killed(largest)


def test_children_without_tables_would_be_noticed(
    kernel: KernelRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = children(1, 1)
    bare = tuple(
        replace(area, written=0, at_birth=0, before_each=0) for area in predicting.OWN_AREAS
    )
    monkeypatch.setattr(predicting, "OWN_AREAS", bare)
    mine = predict_in_group(script, PLENTY)
    real = kernel.run_in_group(script, PLENTY)
    assert of_a_child(mine) != pytest.approx(of_a_child(real), rel=0.02)


@pytest.mark.usefixtures("kernel")
def test_a_group_is_charged_for_those_made_in_it() -> None:
    """Kernel objects by their sizes in 6.18; what there is for each CPU counts possible CPUs."""
    if parse_release(platform.release()) != (6, 18):
        pytest.skip(f"unchecked: measured on Linux 6.18, this is {platform.release()}")
    possible = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii").strip()
    cpus = int(possible.rpartition("-")[2]) + 1
    with new_group(PLENTY) as group:
        inner = [group / f"inner{number}" for number in range(NESTED)]
        try:
            for folder in inner:
                folder.mkdir()
            charged = group_pages(group, "kmem.usage_in_bytes")
        finally:
            for folder in inner:
                if folder.exists():
                    folder.rmdir()
    assert charged * 4096 == pytest.approx(NESTED * group_bytes(cpus), abs=4096)


IN_A_GROUP = """
import sys
open(sys.argv[1], "w").write("0")
data = bytearray(32 << 20)
for at in range(0, len(data), 4096):
    data[at] = 1
"""


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("at", ["outer", "inner"])
def test_a_kill_is_counted_in_the_group_of_its_victim_alone(at: str) -> None:
    limits = {name: 2048 if name == at else PLENTY for name in ("outer", "inner")}
    with new_group(limits["outer"]) as outer:
        inner = outer / "inner"
        inner.mkdir()
        try:
            (inner / "memory.limit_in_bytes").write_text(str(limits["inner"] * PAGE_BYTES))
            command = [sys.executable, "-c", IN_A_GROUP, str(inner / "cgroup.procs")]
            assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
            told = [(group / "memory.oom_control").read_text() for group in (outer, inner)]
        finally:
            _remove(inner)
    assert [text.split()[-2:] for text in told] == [["oom_kill", "0"], ["oom_kill", "1"]]
