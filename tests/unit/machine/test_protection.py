"""What is protected of a group, as `mem_cgroup_calculate_protection` works it out."""

from typing import Any

import pytest
from support.machines import machine

from sim.machine.layout import FOREVER, ROOT
from sim.machine.page_counter import (
    calculate_protection,
    effective_protection,
    page_counter_charge,
)


@pytest.mark.parametrize(
    ("usage", "setting", "of_parent", "of_siblings", "used", "protected"),
    [
        (100, 0, 50, 0, 0, 0),
        (100, 40, 50, 40, 0, 40),  # all of what it claims
        (30, 40, 50, 30, 0, 30),  # no more than it uses
        (100, FOREVER, 200, 100, 0, 100),
        (200, 300, 200, 300, 0, 133),  # two thirds of what siblings claim and use
        (200, 300, 200, 300, 500, 133),
        (200, 100, 200, 300, 0, 66),
        (100, 40, 0, 40, 0, 0),  # the group around it has nothing to give
        (100, 40, FOREVER, 40, 0, 40),
        (100, 0, 50, 0, 100, 50),  # it alone: all that the group around it has
        (100, 0, 50, 0, 200, 25),  # half, as its neighbour uses as much
        (100, 40, 90, 60, 220, 40 + 30 * 60 // 160),  # of the rest, by what is beyond claims
        (30, 40, 90, 30, 130, 30),  # who uses less than it claims needs no share
    ],
)
def test_effective_protection(
    usage: int, setting: int, of_parent: int, of_siblings: int, used: int, protected: int
) -> None:
    found = effective_protection(usage, setting, of_parent, of_siblings, used)
    assert found == protected


def family(key: str) -> tuple[Any, Any, dict[str, int]]:
    """Return the example of the kernel's comment, in pages for GiB/100: A with B to E in it."""
    made = machine(memory_pages=4096)
    rows = {"A": made.new_group(**{f"{key}_pages": 200})}
    for name, setting, usage in (("B", 300, 200), ("C", 100, 200), ("D", 0, 200), ("E", 1000, 0)):
        rows[name] = made.new_group(rows["A"], **{f"{key}_pages": setting})
        page_counter_charge(made.arrays, rows[name], usage)
    return made, made.arrays, rows


@pytest.mark.parametrize("key", ["min", "low"])
def test_siblings_share_what_is_protected_of_the_group_around_them(key: str) -> None:
    """B and C come to 1.3 and 0.6 of A's 2: what is claimed and not used counts for nobody."""
    _, m, rows = family(key)
    for name in "ABCDE":
        calculate_protection(m, ROOT, rows[name])
    found = {name: int(m.groups[row][f"e{key}"]) for name, row in rows.items()}
    assert found == {"A": 200, "B": 133, "C": 66, "D": 0, "E": 0}
    assert int(m.groups[rows["A"]][f"children_{key}"]) == 300


@pytest.mark.parametrize("key", ["min", "low"])
def test_a_group_at_its_own_limit_protects_what_its_children_claim(key: str) -> None:
    """The setting of the group for which reclaim works is nothing to them."""
    _, m, rows = family(key)
    for name in "ABCDE":
        calculate_protection(m, rows["A"], rows[name])
    found = {name: int(m.groups[row][f"e{key}"]) for name, row in rows.items()}
    assert found == {"A": 0, "B": 300, "C": 100, "D": 0, "E": 0}  # E holds nothing: not worked out


def test_what_is_protected_follows_usage_and_the_audit_sees_it() -> None:
    made, m, rows = family("low")
    page_counter_charge(m, rows["B"], -150)
    page_counter_charge(m, rows["E"], 70)
    assert int(m.groups[rows["A"]].children_low) == 50 + 100 + 70
    for name in "BCDE":
        page_counter_charge(m, rows[name], -int(m.groups[rows[name]].usage))
    made.audit()
    m.groups[rows["A"]].children_low += 1
    with pytest.raises(Exception, match="protected"):
        made.audit()


@pytest.mark.parametrize(("kernel", "protected"), [("5.4", 0), ("5.10", 100)])
def test_what_nobody_claims_is_shared_out_since_5_7(kernel: str, protected: int) -> None:
    made = machine(memory_pages=4096, kernel=kernel)
    outer = made.new_group(low_pages=200)
    inner = [made.new_group(outer) for _ in range(2)]
    for row in inner:
        page_counter_charge(made.arrays, row, 150)
    for row in (outer, *inner):
        calculate_protection(made.arrays, ROOT, row)
    assert [int(made.arrays.groups[row].elow) for row in inner] == [protected] * 2
