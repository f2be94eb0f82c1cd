"""Scripts of anonymous memory under a limit: read, printed, drawn, and made shorter."""

import pytest

from sim.base.errors import ScenarioError
from sim.script.pressure.grammar import (
    FORK,
    MAP,
    MAPPING,
    READ,
    SHARE,
    TELL,
    WAIT,
    WRITE,
    Verb,
    parse_pressure_script,
    parts,
    possible_lines,
)
from sim.script.pressure.random import random_script
from sim.script.pressure.shrink import shrink

TEXT = """limit 128
swappiness 100
P map A 8
P write A 0-3 7
P fork C
C map B 2
C read A 7-6 times 2
P write A 1
"""


def test_a_script_is_printed_as_it_is_written():
    script = parse_pressure_script(TEXT)
    assert str(script) == TEXT
    assert (script.limit_pages, script.swappiness) == (128, 100)
    assert script.processes == {"P": 0, "C": 1}
    assert script.regions == {"A": 0, "B": 1}


def test_every_line_ends_with_a_step_that_tells():
    told = [parts(step) for step in parse_pressure_script(TEXT).steps]
    assert told == [
        (MAP, 0, 0, 8),
        (TELL, 0, 0, 0),
        *((WRITE, 0, 0, page) for page in (0, 1, 2, 3, 7)),
        (TELL, 0, 0, 0),
        (FORK, 0, 0, 1),
        (TELL, 0, 0, 0),
        (MAP, 1, 1, 2),
        (TELL, 1, 0, 0),
        *((READ, 1, 0, page) for page in (7, 6, 7, 6)),
        (TELL, 1, 0, 0),
        (WRITE, 0, 0, 1),
        (TELL, 0, 0, 0),
    ]


def test_a_region_may_be_shared():
    script = parse_pressure_script("limit 64\nP share A 9\nP write A 0\n")
    assert str(script) == "limit 64\nswappiness 60\nP share A 9\nP write A 0\n"
    assert parts(script.steps[0]) == (SHARE, 0, 0, 9)


def test_a_process_may_wait():
    text = "limit 64\nswappiness 60\nP map A 9\nP write A 0\nP wait 3500\n"
    script = parse_pressure_script(text)
    assert str(script) == text
    assert [parts(step) for step in script.steps[-2:]] == [(WAIT, 0, 0, 3500), (TELL, 0, 0, 0)]


def test_comments_and_the_usual_swappiness():
    script = parse_pressure_script("# one\nlimit 64\n\nP map A 1 # page\nP write A 0\n")
    assert script.swappiness == 60
    assert [line.line for line in script.lines] == [4, 5]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("P map A 1\nP write A 0\n", "has no limit"),
        ("limit 64\nP map A 1\n", "touches nothing"),
        ("limit 63\n", r":1: limit: 63; it is 64 to"),
        ("limit\n", ":1: 'limit'; write `limit PAGES`"),
        ("swappiness 201\n", ":1: swappiness: 201; it is 0 to 200"),
        ("swappiness x\n", "'x' is not a number of pages; write `swappiness N`"),
        ("limit 64\nP map A 2\nP write A 2\n", ":3: page 2 is not in A, which has 2"),
        ("limit 64\nP map A 2\nP write A\n", r":3: 'P write A'; write `P write A 0-63"),
        ("limit 64\nP map A 2\nP write A 0 times 0\n", ":3: "),
        ("limit 64\nP map A 2\nP read B 0\n", ":3: P has no region B; it has: A"),
        ("limit 64\nP read B 0\n", ":2: P has no region B; it has: none; begin with"),
        ("limit 64\nP map A 2\nP map A 2\n", ":3: 'A' cannot be a new region of P"),
        ("limit 64\nP map A 0\n", ":2: a region has 1 to"),
        ("limit 64\nC map A 2\n", ":2: there is no process C; there are: P"),
        ("limit 64\nP fork P\n", ":2: 'P' cannot be a new process"),
        ("limit 64\nP fork C 1\n", ":2: 'P fork C 1'; write `P fork C`"),
        ("limit 64\nP wait\n", ":2: 'P wait'; write e.g."),
        ("limit 64\nP wait 3100 1\n", ":2: 'P wait 3100 1'; write `P wait 3100`, in milliseconds"),
        ("limit 64\nP wait 2s\n", ":2: 'P wait 2s'; write `P wait 3100`, in milliseconds"),
        ("limit 64\nP wait 3099\n", ":2: a wait is 3100 to 60000 ms long, not 3099"),
        ("limit 64\nP wait 60001\n", ":2: a wait is 3100 to 60000 ms long, not 60001"),
        ("limit 64\nP write\n", ":2: 'P write'; write e.g. `P write A 0-63`"),
        ("limit 64\nP map A 300000\n", "a region has 1 to 262144 pages"),
        ("limit 64\nP map A 2\nP read A 0-999999\n", "a region has 262144 pages at most"),
        ("limit 64\nP map A 2\nP read A 0 times 300000\n", "200000 are the most"),
        ("limit 64\nP move A 2\n", ":2: "),
        (
            "limit 64\nP map A 1\n" + "".join(f"P fork C{n}\n" for n in range(16)),
            "a script may have 16 processes",
        ),
        ("limit 64\n" + "".join(f"P map A{n} 1\n" for n in range(9)), "may have 8 regions"),
    ],
)
def test_what_cannot_be_is_refused(text, told):
    with pytest.raises(ScenarioError, match=told):
        parse_pressure_script(text, "s.txt")


def test_a_child_inherits_its_regions():
    script = parse_pressure_script("limit 64\nP map A 2\nP fork C\nC fork D\nD write A 1\n")
    assert len(script.lines) == 4
    with pytest.raises(ScenarioError, match="4: C has no region B"):
        parse_pressure_script("limit 64\nP fork C\nP map B 2\nC write B 1\n")


def test_random_scripts_can_be_and_half_of_them_fork():
    scripts = [random_script(1, index) for index in range(40)]
    for script in scripts:
        assert parse_pressure_script(str(script)) == script
    made = [line.verb for script in scripts for line in script.lines if line.verb in MAPPING]
    assert 0.1 < made.count(Verb.SHARE) / len(made) < 0.4
    forking = [script for script in scripts if len(script.processes) > 1]
    assert 10 <= len(forking) <= 30
    assert {len(script.processes) for script in forking} == {2, 3, 4}
    for script in forking:
        late = [line.process for line in script.lines if line.verb in (Verb.READ, Verb.WRITE)]
        assert set(late) <= set(script.processes)


def test_one_in_ten_random_scripts_of_one_process_waits_twice():
    scripts = [random_script(1, index) for index in range(400)]
    waiting = [s for s in scripts if any(line.verb is Verb.WAIT for line in s.lines)]
    assert 6 <= len(waiting) <= 25
    for script in waiting:
        verbs = [line.verb for line in script.lines]
        assert verbs.count(Verb.WAIT) == 2
        assert verbs[-1] is Verb.WAIT
        assert len(script.processes) == 1
        assert Verb.SHARE not in verbs


def test_lines_that_others_need_are_needed():
    lines = parse_pressure_script(TEXT).lines
    assert [str(line) for line in possible_lines(lines[1:])] == ["P fork C", "C map B 2"]


def test_the_shortest_that_fails():
    script = random_script(1, 5)
    pages = {line.pages[-1] for line in script.lines if line.verb is Verb.WRITE}

    def fails(shorter):
        return any(pages & set(line.pages) for line in shorter.lines if line.verb is Verb.WRITE)

    shortest = shrink(script, fails, 200)
    assert fails(shortest)
    mapped, written = shortest.lines
    assert mapped.verb in MAPPING
    assert written.verb is Verb.WRITE
    assert len(shortest.lines[-1].pages) < len(script.lines[-1].pages) // 4
    assert parse_pressure_script(str(shortest)) == shortest


def test_no_more_trials_than_are_allowed():
    asked = []
    shrink(random_script(1, 5), lambda shorter: bool(asked.append(shorter)), 7)
    assert len(asked) == 7
