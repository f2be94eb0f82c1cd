"""The table of what tests of the running kernel depend on, for machines that are not at hand."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import depends, needs
from support.depends import CPU, FILES, GLIBC, QUIET, RELEASE, TABLE, Host, Row

TESTS = Path(__file__).parents[1]
RECORDED = Host(
    release="6.18.44",
    vendor="AuthenticAMD",
    features=depends.RECORDED_FEATURES,
    glibc="2.36",
    files="ext4",
    runnable=1.2,
    cpus=2,
)
INTEL = replace(RECORDED, vendor="GenuineIntel")
OTHERS = {
    RELEASE: [replace(RECORDED, release="6.12.1"), replace(RECORDED, release="7.1.0")],
    CPU: [INTEL, replace(RECORDED, features=depends.RECORDED_FEATURES - {"avx512vl"})],
    QUIET: [replace(RECORDED, runnable=4.0)],
    GLIBC: [replace(RECORDED, glibc="2.41"), replace(RECORDED, glibc="")],
    FILES: [replace(RECORDED, files="btrfs")],
}
EVERYTHING = tuple(OTHERS)


def judged(row: Row, host: Host) -> str:
    """Return what becomes of a failed test on a host."""
    report = SimpleNamespace(outcome="failed", longrepr="", location=("a.py", 3, "test_it"))
    depends.judge(report, row, "1 fault too many", lambda: host)
    if report.outcome == "skipped":
        assert report.longrepr[2].startswith("Skipped: unchecked: ")
        assert report.longrepr[2].endswith("; it differs: 1 fault too many")
    return report.outcome


def test_where_all_is_as_recorded_a_difference_is_red():
    assert judged(Row((), EVERYTHING), RECORDED) == "failed"


@pytest.mark.parametrize("what", EVERYTHING)
def test_a_difference_is_unchecked_where_what_decides_it_differs_and_red_elsewhere(what):
    for host in OTHERS[what]:
        assert judged(Row((), (what,)), host) == "skipped"
        assert judged(Row((), tuple(w for w in EVERYTHING if w != what)), host) == "failed"


def test_counts_of_serialised_touches_are_red_on_any_cpu_however_busy():
    row = depends.row_of("truth/test_kernel_conformance.py::test_the_kernel_still_says_so[orphans]")
    assert row is not None
    busy_intel = replace(INTEL, runnable=9.0, glibc="2.41", files="xfs")
    assert judged(row, busy_intel) == "failed"
    assert judged(row, replace(busy_intel, release="6.19.0")) == "skipped"


@pytest.mark.parametrize("host", [host for hosts in OTHERS.values() for host in hosts])
def test_a_broken_rule_is_red_everywhere(host):
    name = "truth/test_kernel_conformance.py::test_a_broken_rule_is_noticed"
    row = depends.row_of(name)
    assert row is TABLE[name]
    assert judged(row, host) == "failed"


def test_what_is_missing_is_said():
    assert depends.missing(Row((lambda: "", lambda: "there is no root"))) == "there is no root"
    assert depends.missing(Row((lambda: "",))) == ""


def test_this_host_can_be_described():
    host = depends.this_host()
    assert host.cpus >= 1
    assert host.runnable >= 0
    assert {what: host.differs_in(what) for what in EVERYTHING}.keys() == set(EVERYTHING)


@pytest.mark.parametrize("name", TABLE)
def test_the_table_speaks_of_tests_that_exist(name):
    file, _, test = name.partition("::")
    text = (TESTS / file).read_text(encoding="utf-8")
    assert "mark.kernel" in text
    assert f"def {test}(" in text or not test


def test_every_need_can_be_asked():
    asked = {need for row in TABLE.values() for need in row.needs}
    assert asked
    assert all(isinstance(need(), str) for need in asked)


def test_a_compiler_that_cannot_compile_is_missing(monkeypatch):
    def refuses():
        raise needs.HostError("`cc` cannot compile it:\nno such file: stdio.h")

    monkeypatch.setattr(needs, "driver_path", refuses)
    assert needs.driver.__wrapped__() == "`cc` cannot compile it: no such file: stdio.h"


def told(nodeid: str, when: str = "call", asks: bool = True) -> SimpleNamespace:
    return SimpleNamespace(nodeid=nodeid, when=when, asks_the_kernel=asks)


def test_what_asked_the_kernel_is_counted_once_and_nothing_else():
    stats = {
        "passed": [told("a"), told("b"), told("b", "teardown"), told("c"), told("d", asks=False)],
        "skipped": [told("e", "setup"), SimpleNamespace(nodeid="collected")],
        "failed": [told("f")],
        "error": [told("c", "teardown"), told("g", "setup")],
    }
    assert depends.verdicts(stats) == {"held": 2, "unchecked": 1, "red": 3}
