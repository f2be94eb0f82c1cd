"""The reader keeps places, and refuses what is dangerous before it is built."""

import pytest

from sim.base.errors import ScenarioError
from sim.scenario.document import MAX_NODES, parse_document, parse_value, read_document


def test_values_are_yaml_1_2():
    text = "a: [1, -2, 1.5, 1e3, true, null, ~, 'yes', yes, 0x10, 1_000, 2026-01-01, .5]"
    value, _ = parse_value(text, "f")
    assert value["a"] == [
        1, -2, 1.5, 1000.0, True, None, None, "yes", "yes", "0x10", "1_000", "2026-01-01", 0.5
    ]  # fmt: skip
    assert isinstance(value["a"][3], float)


def test_every_value_knows_its_line():
    document = parse_document("version: 1\nhost:\n  zones:\n    - {name: a}\n    - name: b\n", "f")
    assert document.place(("host", "zones", 1, "name")).line == 5
    assert document.place(("host", "zones", 1, "memory")).line == 5
    assert document.place(("host", "nothing", "here")).line == 2
    assert document.place(("version",)).file == "f"


def test_an_alias_repeats_a_value():
    value, _ = parse_value("a: &x {k: 1}\nb: *x\n", "f")
    assert value == {"a": {"k": 1}, "b": {"k": 1}}


def bomb(levels: int, width: int = 9) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"a{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * width) + "]"
        for level in range(1, levels)
    ]
    return "\n".join(lines)


def test_an_alias_bomb_is_refused():
    """Before it is written out: its 9 to the power of 30 words would never end."""
    with pytest.raises(ScenarioError, match="aliases included"):
        parse_document(bomb(30), "f")


def test_a_chain_of_aliases_cannot_nest_without_end():
    lines = ["a0: &a0 [[[[[[x]]]]]]"]
    lines += [f"a{n}: &a{n} [[[[[[*a{n - 1}]]]]]]" for n in range(1, 100)]
    with pytest.raises(ScenarioError, match="nested deeper"):
        parse_document("\n".join(lines), "f")


def test_an_alias_to_itself_is_refused():
    with pytest.raises(ScenarioError, match="no finished anchor"):
        parse_document("a: &a [*a]", "f")


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a: 1\nb: !!python/object/apply:os.system [ls]", "tag", 2),
        ("a: !!str 1", "tag", 1),
        ("!x a: 1", "tag", 1),
        ("a: 1\nb: 2\na: 3", "already given in line 1", 3),
        ("a: 1\n<<: {b: 2}", "merge keys", 2),
        ("? [1, 2]\n: 3", "plain text", 1),
        ("a: 1\n---\nb: 2", "second document", 2),
        ("a: [1, 2", "not valid YAML", 1),
        ("a: 'x", "not valid YAML", 1),
        ("a: b: c", "not valid YAML", 1),
        ("a:\n\t- 1", "not valid YAML", 2),
        ("a: *nobody", "names no finished", 1),
        ("a: " + "9" * 5000, "too many digits", 1),
        ("a: " + "[" * 500 + "]" * 500, "nested deeper", 1),
        ("- 1", "not a mapping", 1),
        ("just text", "not a mapping", 1),
        ("", "empty", 1),
        ("# nothing", "empty", 1),
        ("a: \x07", "not valid YAML", 1),
        ("%YAML 9.9\n--- \na: 1", "not valid YAML", 1),
    ],
)
def test_what_is_refused_says_where(text, message, line):
    with pytest.raises(ScenarioError, match=message) as refusal:
        parse_document(text, "f.yaml")
    assert (refusal.value.file, refusal.value.line) == ("f.yaml", line)
    assert "\n" not in str(refusal.value)


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"version: 1\nname: caf\xe9\n")
    (tmp_path / "huge.yaml").write_bytes(b"#" * (1 << 21))
    with pytest.raises(ScenarioError, match="UTF-8") as refusal:
        read_document(tmp_path / "latin.yaml")
    assert refusal.value.line == 2
    with pytest.raises(ScenarioError, match="1 MiB"):
        read_document(tmp_path / "huge.yaml")
    with pytest.raises(ScenarioError, match="directory"):
        read_document(tmp_path)
    with pytest.raises(ScenarioError, match="no such file"):
        read_document(tmp_path / "none.yaml")


def test_a_byte_order_mark_is_no_harm(tmp_path):
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfversion: 1\n")
    assert read_document(tmp_path / "bom.yaml").data == {"version": 1}


def test_the_longest_document_is_refused_in_the_middle():
    text = "a: [" + "1," * (MAX_NODES + 10) + "]"
    with pytest.raises(ScenarioError, match="more than"):
        parse_document(text, "f")
