"""The drawings of the lecture and of the seven questions are what their commands draw now.

`pytest --regen-golden` draws them anew and fails: look at the pictures, and explain in the
changelog what changed.
"""

import re
import shlex
from pathlib import Path

import pytest

from sim.cli import main

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs" / "lecture.md", ROOT / "experiments" / "001_textbook" / "README.md")
COMMANDS = [
    command
    for page in PAGES
    for command in re.findall(r"^    cowpool (walk .*--svg .*)$", page.read_text("utf-8"), re.M)
]


def picture_of(command):
    return shlex.split(command)[-1]


def draw(command, path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main([*shlex.split(command)[:-1], str(path)]) == 0


@pytest.mark.parametrize("command", COMMANDS, ids=map(picture_of, COMMANDS))
def test_a_picture_is_what_the_command_beside_it_draws(command, tmp_path, monkeypatch, request):
    committed = ROOT / picture_of(command)
    if request.config.getoption("--regen-golden"):
        draw(command, committed, monkeypatch)
        pytest.fail(f"{committed.name} drawn anew: look at it and explain it in CHANGELOG.md")
    draw(command, tmp_path / "new.svg", monkeypatch)
    assert (tmp_path / "new.svg").read_bytes() == committed.read_bytes()


def test_every_script_and_picture_is_shown_on_its_page():
    assert len(COMMANDS) == 19
    for page, folder in zip(PAGES, ("lecture", "walk"), strict=True):
        text = page.read_text("utf-8")
        files = sorted((page.parent / folder).iterdir())
        assert files
        for file in files:
            assert f"({folder}/{file.name})" in text
    assert {picture_of(c) for c in COMMANDS} == {
        str(file.relative_to(ROOT))
        for page, folder in zip(PAGES, ("lecture", "walk"), strict=True)
        for file in (page.parent / folder).glob("*.svg")
    }


def test_another_script_draws_another_picture(tmp_path, monkeypatch):
    """Negative control."""
    text = (ROOT / "docs" / "lecture" / "01_fork.txt").read_text()
    (tmp_path / "other.txt").write_text(text.replace("P write A 0 4", "P write A 0 3"))
    draw(f"walk {tmp_path}/other.txt --why --svg x", tmp_path / "new.svg", monkeypatch)
    committed = ROOT / "docs" / "lecture" / "01_fork.svg"
    assert (tmp_path / "new.svg").read_bytes() != committed.read_bytes()
