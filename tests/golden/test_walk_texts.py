"""What is told of the lecture's scripts as text, drawn, explained and asked, is what was told.

`pytest --regen-golden` writes it anew and fails: read it, and explain in the changelog what
changed.
"""

import re
import shlex
from pathlib import Path

import pytest

from sim.cli import main

ROOT = Path(__file__).parents[2]
TOLD = Path(__file__).parent / "walk"
LECTURE = (ROOT / "docs" / "lecture.md").read_text("utf-8")
COMMANDS = re.findall(r"^    cowpool (walk .*) --svg .*$", LECTURE, re.M)
"""The commands of the lecture, without the picture; each has ``--why``."""
FORMS = ("--draw", "--ask --answers", "--as-kernel 4.19")


def name_of(command):
    return Path(shlex.split(command)[1]).name


def told(command, capsys, monkeypatch):
    """Return what is printed of a lecture's script in all forms, each below its command."""
    monkeypatch.chdir(ROOT)
    text = ""
    for form in FORMS:
        assert main(shlex.split(f"{command} {form}")) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        text += f"$ cowpool {command} {form}\n{printed.out}\n"
    return text


@pytest.mark.parametrize("command", COMMANDS, ids=map(name_of, COMMANDS))
def test_what_is_told_is_what_was_told(command, capsys, monkeypatch, request):
    committed = TOLD / name_of(command)
    text = told(command, capsys, monkeypatch)
    if request.config.getoption("--regen-golden"):
        committed.parent.mkdir(exist_ok=True)
        committed.write_text(text, "utf-8")
        pytest.fail(f"{committed.name} written anew: read it and explain it in CHANGELOG.md")
    assert text == committed.read_text("utf-8")


def test_every_script_of_the_lecture_is_told():
    scripts = {file.name for file in (ROOT / "docs" / "lecture").glob("*.txt")}
    assert len(scripts) >= 11
    assert set(map(name_of, COMMANDS)) == scripts == {file.name for file in TOLD.iterdir()}


def test_another_script_is_told_otherwise(capsys, monkeypatch, tmp_path):
    """Negative control: one page more, and all else the same."""
    text = (ROOT / "docs" / "lecture" / "01_fork.txt").read_text()
    (tmp_path / "01_fork.txt").write_text(text.replace("P write A 0 4", "P write A 0 5"))
    command = f"walk {tmp_path}/01_fork.txt --why"
    other = told(command, capsys, monkeypatch).replace(f"{tmp_path}/", "docs/lecture/")
    first, *rest = (TOLD / "01_fork.txt").read_text("utf-8").splitlines()
    assert other.splitlines()[0] == first
    assert other.splitlines()[1:] != rest
