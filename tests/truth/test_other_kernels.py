"""The rules of other releases of Linux, against what those kernels said in a virtual machine.

`tests.truth.other_kernels` asked them; this needs no kernel.
"""

import platform
import subprocess
from pathlib import Path

import pytest
from support.kernel import Kernel
from support.samples import sample

import sim.machine.spec as simulated
from sim.host.compare import compare, count_differences
from sim.host.conditions import assumed_release
from sim.kernel.overcommit import may_commit
from sim.machine.layout import HUGE_PAGES
from sim.machine.releases import release_name
from sim.machine.rules import RULES, rules_of
from sim.machine.rules.areas import R_ALIGN_LARGE, R_ALIGN_WHOLE
from sim.machine.rules.locks import R_AREA_LOCKS
from sim.machine.rules.pressure import (
    R_FULL_WALK,
    R_HIGH_AT_ONCE,
    R_HIGH_RETRIES,
    R_HIGH_SLEEPS,
    R_PROPORTIONAL,
    R_RECURSIVE_PROT,
)
from sim.machine.rules.rule import KERNEL_6_1, KERNEL_6_12, Rule
from sim.script.predict import predict
from sim.script.record import OpRecord, format_records
from sim.script.validity import load_script
from tests.truth.other_kernels import PROGRAMS, READ_AHEAD, RELEASES, answer_path, built
from tests.truth.record_scripts import SCRIPTS, comparable

pytestmark = pytest.mark.truth

CLAIMED = {KERNEL_6_1: "6.1", KERNEL_6_12: "6.12"}
ASKED_OTHERWISE = (
    R_ALIGN_LARGE | R_ALIGN_WHOLE | R_AREA_LOCKS
    | R_FULL_WALK | R_PROPORTIONAL | R_RECURSIVE_PROT
    | R_HIGH_SLEEPS | R_HIGH_RETRIES | R_HIGH_AT_ONCE
)  # fmt: skip
"""Rules that no script shows: programs asked, and members of groups."""


def claimed(rule: Rule) -> str:
    """Return the release on which a rule, or what was before it, is called checked; "" if none."""
    return CLAIMED.get(rule.checked_before) or CLAIMED.get(rule.checked, "")


def predicted(path: Path, release: str) -> list[OpRecord]:
    return comparable(predict(load_script(path), kernel=release))


def is_as_recorded(path: Path, release: str) -> bool:
    if path in READ_AHEAD:
        answer = path.with_suffix(f".expected-{release}").read_text(encoding="utf-8")
    else:
        answer = answer_path(path, release).read_text(encoding="utf-8")
    return format_records(predicted(path, release)) == answer


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("path", [*SCRIPTS, *READ_AHEAD], ids=lambda path: path.stem)
def test_predictions_are_what_that_kernel_said(path: Path, release: str):
    assert is_as_recorded(path, release)


@pytest.mark.parametrize(
    "rule",
    [rule for rule in RULES.values() if claimed(rule) and rule & ASKED_OTHERWISE == 0],
    ids=lambda rule: release_name(rule.since),
)
def test_a_rule_that_came_too_early_would_show(monkeypatch: pytest.MonkeyPatch, rule: Rule):
    """What the table calls checked is noticed by a script if it is wrong."""
    release = claimed(rule)
    monkeypatch.setattr(simulated, "rules_of", lambda kernel: rules_of(kernel) ^ rule)
    assert not all(is_as_recorded(path, release) for path in (*READ_AHEAD, *SCRIPTS))


def test_answers_that_differ_are_kept_and_no_others():
    for path in SCRIPTS:
        for release in RELEASES:
            own = path.with_suffix(f".expected-{release}")
            if own.exists():
                assert own.read_text("utf-8") != path.with_suffix(".expected").read_text("utf-8")
    newest = {path: predict(load_script(path)) for path in SCRIPTS}
    assert any(
        count_differences(compare(predict(load_script(path), kernel="6.1"), newest[path]))
        for path in SCRIPTS
    )


# -- what programs asked ---------------------------------------------------------------------------


def answer(program: str, release: str) -> dict[str, list[int]]:
    (path,) = (path for path in PROGRAMS if path.stem == program)
    text = path.with_suffix(f".expected-{release}").read_text(encoding="utf-8")
    return {line.split()[0]: [int(word) for word in line.split()[1:]] for line in text.splitlines()}


@pytest.mark.parametrize("release", RELEASES)
def test_mappings_begin_where_that_kernel_put_them(release: str):
    for pages, (aligned,) in answer("mapping_places", release).items():
        kernel = Kernel(memory_pages=300, kernel=release, overcommit=1)
        row = kernel.process()
        kernel.mmap(row, 3)
        starts = {kernel.mmap(row, int(pages)) % HUGE_PAGES for _ in range(8)}
        assert (starts == {0}) == (aligned == 8), pages


@pytest.mark.parametrize("release", RELEASES)
def test_promises_end_where_that_kernel_ended_them(release: str):
    """Overcommit mode 2, to the page; asked by root, for whom nothing is kept back for root."""
    told = {name: value for name, (value,) in answer("largest_promise", release).items()}
    assert told["limit"] == told["memory"] * 50 // 100
    kernel = Kernel(memory_pages=300, overcommit=2, commit_limit_pages=told["limit"])
    row = kernel.process()
    pool, config, space = kernel.arrays.pool[0], kernel.arrays.config[0], kernel.space(row)
    config.admin_reserve, config.user_reserve = 0, told["user"]
    pool.committed, space.pages = told["promised"], told["mapped"]
    at = int(kernel.task(row).space)
    assert may_commit(kernel.arrays, row, at, told["largest"])
    assert not may_commit(kernel.arrays, row, at, told["largest"] + 1)


TRIES = 9
AT_ONCE = sample(3, TRIES)
"""Tries of a fork; and of them so many at once, until they show what is expected."""


def waits(parts: list[int]) -> bool:
    """Whether the longest fault took most of the fork, in all tries but one, disturbed or not."""
    return sorted(parts)[1] >= 50


@pytest.mark.parametrize("release", RELEASES)
def test_faults_wait_for_a_fork_as_in_that_kernel(release: str):
    """Threads of simulated programs: `test_an_area_that_fork_has_not_come_to_is_free`."""
    found = {where: waits(parts) for where, parts in answer("faults_during_fork", release).items()}
    by_area = rules_of(release) & R_AREA_LOCKS != 0
    assert found == {"low": True, "high": not by_area, "new": True}


@pytest.mark.kernel
def test_faults_wait_for_a_fork_as_in_the_running_kernel(tmp_path: Path):
    (source,) = (path for path in PROGRAMS if path.stem == "faults_during_fork")
    program = built(tmp_path, source.stem, [source])
    by_area = rules_of(assumed_release(platform.release())) & R_AREA_LOCKS != 0
    expected = {"low": True, "high": not by_area, "new": True}
    told: dict[str, list[int]] = {}
    for number in range(0, 3 * TRIES, AT_ONCE):  # other programs may be very busy
        if number % TRIES == 0:
            told = {where: [] for where in expected}
        command = [program, *([str(AT_ONCE)] if AT_ONCE < TRIES else [])]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for where, *parts in map(str.split, printed.splitlines()):
            told[where] += map(int, parts)
        if {where: waits(parts) for where, parts in told.items()} == expected:
            return
    pytest.fail(str(told))
