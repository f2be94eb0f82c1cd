"""What the scripts of lecture and textbook are there to show, counted by hand beforehand.

Of each line: faults by kind, frames taken, frames that came back.
"""

from pathlib import Path

import pytest

from sim.machine.work import COW_COPY, COW_REUSE, NAMES
from sim.script.validity import load_script
from sim.walk.tell.story import MachineChoice, tell

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.truth

MAP = ({}, 0, 0)
NOTHING = ({}, 0, 0)
FORK = ({}, 11, 0)
"""Kernel stack 4, the top table, 3 more for the stack, 3 for a region."""
FORK_OF_NOTHING = ({}, 8, 0)


def zero(pages, tables=0):
    return ({"zero_fill": pages}, pages + tables, 0)


def copies(pages):
    return ({"cow_copy": pages}, pages, 0)


def reuses(pages):
    return ({"cow_reuse": pages}, 0, 0)


EXEC = {"zero_fill": 1}
"""The kernel's own write to the new stack."""

LECTURE = {
    "01_fork": [MAP, zero(4, 3), FORK, NOTHING],
    "02_copy_on_write": [MAP, zero(4, 3), FORK, copies(1), copies(1), reuses(1)],
    "03_last_owner": [MAP, zero(4, 3), FORK, copies(1), ({}, 0, 12), reuses(4)],
    "04_zero_page": [MAP, ({"zero_page_map": 4}, 3, 0), zero(2), zero(1), ({}, 0, 2)],
    "05_three_owners": [MAP, zero(3, 3), FORK, FORK, copies(1), copies(1), reuses(1)],
    "06_private_and_shared": [
        MAP,
        MAP,
        zero(2, 3),
        zero(2, 1),
        FORK,
        ({"file_map": 1}, 1, 0),
        copies(1),
        NOTHING,
    ],
    "07_file": [({}, 6, 0), ({"file_map": 1}, 3, 0), copies(1), FORK, copies(1), ({}, 0, 4)],
    "08_shared_file": [
        ({}, 4, 0),
        ({"file_map": 1}, 3, 0),
        ({"spurious": 1}, 0, 0),
        FORK_OF_NOTHING,
        ({"file_map": 2}, 3, 0),
        NOTHING,
    ],
    "09_vfork": [
        MAP,
        zero(4, 3),
        FORK,
        (EXEC, 5, 7),
        reuses(4),
        ({}, 4, 0),
        (EXEC, 5, 0),
        NOTHING,
    ],
}
TEXTBOOK = {
    "1_copy_on_write": [MAP, zero(6, 3), FORK, NOTHING, copies(2), ({}, 0, 13), reuses(6)],
    "3_malloc": [MAP, zero(3, 3), NOTHING, ({}, 0, 2)],
    "4_page_table": [
        MAP,
        ({"zero_page_map": 1}, 3, 0),
        ({"zero_page_map": 5}, 0, 0),
        zero(6),
    ],
    "5_fork_exec": [
        MAP,
        zero(5, 3),
        FORK,
        (EXEC, 5, 7),
        ({}, 0, 9),
        reuses(5),
        ({}, 4, 0),
        (EXEC, 5, 0),
        ({}, 0, 9),
        NOTHING,
    ],
    "6_no_fresh_page": [
        MAP,
        ({"zero_page_map": 3}, 3, 0),
        MAP,
        zero(3, 1),
        FORK,
        ({}, 0, 11),
        reuses(3),
        ({}, 0, 4),
        MAP,
        NOTHING,
        ({"segfault": 1}, 0, 12),
    ],
}


def told(path, **choice):
    return tell(load_script(path), MachineChoice(**{"frames": 64, **choice}))


def named(faults):
    return {NAMES[kind]: n for kind, n in faults.items()}


def effects(story):
    return [
        (named(c.effects.faults), c.effects.taken.total(), c.effects.returned.total())
        for c in story.chapters
    ]


@pytest.mark.parametrize("name", LECTURE)
def test_a_script_of_the_lecture_shows_what_is_said_of_it(name):
    assert effects(told(ROOT / "docs" / "lecture" / f"{name}.txt")) == LECTURE[name]


@pytest.mark.parametrize("name", TEXTBOOK)
def test_a_script_of_the_textbook_shows_what_is_said_of_it(name):
    path = ROOT / "experiments" / "001_textbook" / "walk" / f"{name}.txt"
    assert effects(told(path)) == TEXTBOOK[name]


def test_out_of_memory_kills_who_did_not_ask_and_spares_a_copy():
    story = told(ROOT / "docs" / "lecture" / "10_out_of_memory.txt", frames=47)
    assert [c.free for c in story.chapters] == [37, 30, 19, 8, 8, 3, 1, 15, 15]
    write = story.chapters[7]
    assert [(kill.asked, kill.victim) for kill in write.kills] == [("P", "D")]
    assert write.kills[0].effects.returned.total() == 17
    assert [touch.kind for touch in write.effects.touches] == [
        COW_COPY,
        COW_REUSE,
        COW_COPY,
        COW_COPY,
    ]
    assert story.chapters[8].reason == "D was killed: out of memory"
    waiting = told(ROOT / "docs" / "lecture" / "10_out_of_memory.txt", frames=47, policy="wait")
    assert waiting.waiting == ("P",)


def test_one_pool_serves_copies_and_heaps():
    path = ROOT / "experiments" / "001_textbook" / "walk" / "2_one_pool.txt"
    killed = told(path, frames=49)
    assert [(kill.asked, kill.victim) for c in killed.chapters for kill in c.kills] == [("P", "H")]
    assert killed.chapters[6].effects.faults == {COW_COPY: 4}
    waits = told(path, frames=49, policy="wait")
    assert [(c.number, c.ending, c.minor_faults) for c in waits.chapters[6:]] == [
        (7, "waits", 2),
        (8, "", 0),
        (7, "", 2),
    ]


def test_without_copy_on_write_and_demand_zeroing_nothing_faults_after_the_calls():
    path = ROOT / "experiments" / "001_textbook" / "walk" / "7_without.txt"
    assert effects(told(path, fork="eager", eager_zero=True)) == [
        zero(4, 3),
        NOTHING,
        ({}, 16, 0),
        NOTHING,
        ({}, 0, 16),
    ]
