"""Nothing that a user wrote reaches the terminal as anything but text, nor without end."""

import subprocess
import sys

import pytest

from sim.base.text import is_unfit
from sim.cli import main

SCENARIO = """\
version: 1
name: plain
host: {memory: 64 MiB}
processes: {P: {program: steps, steps: []}}
run: {horizon: 1 ms}
"""
STUDY = """\
version: 1
name: s
base: s.yaml
axes: {host.cpus: {one: 1, two: 2}}
replications: 1
seed: 1
answer: {metric: forks}
"""
UNFIT = ["\\e", "\\a", "\\x7f", "\\x9b", "\\r", "\\b", "\\u202e", "\\u2028", "\\uffff", "\\ud800"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENARIO)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def told(capsys, *arguments):
    status = main(list(arguments))
    out, err = capsys.readouterr()
    assert not any(is_unfit(c) for c in out + err)
    assert len(err.splitlines()) <= 1
    return status, out, err


@pytest.mark.parametrize("unfit", UNFIT)
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("s.yaml", "name: plain", 'name: "a{}b"'),
        ("s.yaml", "P:", '"P{}":'),
        ("study.yaml", "version: 1", 'version: 1\nquestion: "what{}?"'),
        ("study.yaml", "one: 1", '"one{}": 1'),
        ("study.yaml", "axes:", 'labels: {{host.cpus: "x{}"}}\naxes:'),
        ("study.yaml", "answer: {", 'answer: {{subject: "a {} host", '),
    ],
)
def test_what_a_terminal_would_obey_is_refused_and_shown_by_number(
    here, capsys, file, old, new, unfit
):
    text = (here / file).read_text()
    assert old in text
    (here / file).write_text(text.replace(old, new.format(unfit)))
    status, out, err = told(capsys, "explain", file)
    assert status == 2
    assert out == ""
    assert err.startswith(f"{file}:")


def test_ends_of_lines_and_foreign_letters_are_text(here, capsys):
    text = STUDY.replace("version: 1", 'version: 1\nquestion: "Wie groß?\\nnaïve café, 数"')
    (here / "study.yaml").write_text(text)
    assert told(capsys, "explain", "study.yaml")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "\x1b[31mred.yaml"],
        ["run", "s.yaml", "--set", "\x1b[31m=1"],
        ["run", "s.yaml", "--set", "host.cpus=\x1b"],
        ["run", "s.yaml", "--\x07"],
        ["run", "s.yaml", "--seed", "\x9b1"],
        ["\x1b]0;owned\x07"],
        ["study", "study.yaml", "--out", "s.yaml/\x1b[31m"],
        ["report", "no\x1bwhere"],
        ["walk", "\x1b.txt"],
        ["conform", "\x1b.txt"],
        ["schema", "\x1b"],
        ["init", "\x1bx"],
    ],
)
def test_what_is_typed_is_shown_not_sent(here, capsys, arguments):
    assert told(capsys, *arguments)[0] == 2


def test_a_script_is_shown_not_sent(here, capsys):
    (here / "s\x1b.txt").write_text("# a \x1b[31m title\nP map A 1\n")
    assert told(capsys, "walk", "s\x1b.txt")[0] == 0
    assert told(capsys, "conform", "s\x1b.txt")[0] == 0


@pytest.mark.parametrize(
    "key",
    [
        "9" * 4301,
        "host." + "9" * 4301,
        ".".join("a" * 3000),
        ".".join("a" * 26),
        "k" * 301,
        "processes." + "p" * 100_000 + ".program",
    ],
)
def test_a_key_has_a_limit_wherever_it_is_written(here, capsys, key):
    status, _, err = told(capsys, "explain", "s.yaml", "--set", f"{key}=1")
    assert status == 2
    assert len(err) < 400
    (here / "study.yaml").write_text(STUDY + f"set:\n  ? {key}\n  : 1\n")
    status, _, err = told(capsys, "explain", "study.yaml")
    assert status == 2
    assert len(err) < 400


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("s.yaml", SCENARIO.replace("steps, steps", "A" * 100_000 + ", steps")),
        ("s.yaml", SCENARIO.replace("version: 1", "version: " + "1" * 5_000)),
        ("s.yaml", SCENARIO.replace("64 MiB", "x" * 100_000)),
        ("s.yaml", SCENARIO.replace("name: plain", "name: !!" + "t" * 10_000 + " x")),
        (
            "study.yaml",
            STUDY.replace("answer:", f"baseline: {{host.cpus: {'a' * 100_000}}}\nanswer:"),
        ),
        (
            "study.yaml",
            STUDY.replace("one: 1", f"{'a' * 290}: 1").replace(
                "answer:", "baseline: {host.cpus: x}\nanswer:"
            ),
        ),
    ],
)
def test_a_message_has_a_limit(here, capsys, file, text):
    (here / file).write_text(text)
    status, _, err = told(capsys, "explain", file)
    assert status == 2
    assert len(err) < 450


def test_a_verb_of_a_script_and_its_names_have_a_limit(here, capsys):
    for line in ("P " + "v" * 3000, "P" * 3000 + " map A 1", "P map A " + "1" * 3000):
        (here / "x.txt").write_text(line + "\n")
        assert told(capsys, "walk", "x.txt")[0] == 2


def test_a_full_device_is_no_defect():
    done = subprocess.run(
        f"{sys.executable} -m sim schema > /dev/full",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "cannot be written (No space left on device); check room there\n"


@pytest.mark.parametrize("name", ["=cmd|'/C calc'!A0", "@SUM(1)", "+a", "-a", "=1"])
def test_a_level_is_no_formula_for_a_spreadsheet(here, capsys, name):
    text = STUDY.replace("one: 1", f'"{name}": 1')
    (here / "study.yaml").write_text(text)
    status, _, err = told(capsys, "explain", "study.yaml")
    assert status == 2
    assert "would be a formula in a spreadsheet; rename it" in err


@pytest.mark.parametrize("name", ["-5", "+1", "1 = 1", "a@b", "-"])
def test_a_level_may_be_a_number_with_a_sign(here, capsys, name):
    (here / "study.yaml").write_text(STUDY.replace("one: 1", f'"{name}": 1'))
    status = told(capsys, "explain", "study.yaml")[0]
    assert status == (2 if name == "-" else 0)
