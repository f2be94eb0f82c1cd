"""Control groups of version 2, against what Linux 6.1 and 6.12 said of them in virtual machines.

`tests.truth.groups_in_guests` asked; this needs no kernel, but for its last test.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from support.group_questions import Asked
from support.kernel import Kernel
from support.samples import sample, spread

import sim.machine.spec as simulated
from sim.kernel.overcommit import may_commit
from sim.machine.rules import rules_of
from sim.machine.rules.pressure import R_FULL_WALK, R_RECURSIVE_PROT
from tests.truth.groups_in_guests import (
    FOLDER,
    QUESTIONS,
    RELEASES,
    TIMES,
    VARIES,
    answer_path,
    ask,
    kept,
    repeated,
)
from tests.truth.guest import Guest

pytestmark = pytest.mark.truth

HELD = {
    "kill_pages": 56,
    "charges": 100,
    "oom_group": 90,
    "reader": 9,
    "protection": 18,
    "protection_min": 18,
    "protection_nested": 30,
    "protection_none": 18,
    "protection_over": 30,
    "protection_part": 18,
    "protection_shared": 12,
}
"""Questions that a simulated machine is asked too, and how many lines at least are compared."""
APART = {
    # kernel objects of a group are of other sizes before 6.18
    ("oom_group", "touch N"): 2,
    # ″; those of dead processes that a member of this model has kept elsewhere come off as well
    ("oom_group", "touch Q"): 5,
    ("oom_group", "q memory.events max"): 1,
    ("protection_none", "p/x memory.current"): 4096,
    ("protection", "p/x memory.current"): 4096,
    ("protection_min", "p/x memory.current"): 4096,
    # shares of a list are rounded at each priority, and kernel memory is a page or two apart
    ("protection_part", "resident /mnt/b"): 6,
    ("protection_part", "p/x memory.current"): 4096,
    ("protection_part", "p/y memory.current"): 6 * 4096,
    ("protection_over", "resident /mnt/b"): 1,
    ("protection_over", "q memory.events max"): 1,
    ("protection_nested", "resident /mnt/c"): 10,
    ("protection_shared", "resident /mnt/a"): 1,
    ("protection_shared", "resident /mnt/b"): 1,
    ("protection_shared", "resident /mnt/c"): 8,
}
"""By how much a figure may be apart from the kernel's, by question and key; else not at all."""


def key_of(line: str) -> str:
    """Return what a line is about: all before its first number, and whose it is."""
    words = line.split()
    return " ".join(words[: 3 if words[1].startswith("memory.events") else 2])


def keyed(lines: Iterable[str]) -> Iterator[tuple[tuple[str, int], str | None]]:
    """Yield lines with their key and how many had it before; ``None`` for one that varies."""
    seen: Counter[str] = Counter()
    varying = 0
    for line in lines:
        varying = (varying + 1) % TIMES if line.startswith(VARIES) else 0
        if line.startswith("#") or varying > 1 or (line.startswith(VARIES) and varying == 0):
            continue
        key = key_of(line.removeprefix(VARIES))
        yield (key, seen[key]), None if line.startswith(VARIES) else line
        seen[key] += 1


def recorded(question: str, release: str) -> list[str]:
    path = answer_path(FOLDER / f"{question}.txt", release)
    return path.read_text(encoding="utf-8").splitlines()


def is_alike(question: str, key: str, said: str, line: str) -> bool:
    """Whether a line is as the kernel's, numbers apart by no more than `APART` says."""
    most = APART.get((question, key), 0)
    if said == line or most == 0:
        return said == line
    numbers = (map(int, re.findall(r"\d+", text)) for text in (said, line))
    return all(abs(mine - its) <= most for mine, its in zip(*numbers, strict=True))


def differences(question: str, release: str, **host: object) -> tuple[int, list[tuple[str, str]]]:
    """Return how many lines were compared, and those that are not alike."""
    kernels = {key: line for key, line in keyed(recorded(question, release)) if line is not None}
    compared, wrong = 0, []
    for (key, number), said in keyed(Asked(FOLDER / f"{question}.txt", release, **host).said):
        line = kernels.get((key, number))
        if line is not None and said is not None:
            compared += 1
            if not is_alike(question, key, said, line):
                wrong.append((said, line))
    return compared, wrong


FEW = [
    *(("kill_pages", "6.12"), ("charges", "6.1"), ("oom_group", "6.12")),
    *(("protection", "6.1"), ("protection_nested", "6.12"), ("protection_over", "6.1")),
]
"""Of each kind one, releases in turn; negative controls ask for others."""
BOTH = [(question, release) for question in HELD for release in RELEASES]
ASKED = FEW + [pair for pair in BOTH if pair not in FEW]


@pytest.mark.stress
@pytest.mark.parametrize(("question", "release"), ASKED[: sample(len(FEW), len(ASKED))])
def test_groups_do_as_in_that_kernel(question: str, release: str) -> None:
    compared, wrong = differences(question, release)
    assert wrong == []
    assert compared >= HELD[question] * (question != "charges" or release == "6.1")


def test_unshared_protection_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the guests mount groups with `memory_recursiveprot`."""
    monkeypatch.setattr(simulated, "rules_of", lambda kernel: rules_of(kernel) ^ R_RECURSIVE_PROT)
    assert differences("protection_shared", "6.1")[1]


def test_walks_of_another_release_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: how reclaim walks over groups is told by whose pages it leaves."""
    monkeypatch.setattr(simulated, "rules_of", lambda kernel: rules_of(kernel) ^ R_FULL_WALK)
    assert differences("protection_none", "6.1")[1]


def test_another_version_of_groups_would_be_noticed() -> None:
    """Negative control: version 1 does not kill all of a group."""
    assert differences("oom_group", "6.12", cgroup="v1")[1]


# -- memory.high -----------------------------------------------------------------------------------

TICK_US = 4_000
WHEEL_US = 8 * TICK_US
"""A timer for 63 ticks or more goes by eights of them (`kernel/time/timer.c`)."""


def sleeps(lines: Iterable[str], time: int = 0) -> dict[str, list[tuple[int, int]]]:
    """Return who slept at which page for how many us, of the first or another time it was asked."""
    found: dict[str, list[str]] = {}
    for line in lines:
        name, *words = line.removeprefix(VARIES).split()
        if name == "slow" and len(words) > 1:
            found.setdefault(words[0], []).append(" ".join(words[1:]))
    return {
        name: [(int(page), int(us)) for page, us in (w.split(":") for w in times[time].split())]
        for name, times in found.items()
    }


def unlike(mine: dict[str, list[tuple[int, int]]], its: dict[str, list[tuple[int, int]]]) -> bool:
    """Whether sleeps are elsewhere by more than two pages, or last by more than two ticks."""
    for name, real in its.items():
        if len(mine.get(name, ())) != len(real):
            return True
        for (page, us), (its_page, its_us) in zip(mine[name], real, strict=True):
            band = 2 * TICK_US if its_us < 63 * TICK_US else WHEEL_US
            if abs(page - its_page) > 2 or abs(us - its_us) > band:
                return True
    return False


@pytest.mark.parametrize("release", RELEASES)
def test_who_is_above_high_sleeps_as_in_that_kernel(release: str) -> None:
    """As the first time it was asked; then a page or a batch was left of the time before."""
    its = sleeps(recorded("high", release))
    assert sorted(its) == ["A", "B", "C", "D"]
    assert not unlike(sleeps(Asked(FOLDER / "high.txt", release).said), its)


def test_nobody_slows_down_before_5_4() -> None:
    """Negative control: by rules that know no sleep, none is predicted, and that is noticed."""
    mine = sleeps(Asked(FOLDER / "high.txt", "4.19").said)
    assert unlike(mine, sleeps(recorded("high", "6.1")))


# -- writers ---------------------------------------------------------------------------------------


def numbers(lines: Iterable[str], key: str) -> list[int]:
    """Return the first number of each line that begins with `key`, also of those that vary."""
    told = (line.removeprefix(VARIES) for line in lines)
    return [int(line.removeprefix(key).split()[0]) for line in told if line.startswith(key)]


@pytest.mark.stress
@pytest.mark.parametrize("release", spread(RELEASES, 1))
def test_a_writer_of_twice_the_limit_keeps_as_much_as_in_that_kernel(release: str) -> None:
    mine = Asked(FOLDER / "writer.txt", release).said
    its = recorded("writer", release)
    for line in ("touch A 8192 alive", "write B 32768 alive", "alive A B"):
        assert line in mine
        assert line in its
    for key in ("a memory.peak ", "a memory.events oom_kill "):
        assert numbers(mine, key) == numbers(its, key)[:1]
    assert numbers(mine, "a memory.peak ") == [64 * 2**20]
    (resident,) = numbers(mine, "resident /mnt/a ")
    for kept_there in numbers(its, "resident /mnt/a "):
        assert resident == pytest.approx(kept_there, rel=0.01)
    for events in numbers(its, "a memory.events max "):
        assert numbers(mine, "a memory.events max ") == [pytest.approx(events, rel=0.06)]


# -- where an area lies ----------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_a_limit_kills_by_the_tables_that_an_area_takes(release: str) -> None:
    """An area of whole 2 MiB begins with a table since 6.7, and takes one less."""
    lines = recorded("kill_placed", release)
    placed = [int(line.split()[2]) for line in lines if line.startswith("place")]
    touched = [int(line.split()[2]) for line in lines if line.startswith("touch")]
    limits = (16384, 4096, 4096, 32769)
    for first, pages, limit in zip(placed, touched, limits, strict=True):
        tables = -(-(first + pages) // 512)
        assert pages + tables + 1 == limit  # upper tables are there; a page of kernel objects
    assert (placed[1] == 0) == (release == "6.12")


# -- pressure --------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("question", ["high", "high_far"])
def test_pressure_is_the_sleeps_that_were_measured(question: str, release: str) -> None:
    """Of the kernel itself: `memory.pressure` has the sleeps of memory.high, to 2 %."""
    lines = [line.removeprefix(VARIES) for line in recorded(question, release)]
    slow: dict[str, list[int]] = {}
    totals: dict[str, list[int]] = {}
    for line in lines:
        name, *words = line.split()
        if name == "slow" and len(words) > 1:
            sleeps = (int(word.split(":")[1]) for word in words[1:])
            slow.setdefault(words[0].lower(), []).append(sum(sleeps))
        elif words[:2] == ["memory.pressure", "some"]:
            totals.setdefault(name, []).append(int(words[-1].removeprefix("total=")))
    for name, measured in slow.items():
        assert len(measured) == TIMES
        assert totals[name] == pytest.approx(measured, rel=0.02)


# -- promises --------------------------------------------------------------------------------------


def figures(release: str) -> dict[str, list[list[int]]]:
    """Return the numbers of each line of `promises`, by its first two words, time by time."""
    found: dict[str, list[list[int]]] = {}
    for line in recorded("promises", release):
        if not line.startswith("#"):
            words = line.removeprefix(VARIES).split()
            numbers = [int(word) for word in words[2:] if word.isdigit()]
            found.setdefault(" ".join(words[:2]), []).append(numbers)
    return found


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("privileged", [True, False])
def test_promises_end_where_that_kernel_ended_them(release: str, privileged: bool) -> None:
    told = figures(release)
    name = "largest A" if privileged else "largest B"
    limit, user, reserve = (
        told[key][0][0]
        for key in (
            "meminfo CommitLimit",
            "sysctl vm/user_reserve_kbytes",
            "sysctl vm/admin_reserve_kbytes",
        )
    )
    mapped = told["vm A"][0][0]
    for time in range(TIMES):
        kernel = Kernel(memory_pages=300, overcommit=2, commit_limit_pages=limit)
        row = kernel.process()
        at = int(kernel.task(row).space)
        kernel.arrays.config[0].admin_reserve = reserve // 4
        kernel.arrays.config[0].user_reserve = user // 4
        kernel.arrays.processes[int(kernel.task(row).process)].cap_sys_admin = int(privileged)
        kernel.arrays.pool[0].committed = told["meminfo Committed_AS"][time][0]
        kernel.space(row).pages = mapped
        (largest,) = told[name][1 + time]
        assert may_commit(kernel.arrays, row, at, largest)
        assert not may_commit(kernel.arrays, row, at, largest + 1)


@pytest.mark.parametrize("release", RELEASES)
def test_mode_0_grants_all_memory_at_once(release: str) -> None:
    told = figures(release)
    (memory,), (swap,) = told["meminfo MemTotal"][0], told["meminfo SwapTotal"][0]
    kernel = Kernel(memory_pages=300, overcommit=0, kernel=release)
    row = kernel.process()
    kernel.arrays.config[0].ram = memory
    assert told["largest A"][0] == told["largest B"][0] == [memory + swap]
    at = int(kernel.task(row).space)
    assert may_commit(kernel.arrays, row, at, memory + swap)
    assert not may_commit(kernel.arrays, row, at, memory + swap + 1)


# -- asked again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_that_kernel_says_so_again(release: str) -> None:
    name = f"COWPOOL_GUEST_{release.replace('.', '_')}"
    where = os.environ.get(name)
    if not where:
        pytest.skip(f"{name} does not name a kernel to boot: IMAGE:MODULES")
    image, _, modules = where.partition(":")
    question = FOLDER / "kill_pages.txt"
    guest = Guest(Path(image), Path(modules) if modules else None, own_time=True)
    _, said = ask(guest, release, [question], times=1)
    assert repeated(kept(said["kill_pages"])) == repeated(recorded("kill_pages", release))


def test_each_question_has_its_answers() -> None:
    assert all(answer_path(path, release).exists() for path in QUESTIONS for release in RELEASES)
