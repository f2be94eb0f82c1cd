import pytest

from sim.base.errors import ScenarioError
from sim.script.grammar import SHAPES, Operation, Verb, format_script, parse_line
from sim.script.validity import World, is_valid, load_script, parse_script

CONTRACT = """\
P map A 64            # private anonymous mapping of 64 pages
P shmap B 64
P mapfile D 64

P write A 0 32
P read A 32 48
P dontneed A 0 8
P fork C
C exit
P mapshfile E 64
P unmap A 8 16
P protect A 0 8 r
P hugepage A
P dontfork A
P wipeonfork A
P unmap A
"""
BEHIND = """\
P map A 4
P shmap B 4 populate behind A
P mapfile D 4 behind B
P move A
P resize A 512
"""


def test_every_line_of_the_contract_parses_and_comes_back():
    operations = parse_script(CONTRACT)
    lines = [line.split("#")[0].strip() for line in CONTRACT.splitlines() if line.strip()]
    assert [str(operation) for operation in operations] == lines
    assert parse_script(format_script(operations)) == operations


def test_a_region_may_lie_behind_another():
    operations = parse_script(BEHIND)
    assert [operation.behind for operation in operations[:3]] == ["", "A", "B"]
    assert format_script(operations) == BEHIND


def test_a_region_may_lie_below_another():
    text = "P map A 4\nP map B 511 populate below A\nP move A\nP map C 511 below A\n"
    operations = parse_script(text)
    assert [operation.below for operation in operations] == ["", "A", "", "A"]
    assert format_script(operations) == text


def test_an_operation_knows_its_line():
    assert parse_script("# first\n\nP map A 4\n")[0].line == 3


def test_every_verb_has_a_shape():
    assert set(SHAPES) == set(Verb)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("P", "no verb after 'P'; write e.g. `P write A 0 32`"),
        ("7 map A 3", "'7' cannot name a process; write a letter first, e.g. `P`"),
        ("P wriet A 0 1", "unknown verb 'wriet'; did you mean `write`?"),
        (
            "P map",
            "0 words after `map`; write `P map REGION PAGES [populate|noreserve] [behind|bel",
        ),
        ("P map A 4 behind", "'behind' is not understood; write `P map REGION PAGES"),
        ("P map A 4 behind 7", "'7' cannot name a region; write one letter from A to Z"),
        ("P map A 4 behind B populate", "'behind B populate' is not understood; write `P map REG"),
        ("P map a 3", "'a' cannot name a region; write one letter from A to Z"),
        ("P map AB 3", "'AB' cannot name a region; write one letter from A to Z"),
        ("P map A 0", "`map` takes 1 to 4194304 pages, not 0"),
        ("P map A x", "'x' is not a number of pages"),
        ("P map A -1", "'-1' is not a number of pages"),
        ("P map A ٣", "'٣' is not a number of pages"),
        ("P map A 99999999999999999999", "is not a number of pages"),
        ("P map A 3 lazily", "'lazily' is none of populate, noreserve"),
        ("P stack S 2048", "`stack` takes 1 to 1024 pages, not 2048"),
        ("P write A 5 5", "[5, 5) holds no page; write FIRST < END"),
        ("P write A 5", "2 words after `write`; write `P write REGION FIRST END`"),
        ("P unmap A 5", "2 words after `unmap`; write `P unmap REGION [FIRST END]`"),
        ("P protect A 0 1 rwx", "'rwx' is none of r, rw, none"),
        ("P fork 9", "'9' cannot name a process; write a letter first"),
        ("P exit now", "1 words after `exit`; write `P exit`"),
    ],
)
def test_a_malformed_line_says_where_and_what_would_be_right(line, message):
    with pytest.raises(ScenarioError) as raised:
        parse_line(line, file="a.txt", line=7)
    assert str(raised.value).startswith("a.txt:7: ")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("Q exit", "no process called Q; living: P"),
        ("P exit\nP exit", "P exited"),
        ("P read A 0 1", "P has no region A; its regions: none"),
        ("P map A 4\nP read A 0 5", "A has 4 pages; [0, 5) reaches past them"),
        ("P map A 4\nP shmap B 4 behind C", "P has no region C; its regions: A"),
        ("P map A 4\nP shmap A 4 behind A", "A cannot lie behind itself"),
        ("P map A 4\nP shmap A 4 below A", "A cannot lie below itself"),
        ("P map A 4\nP map B 512 below A", "below A there is room for 511 pages, up to"),
        ("P map A 4\nP map B 4 below A\nP map C 1 below A", "below A there is room for 0 pages"),
        ("P map A 4\nP map B 4 below A\nP map C 508 below B", "below B there is room for 507"),
        ("P map A 4\nP map B 4 below A\nP resize B 5", "B has room for 4 pages"),
        ("P map A 4\nP map B 4 below A\nP map A 4", "A touches another region, or did; unmap it"),
        ("P stack A 4\nP shmap B 4 behind A", "A is a heap or a stack: nothing may touch it"),
        (
            "P map A 4\nP shmap B 509 behind A",
            "behind A there is room for 508 pages, up to",
        ),
        (
            "P map A 4\nP shmap B 4 behind A\nP resize A 5",
            "A has room for 4 pages, up to the next 2 MiB boundary",
        ),
        ("P map A 4\nP unmap A\nP read A 0 1", "P has no region A"),
        ("P map A 4\nP unmap A 0 2\nP unmap A 2 4\nP read A 0 1", "P has no region A"),
        ("P fork C\nP fork C", "a process called C is living"),
        ("P fork P", "a process called P is living"),
        ("P map A 4\nP dontfork A\nP fork C\nC read A 0 1", "C has no region A"),
        ("P map A 4\nP protect A 0 4 r\nP write A 0 1\nP exit", "P was killed by SIGSEGV"),
        ("P map A 4\nP unmap A 1 2\nP read A 0 4\nP exit", "P was killed by SIGSEGV"),
        ("P vfork C\nP exit", "P waits until C, which borrows its memory"),
        ("P vfork C\nC vfork D", "C has borrowed its memory"),
        ("P map A 4\nP unmap A 1 2\nP move A", "`move` needs a region in one piece"),
        ("P map A 4\nP resize A 513", "A has room for 512 pages"),
        ("P shmap A 4\nP resize A 5", "`resize` is for private anonymous regions"),
        ("P brk H 4\nP brk I 4", "the heap of P is H, not I"),
        ("P map H 4\nP brk H 4", "H is mapped; name the heap differently"),
        ("P brk H 4\nP map H 4", "H is the heap; give the region another name"),
        ("P brk H 4\nP unmap H", "H is the heap; it cannot be told to `unmap`"),
        ("P stack S 4\nP protect S 0 4 r", "a stack cannot be told to `protect`"),
        ("P stack S 4\nP unmap S 0 1", "a stack is unmapped whole"),
    ],
)
def test_what_cannot_happen_is_refused_at_its_line(script, message):
    with pytest.raises(ScenarioError) as raised:
        parse_script(script, file="a.txt")
    assert str(raised.value).startswith(f"a.txt:{script.count(chr(10)) + 1}: ")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "script",
    [
        "P map A 4\nP map A 8\nP read A 0 8",
        "P fork C\nC exit\nP fork C\nC exit",
        "P map A 4\nP fork C\nP exit\nC read A 0 4",
        "P map A 4\nP unmap A 1 2\nP protect A 0 4 r\nP write A 2 4",
        "P map A 4\nP vfork C\nC map B 2\nC exec\nP read B 0 2",
        "P map A 4\nP fork C\nC unmap A\nP read A 0 4",
        "P brk H 9\nP brk H 2\nP brk H 600\nP write H 0 600",
    ],
)
def test_what_can_happen_is_accepted(script):
    assert is_valid(parse_script(script))


def test_a_refused_operation_changes_nothing():
    world = World()
    world.apply(Operation("P", Verb.MAP, "A", 0, 4))
    before = repr(world)
    for operation in (
        Operation("P", Verb.READ, "A", 0, 9),
        Operation("P", Verb.FORK, child="P"),
        Operation("P", Verb.RESIZE, "A", 0, 9999),
        Operation("C", Verb.EXIT),
    ):
        with pytest.raises(ValueError, match=r"\S"):
            world.apply(operation)
    assert repr(world) == before


def test_a_file_that_is_not_there_or_not_text_is_bad_input(tmp_path):
    with pytest.raises(ScenarioError, match="cannot be read: No such file"):
        load_script(tmp_path / "missing.txt")
    with pytest.raises(ScenarioError, match="cannot be read: Is a directory"):
        load_script(tmp_path)
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="is not UTF-8 text"):
        load_script(binary)
