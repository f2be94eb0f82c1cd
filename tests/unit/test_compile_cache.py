"""The cache of compiled code notices every edit that could matter, and no other."""

import ast
import shutil
from pathlib import Path

import pytest

import sim
from sim.base.jit import compiled_files, source_digest

PACKAGE = Path(sim.__file__).parent


def imported_by(file):
    """Return the files of this package that `file` imports from."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sim."):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                path = PACKAGE.joinpath(*name.split(".")[1:])
                yield from filter(Path.is_file, (path.with_suffix(".py"), path / "__init__.py"))


def compiles(file):
    """Whether a file has anything compiled."""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "sim.base.jit"
        and {alias.name for alias in node.names} & {"compiled", "inlined", "rare"}
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    )


def test_all_that_compiled_code_is_made_of_is_looked_at():
    waiting = [file for file in PACKAGE.rglob("*.py") if compiles(file)]
    assert PACKAGE / "kernel" / "fault" / "fault.py" in waiting
    reached = set(waiting)
    while waiting:
        new = set(imported_by(waiting.pop())) - reached
        reached |= new
        waiting += new
    assert reached <= set(compiled_files(PACKAGE))


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "sim", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "sim"


@pytest.mark.parametrize("edited", ["machine/pool.py", "kernel/work.py", "stats/quantile.py"])
def test_an_edited_callee_is_noticed(copied, edited):
    before = source_digest(copied)
    with (copied / edited).open("a", encoding="utf-8") as file:
        file.write("# edited\n")
    assert source_digest(copied) != before


def test_an_edit_elsewhere_costs_no_compilation(copied):
    before = source_digest(copied)
    assert before == source_digest(PACKAGE)
    with (copied / "engine" / "task.py").open("a", encoding="utf-8") as file:
        file.write("# edited\n")
    assert source_digest(copied) == before
