"""The shape of the house: who imports whom, how long files and functions are, and its page."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.imports import circle_in, imports_of

import sim

SIM = Path(sim.__file__).parent
FILES = sorted(SIM.rglob("*.py"))
PAGE = SIM.parent / "docs/architecture.md"
MOST_LINES = 400
MOST_BODY_LINES = 60


def long_bodies(source: str) -> Iterator[str]:
    """Yield functions whose body is too long.

    A body is the lines from its first statement to its last, the docstring and the signature not
    counted.  Tables are no functions, and may be as long as they are.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[ast.get_docstring(node, clean=False) is not None :]
            if body and (body[-1].end_lineno or 0) - body[0].lineno + 1 > MOST_BODY_LINES:
                yield node.name


def test_no_two_files_import_each_other() -> None:
    imports = imports_of("sim")
    assert len(imports) == len(FILES)
    assert circle_in(imports) == []


def test_the_search_finds_imports_and_rings() -> None:
    imports = imports_of("sim.engine")
    assert "sim.engine.task" in imports["sim.engine.waits"]  # for use
    assert "sim.engine.clock" in imports["sim.engine.table"]  # for types only
    imports["sim.engine.task"].add("sim.engine.table")
    assert set(circle_in(imports)) == {"sim.engine.table", "sim.engine.task"}


def test_only_the_clock_looks_into_the_queue_of_simpy() -> None:
    engine = (SIM / "engine").rglob("*.py")
    users = {file.name for file in engine if "._queue" in file.read_text(encoding="utf-8")}
    assert users == {"clock.py"}


def test_every_module_can_be_imported() -> None:
    """Whatever no other test needs too; what only some users have is asked for where it is used."""
    for file in FILES:
        if file.name != "__main__.py":
            place = file.parent if file.name == "__init__.py" else file.with_suffix("")
            importlib.import_module(".".join(place.relative_to(SIM.parent).parts))


def test_no_file_is_too_long() -> None:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {file: n for file, n in lengths.items() if n > MOST_LINES} == {}


def test_no_function_is_too_long() -> None:
    found = {file: list(long_bodies(file.read_text(encoding="utf-8"))) for file in FILES}
    assert {file: names for file, names in found.items() if names} == {}


@pytest.mark.parametrize(("lines", "found"), [(MOST_BODY_LINES, []), (MOST_BODY_LINES + 1, ["f"])])
def test_a_long_body_is_found_and_its_docstring_not_counted(lines: int, found: list[str]) -> None:
    source = 'def f():\n    """Do it.\n\n    So.\n    """\n' + "    pass\n" * lines
    assert list(long_bodies(source)) == found


def named_files(page: str) -> set[str]:
    """Return the files of Python that a page names with their folder."""
    return set(re.findall(r"`((?:\w+/)+\w+\.py)`", page))


def test_the_page_speaks_of_files_that_exist() -> None:
    named = named_files(PAGE.read_text(encoding="utf-8"))
    assert "kernel/fault/fault.py" in named
    roots = (SIM, SIM.parent, SIM.parent / "tests/unit")
    assert {name for name in named if not any((root / name).is_file() for root in roots)} == set()


def test_the_stops_of_a_write_name_functions_that_exist() -> None:
    page = PAGE.read_text(encoding="utf-8")
    stops = page.partition("## One write")[2].partition("## Where")[0]
    pairs = re.findall(r"`(\w+(?:/\w+)+\.py)` `(?:\w+\.)?(\w+)`", stops)
    assert len(pairs) > 5
    for name, function in pairs:
        text = (SIM / name).read_text(encoding="utf-8")
        assert re.search(rf"^ *def {function}\(", text, re.M), f"{name}: {function}"


def test_every_package_has_its_floor_on_the_page() -> None:
    floors = PAGE.read_text(encoding="utf-8").partition("## Doors")[0]
    packages = {file.parent.name for file in SIM.glob("*/__init__.py")}
    assert set(re.findall(r"^\|[ \d]*\| `(\w+)` \|", floors, re.M)) == packages
