"""Studies and reports know no program by name: what a program is, it declares itself."""

import ast
from pathlib import Path

import pytest

import sim
from sim.program import PROGRAMS

PACKAGE = Path(sim.__file__).parent
FILES = [file for part in ("study", "report", "engine") for file in (PACKAGE / part).rglob("*.py")]
NAMES = set(PROGRAMS) - {"steps"}  # a verb of studies as well


def named_in(tree):
    """Return the names of programs among the strings of code that are not documentation."""
    told = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    strings = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    }
    return {name for name in NAMES for text in strings if name in text}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_no_program_is_named(file):
    assert named_in(ast.parse(file.read_text(encoding="utf-8"))) == set()


def test_a_name_would_be_seen():
    assert named_in(ast.parse('"""redis"""\nX = {"cow_copies": {"redis"}}\n')) == {"redis"}
