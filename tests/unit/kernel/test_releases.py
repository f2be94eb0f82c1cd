"""Releases as people write them, the nearest known one, and what is said where it is another."""

import pytest

from sim.machine.releases import followed_release, known_release
from sim.machine.rules import RULES, rules_of
from sim.machine.rules.later import LATER
from sim.machine.rules.told import release_note


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("6.12", "6.12"),
        ("3.10", "3.10"),
        ("5.15.0-91-generic", "5.15"),
        ("6.1.0-18-cloud-amd64", "6.1"),
        ("6.12.117+deb13-amd64", "6.12"),
        ("6.8.0-1021-aws", "6.8"),
        ("5.10.0-28-amd64", "5.10"),
        ("7.1.0-rc3", "7.1"),
        ("4.18.0-372.el8", "4.18-el8"),
        ("4.18.0-372", "4.18-el8"),
        ("4.18.0-25-generic", "4.18"),
        ("3.10.0-1160", "3.10-el7"),
        ("3.10.0-1160.119.1.el7.x86_64", "3.10-el7"),
        ("5.14.0-427.13.1.el9_4.x86_64", "5.14-el9"),
        ("5.14.0-1001-oem", "5.14"),
        ("5.4.17-2136.312.3.4.el8uek.x86_64", "5.4"),
    ],
)
def test_spellings(written, kept):
    assert known_release(written) == kept
    assert known_release(kept) == kept


@pytest.mark.parametrize("text", ["3.9", "2.6.32-754.el6.x86_64", "0.1", "10.0", "61.2"])
def test_what_is_too_old_or_a_slip_of_the_pen(text):
    with pytest.raises(ValueError, match=r"not known; write \"3\.10\" to \"6\.18\", or a newer"):
        known_release(text)


@pytest.mark.parametrize(
    ("release", "followed"),
    [
        ("3.10", (3, 10)),
        ("4.15", (4, 15)),
        ("6.18", (6, 18)),
        ("6.19", (6, 18)),
        ("7.1", (6, 18)),
        ("3.25", (3, 19)),
        ("4.21", (4, 20)),
        ("5.30", (5, 19)),
        ("4.18-el8", (4, 18)),
    ],
)
def test_the_nearest_known_release_is_followed(release, followed):
    assert followed_release(release) == followed
    assert rules_of(release) == sum(rule for rule in RULES.values() if rule.since <= followed)


@pytest.mark.parametrize("release", ["4.19", "5.4", "5.10", "5.15", "6.1", "6.6", "6.12", "6.18"])
def test_nothing_is_said_of_a_release_that_is_known(release):
    assert release_note(release) == ""


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("7.1", "newer than all that is known: the rules of 6.18 hold; not in them: only full and"),
        ("6.19", "the rules of 6.18 hold; what changed since is not known"),
        ("4.31", "Linux 4.31 never was: the rules of 4.20 hold"),
        (
            "4.15",
            "of Linux 4.15 the rules of overcommit, kernel stacks, fault-around and MADV_FREE",
        ),
        ("4.15", "are known: the rest is 4.19's"),
        ("3.10-el7", "kernels of el7 carry much of later releases: any of the 44 rules"),
        ("5.14-el9", "kernels of el9 carry much of later releases"),
    ],
)
def test_what_is_said_of_one_that_is_not(release, said):
    assert said in release_note(release)
    assert "\n" not in release_note(release)


@pytest.mark.parametrize("row", LATER, ids=lambda row: row.what)
def test_a_later_change_is_said_from_its_release_on(row):
    major, minor = row.since
    assert row.what in release_note(f"{major}.{minor}")
    assert row.what in release_note("9.1")
    before = f"{major}.{minor - 1}" if minor else "6.19"
    assert row.what not in release_note(before)


def test_what_came_later_is_in_order_and_after_all_that_is_known():
    assert [row.since for row in LATER] == sorted(row.since for row in LATER)
    assert all(rule.since < LATER[0].since for rule in RULES.values())
