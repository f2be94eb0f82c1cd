"""`sim.plugin` is all that a plug-in needs, and what was there before it is still found."""

import ast
import sys
from importlib import import_module
from pathlib import Path

import pytest

import sim.plugin
from sim.moved import MOVED
from sim.program.plugin import load_plugin

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples").glob("*.py"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_the_examples_need_nothing_else(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in modules if name.split(".")[0] == "sim"} == {"sim.plugin"}


def test_what_it_offers_is_there():
    assert len(sim.plugin.__all__) == len(set(sim.plugin.__all__))
    public = {name for name in vars(sim.plugin) if not name.startswith("_")}
    assert public == set(sim.plugin.__all__)


@pytest.mark.parametrize("old", sorted(MOVED))
def test_what_plug_ins_imported_before_is_found_with_a_warning(old, monkeypatch):
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{old} has moved.*sim.plugin"):
        found = import_module(old)
    assert found is import_module(MOVED[old])


@pytest.mark.parametrize("name", ["sim.workload.nosuch", "sim.nosuch"])
def test_what_never_was_is_not_found(name):
    with pytest.raises(ModuleNotFoundError, match=name):
        import_module(name)


def test_a_plug_in_of_before_works_and_is_told_at_its_line(tmp_path, monkeypatch):
    for old in MOVED:
        monkeypatch.delitem(sys.modules, old, raising=False)
    file = tmp_path / "mine.py"
    file.write_text(
        "from sim.units import MIB\nfrom sim.workload.api import program\n\n"
        "@program('mine')\ndef mine(task):\n    yield from task.mmap(MIB)\n"
    )
    with pytest.warns(DeprecationWarning, match="has moved") as told:
        assert list(load_plugin(file).programs) == ["mine"]
    assert [(warning.filename, warning.lineno) for warning in told] == [
        (str(file), 1),
        (str(file), 2),
    ]
