"""What changed between releases of Linux: each rule of the table, before and since."""

import re
from pathlib import Path

import pytest
from support.kernel import DONE, Kernel

from sim.base.units import KIB
from sim.kernel import ops
from sim.kernel.overcommit import free_guess
from sim.kernel.work import EINVAL, ENOMEM
from sim.machine.layout import (
    A_ACCOUNT,
    A_DONTFORK,
    A_READ,
    A_WRITE,
    HUGE_ORDER,
    NONE,
    THP_ALWAYS,
    THP_NEVER,
)
from sim.machine.releases import NEWEST, OLDEST, parse_release, release_name
from sim.machine.rules import RULES, rules_of, rules_table
from sim.machine.rules.cgroup import DIFFERENCES, cgroup_rules, cgroup_table
from sim.scenario.defaults import kernel_stack_bytes
from sim.script.predict import predict
from sim.script.validity import parse_script

HUGE = 512
AT = HUGE * 1000
READ_WRITE = A_READ | A_WRITE | A_ACCOUNT
MODEL_PAGE = Path(__file__).parents[3] / "docs" / "model.md"


def last_figures(script: str, kernel: str) -> tuple[int, str]:
    """Return the faults of the script's last operation, and the figures of P's region A then."""
    record = predict(parse_script(script), kernel=kernel, audit=True)[-1]
    figures = [str(f) for f in record.figures if (f.process, f.region) == ("P", "A")]
    return record.minflt, figures[0] if figures else ""


# -- the table -----------------------------------------------------------------------------------


def test_rules_are_in_order_and_each_has_a_bit_of_its_own():
    since = [rule.since for rule in RULES.values()]
    assert since == sorted(since)
    assert sorted(RULES.values()) == [1 << i for i in range(len(RULES))]


def test_the_oldest_follows_none_and_the_newest_all():
    assert rules_of(release_name(OLDEST)) == 0
    assert rules_of(release_name(NEWEST)) == (1 << len(RULES)) - 1


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_holds_from_its_release_on(rule):
    major, minor = rule.since
    assert rules_of(release_name(rule.since)) & rule
    if minor > 0:
        assert not rules_of(f"{major}.{minor - 1}") & rule


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_read_where_it_is_said_to_be_simulated(name):
    assert bool(readers_of(name)) == RULES[name].simulated, readers_of(name)


def readers_of(name: str) -> list[str]:
    """Return the files that ask for a rule."""
    return [
        path.name
        for path in (MODEL_PAGE.parents[1] / "sim").rglob("*.py")
        if path.parent.name != "rules" and re.search(rf"\b{name}\b", path.read_text("utf-8"))
    ]


def test_the_model_page_has_the_tables():
    """`python -m sim.machine.rules` prints them."""
    page = MODEL_PAGE.read_text(encoding="utf-8")
    assert rules_table() in page
    assert cgroup_table() in page


def test_what_is_not_simulated_yet_is_said_to_be_so():
    lines = rules_table().splitlines()[2:]
    for line, rule in zip(lines, RULES.values(), strict=True):
        assert ("not simulated" in line) == (not rule.simulated), line


def test_each_difference_of_version_1_has_a_bit_of_its_own():
    assert sorted(DIFFERENCES.values()) == [1 << i for i in range(len(DIFFERENCES))]
    assert cgroup_rules("v2") == 0
    assert cgroup_rules("v1") == (1 << len(DIFFERENCES)) - 1


@pytest.mark.parametrize("row", DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_difference_says_what_both_versions_do(row):
    assert row.v1 != row.v2
    assert all((row.v1, row.v2, row.changes, row.checked))


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_read_where_it_is_said_to_be_simulated(name):
    assert bool(readers_of(name)) == DIFFERENCES[name].simulated


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_machine_knows_the_version_of_its_groups(version):
    kernel = Kernel(memory_pages=64, cgroup=version)
    assert int(kernel.arrays.config[0].cgroup) == cgroup_rules(version)


@pytest.mark.parametrize("text", ["6", "x.y", "6.x", "", "-1.2", "²5.1", "6.0000000012", "6.12rc1"])
def test_what_is_no_release(text):
    with pytest.raises(ValueError, match="is not a kernel"):
        parse_release(text)


# -- what scripts show ---------------------------------------------------------------------------

SHARED_HUGE = "P map A 512\nP hugepage A\nP write A 0 1\nP fork C\nC read A 0 1\nP write A 0 2\n"
HUGE_ZERO = "P map A 512\nP hugepage A\nP read A 0 1\nP write A 0 1\n"
PROTECTED = "P map A 4\nP write A 0 4\nP protect A 0 4 r\nP protect A 0 4 rw\nP write A 0 4\n"
PROTECTED_HUGE = (
    "P map A 512\nP hugepage A\nP write A 0 1\nP protect A 0 512 r\nP protect A 0 512 rw\n"
    "P write A 0 4\n"
)
FREED_IN_PART = "P map A 512\nP hugepage A\nP write A 0 1\nP free A 8 16\nP read A 0 1\n"
FILE = "P mapfile A 32\nP read A 0 32\n"
GIVEN_BACK = "P map A 512\nP write A 0 1\nP hugepage A\nP dontneed A 0 512\nP write A 0 1\n"


@pytest.mark.parametrize(
    ("script", "kernel", "faults", "figure"),
    [
        (SHARED_HUGE, "5.4", 1, "thp=512"),  # copied whole: the second page needs no fault
        (SHARED_HUGE, "5.8", 2, "thp=0"),
        (HUGE_ZERO, "5.4", 1, "thp=512"),
        (HUGE_ZERO, "5.8", 1, "thp=0"),
        (HUGE_ZERO, "6.12", 1, "thp=0"),
        (HUGE_ZERO, "6.13", 1, "thp=512"),
        (PROTECTED, "5.19", 4, "anon=4"),
        (PROTECTED, "6.0", 0, "anon=4"),
        (PROTECTED_HUGE, "6.1", 1, "thp=512"),
        (PROTECTED_HUGE, "6.2", 0, "thp=512"),
        (GIVEN_BACK, "6.13", 1, "thp=0"),
        (GIVEN_BACK, "6.14", 1, "thp=512"),
        (FILE, "3.14", 32, "rss=32"),
        (FILE, "3.15", 2, "rss=32"),
        (FREED_IN_PART, "6.11", 0, "rss=512"),
        (FREED_IN_PART, "6.12", 0, "rss=1"),  # the pages of zeros have become the zero page
    ],
)
def test_a_script_as_a_release_would_do_it(script, kernel, faults, figure):
    found, figures = last_figures(script, kernel)
    assert found == faults
    assert figure in figures.split()


@pytest.mark.parametrize(
    ("kernel", "written", "areas"),
    [("6.15", 0, 1), ("6.16", 0, 1), ("6.15", 8, 2), ("6.16", 8, 1)],
)
def test_who_has_the_family_when_areas_merge(kernel, written, areas):
    """The upper half becomes like the lower one; page `written` gave its half a family."""
    k = Kernel(memory_pages=200, kernel=kernel)
    row = k.process()
    before = len(k.areas(row))
    k.mmap(row, 16, start=AT)
    k.call(row, ops.OP_MADVISE, start=AT, pages=8, set_flags=A_DONTFORK, clear_flags=0)
    k.write(row, AT + written)
    k.call(row, ops.OP_MADVISE, start=AT + 8, pages=8, set_flags=A_DONTFORK, clear_flags=0)
    assert len(k.areas(row)) - before == areas
    k.machine.audit()


# -- what only memory and addresses show -----------------------------------------------------------


def shared_huge_page(memory_pages: int, kernel: str) -> tuple[Kernel, int, int]:
    k = Kernel(memory_pages=memory_pages, thp=THP_ALWAYS, kernel=kernel)
    row = k.process()
    k.mmap(row, HUGE, start=AT)
    k.write(row, AT)
    return k, row, k.fork(row)


@pytest.mark.parametrize(("kernel", "reused"), [("5.8", 1), ("6.14", 0), ("6.15", 1)])
def test_who_is_left_with_a_large_folio_reuses_its_pages_again(kernel, reused):
    """Its huge entry was split while a child had it too; the child is gone."""
    k, row, child = shared_huge_page(8192, kernel)
    k.write(row, AT)  # a copy, beside 511 pages that are shared
    k.exit(child)
    k.write(row, AT + 1)
    assert k.work["COW_REUSE"] == reused
    assert k.work["COW_COPY"] == 1 - reused


def test_a_shared_huge_page_is_copied_whole_before_5_8():
    k, row, child = shared_huge_page(4096, "5.4")
    taken = k.in_use()
    k.write(child, AT)
    assert k.in_use() == taken + HUGE
    assert k.work["HUGE_COPY"] == 1
    assert int(k.arrays.pool[0].cow_copies) == HUGE
    k.write(row, AT)
    assert k.work["COW_REUSE"] == 1
    k.machine.audit()
    k.exit(child)
    k.exit(row)
    assert k.in_use() == 0


def test_without_a_block_single_frames_take_the_copy():
    k, _, child = shared_huge_page(2600, "5.4")
    k.arrays.config[0].thp = THP_NEVER
    breaker = k.process()
    at = k.mmap(breaker, 2000)
    written = 0
    while k.arrays.buddy[0, HUGE_ORDER:]["count"].sum() > 0:
        k.write(breaker, at + written)
        written += 1
    for page in range(at, at + written, 2):
        k.call(breaker, ops.OP_DONTNEED, start=page, pages=1)
    assert k.arrays.buddy[0, HUGE_ORDER:]["count"].sum() == 0
    taken = k.in_use()
    k.write(child, AT)
    assert k.work["HUGE_COPY"] == 1
    assert k.in_use() == taken + HUGE
    assert k.page_is(child, AT + 5) == "exclusive, writable"
    k.machine.audit()


def test_the_guess_of_old_kernels_compares_with_what_is_free():
    old = Kernel(memory_pages=300, kernel="4.19")
    row = old.process()
    free = int(old.arrays.pool[0].free)
    assert int(free_guess(old.arrays)) == free - int(old.arrays.config[0].total_reserve)
    largest = int(free_guess(old.arrays)) - int(old.arrays.config[0].admin_reserve) - 1
    fields = {"start": NONE, "map_flags": READ_WRITE}
    assert old.call(row, ops.OP_MMAP, pages=largest + 1, **fields) == DONE
    assert old.errno(row) == ENOMEM
    assert old.call(row, ops.OP_MMAP, pages=largest, **fields) == DONE
    assert old.errno(row) == 0
    new = Kernel(memory_pages=300, kernel="5.2")
    assert new.call(new.process(), ops.OP_MMAP, pages=300, **fields) == DONE


@pytest.mark.parametrize(("kernel", "errno"), [("4.4", EINVAL), ("4.5", 0)])
def test_madv_free_came_with_4_5(kernel, errno):
    k = Kernel(memory_pages=200, kernel=kernel)
    row = k.process()
    at = k.mmap(row, 4)
    k.write(row, at)
    assert k.call(row, ops.OP_FREE, start=at, pages=4) == DONE
    assert k.errno(row) == errno


@pytest.mark.parametrize(("kernel", "stack"), [("3.14", 8 * KIB), ("3.15", 16 * KIB)])
def test_kernel_stacks_have_grown(kernel, stack):
    assert kernel_stack_bytes(kernel) == stack


@pytest.mark.parametrize(
    ("kernel", "pages", "aligned"),
    [
        ("6.6", 1024, False),
        ("6.7", 1024, True),
        ("6.7", 1000, True),
        ("6.7", 511, False),
        ("6.12", 1000, False),
        ("6.18", 1024, True),
    ],
)
def test_large_mappings_begin_at_a_boundary(kernel, pages, aligned):
    k = Kernel(memory_pages=200, kernel=kernel, overcommit=1)
    row = k.process()
    k.mmap(row, 3)
    assert (k.mmap(row, pages) % HUGE == 0) == aligned
